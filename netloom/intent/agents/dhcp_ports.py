"""The ports of DHCP servers, where these are programs of their own on some hosts (dhcp_driver = dnsmasq).

Law: for each agent that serves a network there is one port, bound to the agent's host, with an address of each subnet
that has DHCP; a server that takes another's place takes over its port, so that what clients were told goes on.
Where hosts answer themselves (dhcp_driver = distributed) there are none.
"""

from __future__ import annotations

from uuid import NAMESPACE_DNS, uuid5

from netloom.intent.addressing import addresses
from netloom.intent.agents.dhcp_wait import DNSMASQ, OWNER, is_server
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.l2 import port
from netloom.intent.l2.binding import BRIDGE_AGENT, HOST, OVS_AGENT
from netloom.intent.l2.port_status import release_unserved
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Doc, parse_create
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SWITCHES = (OVS_AGENT, BRIDGE_AGENT)


def name_device(host: str, network_id: str) -> str:
    """The device_id of a server's port, as Neutron makes it of host and network."""
    return f"dhcp{uuid5(NAMESPACE_DNS, host.partition('.')[0])}-{network_id}"


def sync_ports(draft: Draft, network_id: str) -> None:
    """Make the servers' ports what agents, subnets and settings say."""
    network = draft.get("network", network_id)
    if network is None:
        return
    held = {doc["device_id"]: doc for doc in draft.find("port", "network_owner", (network_id, OWNER)) if is_server(doc)}
    wanted = {name_device(host, network_id): host for host in find_hosts(draft, network)}
    spare = [doc for device, doc in sorted(held.items()) if device not in wanted]
    for device, host in wanted.items():
        doc = held.get(device) or (spare.pop(0) if spare else None)
        if doc is None:
            make_port(draft, network, device, host)
        else:
            change_port(draft, network, doc, device, host)
    for doc in spare:
        port.remove_port(draft, doc)
    release_unserved(draft, network_id)


def find_hosts(draft: Draft, network: Doc) -> list[str]:
    """The hosts that a server runs on: those with a switch to plug it into. Without one, hosts answer."""
    if draft.context.settings.dhcp_driver != DNSMASQ or not find_subnets(draft, network):
        return []
    agents = (draft.get("agent", id) for id in network["dhcp_agents"])
    hosts = [agent["host"] for agent in agents if agent is not None]
    return [host for host in hosts if any(draft.lookup("agent", "host_type", (host, kind)) for kind in SWITCHES)]


def find_subnets(draft: Draft, network: Doc) -> list[Doc]:
    return [subnet for subnet in addresses.find_subnets(draft, network) if subnet["enable_dhcp"]]


def list_wanted(draft: Draft, network: Doc) -> list[dict[str, str]]:
    """An address of each subnet with DHCP; those that hosts make themselves come without being asked for."""
    return [{"subnet_id": one["id"]} for one in find_subnets(draft, network) if not addresses.is_auto(one)]


def make_port(draft: Draft, network: Doc, device: str, host: str) -> None:
    """Where the network has no address left there is no server: a subnet is not refused for that."""
    body = {
        "network_id": network["id"], "device_owner": OWNER, "device_id": device, "project_id": network["project_id"],
        "fixed_ips": list_wanted(draft, network), HOST: host,
    }  # fmt: skip
    try:
        port.create_port(draft, parse_create(port.PORT, body))
    except ApiError as error:
        if error.status != 409:
            raise


def change_port(draft: Draft, network: Doc, doc: Doc, device: str, host: str) -> None:
    """The port with another server's device and host, and with addresses for the subnets as they are now."""
    changes = {"device_id": device, HOST: host}
    fixed = find_addresses(draft, network, {**doc, **changes})
    if fixed != doc["fixed_ips"]:
        shown = addresses.show_addresses(doc, fixed, draft.context.settings)
        doc = draft.put("port", make_updated(doc, shown, draft.context))
    if any(doc[name] != value for name, value in changes.items()):
        draft.put("port", make_updated(doc, port.resolve_update(draft, doc, changes), draft.context))


def find_addresses(draft: Draft, network: Doc, doc: Doc) -> list[addresses.FixedIp]:
    """What the port is to have; what it has, where there is no more to be had."""
    try:
        return port.resolve_addresses(draft, doc, doc, list_wanted(draft, network))
    except ApiError as error:
        if error.status != 409:
            raise
        held: list[addresses.FixedIp] = doc["fixed_ips"]
        return held


def settle_networks(snapshot: Snapshot, context: Context) -> Outcome:
    """Bring all networks in step with the settings, which may have been others when they were made."""
    draft = Draft(snapshot, context)
    for id in sorted(find_stale(snapshot, context)):
        sync_ports(draft, id)
    return draft.finish()


def find_stale(snapshot: Snapshot, context: Context) -> set[str]:
    """Networks that may have servers and should not, or should and may not."""
    ports = (record.doc for record in snapshot.records("port").values())
    found = {doc["network_id"] for doc in ports if is_server(doc)}
    if context.settings.dhcp_driver == DNSMASQ:
        found.update(id for id, record in snapshot.records("network").items() if record.doc["dhcp_agents"])
    return found

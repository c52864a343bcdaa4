"""Rows of routers: the router, its ports, what it translates, and who follows it.

Law: a network leads to the distributed routers behind which it is and a router to all its networks, so a host that
routes by itself knows all that it routes to; to another form of router it sends by a MAC address, and is told no more
of it. An external network leads to no router, or it would lead to all there are. A host that carries a router, in
whatever form, follows it by its own slice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from netloom.intent.l2.binding import HOST, is_bound
from netloom.intent.l3.router_binding import ACTIVE, find_last_active
from netloom.intent.l3.router_default_route import ECMP
from netloom.intent.l3.router_find import (
    DVR_INTERFACE,
    FLOATING_IP,
    GATEWAY,
    HA_PORT,
    INTERFACE_OWNERS,
    SNAT_INTERFACE,
)
from netloom.intent.l3.router_ha import STANDBY
from netloom.intent.qos.qos_use import OWN, find_gateway_policy
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import (
    Address,
    FloatingRow,
    FollowRow,
    ForwardingRow,
    HelperRow,
    InterfaceRow,
    NeighbourRow,
    Route,
    RouterHost,
    RouterRow,
    Row,
)
from netloom.resolve import copy_rows as copies
from netloom.resolve import distributed_rows as distributed

RowKey = tuple[str, str]
KINDS = {
    **dict.fromkeys(INTERFACE_OWNERS, "internal"), GATEWAY: "gateway", SNAT_INTERFACE: "snat", HA_PORT: "ha",
}  # fmt: skip
"""What a port is to its router, by the port's device_owner."""
LEADING = (DVR_INTERFACE,)
"""The ports by which a network leads to their router: those of which each host has its own."""
REACHED = tuple(owner for owner in KINDS if owner != HA_PORT)
"""The ports by which a router leads to their network. What joins its copies concerns their hosts alone, which follow
that network for a port of their own."""
L3_AGENT = "L3 agent"


# -- which rows an object touches --------------------------------------------------------------------------------------


def touch_router(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    name = f"router/{doc['id']}"
    yield name, name
    for host in find_hosts(snapshot, doc):
        yield f"host/{host.name}", f"follow/{name}"
    for port in snapshot.find("port", "device_id", doc["id"]):
        if port["device_owner"] in KINDS:
            yield name, f"interface/{port['id']}"
    yield from distributed.touch_router(snapshot, doc)
    yield from copies.touch_router(snapshot, doc)


def touch_port(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    """Of a port that is a router's: the router's row of it, and that the two lead to one another."""
    if port["device_owner"] in KINDS:
        router, network = f"router/{port['device_id']}", f"network/{port['network_id']}"
        yield router, f"interface/{port['id']}"
        yield router, f"follow/{network}"
        yield network, f"follow/{router}"
    elif port["device_owner"] == FLOATING_IP:
        fip = snapshot.get("floatingip", port["device_id"])
        if fip is not None:
            yield from touch_floating(snapshot, fip)


def touch_floating(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    if doc["router_id"]:
        yield f"router/{doc['router_id']}", f"floating/{doc['id']}"
        for forwarding in snapshot.find("port_forwarding", "floatingip_id", doc["id"]):
            yield f"router/{doc['router_id']}", f"forwarding/{forwarding['id']}"
    yield from distributed.touch_fip(snapshot, doc)


def touch_forwarding(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    fip = snapshot.get("floatingip", doc["floatingip_id"])
    if fip is not None and fip["router_id"]:
        yield f"router/{fip['router_id']}", f"forwarding/{doc['id']}"


def touch_neighbour(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"router/{doc['router_id']}", f"neighbour/{doc['id']}"


def touch_helper(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"router/{doc['router_id']}", f"helper/{doc['id']}"


# -- what a slice is made of -------------------------------------------------------------------------------------------


def find_router_keys(snapshot: Snapshot, router: str) -> Iterator[str]:
    yield f"router/{router}"
    for port in snapshot.find("port", "device_id", router):
        if port["device_owner"] in KINDS:
            yield f"interface/{port['id']}"
        if port["device_owner"] in REACHED:
            yield f"follow/network/{port['network_id']}"
    for fip in snapshot.find("floatingip", "router_id", router):
        yield f"floating/{fip['id']}"
        for id in snapshot.find_ids("port_forwarding", "floatingip_id", fip["id"]):
            yield f"forwarding/{id}"
    for id in snapshot.find_ids("ndp_proxy", "router_id", router):
        yield f"neighbour/{id}"
    for id in snapshot.find_ids("conntrack_helper", "router_id", router):
        yield f"helper/{id}"


def find_led_routers(snapshot: Snapshot, network: str) -> Iterator[str]:
    """The keys by which a network leads to the routers that its hosts route for."""
    for owner in LEADING:
        for port in snapshot.find("port", "network_owner", (network, owner)):
            yield f"follow/router/{port['device_id']}"


def find_hosted_routers(snapshot: Snapshot, host: str) -> Iterator[str]:
    """The keys by which a host follows the routers that it carries."""
    agent = snapshot.lookup("agent", "host_type", (host, L3_AGENT))
    if agent is not None:
        for id in snapshot.find_ids("router", "l3_agents", agent["id"]):
            yield f"follow/router/{id}"


# -- what a row holds --------------------------------------------------------------------------------------------------


def resolve_router(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("router", router)
    if found is None:
        return None
    doc = found.doc
    return RouterRow(
        id=router,
        name=doc["name"],
        project_id=doc["project_id"],
        admin_state_up=doc["admin_state_up"],
        distributed=doc["distributed"],
        ha=doc["ha"],
        vr_id=doc["ha_vr_id"],
        enable_snat=doc["enable_snat"],
        enable_ndp_proxy=bool(doc.get("enable_ndp_proxy")),
        gateway_port_id=doc["gw_port_id"] or "",
        default_route_ecmp=bool(doc.get(ECMP)),
        gateway_policy=find_gateway_policy(doc) or "",
        hosts=tuple(find_hosts(snapshot, doc)),
        routes=tuple(Route(route["destination"], route["nexthop"]) for route in doc["routes"]),
        revision=found.revision,
    )


def find_hosts(snapshot: Snapshot, router: Doc) -> Iterator[RouterHost]:
    """Where the router is, in the order in which its agents were given it; of its copies one at most is active."""
    last = find_last_active(router["l3_agents"])
    for one in router["l3_agents"]:
        agent = snapshot.get("agent", one["agent_id"])
        if agent is not None:
            state = one["ha_state"] or ""
            yield RouterHost(agent["host"], STANDBY if state == ACTIVE and one is not last else state)


def resolve_interface(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("port", id)
    if found is None or found.doc["device_id"] != router or found.doc["device_owner"] not in KINDS:
        return None
    doc = found.doc
    return InterfaceRow(
        id=id,
        network_id=doc["network_id"],
        mac=doc["mac_address"],
        kind=KINDS[doc["device_owner"]],
        addresses=tuple(Address(fixed["ip_address"], fixed["subnet_id"]) for fixed in doc["fixed_ips"]),
        host=doc[HOST] if is_bound(doc) else "",
        admin_state_up=doc["admin_state_up"],
        revision=found.revision,
    )


def resolve_network_lead(snapshot: Snapshot, router: str, network: str) -> Row | None:
    """The router leads to a network while it has a port there."""
    return lead_to(snapshot, f"network/{network}", find_shared_ports(snapshot, router, network, REACHED))


def resolve_router_lead(snapshot: Snapshot, network: str, router: str) -> Row | None:
    """The network leads to a router while that has a port there."""
    if snapshot.get("router", router) is None:
        return None
    return lead_to(snapshot, f"router/{router}", find_shared_ports(snapshot, router, network, LEADING))


def find_shared_ports(snapshot: Snapshot, router: str, network: str, owners: Collection[str]) -> Iterator[str]:
    for port in snapshot.find("port", "device_id", router):
        if port["network_id"] == network and port["device_owner"] in owners:
            yield port["id"]


def find_place(snapshot: Snapshot, port: Doc) -> str:
    """The host of a port that is bound to none: of a floating IP, the one that translates it."""
    fip = snapshot.get("floatingip", port["device_id"]) if port["device_owner"] == FLOATING_IP else None
    return distributed.find_fip_host(snapshot, fip) if fip is not None else ""


def lead_to(snapshot: Snapshot, name: str, ids: Iterator[str]) -> FollowRow | None:
    records = snapshot.records("port")
    revisions = [records[id].revision for id in ids]
    return FollowRow(name, max(revisions)) if revisions else None


def resolve_hosted(snapshot: Snapshot, host: str, router: str) -> Row | None:
    """A host follows the routers that it carries."""
    found = snapshot.record("router", router)
    if found is None or all(one.name != host for one in find_hosts(snapshot, found.doc)):
        return None
    return FollowRow(f"router/{router}", found.revision)


def resolve_floating(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("floatingip", id)
    if found is None or found.doc["router_id"] != router:
        return None
    doc = found.doc
    port = snapshot.get("port", doc["floating_port_id"])
    return FloatingRow(
        id=id,
        network_id=doc["floating_network_id"],
        floating_ip=doc["floating_ip_address"],
        mac=port["mac_address"] if port else "",
        fixed_ip=doc["fixed_ip_address"] or "",
        port_id=doc["port_id"] or "",
        host=distributed.find_fip_host(snapshot, doc),
        policy=doc.get(OWN) or "",
        revision=found.revision,
    )


def resolve_forwarding(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("port_forwarding", id)
    fip = snapshot.get("floatingip", found.doc["floatingip_id"]) if found else None
    if found is None or fip is None or fip["router_id"] != router:
        return None
    doc = found.doc
    outer, inner = read_range(doc, "external"), read_range(doc, "internal")
    return ForwardingRow(
        id=id,
        floating_id=fip["id"],
        floating_ip=fip["floating_ip_address"],
        protocol=doc["protocol"],
        external_first=outer[0],
        external_last=outer[1],
        internal_ip=doc["internal_ip_address"],
        internal_first=inner[0],
        internal_last=inner[1],
        port_id=doc["internal_port_id"],
        revision=found.revision,
    )


def read_range(doc: Doc, end: str) -> tuple[int, int]:
    """The ports of one end: a single one, or "first:last"; 0: any."""
    text = doc.get(f"{end}_port_range") or str(doc.get(f"{end}_port") or 0)
    first, _, last = str(text).partition(":")
    return int(first), int(last or first)


def resolve_neighbour(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("ndp_proxy", id)
    if found is None or found.doc["router_id"] != router:
        return None
    return NeighbourRow(id, found.doc["ip_address"], found.doc["port_id"], found.revision)


def resolve_helper(snapshot: Snapshot, router: str, id: str) -> Row | None:
    found = snapshot.record("conntrack_helper", id)
    if found is None or found.doc["router_id"] != router:
        return None
    doc = found.doc
    return HelperRow(id, doc["protocol"], doc["port"], doc["helper"], found.revision)

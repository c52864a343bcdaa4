"""What floating IPs ask of ports that are not theirs: those they lead to, and those of the routers between.

Law: a port goes with its floating IPs let go of, never with one that still leads to it; an interface or a gateway
that a floating IP needs does not go at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict
from netloom.intent.l3.floatingip_assoc import NO_PORT, show_details
from netloom.intent.l3.router_access import owns
from netloom.intent.l3.router_find import FLOATING_IP, GATEWAY, find_ports
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import Doc
from netloom.intent.stamp import make_updated

ACTIVE, DOWN = "ACTIVE", "DOWN"


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if new["fixed_ips"] != old["fixed_ips"]:
        check_addresses_kept(draft, old, new)
    return NOTHING


def check_addresses_kept(draft: Draft, old: Doc, new: Doc) -> None:
    """A port keeps the addresses that floating IPs lead to."""
    left = {fixed["ip_address"] for fixed in new["fixed_ips"]}
    if any(fip["fixed_ip_address"] not in left for fip in draft.find("floatingip", "port_id", old["id"])):
        raise bad_resource(
            "port",
            f"Cannot update the fixed_ips of the port {old['id']}, because its original fixed_ip has been associated "
            "to a floating ip",
        )


def delete_port(draft: Draft, old: Doc) -> None:
    owner = old["device_owner"]
    if owner == FLOATING_IP and draft.get("floatingip", old["device_id"]) is not None:
        raise protected(old, f"has device owner {owner}")
    let_go(draft, old)


def protected(port: Doc, reason: str) -> ApiError:
    return conflict("ServicePortInUse", f"Port {port['id']} cannot be deleted directly via the port API: {reason}.")


def check_interface_unused(draft: Draft, interface: Doc, subnet_id: str) -> None:
    """Raises RouterInterfaceInUseByFloatingIP where a floating IP comes to the subnet through the port's router."""
    router_id = interface["device_id"]
    for fip in draft.find("floatingip", "router_id", router_id):
        if subnet_id in find_reached(draft, fip):
            raise conflict(
                "RouterInterfaceInUseByFloatingIP",
                f"Router interface for subnet {subnet_id} on router {router_id} cannot be deleted, as it is required "
                "by one or more floating IPs.",
            )


def find_reached(draft: Draft, fip: Doc) -> set[str]:
    """The subnets that a floating IP leads to, by its port and its port forwardings."""
    return {subnet_id for id, ip in find_ends(draft, fip) if (subnet_id := find_subnet_of(draft, id, ip))}


def find_ends(draft: Draft, fip: Doc) -> Iterator[tuple[str, str]]:
    if fip["port_id"]:
        yield fip["port_id"], fip["fixed_ip_address"]
    for forwarding in draft.find("port_forwarding", "floatingip_id", fip["id"]):
        yield forwarding["internal_port_id"], forwarding["internal_ip_address"]


def find_subnet_of(draft: Draft, port_id: str, ip: str) -> str:
    port = draft.get("port", port_id)
    found = [fixed["subnet_id"] for fixed in port["fixed_ips"] if fixed["ip_address"] == ip] if port else []
    return found[0] if found else ""


def check_gateway_unused(draft: Draft, gateway: Doc) -> None:
    """Raises RouterExternalGatewayInUseByFloatingIp where floating IPs need it and no other on its network is left."""
    router_id, network_id = gateway["device_id"], gateway["network_id"]
    others = [p for p in find_ports(draft, router_id, GATEWAY) if p["id"] != gateway["id"]]
    if any(port["network_id"] == network_id for port in others):
        return
    for fip in draft.find("floatingip", "router_id", router_id):
        if fip["floating_network_id"] == network_id:
            raise conflict(
                "RouterExternalGatewayInUseByFloatingIp",
                f"Gateway cannot be updated for router {router_id}, since a gateway to external network {network_id} "
                "is required by one or more floating IPs.",
            )


def let_go(draft: Draft, port: Doc) -> None:
    """The port goes: its floating IPs lead nowhere. Raises FipAssociated where one of them is another project's."""
    found = list(draft.find("floatingip", "port_id", port["id"]))
    if not all(owns(draft, fip) for fip in found):
        raise conflict(
            "FipAssociated",
            f"Unable to complete the operation on port {port['id']} because the port still has an associated floating "
            "IP.",
        )
    for fip in found:
        draft.put("floatingip", make_updated(fip, {**NO_PORT, "status": DOWN, "waits_for": ""}, draft.context))


def mirror_port(draft: Draft, port: Doc) -> None:
    """Keep port_details of the port's floating IPs in step. No revision of theirs: nothing of them changed."""
    for fip in list(draft.find("floatingip", "port_id", port["id"])):
        details: dict[str, Any] = show_details(port)
        if fip["port_details"] != details:
            draft.put("floatingip", {**fip, "port_details": details})


def put_status(draft: Draft, fip: Doc, carried: bool, reason: str = "") -> Doc:
    """ACTIVE: a host translates it; else it waits for `reason`. A floating IP without a router is carried by none.

    Only a status that differs makes a new revision; another reason is noted without one.
    """
    status = ACTIVE if carried and fip["router_id"] else DOWN
    said = {"status": status, "waits_for": "" if status == ACTIVE else reason}
    if fip["status"] != status:
        return draft.put("floatingip", make_updated(fip, said, draft.context))
    return draft.put("floatingip", {**fip, **said}) if fip.get("waits_for", "") != said["waits_for"] else fip


def follow_port(draft: Draft, old: Doc, new: Doc) -> None:
    mirror_port(draft, new)


PORT_PART = Part(update=update_port, delete=delete_port, follow=follow_port)

"""Which port, which of its addresses and which router a floating IP leads to.

Law: a floating IP that has a port has a fixed address of it and a router that reaches both; one address of a port has
one floating IP of each external network.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict, not_found
from netloom.intent.l2.binding import VNIC_TYPE
from netloom.intent.l3 import router_access
from netloom.intent.l3.router_find import GATEWAY, find_ports, find_router_for_floatingip
from netloom.intent.schema import Doc

DHCP = "network:dhcp"
CARRIED_VNIC_TYPES = ("normal", "smart-nic")
"""What a virtual bridge carries, so that a distributed router can translate on the port's own host."""
NO_PORT: Mapping[str, Any] = {"port_id": None, "fixed_ip_address": None, "router_id": None, "port_details": None}
DETAILS = ("name", "network_id", "mac_address", "admin_state_up", "status", "device_id", "device_owner")
"""What a floating IP shows of its port."""


def show_details(port: Doc) -> dict[str, Any]:
    return {name: port[name] for name in DETAILS}


def is_ipv4(fixed: Mapping[str, str]) -> bool:
    return ":" not in fixed["ip_address"]


def refuse(reason: str) -> Exception:
    return bad_resource("floatingip", reason)


def associate(draft: Draft, fip: Doc, given: Doc) -> dict[str, Any]:
    """What the floating IP says of the port that a request gives it. Raises ApiError in the order Neutron looks."""
    port = find_port(draft, fip, given["port_id"])
    fixed = find_fixed_ip(port, given.get("fixed_ip_address"))
    router_id = given.get("router_id")
    if router_id:
        check_router(draft, router_id, fip["floating_network_id"])
    else:
        router_id = find_router_for_floatingip(draft, fixed["subnet_id"], fip["floating_network_id"], port)
    check_carried(draft, router_id, port)
    check_free(draft, fip, port, fixed["ip_address"])
    return {
        "port_id": port["id"], "fixed_ip_address": fixed["ip_address"], "router_id": router_id,
        "port_details": show_details(port), "described_at": draft.base.revision + 1,
    }  # fmt: skip


def find_port(draft: Draft, fip: Doc, id: str) -> Doc:
    port = router_access.find_port(draft, id)
    if port["project_id"] != fip["project_id"] and not draft.context.requester.is_admin:
        raise refuse(
            f"Cannot process floating IP association with Port {id}, since that port is owned by a different project"
        )
    if port["device_owner"] == DHCP:
        raise refuse(f"Port {id} is unable to be assigned a floating IP")
    return port


def find_fixed_ip(port: Doc, wanted: str | None) -> Mapping[str, str]:
    """The port's address that is meant: the one named, or the only IPv4 one."""
    id = port["id"]
    if wanted:
        if ":" in wanted:
            raise refuse(f"Cannot process floating IP association with {wanted}, since that is not an IPv4 address")
        for fixed in port["fixed_ips"]:
            if fixed["ip_address"] == wanted:
                found: Mapping[str, str] = fixed
                return found
        raise refuse(f"Port {id} does not have fixed ip {wanted}")
    known: list[Mapping[str, str]] = [fixed for fixed in port["fixed_ips"] if is_ipv4(fixed)]
    if not known:
        raise refuse(f"Cannot add floating IP to port {id} that has no fixed IPv4 addresses")
    if len(known) > 1:
        raise refuse(
            f"Port {id} has multiple fixed IPv4 addresses.  Must provide a specific IPv4 address when assigning a "
            "floating IP"
        )
    return known[0]


def check_router(draft: Draft, router_id: str, network_id: str) -> None:
    """The router that a request names is there for the requester, and has a gateway on the floating network."""
    router = draft.get("router", router_id)
    if router is None or not router_access.owns(draft, router):
        raise not_found("router", router_id)
    if not any(port["network_id"] == network_id for port in find_ports(draft, router_id, GATEWAY)):
        raise conflict(
            "Conflict",
            f"Conflict in floatingip: Router {router_id} has no external gateway on network {network_id}.",
        )


def check_carried(draft: Draft, router_id: str, port: Doc) -> None:
    """What the router's form asks of the port."""
    router = draft.get("router", router_id)
    if router is None or not router["distributed"]:
        return
    if draft.count_in("port_forwarding", "internal_port_id", port["id"]):
        raise ApiError(
            400,
            "PortHasPortForwarding",
            f"Cannot associate floating IP to port {port['id']} because it already has a Port Forwarding binding.",
        )
    if port[VNIC_TYPE] not in CARRIED_VNIC_TYPES:
        raise refuse("Port VNIC type is not valid to associate a FIP in DVR mode")


def check_free(draft: Draft, fip: Doc, port: Doc, fixed_ip: str) -> None:
    """Raises FloatingIPPortAlreadyAssociated where another floating IP of the network leads to the address."""
    for other in draft.find("floatingip", "port_id", port["id"]):
        same = (other["fixed_ip_address"], other["floating_network_id"]) == (fixed_ip, fip["floating_network_id"])
        if same and other["id"] != fip["id"]:
            raise already_associated(fip, port["id"], fixed_ip)


def already_associated(fip: Doc, port_id: str, fixed_ip: str | None) -> Exception:
    return conflict(
        "FloatingIPPortAlreadyAssociated",
        f"Cannot associate floating IP {fip['floating_ip_address']} ({fip['id']}) with port {port_id} using fixed IP "
        f"{fixed_ip}, as that fixed IP already has a floating IP on external network {fip['floating_network_id']}.",
    )

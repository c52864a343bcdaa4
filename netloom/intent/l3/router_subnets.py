"""Which subnets may meet in one router: prefixes that overlap may not.

Law: after any operation no two subnets of a router overlap, but those of one external network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netloom.intent.addressing.pools import net_range
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource
from netloom.intent.l3.router_find import GATEWAY, find_ports
from netloom.intent.schema import Doc

PD_PREFIX = "::/64"
"""What a subnet of prefix delegation has until it is delegated a prefix."""


def bad_router(reason: str) -> ApiError:
    return bad_resource("router", reason)


def check_overlap(draft: Draft, router_id: str, new: Sequence[Doc], for_gateway: bool = False) -> None:
    """Raises BadRequest where the router has a port on one of the new subnets, or on one that overlaps it.

    A gateway of a network that the router has a gateway on already meets that one's subnets again.
    """
    ports = find_ports(draft, router_id)
    for port in ports:
        if port["device_owner"] != GATEWAY:
            check_not_on(port, new)
    for old, external in find_subnets(draft, ports):
        for one in new:
            if PD_PREFIX not in (one["cidr"], old["cidr"]) and not (
                for_gateway and external and old["id"] == one["id"]
            ):
                check_pair(old, one)


def check_not_on(port: Doc, new: Sequence[Doc]) -> None:
    ids = {subnet["id"] for subnet in new}
    for fixed in port["fixed_ips"]:
        if fixed["subnet_id"] in ids:
            raise bad_router(f"Router already has a port on subnet {fixed['subnet_id']}")


def find_subnets(draft: Draft, ports: Sequence[Doc]) -> Iterator[tuple[Doc, bool]]:
    """The subnets that a router with these ports reaches, and whether by a gateway: all of its network's then."""
    for port in ports:
        external = port["device_owner"] == GATEWAY
        network = draft.get("network", port["network_id"])
        named = (fixed["subnet_id"] for fixed in port["fixed_ips"])
        for id in network["subnets"] if external and network else named:
            subnet = draft.get("subnet", id)
            if subnet is not None:
                yield subnet, external


def check_pair(old: Doc, new: Doc) -> None:
    if old["ip_version"] != new["ip_version"]:
        return
    (first, last), (low, high) = net_range(old["cidr"]), net_range(new["cidr"])
    if first <= high and low <= last:
        raise bad_router(
            f"Cidr {new['cidr']} of subnet {new['id']} overlaps with cidr {old['cidr']} of subnet {old['id']}"
        )

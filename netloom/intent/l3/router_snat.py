"""The SNAT ports of a distributed router: on each of its networks, the address by which that reaches the gateway.

Law: a router has them when it is distributed and has a gateway, one for each IPv4 subnet of its interfaces and one
for all IPv6 subnets of a network; and otherwise none.
"""

from __future__ import annotations

from netloom.intent.draft import Draft
from netloom.intent.l3.router_find import SNAT_INTERFACE, find_interface_ports, find_ports, find_subnet_ids
from netloom.intent.l3.router_ports import change_addresses, drop_ports, make_port
from netloom.intent.schema import Doc
from netloom.model.address import ip_version

Place = tuple[str, tuple[str, ...]]
"""(network, its subnets)."""


def sync_snat(draft: Draft, router: Doc) -> None:
    """Make and drop SNAT ports until they are what the router needs."""
    wanted = find_places(draft, router)
    for port in find_ports(draft, router["id"], SNAT_INTERFACE):
        ids = find_subnet_ids(port)
        place = next((place for place in wanted if place[0] == port["network_id"] and ids & set(place[1])), None)
        if place is None:
            drop_ports(draft, [port])
            continue
        wanted.remove(place)
        if ids != set(place[1]):
            kept = [fixed for fixed in port["fixed_ips"] if fixed["subnet_id"] in place[1]]
            change_addresses(draft, port, [*kept, *({"subnet_id": id} for id in place[1] if id not in ids)])
    for network_id, subnet_ids in wanted:
        make_port(draft, router["id"], SNAT_INTERFACE, network_id, [{"subnet_id": id} for id in subnet_ids])


def find_places(draft: Draft, router: Doc) -> list[Place]:
    if not (router["distributed"] and router["gw_port_id"]):
        return []
    v4: list[Place] = []
    v6: dict[str, tuple[str, ...]] = {}
    for port in find_interface_ports(draft, router["id"]):
        for fixed in port["fixed_ips"]:
            network, subnet = port["network_id"], fixed["subnet_id"]
            if ip_version(fixed["ip_address"]) == 4:
                v4.append((network, (subnet,)))
            else:
                v6[network] = (*v6.get(network, ()), subnet)
    return [*v4, *v6.items()]

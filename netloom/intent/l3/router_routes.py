"""The extra routes of a router: static ones, whose next hop is on one of its subnets.

Law: a next hop lies in a subnet of the router and is not an address of the router itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing.pools import net_range
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_request, conflict, invalid_input
from netloom.intent.l3.router_find import find_ports
from netloom.intent.quota import find_limit
from netloom.intent.schema import Doc
from netloom.model.address import ip_int, ip_version

Route = Mapping[str, str]


def check_routes(draft: Draft, router: Doc, routes: Sequence[Route]) -> None:
    """Raises InvalidRoutes, or OverQuota for more of them than a router may have."""
    ports = find_ports(draft, router["id"])
    fixed_ips = [fixed for port in ports for fixed in port["fixed_ips"]]
    check_next_hops(routes, find_cidrs(draft, fixed_ips), {fixed["ip_address"] for fixed in fixed_ips})
    limit = find_limit(draft, draft.context.settings, router["project_id"], "router_route")
    if 0 <= limit < len(routes):
        raise conflict("OverQuota", "Quota exceeded for resources: ['router_route'].")


def find_cidrs(draft: Draft, fixed_ips: Sequence[Mapping[str, str]]) -> list[str]:
    subnets = (draft.get("subnet", id) for id in dict.fromkeys(fixed["subnet_id"] for fixed in fixed_ips))
    return [subnet["cidr"] for subnet in subnets if subnet is not None]


def check_next_hops(routes: Sequence[Route], cidrs: Sequence[str], own: set[str]) -> None:
    for route in routes:
        if not any(is_inside(cidr, route["nexthop"]) for cidr in cidrs):
            raise invalid_routes(routes, "the nexthop is not connected with router")
        if route["nexthop"] in own:
            raise invalid_routes(routes, "the nexthop is used by router")


def invalid_routes(routes: Sequence[Route], reason: str) -> ApiError:
    shown = kinds.show(repr([dict(route) for route in routes]))
    return ApiError(400, "InvalidRoutes", f"Invalid format for routes: {shown}, {reason}")


def is_inside(cidr: str, ip: str) -> bool:
    if ip_version(cidr) != ip_version(ip):
        return False
    first, last = net_range(cidr)
    return first <= ip_int(ip) <= last


def check_gateway_routes(draft: Draft, router: Doc, gateway_subnets: Sequence[Doc], gateway_port: str) -> None:
    """The routes that a router has must stand once its gateway is the one with these subnets."""
    others = [port for port in find_ports(draft, router["id"]) if port["id"] != gateway_port]
    fixed_ips = [fixed for port in others for fixed in port["fixed_ips"]]
    cidrs = [*find_cidrs(draft, fixed_ips), *(subnet["cidr"] for subnet in gateway_subnets)]
    check_next_hops(router["routes"], cidrs, {fixed["ip_address"] for fixed in fixed_ips})


def check_not_routed(router: Doc, subnet: Doc) -> None:
    """Raises RouterInterfaceInUseByRoute where a route leads over the subnet."""
    if any(is_inside(subnet["cidr"], route["nexthop"]) for route in router["routes"]):
        raise conflict(
            "RouterInterfaceInUseByRoute",
            f"Router interface for subnet {subnet['id']} on router {router['id']} cannot be deleted, as it is required "
            "by one or more routes.",
        )


def parse_atomic(body: Mapping[str, Any]) -> list[dict[str, str]]:
    """The routes of add_extraroutes and remove_extraroutes."""
    if "routes" not in body or not isinstance(body["routes"], list):
        raise bad_request("Failed to parse request. Required attribute 'routes' not specified.")
    try:
        return kinds.parse_host_routes(body["routes"])
    except ValueError as error:
        raise invalid_input("routes", str(error)) from None


def add_routes(old: Sequence[Route], given: Sequence[Route]) -> list[Route]:
    """Both; a route that is there already is there once."""
    return [*old, *(route for n, route in enumerate(given) if route not in old and route not in given[:n])]


def remove_routes(old: Sequence[Route], given: Sequence[Route]) -> list[Route]:
    """What is left; a route that is not there is not missed."""
    return [route for route in old if route not in given]

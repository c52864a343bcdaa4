"""Addresses of a subnet as integers: its range, its allocation pools, and the checks that a pool must pass.

One code path for IPv4 and IPv6; what differs is in `host_bounds`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from netloom.intent.errors import ApiError, conflict
from netloom.model.address import ip_int, ip_text, ip_version, parse_net

Range = tuple[int, int]


def net_range(cidr: str) -> Range:
    """First and last address of a prefix."""
    net = parse_net(cidr)
    return int(net.network_address), int(net.broadcast_address)


def host_bounds(cidr: str) -> Range:
    """The addresses that pools may hold: not IPv4's network and broadcast address, nor IPv6's subnet-router anycast."""
    first, last = net_range(cidr)
    if first == last:
        return first, last
    if ip_version(cidr) == 6:
        return first + 1, last
    return (first + 1, last - 1) if last - first > 1 else (first, last)


def is_host_address(cidr: str, ip: str, router: bool = False) -> bool:
    """Whether a port may have `ip` in this subnet; a router's port may also have IPv6's subnet-router anycast."""
    if ip_version(ip) != ip_version(cidr):
        return False
    first, last = net_range(cidr)
    low, high = host_bounds(cidr)
    number = ip_int(ip)
    return low <= number <= high or (router and number == first and ip_version(cidr) == 6 and number <= last)


def make_pools(cidr: str, gateway_ip: str | None) -> list[dict[str, str]]:
    """The pools of a subnet that names none: every address but the gateway's."""
    first, last = host_bounds(cidr)
    ranges = [(first, last)]
    if (
        first != last
        and gateway_ip
        and first <= (gateway := ip_int(gateway_ip)) <= last
        and ip_version(gateway_ip) == ip_version(cidr)
    ):
        ranges = [(low, high) for low, high in ((first, gateway - 1), (gateway + 1, last)) if low <= high]
    version = ip_version(cidr)
    return [{"start": ip_text(low, version), "end": ip_text(high, version)} for low, high in ranges]


def pool_range(pool: Mapping[str, str]) -> Range:
    return ip_int(pool["start"]), ip_int(pool["end"])


def format_pool(pool: Mapping[str, str]) -> str:
    return f"{pool['start']}-{pool['end']}"


def check_pools(cidr: str, pools: Sequence[Mapping[str, str]]) -> None:
    """Raises InvalidAllocationPool, OutOfBoundsAllocationPool or OverlappingAllocationPools."""
    low, high = host_bounds(cidr)
    for pool in pools:
        first, last = pool_range(pool)
        versions = {ip_version(pool["start"]), ip_version(pool["end"])}
        if versions != {ip_version(cidr)} or first > last:
            raise ApiError(400, "InvalidAllocationPool", f"The allocation pool {format_pool(pool)} is not valid.")
        if first < low or last > high:
            raise ApiError(
                400, "OutOfBoundsAllocationPool",
                f"The allocation pool {format_pool(pool)} spans beyond the subnet cidr {cidr}.",
            )  # fmt: skip
    ordered = sorted(pools, key=pool_range)
    for one, two in pairwise(ordered):
        if pool_range(one)[1] >= pool_range(two)[0]:
            raise conflict(
                "OverlappingAllocationPools",
                f"Found overlapping allocation pools: {format_pool(one)} {format_pool(two)} for subnet {cidr}.",
            )


def check_gateway_outside(gateway_ip: str | None, pools: Iterable[Mapping[str, str]]) -> None:
    """Raises GatewayConflictWithAllocationPools."""
    if not gateway_ip:
        return
    number = ip_int(gateway_ip)
    for pool in pools:
        first, last = pool_range(pool)
        if first <= number <= last and ip_version(gateway_ip) == ip_version(pool["start"]):
            raise conflict(
                "GatewayConflictWithAllocationPools",
                f"Gateway ip {gateway_ip} conflicts with allocation pool {format_pool(pool)}.",
            )

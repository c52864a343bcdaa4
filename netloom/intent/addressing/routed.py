"""Routed networks: a network of several segments, each with subnets of its own, joined by routers and not by Ethernet.

A port has its addresses where its host is: on the segments whose physical network the host's agent has a bridge for.
Until the host is known there is nothing to choose from, and the addresses are deferred.

Law: on a network whose subnets name no segment, nothing here decides anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from netloom.intent.addressing.pools import net_range
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.l2.binding import HOST, find_switch, refuse_segment
from netloom.intent.l2.segments import find_segments
from netloom.intent.schema import Doc
from netloom.model.address import ip_int, ip_version

DEFERRED = "deferred"
ROUTED_OWNER = "network:routed"
"""The service type of subnets that lead into a routed network and are on none of its segments."""


def is_routed(subnets: Sequence[Doc]) -> bool:
    return any(subnet["segment_id"] for subnet in subnets)


def find_host_segments(draft: Draft, network_id: str, host: str) -> set[str]:
    """The ids of the network's segments on physical networks that the host has a bridge for."""
    agent = find_switch(draft.lookup, host)
    if agent is None:
        return set()
    segments = find_segments(draft, network_id)
    return {s["id"] for s in segments if s["physical_network"] and not refuse_segment(s, agent)}


def find_reachable(
    draft: Draft, network: Doc, candidates: list[Doc], host: str, wanted: Sequence[Mapping[str, str]] | None, owner: str
) -> list[Doc]:
    """Those of the subnets that a port on `host` may have addresses in; "" is a host that is not known yet.

    `wanted`: the addresses that are asked for or kept; they lie on one segment. None: any. Raises
    HostNotConnectedToAnySegment, FixedIpsSubnetsNotOnSameSegment.
    """
    if not is_routed(candidates):
        return candidates
    if host:
        reached = find_host_segments(draft, network["id"], host)
        found = [s for s in candidates if s["segment_id"] is None or s["segment_id"] in reached]
        if not found:
            raise conflict(
                "HostNotConnectedToAnySegment",
                f"Host {host} is not connected to any segments on routed provider network '{network['id']}'.  It "
                "should be connected to one.",
            )
        return found
    if wanted is None:
        return [subnet for subnet in candidates if subnet["segment_id"] is None]
    return find_on_one_segment(candidates, wanted, owner)


def find_on_one_segment(candidates: list[Doc], wanted: Sequence[Mapping[str, str]], owner: str) -> list[Doc]:
    """The subnets of the segment that the addresses are on. One that is in no subnet is for others to refuse."""
    segments = set()
    for one in wanted:
        subnet = find_subnet_of(candidates, one)
        if subnet is None:
            return candidates
        segments.add(subnet["segment_id"])
    if owner == "network:distributed":
        return candidates
    if len(segments) > 1:
        raise ApiError(400, "FixedIpsSubnetsNotOnSameSegment", "Cannot allocate addresses from different segments.")
    return [subnet for subnet in candidates if subnet["segment_id"] in (segments or {None})]


def find_subnet_of(subnets: Sequence[Doc], wanted: Mapping[str, str]) -> Doc | None:
    if "subnet_id" in wanted:
        return next((s for s in subnets if s["id"] == wanted["subnet_id"]), None)
    ip = wanted.get("ip_address")
    return next((s for s in subnets if ip and holds(s["cidr"], ip)), None)


def holds(cidr: str, ip: str) -> bool:
    first, last = net_range(cidr)
    return ip_version(cidr) == ip_version(ip) and first <= ip_int(ip) <= last


def is_in_reach(draft: Draft, subnet: Doc, port: Doc) -> bool:
    """Whether a port may have an address in a subnet that came after it."""
    if subnet["segment_id"] is None:
        return True
    if port[HOST]:
        return subnet["segment_id"] in find_host_segments(draft, subnet["network_id"], port[HOST])
    return find_segment_ids(draft, port) == {subnet["segment_id"]}


def find_segment_ids(draft: Draft, port: Doc) -> set[str | None]:
    """The segments that the port's addresses are on."""
    subnets = (draft.get("subnet", fixed["subnet_id"]) for fixed in port["fixed_ips"])
    return {subnet["segment_id"] for subnet in subnets if subnet is not None}


def is_deferred(old: Doc, host: str) -> bool:
    """Whether a port gets its first addresses now that its host is known."""
    return bool(old["ip_allocation"] == DEFERRED and host and not old[HOST] and not old["fixed_ips"])


def check_host(draft: Draft, old: Doc, host: str) -> None:
    """Raises HostNotCompatibleWithFixedIps where the port's addresses are of no use on another host."""
    segments = find_segment_ids(draft, old) - {None}
    if segments and not segments <= find_host_segments(draft, old["network_id"], host):
        raise conflict(
            "HostNotCompatibleWithFixedIps",
            f"Host {host} is not connected to a segment where the existing fixed_ips on port {old['id']} will function "
            "given the routed network topology.",
        )

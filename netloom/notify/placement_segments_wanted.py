"""What Placement and Nova should hold of routed networks: for each segment a provider with its IPv4 addresses, and an
aggregate of the hosts that reach it.

Law: it follows from the snapshot, and from nothing else. Names and counts are those of Neutron's segments plug-in
(specs "routed networks": IPV4_ADDRESS, "Neutron segment id ..."), so that what it told before fits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from netloom.intent.l2.binding import SWITCH_AGENTS, find_switch, refuse_segment
from netloom.intent.qos.qos_placement import COMPUTE
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.model.address import ip_int
from netloom.notify.placement_wanted import MOST, RATIO, Inventory

ADDRESSES = "IPV4_ADDRESS"
NAME = "Neutron segment id "
UNCOUNTED_OWNER = "network:dhcp"
"""A subnet with DHCP sets one address aside for its servers, whether they have it yet or not."""


@dataclass(frozen=True, slots=True)
class SegmentTold:
    """A segment with IPv4 subnets. `reserved`: of `total`, those that no instance can have. `hosts` reach it."""

    id: str
    total: int
    reserved: int
    hosts: frozenset[str] = frozenset()

    @property
    def inventories(self) -> Mapping[str, Inventory]:
        total = min(self.total, MOST)
        each = {"total": total, "reserved": min(self.reserved, total), "min_unit": 1, "max_unit": 1, "step_size": 1}
        return {ADDRESSES: {**each, RATIO: 1.0}}


def make_name(segment_id: str) -> str:
    return NAME + segment_id


def find_segment_id(name: str) -> str:
    """Of a name that a segment's provider or aggregate has; empty: it is none."""
    return name.removeprefix(NAME) if name.startswith(NAME) else ""


def find_routed(snapshot: Snapshot) -> set[str]:
    """The segments that have subnets."""
    return {str(id) for id in snapshot.keys("subnet", "segment_id")}


def render_segment(snapshot: Snapshot, id: str) -> SegmentTold | None:
    """None: nobody is told of it, for it is gone or has no IPv4 addresses to give."""
    segment = snapshot.get("segment", id)
    subnets = [one for one in snapshot.find("subnet", "segment_id", id) if one["ip_version"] == 4]
    subnets = [one for one in subnets if count_pools(one)]
    if segment is None or not subnets:
        return None
    gateways = sum(bool(one["gateway_ip"]) for one in subnets)
    reserved = gateways + sum(one["enable_dhcp"] for one in subnets)
    reserved += sum(count_others(snapshot, one["id"]) for one in subnets)
    total = gateways + sum(count_pools(one) for one in subnets)
    return SegmentTold(id, total, reserved, frozenset(find_hosts(snapshot, segment)))


def count_pools(subnet: Doc) -> int:
    return sum(ip_int(pool["end"]) - ip_int(pool["start"]) + 1 for pool in subnet["allocation_pools"])


def count_others(snapshot: Snapshot, subnet_id: str) -> int:
    """Addresses of ports that are no instance's; those are Nova's to count."""
    ports = (port for port in snapshot.find("port", "subnet_id", subnet_id) if is_counted(port))
    return sum(fixed["subnet_id"] == subnet_id for port in ports for fixed in port["fixed_ips"])


def is_counted(port: Doc) -> bool:
    owner: str = port["device_owner"]
    return not owner.startswith(COMPUTE) and owner != UNCOUNTED_OWNER


def find_hosts(snapshot: Snapshot, segment: Doc) -> Iterator[str]:
    """Those where a port may have the segment's addresses."""
    if segment["physical_network"]:
        for agent in find_switches(snapshot):
            if not refuse_segment(segment, agent):
                yield agent["host"]


def find_switches(snapshot: Snapshot) -> Iterator[Doc]:
    for agent in snapshot.docs("agent"):
        if agent["agent_type"] in SWITCH_AGENTS and find_switch(snapshot.lookup, agent["host"]) == agent:
            yield agent


# -- whom a commit touches ---------------------------------------------------------------------------------------------


def find_touched(before: Snapshot, now: Snapshot, changes: Iterable[Change]) -> set[str]:
    """Segments that are to be told of again: of other subnets, addresses in use or hosts. A commit of instances' ports
    alone costs a look at each."""
    found = set[str]()
    physical = set[str]()
    for change in changes:
        if change.kind == "segment":
            found.add(change.id)
        elif change.kind == "subnet":
            found.update(doc["segment_id"] or "" for doc in find_both(before, now, change))
        elif change.kind == "port":
            found.update(find_used(before, now, change))
        elif change.kind == "agent":
            physical |= find_reached(before.get("agent", change.id)) ^ find_reached(now.get("agent", change.id))
    return (found | find_on(now, physical)) - {""}


def find_both(before: Snapshot, now: Snapshot, change: Change) -> list[Doc]:
    return [doc for snapshot in (before, now) if (doc := snapshot.get(change.kind, change.id)) is not None]


def find_used(before: Snapshot, now: Snapshot, change: Change) -> Iterator[str]:
    """The segments where the port has addresses, or had, that are not for instances."""
    for snapshot in (before, now):
        port = snapshot.get("port", change.id)
        for fixed in port["fixed_ips"] if port and is_counted(port) else ():
            subnet = snapshot.get("subnet", fixed["subnet_id"])
            yield (subnet["segment_id"] or "") if subnet else ""


def find_reached(agent: Doc | None) -> set[str]:
    """Physical networks that an agent's host has a bridge for."""
    mappings: Any = agent["configurations"].get("bridge_mappings") if agent else None
    return set(mappings) if isinstance(mappings, dict) else set()


def find_on(snapshot: Snapshot, physical: set[str]) -> set[str]:
    """Segments with subnets, on these physical networks."""
    if not physical:
        return set()
    segments = (snapshot.get("segment", id) for id in find_routed(snapshot))
    return {one["id"] for one in segments if one is not None and one["physical_network"] in physical}

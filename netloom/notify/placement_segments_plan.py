"""What is to be asked of Placement and of Nova so that they hold what is wanted of a segment: wanted × held → requests.

Law: planning again after the requests were answered gives none; a provider or an aggregate of another name is nobody's
to touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from netloom.notify.placement_plan import Held, Request, are_same
from netloom.notify.placement_segments_wanted import SegmentTold, make_name


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One of Nova's, with the hosts in it."""

    id: int
    uuid: str
    name: str
    hosts: frozenset[str]


@dataclass(frozen=True, slots=True)
class HeldSegment:
    """What Placement has of a segment: its provider, and the aggregates that one is in."""

    provider: Held | None = None
    aggregates: frozenset[str] = field(default_factory=frozenset)


def find_aggregate(aggregates: Iterable[Aggregate], segment_id: str) -> Aggregate | None:
    """Nova has one of a name."""
    return next((one for one in aggregates if one.name == make_name(segment_id)), None)


def plan_provider(id: str, wanted: SegmentTold | None, held: HeldSegment, aggregate: Aggregate | None) -> list[Request]:
    """What to ask of Placement. Without an aggregate the provider stays in those that it is in."""
    path = f"/resource_providers/{id}"
    provider = held.provider
    if wanted is None:
        return [Request("DELETE", path)] if provider and provider.name == make_name(id) else []
    found = []
    if provider is None:
        provider = Held(make_name(id), "", 0)
        found.append(Request("POST", "/resource_providers", {"uuid": id, "name": provider.name}))
    if not are_same(provider.inventories, wanted.inventories):
        found.append(Request("PUT", f"{path}/inventories", {"inventories": dict(wanted.inventories)}, id))
    if aggregate is not None and held.aggregates != {aggregate.uuid}:
        found.append(Request("PUT", f"{path}/aggregates", {"aggregates": [aggregate.uuid]}, id))
    return found


def plan_new_aggregate(id: str, wanted: SegmentTold | None, aggregate: Aggregate | None) -> Request | None:
    """What to ask of Nova first."""
    if wanted is None or aggregate is not None:
        return None
    return Request("POST", "/os-aggregates", {"aggregate": {"name": make_name(id), "availability_zone": None}})


def plan_hosts(wanted: SegmentTold | None, aggregate: Aggregate) -> Iterator[Request]:
    """What to ask of Nova at last: who goes, then who comes; an aggregate has to be empty to go."""
    path, hosts = f"/os-aggregates/{aggregate.id}", wanted.hosts if wanted else frozenset[str]()
    for action, names in (("remove_host", aggregate.hosts - hosts), ("add_host", hosts - aggregate.hosts)):
        for name in sorted(names):
            yield Request("POST", f"{path}/action", {action: {"host": name}})
    if wanted is None:
        yield Request("DELETE", path)

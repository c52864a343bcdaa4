"""Law 2 for Placement: after what was planned there is nothing left to do, whatever was there before; law 5: and what
others have there is as it was."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.notify.placement_plan import Held, plan
from netloom.notify.placement_segments_plan import (
    Aggregate,
    HeldSegment,
    find_aggregate,
    plan_hosts,
    plan_new_aggregate,
    plan_provider,
)
from netloom.notify.placement_segments_wanted import SegmentTold, make_name
from netloom.notify.placement_wanted import render_trees
from tests.examples import count_examples
from tests.unit.notify.placement_kit import ROOT, FakePlacement, Provider, make_agent

AMOUNTS = st.sampled_from([None, 0, 1, 1000])
DEVICES = ("br-a", "br-b", "rp_tunnelled")


@st.composite
def told(draw: st.DrawFn) -> dict[str, Any]:
    """What an agent says of its host; always of the same hypervisor."""
    bandwidths = st.dictionaries(
        st.sampled_from(DEVICES), st.fixed_dictionaries({"egress": AMOUNTS, "ingress": AMOUNTS})
    )
    ratio = draw(st.sampled_from([1.0, 1.1, 4.0]))
    return {
        "resource_provider_bandwidths": draw(bandwidths),
        "resource_provider_hypervisors": dict.fromkeys(DEVICES, "h1"),
        "resource_provider_packet_processing_without_direction": {"h1": {"any": draw(AMOUNTS)}},
        "resource_provider_inventory_defaults": {"allocation_ratio": ratio},
        "bridge_mappings": draw(st.dictionaries(st.sampled_from(["p", "q"]), st.sampled_from(DEVICES))),
    }


@settings(max_examples=count_examples(100))
@given(st.lists(told(), min_size=1, max_size=4), st.booleans())
def test_after_a_plan_there_is_nothing_to_do(says: list[dict[str, Any]], moved: bool) -> None:
    """Whatever a host said before; and though somebody gave the agent's provider another parent."""
    placement = FakePlacement()
    placement.providers |= {"numa": Provider("NUMA0", ROOT), "gpu": Provider("h1:Open vSwitch agent:gpu", "numa")}
    others = deepcopy({id: placement.providers[id] for id in ("numa", "gpu")})
    for one in says:
        (tree,) = render_trees(make_agent(**one), "rp_tunnelled")
        placement.serve(plan(tree, placement.look(tree)))
        assert plan(tree, placement.look(tree)) == []
        assert {id: placement.providers[id] for id in others} == others
        assert placement.providers.keys() - {ROOT, *others} == {provider.id for provider in tree.wanted}
        for provider in tree.wanted:
            held = placement.providers[provider.id]
            parent = ROOT if provider is tree.agent else tree.agent_id
            assert (held.name, held.parent, held.traits) == (provider.name, parent, set(provider.traits))
            assert held.inventories == provider.inventories
        if moved and tree.agent:
            placement.providers[tree.agent_id].parent = "numa"


SEGMENT = "22222222-2222-4222-8222-222222222222"
WANTED = st.builds(
    SegmentTold, st.just(SEGMENT), st.integers(1, 2**33), st.integers(0, 2**33),
    st.frozensets(st.sampled_from(["h1", "h2", "h3"])),
)  # fmt: skip


class Fleet:
    """A Placement and Nova's aggregates, planned for and served; a turn gives how much was asked for."""

    def __init__(self) -> None:
        self.placement = FakePlacement()
        self.aggregates = [Aggregate(1, "uuid-1", "theirs", frozenset({"h1"}))]

    def turn(self, wanted: SegmentTold | None) -> int:
        found = find_aggregate(self.aggregates, SEGMENT)
        new = plan_new_aggregate(SEGMENT, wanted, found)
        if new:
            assert new.body
            found = Aggregate(2, "uuid-2", new.body["aggregate"]["name"], frozenset())
            self.aggregates.append(found)
        requests = plan_provider(SEGMENT, wanted, self.look(), found)
        self.placement.serve(requests)
        hosts = list(plan_hosts(wanted, found)) if found else []
        for one in hosts:
            self.serve(one.method, dict(one.body or {}))
        return bool(new) + len(requests) + len(hosts)

    def look(self) -> HeldSegment:
        one = self.placement.providers.get(SEGMENT)
        held = Held(one.name, one.parent, one.generation, inventories=one.inventories) if one else None
        return HeldSegment(held, frozenset(one.aggregates) if one else frozenset())

    def serve(self, method: str, body: dict[str, Any]) -> None:
        one = self.aggregates.pop()
        if method == "DELETE":
            assert not one.hosts
            return
        ((action, given),) = body.items()
        host = {given["host"]}
        assert (host <= one.hosts) == (action == "remove_host")
        self.aggregates.append(replace(one, hosts=one.hosts ^ host))


@settings(max_examples=count_examples(100))
@given(st.lists(st.none() | WANTED, min_size=1, max_size=4), st.booleans())
def test_after_a_segment_is_told_there_is_nothing_to_do(says: list[SegmentTold | None], moved: bool) -> None:
    """Whatever it was before; and though somebody put it in another aggregate."""
    fleet = Fleet()
    for wanted in says:
        fleet.turn(wanted)
        assert fleet.turn(wanted) == 0
        assert fleet.aggregates[0] == Aggregate(1, "uuid-1", "theirs", frozenset({"h1"}))
        held = fleet.placement.providers.get(SEGMENT)
        assert (held is None) == (wanted is None) == (len(fleet.aggregates) == 1)
        if held and wanted:
            assert (held.name, held.inventories) == (make_name(SEGMENT), wanted.inventories)
            assert fleet.aggregates[1].hosts == wanted.hosts and held.aggregates == {"uuid-2"}
            if moved:
                held.aggregates.add("another")

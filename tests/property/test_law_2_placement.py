"""Law 2 for Placement: after what was planned there is nothing left to do, whatever was there before; law 5: and what
others have there is as it was."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.notify.placement_plan import plan
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

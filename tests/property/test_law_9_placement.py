"""Law 9 for Placement: whatever hosts say, each hypervisor is told of by one of them, its own where there is one."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.notify.placement_wanted import find_claims, find_own, render_trees
from tests.examples import count_examples
from tests.unit.notify.placement_kit import make_agent

HOSTS = ("h1", "h2", "h3.example.org")
NAMES = st.sampled_from([*HOSTS, "h1.example.org", "h3", "other"])
AMOUNTS = st.fixed_dictionaries({"egress": st.integers(1, 9)})


@st.composite
def told(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "bridge_mappings": {"p": "br-a", "q": "br-b"},
        "resource_provider_bandwidths": draw(st.dictionaries(st.sampled_from(["br-a", "br-b"]), AMOUNTS)),
        "resource_provider_hypervisors": draw(st.dictionaries(st.sampled_from(["br-a", "br-b"]), NAMES)),
        "resource_provider_packet_processing_without_direction": draw(
            st.dictionaries(NAMES, st.fixed_dictionaries({"any": st.integers(1, 9)}), max_size=2)
        ),
    }


@settings(max_examples=count_examples(100))
@given(st.lists(told(), min_size=len(HOSTS), max_size=len(HOSTS)), st.permutations(HOSTS))
def test_no_host_speaks_for_anothers_hypervisor(says: list[dict[str, Any]], order: list[str]) -> None:
    """A host may name any hypervisor; it tells of none that is another's."""
    agents = [make_agent(host, **said) for host, said in zip(order, says, strict=True)]
    claims = find_claims(agents)
    tellers: dict[str, set[str]] = {}
    for agent in agents:
        for tree in find_own(render_trees(agent, "rp_tunnelled"), agent["host"], claims):
            tellers.setdefault(tree.hypervisor, set()).add(agent["host"])
    for hypervisor, hosts in tellers.items():
        assert len(hosts) == 1
        if hypervisor in HOSTS and any(
            one["host"] == hypervisor and hypervisor in {tree.hypervisor for tree in render_trees(one, "t")}
            for one in agents
        ):
            assert hosts == {hypervisor}

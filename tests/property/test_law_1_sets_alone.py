"""What a renderer made of slices that did not change is kept, in each of the three firewalls, and shows nowhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    FollowRow,
    MemberRow,
    NetworkRow,
    PortRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
)
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.host import Renderer
from tests.property.security_rows import make_group, make_prefixes

IDS = ("2e8bbfcd-9a9e-4a4b-9c2e-0000000000aa", "3e8bbfcd-9a9e-4a4b-9c2e-0000000000bb")
Render = Callable[[Slices, HostFacts], Mapping[str, tuple[Thing, ...]]]
WAYS: dict[str, tuple[str, Callable[[], Render]]] = {
    "openvswitch": ("t", lambda: Renderer().render),
    "iptables": ("qvo", lambda: Renderer().render),
    "linuxbridge": ("tap", lambda: BridgeRenderer().render),
}
"""How devices are called there, and who renders."""

members = st.dictionaries(
    st.sampled_from(("a", "b", "c")),
    st.lists(st.sampled_from(("10.0.0.5", "10.0.0.9", "10.9.0.0/24", "2001:db8::5")), max_size=2).map(tuple),
    max_size=3,
)
prefixes = st.sets(st.sampled_from(("10.0.0.0/24", "10.0.0.9/32", "2001:db8::/64")), max_size=3)
worlds = st.tuples(
    st.one_of(st.none(), members),  # the set of a group; None: it is not known
    prefixes,
    st.sampled_from(("members/g1", "addresses/a0", "")),  # what the rule names
    st.sampled_from((("g0",), ("g0", "g1"), ())),  # the second port's groups
    st.booleans(),  # whether the second port has a device
)
World = tuple[dict[str, tuple[str, ...]] | None, set[str], str, tuple[str, ...], bool]


def make_slices(world: World) -> Slices:
    held, found, remote, groups, _ = world
    own: dict[str, Row] = {
        f"port/{id}": PortRow(id, "n0", f"fa:16:3e:00:00:{n:02x}", addresses=(Address(f"10.0.0.{n + 20}"),),
                              groups=groups if n else ("g0",))
        for n, id in enumerate(IDS)
    }  # fmt: skip
    rows: dict[str, dict[str, Row]] = {
        "host/h1": own,
        "network/n0": {"network/n0": NetworkRow("n0", 1, segments=(Segment("local"),))},
        "group/g0": make_group("g0", [RuleRow("r", "ingress", 4, 6, 80, 80, remote=remote)]),
        "group/g1": {**make_group("g1"), "follow/x": FollowRow("members/g1")},
        "addresses/a0": make_prefixes(*found),
    }
    if held is not None:
        rows["members/g1"] = {f"member/{id}": MemberRow(id, addresses) for id, addresses in held.items()}
    return {name: Slice(name, 1, found) for name, found in rows.items()}


def make_facts(way: str, world: World) -> HostFacts:
    there = IDS if world[4] else IDS[:1]
    prefix = WAYS[way][0]
    held = {id: Interface(f"{prefix}{id[:11]}", n + 7) for n, id in enumerate(IDS) if id in there}
    return HostFacts("h1", interfaces=held, hybrid=way == "iptables")


def advance(old: Slices, new: Slices, revision: int) -> dict[str, Slice]:
    """As the feed does it: what did not change stays the same object, what did is a delta."""
    out = {}
    for name, found in new.items():
        held = old.get(name)
        if held is None or held.rows == found.rows:
            out[name] = held or found
            continue
        put = {key: row for key, row in found.rows.items() if held.rows.get(key) != row}
        drop = tuple(key for key in held.rows if key not in found.rows)
        after = apply_delta(held, SliceDelta(name, held.revision, revision, put, drop))
        assert after is not None
        out[name] = after
    return out


@settings(max_examples=60, deadline=None)
@example([({"a": ("10.0.0.5",)}, set(), "members/g1", (), True), (None, set(), "members/g1", (), True)])
@example([({}, {"10.0.0.0/24"}, "addresses/a0", (), True), ({}, {"10.0.0.9/32"}, "addresses/a0", (), True)])
@given(st.lists(worlds, min_size=2, max_size=5))
def test_whoever_saw_every_change_holds_what_a_newcomer_holds(history: list[World]) -> None:
    """Sets, rules, ports and devices change, alone or together: nothing of before stays."""
    for way, (_, make) in WAYS.items():
        render = make()
        held: dict[str, Slice] = {}
        for revision, world in enumerate(history, 2):
            held = advance(held, make_slices(world), revision)
            facts = make_facts(way, world)
            assert render(held, facts) == make()(held, facts), way


@pytest.mark.parametrize("way", WAYS)
def test_one_member_more_is_one_group_of_things_more_or_another(way: str) -> None:
    """In a crowd, all groups of things but one are the same objects as before."""
    world: World = ({f"m{n}": (f"10.1.{n >> 8}.{n & 255}",) for n in range(500)}, set(), "members/g1", ("g0",), True)
    slices, facts = dict(make_slices(world)), make_facts(way, world)
    render = WAYS[way][1]()
    before = render(slices, facts)
    delta = SliceDelta("members/g1", 1, 2, {"member/new": MemberRow("new", ("10.9.9.9",))})
    after = apply_delta(slices["members/g1"], delta)
    assert after is not None
    now = render({**slices, "members/g1": after}, replace(facts))
    other = [name for name in now if now[name] is not before.get(name)]
    assert len(other) == 1
    held = before.get(other[0], ())
    assert len(now[other[0]]) == len(held) + 1
    assert sum(one is two for one in now[other[0]] for two in held) == len(held)

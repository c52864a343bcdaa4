"""Laws 1 and 3 for routers in namespaces: what is there depends on the slices alone, and the door opens last."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.drivers.netns import driver as netns
from netloom.drivers.ovs import driver as ovs
from netloom.model.plan import Op, Put, State, Thing
from netloom.model.slices import FloatingRow, ForwardingRow, InterfaceRow, NeighbourRow, Route, RouterRow, Row
from netloom.reconcile.plan import apply_plan, plan
from netloom.render.space import SpaceBook
from tests.unit.render.space_kit import FACTS, INSIDE, OTHER, OUTSIDE, ROUTER, make_slices, render

NEEDS: dict[str, frozenset[str]] = {}
for given_needs in (ovs.NEEDS, netns.NEEDS, netns.AFTER):
    for kind, needed in given_needs.items():
        NEEDS[kind] = NEEDS.get(kind, frozenset()) | needed

FIPS = [
    FloatingRow(f"f{n}", network, f"203.0.113.{10 + n}", "fa:16:3e:00:01:00", f"10.1.0.{n}", f"p{n}")
    for n, network in enumerate(("ext", "ext", "ext2"))
]
FORWARDED = [
    ForwardingRow(f"w{n}", "f0", "203.0.113.10", "tcp", 80 + n, 80 + n, "10.1.0.9", 8080, 8080) for n in range(2)
]
rows: st.SearchStrategy[list[Row]] = st.lists(
    st.sampled_from([INSIDE, OUTSIDE, OTHER, *FIPS, *FORWARDED, NeighbourRow("n1", "2001:db8::5")]), unique=True
)
routers = st.builds(
    lambda snat, proxy, routes: replace(ROUTER, enable_snat=snat, enable_ndp_proxy=proxy, routes=tuple(routes)),
    st.booleans(),
    st.booleans(),
    st.lists(st.sampled_from([Route("10.9.0.0/16", "10.1.0.7"), Route("10.9.0.0/16", "10.1.0.8")]), unique=True),
)
Scopes = dict[str, tuple[str, str]]
Scene = tuple[RouterRow, list[Row], Scopes]
scopes: st.SearchStrategy[Scopes] = st.dictionaries(
    st.sampled_from(["blue", "ext", "ext2"]), st.tuples(st.sampled_from(["", "A", "B"]), st.sampled_from(["", "S"]))
)
scenes = st.tuples(routers, rows, scopes)


def find_state(scene: Scene) -> State:
    router, found, held = scene
    return {thing.key: thing for thing in render(router, *found, scopes=held)}


def doors(state: State) -> dict[str, Thing]:
    return {str(key[2]): thing for key, thing in state.items() if key[0] == "switch_port"}


def check_order(ops: tuple[Op, ...], before: State, after: State) -> None:
    """A door that comes, comes behind all that comes; one that goes, goes before all that goes."""
    state: State = before
    for number in range(len(ops)):
        state = apply_plan(before, ops[: number + 1])
        for name in doors(state).keys() - doors(before).keys():
            missing = [key for key in after if key not in state and key[0] not in ("switch_port", "flow")]
            assert not missing, f"{name} is open while these are missing: {missing}"
        for name in doors(state).keys() - doors(after).keys():
            gone = [key for key in before if key not in state and key[0] != "switch_port"]
            assert not gone, f"{name} is still open while these are gone: {gone}"


@settings(max_examples=60, deadline=None)
@given(scenes)
def test_law_3_the_door_opens_last_and_closes_first(scene: Scene) -> None:
    """Nothing reaches the world from inside before what hides it is there, nor after it went."""
    wanted = find_state(scene)
    check_order(plan(wanted, {}, NEEDS), {}, wanted)
    check_order(plan({}, wanted, NEEDS), wanted, {})


@settings(max_examples=60, deadline=None)
@given(scenes, scenes)
def test_law_3_what_hides_stays_while_a_router_changes(one: Scene, two: Scene) -> None:
    """The ruleset is never replaced; an element that both want is there all the time."""
    before, after = find_state(one), find_state(two)
    ops = plan(after, before, NEEDS)
    kept = {key for key in before.keys() & after.keys() if key[0] in ("ruleset", "element", "netns")}
    same = {key for key in kept if before[key] == after[key]}
    assert not [op for op in ops if op.thing.key in same]
    assert not [op for op in ops if isinstance(op, Put) and op.before and op.thing.kind == "ruleset"]
    assert not plan(after, apply_plan(before, ops), NEEDS), "law 2"


def find_elements(state: State) -> dict[str, dict[tuple[str, ...], tuple[str, ...]]]:
    out: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {"scopes": {}, "reached": {}, "unhidden": {}}
    for key, thing in state.items():
        if key[0] == "element":
            out.setdefault(key[3], {})[key[4]] = thing.value.data
    return out


@settings(max_examples=60, deadline=None)
@given(scenes)
def test_law_1_what_is_not_translated_stays_in_its_address_scope(scene: Scene) -> None:
    """Between any two of a router's networks a packet passes as it is when their scopes are one, and never else."""
    router, rows, held = scene
    legs = {leg.network_id: leg.id[:11] for leg in rows if isinstance(leg, InterfaceRow)}
    found = find_elements(find_state(scene))
    names = {net: ("qr-" if net == "blue" else "qg-") + id for net, id in legs.items()}
    for one, other in product(names, names):
        for at, protocol in enumerate(("ipv4", "ipv6")):
            mark = found["scopes"].get((protocol, names[one]))
            passes = mark is None or (protocol, names[other], *mark) in found["reached"]
            scope, its = (held.get(net, ("", ""))[at] for net in (one, other))
            assert passes == (scope == its)
            bare = mark is not None and (names[other], *mark) in found["unhidden"]
            if protocol == "ipv4" and other != "blue":
                assert bare == (scope == its != "" and router.enable_snat)


@settings(max_examples=60, deadline=None)
@given(st.lists(scenes, min_size=1, max_size=6))
def test_law_1_what_came_before_does_not_matter(story: list[Scene]) -> None:
    """A renderer that saw many states holds what one that saw the last alone does."""
    book = SpaceBook()
    for router, found, held in story:
        slices = make_slices(router, *found, scopes=held)
        assert book.render(slices, FACTS) == SpaceBook().render(slices, FACTS)

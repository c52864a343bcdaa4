from __future__ import annotations

from typing import Any

import pytest

from netloom.model.device import Bridge, FlowBody, Guard, SwitchPort
from netloom.model.flow import Action, Conjunction, Goto, Match, Output, SetField, make_match
from netloom.model.plan import Op, Put, Remove, State, Thing
from netloom.model.why import Why
from netloom.reconcile.plan import apply_plan, join_runs, plan, rank_kinds, split_by_driver

NEEDS = {"switch_port": frozenset({"bridge"}), "flow": frozenset({"bridge", "switch_port"})}
BRIDGE = Thing(("bridge", "br-int"), Bridge())
PORT = Thing(("switch_port", "br-int", "p"), SwitchPort("patch"))
GUARD = Thing(("guard", "eth0"), Guard())


def flow(table: int, priority: int, *actions: Action, match: Match = ()) -> Thing:
    return Thing(("flow", "br-int", table, priority, match), FlowBody(1, actions))


def state(*things: Thing) -> State:
    return {thing.key: thing for thing in things}


def names(ops: tuple[Op, ...]) -> list[tuple[Any, ...]]:
    return [(type(op).__name__, op.thing.kind, *op.thing.key[2:4]) for op in ops]


def test_equal_states_need_nothing() -> None:
    """A host that is as it should be is left alone, whatever the reasons say."""
    actual = state(BRIDGE, flow(0, 1, Output(1)))
    desired = state(BRIDGE, Thing(flow(0, 1, Output(1)).key, FlowBody(1, (Output(1),)), Why(9, ("port/x",), "t")))
    assert plan(desired, actual, NEEDS) == ()


def test_what_is_needed_comes_first_and_goes_last() -> None:
    """A bridge is made before its ports and flows, and goes after them."""
    things = state(flow(0, 1, Output(1)), PORT, BRIDGE, GUARD)
    assert [op.thing.kind for op in plan(things, {}, NEEDS)] == ["bridge", "guard", "switch_port", "flow"]
    assert [op.thing.kind for op in plan({}, things, NEEDS)] == ["flow", "switch_port", "guard", "bridge"]


def test_a_kind_that_needs_flows_comes_after_them() -> None:
    """A third party's thing that stands on flows is made when they are there."""
    extra = Thing(("story", "x"), 1)
    needs = {**NEEDS, "story": frozenset({"flow"})}
    assert [op.thing.kind for op in plan(state(extra, flow(0, 1, Output(1))), {}, needs)] == ["flow", "story"]


def test_one_op_for_each_difference() -> None:
    """What is right already is not sent again; a changed thing is one op that knows what was there."""
    old, new = flow(0, 1, Output(1)), flow(0, 1, Output(2))
    ops = plan(state(BRIDGE, new), state(BRIDGE, old, PORT), NEEDS)
    assert ops == (Remove(PORT), Put(new, old))


def test_new_paths_open_from_the_last_table_back() -> None:
    """A packet is let in only when all that stands behind the door is there."""
    things = [flow(table, 5, Goto(table + 1) if table < 60 else Output(1)) for table in (0, 10, 60)]
    assert [op.thing.key[2] for op in plan(state(*things), {}, NEEDS)] == [60, 10, 0]


def test_old_paths_close_at_the_door_first() -> None:
    """No packet enters a path of which only half is left."""
    things = [flow(table, 5, Output(1)) for table in (60, 0, 10)]
    assert [op.thing.key[2] for op in plan({}, state(*things), NEEDS)] == [0, 10, 60]


def test_a_drop_comes_early_and_goes_late() -> None:
    """A flow that holds packets back is there before new ways open, and until the last of the old is gone."""
    drop, way = flow(10, 90), flow(5, 5, Output(1))
    assert names(plan(state(drop, way), {}, NEEDS)) == [("Put", "flow", 10, 90), ("Put", "flow", 5, 5)]
    assert names(plan({}, state(drop, way), NEEDS)) == [("Remove", "flow", 5, 5), ("Remove", "flow", 10, 90)]


def test_a_port_number_that_changes_hands_never_meets_the_others_rights() -> None:
    """The old port's rights go, the number turns over to the new network, and only then the new rights come."""
    door_old, door_new = flow(0, 5, SetField("reg6", 1), Goto(10)), flow(0, 5, SetField("reg6", 2), Goto(10))
    right_old = flow(10, 9, Goto(60), match=make_match(eth_src=1))
    right_new = flow(10, 9, Goto(60), match=make_match(eth_src=2))
    ops = plan(state(door_new, right_new), state(door_old, right_old), NEEDS)
    assert ops == (Remove(right_old), Put(door_new, door_old), Put(right_new))


def test_a_way_that_becomes_a_drop_closes_and_a_drop_that_becomes_a_way_opens() -> None:
    """Turning a flow into a drop is closing; turning a drop into a way waits for the end."""
    shut, open_ = (flow(20, 5), flow(20, 5, Output(1))), (flow(30, 5, Output(1)), flow(30, 5))
    turn = (flow(40, 5, Output(2)), flow(40, 5, Output(1)))
    desired, actual = state(shut[0], open_[0], turn[0]), state(shut[1], open_[1], turn[1])
    assert [op.thing.key[2] for op in plan(desired, actual, NEEDS)] == [20, 40, 30]


def test_the_narrow_flow_outlives_the_broad_one() -> None:
    """While a table changes no packet falls through to a flow that was never meant for it."""
    narrow, broad = flow(60, 90, Output(1)), flow(60, 10, Output(2))
    assert [op.thing.key[3] for op in plan({}, state(narrow, broad), NEEDS)] == [10, 90]
    assert [op.thing.key[3] for op in plan(state(narrow, broad), {}, NEEDS)] == [90, 10]


def test_exact_and_masked_tests_of_one_value_can_be_ordered() -> None:
    """Two flows that differ only in a mask do not stop the plan."""
    exact, masked = make_match(reg0=5), make_match(reg0=(5, 0xFF))
    things = [flow(0, 1, Output(1), match=match) for match in (exact, masked)]
    assert len(plan(state(*things), {}, NEEDS)) == len(plan({}, state(*things), NEEDS)) == 2


def test_kinds_in_a_circle_are_refused() -> None:
    """Two drivers that each wait for the other are named at once."""
    with pytest.raises(ValueError, match="a, b"):
        rank_kinds(["a"], {"a": frozenset({"b"}), "b": frozenset({"a"})})


def test_a_plan_is_cut_where_the_driver_changes() -> None:
    """Each driver gets its ops in runs that keep the plan's order."""
    ops = plan(state(BRIDGE, PORT, GUARD, flow(0, 1, Output(1))), {}, NEEDS)
    runs = split_by_driver(ops, {"bridge": "ovs", "switch_port": "ovs", "flow": "ovs", "guard": "nft"})
    assert [owner for owner, _ in runs] == ["ovs", "nft", "ovs"]
    assert tuple(op for _, run in runs for op in run) == ops
    with pytest.raises(KeyError, match="guard"):
        split_by_driver(ops, {"bridge": "ovs", "switch_port": "ovs", "flow": "ovs"})


def test_runs_that_have_nothing_to_do_with_one_another_go_together() -> None:
    """A guard and flows at the same time; what stands on a bridge waits for it; a driver's runs keep their order."""
    bridge, guard, port = ("ovs", (Put(BRIDGE),)), ("nft", (Put(GUARD),)), ("far", (Put(PORT),))
    flows = ("ovs", (Put(flow(0, 1, Output(1))),))
    assert join_runs([guard, flows], NEEDS) == [[guard, flows]]
    assert join_runs([bridge, guard, flows], NEEDS) == [[bridge, guard], [flows]]
    assert join_runs([bridge, port], NEEDS) == [[bridge], [port]]
    assert join_runs([port, guard, flows], NEEDS) == [[port, guard], [flows]]
    assert join_runs([], NEEDS) == []
    far_flows = ("far", (Put(flow(0, 1, Output(1))),))
    needs = {"flow": frozenset({"switch_port"}), "switch_port": frozenset({"bridge"})}
    assert join_runs([bridge, far_flows], needs) == [[bridge], [far_flows]], "what it needs needs it"


def test_apply_plan_does_what_ops_say() -> None:
    """Applying a plan to a state gives what was desired."""
    actual, desired = state(PORT, flow(0, 1, Output(1))), state(BRIDGE, flow(0, 1, Output(2)))
    assert apply_plan(actual, plan(desired, actual, NEEDS)) == desired


def half(*ids: int) -> Thing:
    return flow(14, 70, *(Conjunction(id, 1, 2) for id in ids))


def test_half_a_conjunction_first_loses_and_then_gets() -> None:
    """An address that changes sets is in neither on the way, so it never meets a rule that was not meant for it."""
    assert plan(state(half(2, 3)), state(half(1, 2)), NEEDS) == (Put(half(2), half(1, 2)), Put(half(2, 3), half(2)))
    nowhere = flow(14, 70)
    assert plan(state(half(2)), state(half(1)), NEEDS) == (Put(nowhere, half(1)), Put(half(2), nowhere))


def test_half_a_conjunction_that_only_grows_or_shrinks_is_one_op() -> None:
    """What loses does so when flows close, what gets when they open."""
    grown, shrunk, other = half(1, 2), half(1), flow(0, 5, Goto(10))
    assert plan(state(grown, other), state(shrunk), NEEDS) == (Put(grown, shrunk), Put(other))
    assert plan(state(shrunk, other), state(grown), NEEDS) == (Put(shrunk, grown), Put(other))


def test_who_keeps_the_rules_instead_of_flows_begins_first_and_ends_last() -> None:
    """Chains that are all new are there before flows let go; chains that all go wait until flows hold again."""
    forward = Thing(("iptables", 4, "filter", "FORWARD"), "a")
    held, free = flow(70, 1, Goto(80)), flow(80, 1, Output(1))
    needs = {**NEEDS, "flow": frozenset({"bridge", "iptables"}), "iptables": frozenset({"ipset"})}
    with_flows, with_chains = state(BRIDGE, free, held), state(BRIDGE, free, forward)
    assert names(plan(with_chains, with_flows, needs)) == [
        ("Put", "iptables", "filter", "FORWARD"),
        ("Remove", "flow", 70, 1),
    ]
    assert names(plan(with_flows, with_chains, needs)) == [
        ("Put", "flow", 70, 1),
        ("Remove", "iptables", "filter", "FORWARD"),
    ]
    other = Thing(forward.key, "b")
    changed = plan(state(BRIDGE, free, other), state(BRIDGE, free, held, forward), needs)
    assert names(changed) == [("Remove", "flow", 70, 1), ("Put", "iptables", "filter", "FORWARD")]

"""The plan of faults is a value: the same seed gives the same one, and it keeps what its words promise."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.testing.faults import ACTIONS, KEEPER, LINK, MOST_AT_ONCE, PROCESS, Part, make_plan

parts = st.lists(
    st.builds(Part, st.sampled_from("abcdef"), st.sampled_from((PROCESS, KEEPER, LINK)), st.floats(0.3, 5.0)),
    min_size=1, max_size=6, unique_by=lambda part: part.name,
)  # fmt: skip
seeds = st.integers(0, 2**32)


@settings(max_examples=100, deadline=None)
@given(seeds, st.floats(0, 120), parts)
def test_a_plan_is_replayable_and_ends_in_time(seed: int, seconds: float, parts: list[Part]) -> None:
    """Whoever is told a seed sees what somebody else saw."""
    plan = make_plan(seed, seconds, parts)
    assert plan == make_plan(seed, seconds, parts)
    assert list(plan) == sorted(plan, key=lambda fault: fault.at_s)
    kinds = {part.name: part.kind for part in parts}
    for fault in plan:
        assert fault.action in ACTIONS[kinds[fault.part]]
        assert fault.lasts_s > 0 and fault.end_s <= seconds + 0.001


@settings(max_examples=100, deadline=None)
@given(seeds, parts)
def test_a_part_has_one_fault_at_a_time_and_few_have_one(seed: int, parts: list[Part]) -> None:
    """There is always somebody who could answer, and nobody is killed while he is paused."""
    plan = make_plan(seed, 60, parts)
    for fault in plan:
        others = [other for other in plan if other is not fault and other.at_s <= fault.at_s <= other.end_s]
        assert all(other.part != fault.part for other in others)
        assert len(others) < MOST_AT_ONCE


@settings(max_examples=30, deadline=None)
@given(seeds, parts)
def test_in_time_everything_is_done_to_everybody(seed: int, parts: list[Part]) -> None:
    """Ten minutes hold each action on each part."""
    done = {(fault.part, fault.action) for fault in make_plan(seed, 600, parts)}
    assert done == {(part.name, action) for part in parts for action in ACTIONS[part.kind]}

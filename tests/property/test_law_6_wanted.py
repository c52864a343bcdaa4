"""Laws 1 and 6 in the agent: what is wanted depends on the groups alone, however they came to be, bit by bit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netloom.agent.wanted import Wanted
from netloom.model.plan import Thing
from netloom.reconcile.desired import merge_groups

THING = st.builds(Thing, st.tuples(st.sampled_from(["flow", "bridge"]), st.integers(0, 5)), st.integers(0, 2))
GROUP = st.lists(THING, max_size=5, unique_by=lambda thing: thing.key).map(tuple)
GROUPS = st.dictionaries(st.sampled_from(["base", "host/h1", "network/a", "network/b"]), GROUP)


@given(st.lists(GROUPS, min_size=1, max_size=6), st.data())
def test_bit_by_bit_is_the_same_as_all_at_once(steps: list[dict[str, tuple[Thing, ...]]], data: st.DataObject) -> None:
    """After each step the state is that of a fresh merge, and exactly the keys that differ are named."""
    wanted = Wanted()
    last: dict[str, tuple[Thing, ...]] = {}
    for groups in steps:
        for name in groups.keys() & last.keys():
            if data.draw(st.booleans()):
                groups[name] = last[name]  # the same object, as a renderer that remembers gives
        before = dict(wanted.state)
        changed = wanted.update(groups)
        after, clashes = merge_groups(groups)
        assert wanted.state == after
        assert wanted.kinds == {key[0] for key in after}
        assert changed == {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
        assert wanted.find_clashes() == frozenset(clashes)
        last = groups

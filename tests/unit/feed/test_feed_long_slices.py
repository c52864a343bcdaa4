"""Long slices on the disk: what changed is encoded, and what is read back is the whole."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed.cache import LONG, Cache
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.slices import MemberRow, Slice


def make_row(number: int, address: int) -> MemberRow:
    return MemberRow(str(number), (f"10.0.0.{address}",))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.integers(0, LONG + 5), st.integers(-1, 9)), min_size=1, max_size=60), st.booleans())
def test_a_long_slice_that_changed_is_read_back_whole(
    tmp_path_factory: object, changes: list[tuple[int, int]], forgets: bool
) -> None:
    """Rows come, change and go, also when the slice was sent anew between: the disk has what is."""
    folder = tmp_path_factory.mktemp("slices")  # type: ignore[attr-defined]
    cache = Cache(Path(folder))
    held = Slice("members/g", 1, {f"member/{n}": make_row(n, 0) for n in range(LONG + 3)})
    for revision, (number, address) in enumerate(changes, 2):
        key = f"member/{number}"
        put, drop = ({key: make_row(number, address)}, ()) if address >= 0 else ({}, (key,))
        found = apply_delta(held, SliceDelta("members/g", revision - 1, revision, put, drop))
        assert found is not None
        held = Slice(found.name, found.revision, dict(found.rows)) if forgets and revision % 5 == 0 else found
        if revision % 2:
            cache.save(held)
    cache.save(held)
    loaded = cache.load()["members/g"]
    assert (loaded.revision, loaded.rows) == (held.revision, dict(held.rows))

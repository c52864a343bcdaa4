"""Slices on the disk: what changed is written, and what is read back is the whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed.cache import SHORT, Cache
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.slices import MemberRow, Slice

LONG = 128


def make_row(number: int, address: int) -> MemberRow:
    return MemberRow(str(number), (f"10.0.0.{address}",))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, LONG + 5), st.integers(-1, 9)), min_size=1, max_size=60),
    st.booleans(),
    st.booleans(),
)
def test_a_long_slice_that_changed_is_read_back_whole(
    tmp_path_factory: object, changes: list[tuple[int, int]], forgets: bool, restarts: bool
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
        if restarts and revision % 7 == 0:
            cache = Cache(Path(folder))
            before = cache.load().get("members/g")
            assert before is None or before.revision in (revision, revision - 1)
    cache.save(held)
    for one in (cache, Cache(Path(folder))):
        loaded = one.load()["members/g"]
        assert (loaded.revision, dict(loaded.rows)) == (held.revision, dict(held.rows))


def change(held: Slice, number: int, address: int) -> Slice:
    row = make_row(number, address)
    found = apply_delta(held, SliceDelta(held.name, held.revision, held.revision + 1, {f"member/{number}": row}))
    assert found is not None
    return found


def count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


def test_a_change_costs_itself_on_the_disk(tmp_path: Path) -> None:
    """However long the slice is; and what was changed very often is not much longer than the slice."""
    for rows in (5, 200, 4000):
        cache = Cache(tmp_path / str(rows))
        held = Slice("members/g", 1, {f"member/{n}": make_row(n, 0) for n in range(rows)})
        cache.save(held)
        whole = count_bytes(tmp_path / str(rows))
        held = change(held, 3, 1)
        cache.save(held)
        assert 0 < count_bytes(tmp_path / str(rows)) - whole < 150
        for number in range(500):
            held = change(held, number % rows, 2)
            cache.save(held)
        assert count_bytes(tmp_path / str(rows)) < 2.2 * max(whole, SHORT)
        assert dict(cache.load()["members/g"].rows) == dict(held.rows)


def test_a_step_that_was_cut_off_loses_itself_alone(tmp_path: Path) -> None:
    """As by a machine that lost its power: what is before it stands, and what comes after is kept whole again."""
    cache, held = Cache(tmp_path), Slice("members/g", 1, {f"member/{n}": make_row(n, 0) for n in range(200)})
    cache.save(held)
    for number in (1, 2):
        held = change(held, number, 5)
        cache.save(held)
    (steps,) = tmp_path.glob("*.steps")
    steps.write_bytes(steps.read_bytes()[:-3])
    again = Cache(tmp_path)
    found = again.load()["members/g"]
    assert (found.revision, found.rows["member/1"], found.rows["member/2"]) == (2, make_row(1, 5), make_row(2, 0))
    again.save(held)
    assert not steps.exists() and dict(Cache(tmp_path).load()["members/g"].rows) == dict(held.rows)


def test_a_full_disk_leaves_nothing_that_is_half_of_a_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be written is written whole next time."""
    cache, held = Cache(tmp_path), Slice("members/g", 1, {f"member/{n}": make_row(n, 0) for n in range(200)})
    cache.save(held)
    with monkeypatch.context() as full:
        full.setattr(Path, "open", lambda *given, **more: (_ for _ in ()).throw(OSError("no space left")))
        with pytest.raises(OSError, match="no space"):
            cache.save(change(held, 1, 5))
    held = change(change(held, 1, 5), 2, 6)
    cache.save(held)
    assert list(tmp_path.glob("*.steps")) == [] and dict(Cache(tmp_path).load()["members/g"].rows) == dict(held.rows)

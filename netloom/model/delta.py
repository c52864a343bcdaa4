"""What leads a slice from one revision to a later one, as a value that can be applied, and squashed with the next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from immutables import Map

from netloom.model.slices import Row, Slice, row_kind


@dataclass(frozen=True, slots=True)
class SliceDelta:
    """Rows to put and keys to drop. Applies to the slice as it was at revision `start`.

    gone: there is no such slice any more. whole: there was none before, and `put` is all of it.
    """

    name: str
    start: int
    revision: int
    put: Mapping[str, Row]
    drop: tuple[str, ...] = ()
    gone: bool = False
    whole: bool = False


def changes_leads(delta: SliceDelta) -> bool:
    """Whether the slice may lead elsewhere after it."""
    return delta.gone or delta.whole or any(row_kind(key) == "follow" for key in (*delta.put, *delta.drop))


def apply_delta(old: Slice | None, delta: SliceDelta) -> Slice | None:
    """The slice after `delta`, sharing what did not change; None where it is gone."""
    if delta.gone:
        return None
    if old is None or delta.whole:
        return Slice(delta.name, delta.revision, change_rows(Map(), delta.put, delta.drop))
    recent = (*old.recent[1 - RECENT :], (old.rows, (*delta.put, *delta.drop)))
    return Slice(delta.name, delta.revision, change_rows(old.rows, delta.put, delta.drop), recent)


RECENT = 32
"""How many changes a slice remembers, for those who hold an earlier state."""


def change_rows(rows: Mapping[str, Row], put: Mapping[str, Row], drop: Iterable[str]) -> Mapping[str, Row]:
    """`rows` with some put and some dropped, at a cost in proportion to the change where rows is a persistent map."""
    edit = (rows if isinstance(rows, Map) else Map(rows)).mutate()
    for key in drop:
        edit.pop(key, None)
    edit.update(put)
    changed: Mapping[str, Row] = edit.finish()
    return changed


def squash_deltas(first: SliceDelta, second: SliceDelta) -> SliceDelta:
    """One delta that does what the two do in turn. `second` starts where `first` ends."""
    if second.gone or second.whole:
        return SliceDelta(second.name, first.start, second.revision, second.put, second.drop, second.gone, second.whole)
    put = {key: row for key, row in first.put.items() if key not in second.drop} | dict(second.put)
    drop = tuple(sorted({*first.drop, *second.drop} - set(put)))
    return SliceDelta(first.name, first.start, second.revision, put, drop, False, first.whole)

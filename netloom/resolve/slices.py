"""Whole slices, and those that somebody follows kept current from the changes of each commit.

Law 6: what `advance` gives is what `resolve_slice` would give, at a cost in proportion to what changed: the rows of the
changed objects, and no more, however many hosts and ports there are. A slice that cannot be worked out stays as it was
and holds up no other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from immutables import Map

from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.model.delta import SliceDelta, apply_delta, changes_leads
from netloom.model.slices import Row, Slice, find_leads
from netloom.resolve.rows import DIFFERS, KEYS, SHOWN, SOURCES, TOUCHES, RowKey, resolve_row


def resolve_slice(snapshot: Snapshot, name: str) -> Slice | None:
    """The slice, computed whole. None where there is no such thing; a host's is there for every name."""
    kind, _, id = name.partition("/")
    if kind not in KEYS or is_gone(snapshot, kind, id):
        return None
    found = ((key, resolve_row(snapshot, name, key)) for key in set(KEYS[kind](snapshot, id)))
    rows: Map[str, Row] = Map({key: row for key, row in found if row is not None})
    return Slice(name, max((row.revision for row in rows.values()), default=0), rows)


def is_gone(snapshot: Snapshot, kind: str, id: str) -> bool:
    """Whether what the slice is about is not there."""
    return kind in SOURCES and snapshot.get(SOURCES[kind], id) is None


def find_touched(old: Snapshot, new: Snapshot, changes: Iterable[Change]) -> set[RowKey]:
    """The rows that may differ between the two snapshots, given all that changed from one to the other."""
    touched: set[RowKey] = set()
    for kind, id in {(change.kind, change.id) for change in changes}:
        touch = TOUCHES.get(kind)
        before, after = old.get(kind, id), new.get(kind, id)
        if touch is None or shows_the_same(kind, before, after):
            continue
        if before is not None and after is not None and kind in DIFFERS:
            touched.update(DIFFERS[kind](before, after))
            continue
        for snapshot, doc in ((old, before), (new, after)):
            if doc is not None:
                touched.update(touch(snapshot, doc))
    return touched


def shows_the_same(kind: str, before: Doc | None, after: Doc | None) -> bool:
    """Whether no row could tell the two apart."""
    if before is None or after is None or kind not in SHOWN:
        return False
    return all(before[name] == after[name] for name in SHOWN[kind])


class SliceBook:
    """The slices that hosts follow, at the revision of `snapshot`. A slice that nobody follows costs nothing."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._slices: dict[str, Slice] = {}
        self._followers: dict[str, int] = {}
        self._leads: dict[str, frozenset[str]] = {}
        self.failed: dict[str, Exception] = {}
        """Slices that a fault of ours keeps from going on, and the fault; each commit tries them whole."""
        self.rows = 0
        """How many rows `advance` has worked out anew."""

    def slice(self, name: str) -> Slice | None:
        """The slice as it is now, whether it is followed or not."""
        return self._slices.get(name) or resolve_slice(self.snapshot, name)

    def leads(self, name: str) -> frozenset[str]:
        """The slices that a followed slice leads to."""
        found = self._leads.get(name)
        if found is None:
            held = self._slices.get(name)
            found = self._leads[name] = find_leads(held.rows) if held else frozenset()
        return found

    def follow(self, name: str) -> Slice | None:
        """Keep the slice current until as many `unfollow` as `follow` were called."""
        self._followers[name] = self._followers.get(name, 0) + 1
        found = self.slice(name)
        if found is not None:
            self._slices[name] = found
            self._leads.pop(name, None)
        return found

    def unfollow(self, name: str) -> None:
        left = self._followers.get(name, 0) - 1
        if left > 0:
            self._followers[name] = left
        else:
            self._followers.pop(name, None)
            self._slices.pop(name, None)
            self._leads.pop(name, None)
            self.failed.pop(name, None)

    def advance(self, changes: Iterable[Change], snapshot: Snapshot) -> Mapping[str, SliceDelta]:
        """Go on to `snapshot`, given all changes since the last one; what that changes in followed slices."""
        touched: dict[str, set[str]] = {name: set() for name in self.failed}
        for name, key in find_touched(self.snapshot, snapshot, changes):
            if name in self._followers:
                touched.setdefault(name, set()).add(key)
        self.rows += sum(map(len, touched.values()))
        self.snapshot = snapshot
        found = ((name, self._try_slice(name, keys)) for name, keys in touched.items())
        deltas = {name: delta for name, delta in found if delta is not None}
        for name, delta in deltas.items():
            if changes_leads(delta):
                self._leads.pop(name, None)
        return deltas

    def _try_slice(self, name: str, keys: set[str]) -> SliceDelta | None:
        try:
            delta = self._advance_slice(name, keys)
        except Exception as error:  # whatever it is, the other slices' hosts have nothing to do with it
            self.failed[name] = error
            return None
        self.failed.pop(name, None)
        return delta

    def _advance_slice(self, name: str, keys: set[str]) -> SliceDelta | None:
        revision, old = self.snapshot.revision, self._slices.get(name)
        kind, _, id = name.partition("/")
        if old is not None and is_gone(self.snapshot, kind, id):
            del self._slices[name]
            return SliceDelta(name, old.revision, revision, {}, gone=True)
        if old is None or name in self.failed:
            return self._begin(name, revision)
        put, drop = {}, []
        for key in keys:
            row, before = resolve_row(self.snapshot, name, key), old.rows.get(key)
            if row is None and before is not None:
                drop.append(key)
            elif row is not None and row != before:
                put[key] = row
        if not put and not drop:
            return None
        delta = SliceDelta(name, old.revision, revision, put, tuple(sorted(drop)))
        after = apply_delta(old, delta)
        assert after is not None
        self._slices[name] = after
        return delta

    def _begin(self, name: str, revision: int) -> SliceDelta | None:
        """A slice that was followed before it was there, or that changes were missed of."""
        found = resolve_slice(self.snapshot, name)
        if found is None:
            return None
        self._slices[name] = Slice(name, revision, found.rows)
        return SliceDelta(name, 0, revision, found.rows, whole=True)

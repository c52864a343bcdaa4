"""Copies of slices, as a host or a relay is told of them; nothing here reads or writes a connection.

Law: a copy that cannot be right is asked for again, that slice alone. Changes show between messages `at` only, so that
nobody sees half of a commit.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from netloom.feed import messages as m
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.digest import change_digest, digest_rows
from netloom.model.slices import Row, Slice

LOG = logging.getLogger("netloom.feed")
LONG = 16
"""Rows from which on a slice's digest is changed by a delta's rows, and no more counted over all."""


class Copies:
    """`coming`: as told so far. `changed`: since it was last emptied, what led there; None: more than one delta."""

    def __init__(self, kept: Mapping[str, Slice], ask: Callable[[str, int], None]) -> None:
        self.coming: dict[str, Slice] = dict(kept)
        self.changed: dict[str, SliceDelta | None] = {}
        self.asked: set[str] = set()
        self.half = False
        """Whether more was told than the last `at` is of."""
        self.told: set[str] = set()
        """What was told of by this connection, and not taken back."""
        self._late: set[str] = set()  # of those asked for: what is newer is enough
        self._ask_for = ask
        self._digests: dict[str, tuple[Mapping[str, Row], int]] = {}  # of just these rows

    def describe(self) -> dict[str, tuple[int, str]]:
        """What there is: slice → (revision, digest)."""
        return {name: (found.revision, f"{self._digest(found):032x}") for name, found in self.coming.items()}

    def _digest(self, found: Slice) -> int:
        known = self._digests.get(found.name)
        if known is None or known[0] is not found.rows:
            known = self._digests[found.name] = found.rows, digest_rows(found.rows)
        return known[1]

    def take(self, message: m.FromServer) -> None:
        """What is told of slices; anything else is passed over."""
        if isinstance(message, m.Whole | m.Delta | m.Since | m.Keep):
            self.told.add(message.name)
        if isinstance(message, m.Whole | m.Delta | m.Since | m.Keep | m.Gone | m.Due):
            self.half = True
        match message:
            case m.At():
                self.half = False
            case m.Whole():
                found = Slice(message.name, message.revision, m.parse_rows(message.rows))
                self.put(found, message.digest)
            case m.Delta():
                self._apply(message, m.parse_rows(message.put), lambda held: tuple(message.drop))
            case m.Since():
                self._apply(message, m.parse_rows(message.put), lambda held: m.find_unnamed(held, message.keys))
            case m.Keep():
                self._keep(message.name, message.revision)
            case m.Gone():
                self._drop(message.name)
            case m.Compare():
                self._compare(message.digests)
            case _:
                pass

    def _keep(self, name: str, revision: int) -> None:
        self.asked.discard(name)
        held = self.coming.get(name)
        if held is not None:
            self.coming[name] = Slice(held.name, revision, held.rows)
            self.changed.setdefault(name, SliceDelta(name, held.revision, revision, {}))

    def _drop(self, name: str) -> None:
        held = self.forget(name)
        self.changed[name] = SliceDelta(name, held.revision if held else 0, 0, {}, gone=True)

    def forget(self, name: str) -> Slice | None:
        self.asked.discard(name)
        self.told.discard(name)
        self._late.discard(name)
        self._digests.pop(name, None)
        return self.coming.pop(name, None)

    def _apply(
        self,
        message: m.Delta | m.Since,
        put: Mapping[str, Row],
        find_drop: Callable[[Mapping[str, Row]], tuple[str, ...]],
    ) -> None:
        name, held = message.name, self.coming.get(message.name)
        if held is None or held.revision != message.start:
            self.ask(name)
            return
        delta = SliceDelta(name, message.start, message.revision, put, find_drop(held.rows))
        after = apply_delta(held, delta)
        assert after is not None
        known = self._digests.get(name)
        is_long = known is not None and known[0] is held.rows and len(held.rows) > LONG
        sums = change_digest(known[1], held.rows, put, delta.drop) if known and is_long else None
        self.put(after, message.digest, sums, delta)

    def put(self, found: Slice, digest: str, sums: int | None = None, delta: SliceDelta | None = None) -> None:
        """Take a slice if it is what the server says it is; a row of a kind we do not know makes it differ for good, so
        what comes whole on a question is taken in any case."""
        sums = digest_rows(found.rows) if sums is None else sums
        if f"{sums:032x}" != digest and (delta is not None or found.name not in self.asked):
            self.ask(found.name)
            return
        self._late.discard(found.name)
        self._digests[found.name] = found.rows, sums
        self.asked.discard(found.name)
        self.coming[found.name] = found
        self.changed[found.name] = None if found.name in self.changed else delta

    def _compare(self, digests: Mapping[str, tuple[int, str]]) -> None:
        """Count again what is kept, as it is in memory now."""
        for name, (revision, digest) in digests.items():
            held = self.coming.get(name)
            same = held is None or held.revision != revision or f"{digest_rows(held.rows):032x}" == digest
            if not same and name not in self.asked:
                self.ask(name)

    def miss(self, name: str) -> None:
        """What leads on from the copy did not come: ask for what is newer."""
        held = self.coming.get(name)
        self.asked.add(name)
        self._late.add(name)
        self._ask_for(name, held.revision if held else 0)

    def ask(self, name: str) -> None:
        """Ask for it whole, unless that is on its way already."""
        if name in self.asked and name not in self._late:
            return
        self._late.discard(name)
        LOG.warning("the copy of %s differs; asking for it anew", name)
        self.asked.add(name)
        self._ask_for(name, 0)


def changes_rows(delta: SliceDelta | None) -> bool:
    """Whether more than the revision changed."""
    return delta is None or delta.gone or bool(delta.put or delta.drop)

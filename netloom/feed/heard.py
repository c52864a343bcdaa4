"""What hosts say of their ports, cut to what each may say.

Law 9: a host speaks of the ports in its own slice, and of floating IPs of routers that it follows; of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

from netloom.feed import messages as m
from netloom.feed.interest import Interest
from netloom.feed.parts import SliceSource
from netloom.model.slices import FloatingRow, PortRow, Slice


@dataclass(frozen=True, slots=True)
class Word:
    """An acknowledgement as it is passed on, and what it was made of."""

    own: Slice | None
    ack: m.Ack
    wired: list[str]
    pending: dict[str, str]
    copies: dict[str, str]


class Heard:
    """Of one hub. A word that is said again of the same ports is the same object's lists, and is not looked through."""

    def __init__(self, source: SliceSource) -> None:
        self._source = source
        self._last: dict[str, Word] = {}

    def forget(self, host: str) -> None:
        self._last.pop(host, None)

    def take(self, host: str, ack: m.Ack, interest: Interest) -> Word:
        """`interest`: of the connection that it came by."""
        own, last = self._source.slice(f"host/{host}"), self._last.get(host)
        if last is not None and last.own is own and is_repeat(last.ack, ack):
            return last
        bound = {row.id for row in own.rows.values() if isinstance(row, PortRow)} if own else set()
        ours = bound.issuperset((*ack.wired, *ack.pending))
        if not ours:
            bound |= self._find_floating(host, interest)
        word = Word(
            own,
            ack,
            [id for id in ack.wired if id in bound],
            {id: reason for id, reason in ack.pending.items() if id in bound},
            {id: state for id, state in ack.copies.items() if own and f"follow/router/{id}" in own.rows},
        )
        if ours:  # what it may say of others depends on more than its own slice
            self._last[host] = word
        else:
            self.forget(host)
        return word

    def _find_floating(self, host: str, interest: Interest) -> set[str]:
        """The floating IPs of the routers that the host follows; which of them it translates, intent knows."""
        names = interest.reached(f"host/{host}")
        parts = (self._source.slice(name) for name in names if name.startswith("router/"))
        return {row.id for part in parts if part for row in part.rows.values() if isinstance(row, FloatingRow)}


def is_repeat(one: m.Ack, other: m.Ack) -> bool:
    """Whether the second came of the first, at another revision."""
    return one.wired is other.wired and one.pending is other.pending and one.copies is other.copies

"""What a relay was told while the hosts that it serves are let in anew by whoever serves it.

Law: until each of them is answered for, what was told is of fewer hosts than there are, and none is shown it: a host
would take the missing rest for gone, or what it had before for what is.
"""

from __future__ import annotations

from collections.abc import Iterable

from netloom.feed import messages as m
from netloom.feed.connection import REQUESTS


class Returning:
    """Of one connection upstream. Begins with those that were here before it."""

    def __init__(self) -> None:
        self._hosts: set[str] = set()
        self._began_s = 0.0
        self._at: m.At | None = None

    def __bool__(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._hosts)

    def begin(self, hosts: Iterable[str], now_s: float) -> None:
        self._hosts, self._began_s, self._at = set(hosts), now_s, None

    def answer(self, host: str) -> None:
        """It was let in or let go of, or has gone by itself."""
        self._hosts.discard(host)

    def find_late(self, now_s: float, within_s: float) -> tuple[str, ...]:
        """Who had no answer in that time; nobody else waits for them any longer."""
        return tuple(sorted(self._hosts)) if now_s - self._began_s > within_s else ()

    def hear(self, at: m.At) -> None:
        """All that was told until now is of this revision."""
        before = self._at.requests if self._at else []
        self._at = m.At(at.revision, [*before, *at.requests][-REQUESTS:])

    def take(self) -> m.At | None:
        """Where upstream is, if that is not shown yet."""
        at, self._at = self._at, None
        return at

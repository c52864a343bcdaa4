"""One host or relay, connected: what it follows, what it was sent, and what it must still be told.

Law: it costs memory for its state, never a queue: one mark for each slice that it is behind on, with the rows that
changed while they are few.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from netloom.feed import messages as m
from netloom.feed.grants import Grant, Link, is_relay
from netloom.feed.interest import Interest
from netloom.feed.pace import Pace
from netloom.feed.pki import JoinError, Life
from netloom.model.delta import SliceDelta, changes_leads, squash_deltas

SQUASHED = 256
"""Rows up to which what a host missed is kept as changes; beyond, it is found by their age when it can take them."""
REQUESTS = 16
"""Ids of requests that a host is told of with a change; of more, the newest."""
WORDS_S, BURST = 2.0, 20.0
"""Words a second that cost others something (a report, a renewal), and how many at once."""


@dataclass(slots=True, eq=False)
class Connection:
    """`sent`: the revision it was sent of each slice, -1: none; `behind`: what it must be told, None: find out then.

    `attached`: of a relay, the hosts that it speaks for, and by whose word. `words`: what it said last of itself, or
    of each of those hosts. `after`: what it is told after the next `at`, or before it, of who is let go of. `due`: what
    it finds on the bus.
    """

    host: str
    life: Life
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    version: int = 1
    have: dict[str, tuple[int, str]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    behind: dict[str, SliceDelta | None] = field(default_factory=dict)
    interest: Interest = field(default_factory=Interest)
    attached: dict[str, tuple[Link, ...]] = field(default_factory=dict)
    grant: Grant | None = None
    words: dict[str, m.Ack] = field(default_factory=dict)
    after: list[m.Message] = field(default_factory=list)
    revision: int = -1
    acked: int = -1
    requests: deque[str] = field(default_factory=lambda: deque(maxlen=REQUESTS))
    compared: int = 0
    on_bus: bool = False
    due: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    pace: Pace = field(default_factory=lambda: Pace(WORDS_S, BURST))
    attaching: Pace = field(default_factory=lambda: Pace(500.0, 5000.0))
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    heard: float = field(default_factory=time.monotonic)
    end: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def is_relay(self) -> bool:
        return is_relay(self.host)

    def expel(self, reason: str) -> None:
        """End the connection with a word of refusal; nothing that the host says is taken any more."""
        if not self.end.done():
            self.end.set_exception(JoinError(reason))

    def mark(self, delta: SliceDelta, requests: Iterable[str] = ()) -> None:
        """A slice that it follows has changed, by these requests."""
        name = delta.name
        self.requests += requests
        self.behind[name] = self._join(delta)
        if changes_leads(delta):
            self.interest.mark(name)
        self.wake.set()

    def _join(self, delta: SliceDelta) -> SliceDelta | None:
        if delta.whole:
            return None
        if delta.name not in self.behind:
            return delta if self.sent.get(delta.name) == delta.start else None
        before = self.behind[delta.name]
        if before is None or before.gone or before.revision != delta.start:
            return delta if delta.gone else None
        found = squash_deltas(before, delta)
        return found if found.gone or len(found.put) + len(found.drop) <= SQUASHED else None

    def dismiss(self, host: str, reason: str) -> None:
        """A relay's host may not follow any more."""
        self.attached.pop(host, None)
        self.words.pop(host, None)
        self.interest.remove(f"host/{host}")
        self.after = [word for word in self.after if word != m.Admitted(host)]
        self.after.append(m.Dismissed(host, reason))
        self.wake.set()

    def repeat(self, host: str, revision: int) -> m.Ack:
        """The word that it said last of the host, at another revision. Raises MessageError where it said none."""
        said = self.words.get(host)
        if said is None:
            raise m.MessageError(f"{host} has said nothing that it could say again")
        return m.Ack(revision, said.wired, said.pending, said.copies)

    async def keep_pace(self, cost: float) -> None:
        """Wait until the host has room for a word that costs this much; it delays that connection alone."""
        self.pace.rate = WORDS_S * max(1, len(self.attached))
        self.pace.burst = BURST * max(1, len(self.attached))
        wait_s = self.pace.spend(time.monotonic(), cost)
        if wait_s:
            await asyncio.sleep(wait_s)

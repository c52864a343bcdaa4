"""What waits to be told to another service: in batches, in order, until it has been heard.

Law: an item is let go of when the service has answered for it, or when it is too old to be of use to anybody; how far
the service has heard is kept, never further than it is. Of several servers one tells; the others hold what waits too,
so that whichever tells next begins where the one before it ended, whatever became of that.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from netloom.notify.place import Place
from netloom.store.errors import StoreError

LOG = logging.getLogger("netloom.notify")

BATCH = 500
"""Items of one sending."""
BATCH_S = 0.05
"""How long the first item of a batch waits for others."""
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 15.0
OLDEST_S = 900.0
"""Nova gives up waiting for a port to be plugged after five minutes, unless told otherwise."""
MOST = 100_000
"""Items that wait; beyond that the oldest are let go."""
PLACE_S = 1.0
"""How often a busy outbox notes how far the service has heard; it does so as well whenever nothing waits."""
LOOK_S = 0.5
"""How often it is looked whether this server tells, and, where another one does, how far that is."""

T = TypeVar("T")
Run = Callable[[Callable[[], object]], Awaitable[object]]
"""Runs what blocks, away from the event loop."""


class NotTold(Exception):
    """The service did not take what it was told; it may another time."""


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T]):
    """An item, the revision that it is of, and when it came."""

    item: T
    revision: int
    since: float


class Outbox(Generic[T]):
    """`tell` never waits; `run` sends until it is cancelled. `send` takes a batch, or raises NotTold.

    `tells`: whether it is this server that tells. `aside`: where what is kept is written.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[T]], Awaitable[None]],
        place: Place,
        now: Callable[[], float] = time.monotonic,
        batch_s: float = BATCH_S,
        tells: Callable[[], bool] = lambda: True,
        aside: Run = asyncio.to_thread,
        settle_s: float = 0.0,
    ) -> None:
        self._name = name
        self._send = send
        self._place = place
        self._now = now
        self._batch_s = batch_s
        self._tells = tells
        self._aside = aside
        self._settle_s = settle_s
        self._waiting: deque[Waiting[T]] = deque()
        self._wake = asyncio.Event()
        self._seen = 0
        self._telling = False
        self._kept = -1
        self._kept_at = now()
        self._retry_s = FIRST_RETRY_S

    @property
    def waiting(self) -> int:
        """How many items the service is yet to be told."""
        return len(self._waiting)

    def tell(self, items: Sequence[T], revision: int) -> None:
        """These happened at or before the revision; with none, it is only noted that nothing did."""
        now = self._now()
        self._waiting += (Waiting(item, revision, now) for item in items)
        self._seen = revision
        while len(self._waiting) > MOST:
            self._let_go("too many wait")
        if items:
            self._wake.set()

    async def run(self) -> None:
        while True:
            await self._rest()
            try:
                await self._turn()
                self._retry_s = FIRST_RETRY_S
            except Exception as error:
                known = isinstance(error, NotTold | StoreError)
                LOG.warning("%s: %d wait to be told: %s", self._name, len(self._waiting), error, exc_info=not known)
                await asyncio.sleep(self._retry_s)
                self._retry_s = min(self._retry_s * 2, LAST_RETRY_S)

    async def stop(self) -> None:
        """`run` was cancelled: note how far the service has heard."""
        if self._telling:
            await self._keep_place()

    async def _rest(self) -> None:
        if self._telling and self._waiting:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._wake.wait()

    async def _turn(self) -> None:
        if self._tells() != self._telling:
            await self._change_hands()
        if not self._telling:
            await self._follow()
        elif self._waiting:
            await asyncio.sleep(self._batch_s)
            await self._send_all()
        self._wake.clear()

    async def _change_hands(self) -> None:
        """Begin where the one before ended, after it has had time to say where that is; or say so for the next."""
        if self._telling:
            self._telling = False
            await self._keep_place()
            return
        await asyncio.sleep(self._settle_s)
        if self._tells():
            await self._forget_told()
            self._telling = True

    async def _follow(self) -> None:
        self._wake.clear()
        if self._waiting:
            await self._forget_told()
            await asyncio.sleep(LOOK_S)

    async def _forget_told(self) -> None:
        """What another server has told of is not told again."""
        place = await self._aside(self._place.load)
        while isinstance(place, int) and self._waiting and self._waiting[0].revision <= place:
            self._waiting.popleft()

    async def _keep_place(self) -> None:
        """Note how far the service has heard."""
        revision = self._waiting[0].revision - 1 if self._waiting else self._seen
        if revision > self._kept:
            await self._aside(lambda: self._place.save(revision))
            self._kept = revision
        self._kept_at = self._now()

    async def _send_all(self) -> None:
        while self._waiting and self._tells():
            while self._waiting and self._now() - self._waiting[0].since > OLDEST_S:
                self._let_go("too old")
            batch = list(islice(self._waiting, BATCH))
            if batch:
                await self._send([one.item for one in batch])
            for one in batch:
                if self._waiting and self._waiting[0] is one:  # a full queue may have let go of it meanwhile
                    self._waiting.popleft()
            if self._now() - self._kept_at > PLACE_S:
                await self._keep_place()
        await self._keep_place()

    def _let_go(self, reason: str) -> None:
        LOG.error("%s was never told (%s): %s", self._name, reason, self._waiting.popleft().item)

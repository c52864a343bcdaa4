"""What waits to be told to another service: in batches, in order, until it has been heard.

Law: an item is let go of when the service has answered for it, or when it is too old to be of use to anybody; how far
the service has heard stands on disk, never further than it is.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from netloom.notify.place import Place

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

T = TypeVar("T")


class NotTold(Exception):
    """The service did not take what it was told; it may another time."""


@dataclass(frozen=True, slots=True)
class Waiting(Generic[T]):
    """An item, the revision that it is of, and when it came."""

    item: T
    revision: int
    since: float


class Outbox(Generic[T]):
    """`tell` never waits; `run` sends until it is cancelled. `send` takes a batch, or raises NotTold."""

    def __init__(
        self,
        name: str,
        send: Callable[[Sequence[T]], Awaitable[None]],
        place: Place,
        now: Callable[[], float] = time.monotonic,
        batch_s: float = BATCH_S,
    ) -> None:
        self._name = name
        self._send = send
        self._place = place
        self._now = now
        self._batch_s = batch_s
        self._waiting: deque[Waiting[T]] = deque()
        self._wake = asyncio.Event()
        self._seen = 0

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
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._batch_s)
            try:
                await self._send_all()
                retry_s = FIRST_RETRY_S
            except Exception as error:
                known = isinstance(error, NotTold)
                LOG.warning("%s: %d wait to be told: %s", self._name, len(self._waiting), error, exc_info=not known)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    def keep_place(self) -> None:
        """Note on disk how far the service has heard."""
        self._place.save(self._waiting[0].revision - 1 if self._waiting else self._seen)

    async def _send_all(self) -> None:
        while self._waiting:
            while self._waiting and self._now() - self._waiting[0].since > OLDEST_S:
                self._let_go("too old")
            batch = list(islice(self._waiting, BATCH))
            if batch:
                await self._send([one.item for one in batch])
            for one in batch:
                if self._waiting and self._waiting[0] is one:  # a full queue may have let go of it meanwhile
                    self._waiting.popleft()
        self._wake.clear()
        await asyncio.to_thread(self.keep_place)

    def _let_go(self, reason: str) -> None:
        LOG.error("%s was never told (%s): %s", self._name, reason, self._waiting.popleft().item)

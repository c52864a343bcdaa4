"""Keeps Placement told of things: who is due when, and what becomes of it.

Law: a thing is told of when what is said of it changes, after a failure again and again, and now and then in any case.
Nothing is kept between starts: what is held is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from netloom.intent.errors import ApiError
from netloom.notify.outbox import NotTold
from netloom.store.errors import StoreError
from netloom.store.writer import NotWriting

LOG = logging.getLogger("netloom.placement")

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
LOOK_S = 3600.0
"""How often it is looked whether Placement still holds what it was told."""
REST_S = 0.5
"""How often it is looked whether this server tells."""
GATHER_S = 0.05
ALONGSIDE = 8
"""Things that are told of at the same time."""


@dataclass(slots=True)
class Schedule:
    """When each thing is due, in seconds of a clock that only goes forward; told the time."""

    due: dict[str, float] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)

    def note(self, id: str, now_s: float) -> None:
        """Something of it changed: it is due at once, and not punished for what was before."""
        self.due[id] = now_s
        self.delays.pop(id, None)

    def take(self, now_s: float) -> list[str]:
        """Those that are due; they are nothing to anybody until `succeed` or `fail`, or until they change again."""
        found = sorted(id for id, at in self.due.items() if at <= now_s)
        for id in found:
            del self.due[id]
        return found

    def succeed(self, id: str, now_s: float, look_s: float | None = LOOK_S) -> None:
        """It is due in `look_s` seconds; None: never, unless it changes."""
        self.delays.pop(id, None)
        if look_s is not None:
            self.due.setdefault(id, now_s + look_s)

    def fail(self, id: str, now_s: float) -> None:
        if id not in self.due:
            delay = self.delays.get(id, FIRST_RETRY_S)
            self.delays[id] = min(delay * 2, LAST_RETRY_S)
            self.due[id] = now_s + delay

    def clear(self) -> None:
        self.due.clear()
        self.delays.clear()


Tell = Callable[[str], Awaitable[float | None]]
"""Tells of one thing; gives after how many seconds it is to be looked at again, None: never. Raises NotTold."""


class Keeper:
    """`note` never waits; `run` tells until it is cancelled.

    `begin`: opens a turn, and gives how one thing is told of in it. `all`: what there is to tell of. `fail`: says that
    a thing was not told of. `tells`: whether it is this server that tells.
    """

    def __init__(
        self,
        begin: Callable[[], Awaitable[Tell]],
        all: Callable[[], Iterable[str]],
        fail: Callable[[str, NotTold], None],
        tells: Callable[[], bool] = lambda: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._begin = begin
        self._all = all
        self._fail = fail
        self._tells = tells
        self._now = now
        self._schedule = Schedule()
        self._telling = False
        self._wake = asyncio.Event()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many things Placement is yet to be told of, as far as it is known."""
        return self._waiting + len(self._schedule.delays)

    def note(self, ids: Iterable[str]) -> None:
        """Something else is to be said of these, or they came, or went."""
        if self._telling:
            for id in ids:
                self._schedule.note(id, self._now())
                self._wake.set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_S):
                    await self._wake.wait()
            self._change_hands()
            if self._telling:
                await self._turn()

    def _change_hands(self) -> None:
        """Whoever begins to tell looks at all; nothing has to be known of what was told before."""
        if self._tells() != self._telling:
            self._telling = not self._telling
            self._schedule.clear()
            self.note(self._all() if self._telling else ())

    async def _turn(self) -> None:
        if self._wake.is_set():
            await asyncio.sleep(GATHER_S)  # hosts come together
            self._wake.clear()
        due, gate = self._schedule.take(self._now()), asyncio.Semaphore(ALONGSIDE)
        if not due:
            return
        self._waiting = len(due)
        try:
            tell = await self._begin()
        except Exception:
            LOG.exception("Placement is not told of %d things", len(due))
            for id in due:
                self._schedule.fail(id, self._now())
        else:
            await asyncio.gather(*(self._serve(id, tell, gate) for id in due))
        finally:
            self._waiting = 0

    async def _serve(self, id: str, tell: Tell, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                look_s = await tell(id)
                self._schedule.succeed(id, self._now(), look_s)
            except NotTold as error:
                self._fail(id, error)
                self._schedule.fail(id, self._now())
            except (ApiError, StoreError, NotWriting) as error:
                LOG.warning("what Placement knows of %s is not noted: %s", id, error)
                self._schedule.fail(id, self._now())
            except Exception:
                LOG.exception("Placement is not told of %s", id)
                self._schedule.fail(id, self._now())
            finally:
                self._waiting -= 1

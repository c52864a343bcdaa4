"""Which of several servers writes: the seat of the writer, and how a server takes it, keeps it and leaves it.

Law: the seat saves time and no more (see `commit.py`). Whoever loses a commit to another is no writer any more,
whatever the seat says. Whoever has not confirmed its seat in time neither writes nor answers from memory without
looking; and who takes the seat begins with a revision of its own, so that nothing made before can still be committed.

    follow ──seat is free──▶ take it ▶ catch up with the log ▶ write ──outrun, or told to, or no beat──▶ follow
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from netloom.store import sqlite
from netloom.store.engine import Store
from netloom.store.errors import StoreError, StoreLocked
from netloom.store.lease import BEAT_S, LEASE_S, HeldLease, Lease, Watcher, read_lease, take_lease
from netloom.store.sqlite import SqliteFile
from netloom.store.writer import Writer

LOG = logging.getLogger(__name__)

LOOK_S = 0.2
"""How often who does not write looks whether the seat is free."""
AWAY_S = 3 * LEASE_S
"""How long a server that stepped down leaves the seat to others, if none takes it."""


class Seat(Protocol):
    """All calls block. Raises StoreError."""

    def look(self) -> Lease:
        """Who writes; one without a holder: nobody, or nobody that is alive."""
        ...

    def take(self) -> bool: ...

    def keep(self) -> bool:
        """Confirm it; False: it is another's."""
        ...

    def leave(self) -> None: ...

    def clear_way(self) -> None:
        """The seat is taken, and an earlier holder that is paused still has the log: end its transaction."""
        ...


def name_process() -> str:
    return f"process {os.getpid()} on {socket.gethostname()}"


@dataclass(slots=True)
class LeaseSeat:
    """The row in a database that several machines share."""

    store: Store
    address: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    watcher: Watcher = field(default_factory=Watcher)
    held: HeldLease | None = None
    lease_s: float = LEASE_S

    def look(self) -> Lease:
        with self.store.clear_errors():
            found = read_lease(self.store.engine)
        free = found.holder == self.id or self.watcher.is_free(found, self.lease_s)
        return Lease(term=found.term) if free else found

    def take(self) -> bool:
        if self.keep():
            return True
        with self.store.clear_errors():
            found = read_lease(self.store.engine)
            if self.watcher.is_free(found, self.lease_s):
                self.held = take_lease(self.store.engine, found, self.id, name_process(), self.address)
        return self.held is not None

    def keep(self) -> bool:
        with self.store.clear_errors():
            if self.held is not None and not self.held.renew():
                self.held = None
        return self.held is not None

    def leave(self) -> None:
        with self.store.clear_errors():
            if self.held is not None:
                self.held.release()
                self.held = None

    def clear_way(self) -> None:
        self.store.database.shut_out(self.store.engine)


@dataclass(slots=True)
class FileSeat:
    """The lock of a file that several processes of one machine share: it is free at the instant its holder dies."""

    path: Path
    address: str
    lock: sqlite.FileLock | None = None

    def look(self) -> Lease:
        found = None if self.lock else sqlite.read_holder(self.path)
        return Lease(found[0], *found) if found else Lease()

    def take(self) -> bool:
        if self.lock:
            return True
        try:
            self.lock = sqlite.take_lock(self.path, self.address)
        except StoreLocked:
            return False
        return True

    def keep(self) -> bool:
        return self.lock is not None

    def leave(self) -> None:
        if self.lock is not None:
            self.lock.release()
            self.lock = None

    def clear_way(self) -> None:
        """Who holds the lock has nobody before it."""


def make_seat(store: Store, address: str) -> Seat:
    if isinstance(store.database, SqliteFile):
        return FileSeat(store.database.path, address)
    return LeaseSeat(store, address)


class Member:
    """One of several servers on a store. Belongs to one event loop."""

    def __init__(
        self, writer: Writer, seat: Seat, *, lease_s: float = LEASE_S, now: Callable[[], float] = time.monotonic
    ) -> None:
        self.writer = writer
        self.found = Lease()
        """Who writes, as far as is known."""
        self._seat = seat
        self._lease_s = lease_s
        self._now = now
        self._sure_until = -1.0
        self._away_until = -1.0
        self._changed = asyncio.Event()
        self._looking: asyncio.Task[int] | None = None
        self._next: asyncio.Task[int] | None = None
        writer.outrun = self._step_back
        writer.is_sure = lambda: self._now() < self._sure_until

    @property
    def writes(self) -> bool:
        return self.writer.writing

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have written: the seat was confirmed less than a lease ago."""
        return self.writer.writing and self._now() < self._sure_until

    # -- the seat ------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled. A store that cannot be reached is tried again."""
        while True:
            try:
                await (self._keep() if self.writer.writing else self._try())
            except StoreError as error:
                LOG.warning("who writes is not known: %s", error)
            await self._pause(BEAT_S if self.writer.writing else LOOK_S)

    async def _pause(self, most_s: float) -> None:
        # Not wait_for, which before Python 3.12 forgets a cancellation that comes together with the event.
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._changed.wait()
        self._changed.clear()

    async def _keep(self) -> None:
        began = self._now()
        if await asyncio.to_thread(self._seat.keep):
            self._sure_until = began + self._lease_s
        elif self.writer.writing:
            LOG.warning("another server has taken over; this one follows")
            await self.writer.stop_writing()

    async def _try(self) -> None:
        self.found = await asyncio.to_thread(self._seat.look)
        if self.found.holder:
            self._away_until = -1.0  # another has had the seat: when that leaves it, there is no reason to wait
            return
        if self._now() < self._away_until:
            return
        began = self._now()
        if not await asyncio.to_thread(self._seat.take):
            return
        self._sure_until = began + self._lease_s
        try:
            led = await self.writer.lead()
        except StoreLocked:
            await asyncio.to_thread(self._seat.clear_way)
            raise
        if led:
            LOG.info("this server writes from revision %d on", self.writer.snapshot.revision)

    def _step_back(self) -> None:
        """Another server has committed: it is the writer, and the seat that is held here is worth nothing."""
        if self.writer.writing:
            LOG.warning("another server has written revision %d; this one follows", self.writer.snapshot.revision)
        self.writer.writing = False
        self._sure_until = -1.0
        self._changed.set()

    async def step_down(self, away_s: float = AWAY_S) -> bool:
        """Answer what is under way, then leave the seat to another; False: this server does not write."""
        if not self.writer.writing:
            return False
        self._away_until = self._now() + away_s
        await self.writer.stop_writing()
        await asyncio.to_thread(self._seat.leave)
        self.found, self._sure_until = Lease(), -1.0
        self._changed.set()
        LOG.info("this server has stepped down at revision %d", self.writer.snapshot.revision)
        return True

    async def find_writer(self) -> Lease:
        """Who writes now, looked up."""
        self.found = await asyncio.to_thread(self._seat.look)
        return self.found

    # -- being current -------------------------------------------------------------------------------------------------

    async def refresh(self) -> int:
        """Show at least what was stored when this was called. Callers share looks at the log: one that is under way,
        which may have begun too early for this caller, and one that is yet to begin. Raises StoreError."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self.writer.follow())
            return await asyncio.shield(self._looking)
        if self._next is None:
            self._next = asyncio.ensure_future(self._look_after(self._looking))
        return await asyncio.shield(self._next)

    async def _look_after(self, running: asyncio.Task[int]) -> int:
        await asyncio.wait([running])
        self._looking, self._next = self._next, None
        return await self.writer.follow()

    async def reach(self, revision: int, deadline_s: float = 5.0) -> bool:
        """Whether that revision is shown here, within the time."""
        ends = self._now() + deadline_s
        while self.writer.snapshot.revision < revision:
            if self._now() > ends:
                return False
            if await self.refresh() < revision:
                await asyncio.sleep(0.02)
        return True

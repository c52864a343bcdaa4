"""How long the log is kept, and making it shorter: in small pieces while the server runs, at a stroke otherwise.

Law: a piece is short and runs between two commits, and the pauses are longer than the pieces, so that a commit waits
for one piece at most. Objects, and the log's newest rows, stay.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from netloom.store.engine import Store
from netloom.store.errors import StoreError
from netloom.store.schema import LOG as TABLE

LOG = logging.getLogger(__name__)

LEAST = 1000
"""Rows that a running server never drops: more than one batch, whose end it may have to look up."""
PIECE = 500
"""Rows of one piece: some 5 ms."""
PERIOD_S = 10.0
"""How often a running server looks whether there is something to drop."""
REST = 4.0
"""A pause is this many times as long as the piece before it."""
UNLIMITED = -1


@dataclass(frozen=True, slots=True)
class History:
    """What of the log is kept: so many revisions at most, none older than so many days (-1: any); `least` always."""

    revisions: int = 100_000
    days: int = UNLIMITED
    least: int = LEAST

    @property
    def limited(self) -> bool:
        return self.revisions != UNLIMITED or self.days != UNLIMITED


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to `safe` a revision may go, and up to `beyond`, or if it is older than `since`, it does."""

    safe: int
    beyond: int
    since: str

    def outdated(self, revision: int, at: str) -> bool:
        return revision <= self.safe and (revision <= self.beyond or at < self.since)


def make_bounds(history: History, last: int, now: datetime) -> Bounds:
    since = ""
    if history.days != UNLIMITED:
        since = (now - timedelta(days=history.days)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Bounds(
        last - max(history.least, 1), 0 if history.revisions == UNLIMITED else last - history.revisions, since
    )


def find_outdated(connection: Connection, history: History, now: datetime, limit: int) -> int:
    """The last of the log's first rows, `limit` at most, that need not be kept; 0: the very first one must be."""
    last = connection.execute(select(func.max(TABLE.c.revision))).scalar_one() or 0
    bounds, found = make_bounds(history, last, now), 0
    query = select(TABLE.c.revision, TABLE.c.at).order_by(TABLE.c.revision).limit(limit)
    for revision, at in connection.execute(query):
        if not bounds.outdated(revision, at):
            break
        found = revision
    return found


def shorten(store: Store, history: History, now: datetime, limit: int = PIECE) -> int:
    """Delete what need not be kept, the oldest `limit` rows at most; how many that were. Raises StoreError.

    The last row always stays: it is what says which revision comes next.
    """
    with store.read() as connection:
        until = find_outdated(connection, history, now, limit)
    if not until:
        return 0
    with store.write() as connection:
        return connection.execute(delete(TABLE).where(TABLE.c.revision <= until)).rowcount


def compact(store: Store, history: History, now: datetime) -> int:
    """All of it, and the room it took is given back to the disk; how many rows. Raises StoreError.

    Needs as much free room as the store has objects, and the right to write. Ended half-way it has lost nothing.
    """
    gone = 0
    while found := shorten(store, history, now, 10 * PIECE):
        gone += found
    with store.clear_errors():
        store.database.give_back(store.engine)
    return gone


Between = Callable[[Callable[[], int]], Awaitable[int]]
"""Runs blocking work between two commits: the writer's `between`."""


async def keep_short(
    store: Store,
    history: History,
    between: Between,
    period_s: float = PERIOD_S,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ours: Callable[[], bool] = lambda: True,
) -> None:
    """Shorten the log whenever it is too long, until cancelled. A store that cannot be written is tried again later.
    `ours()`: whether that is this server's work now."""
    while history.limited:
        await asyncio.sleep(period_s)
        if not ours():
            continue
        try:
            gone = await drop_outdated(store, history, between, now)
        except StoreError as error:
            LOG.warning("The log was not shortened: %s", error)
        else:
            if gone:
                LOG.debug("The log is shorter by %d revisions", gone)


async def drop_outdated(
    store: Store, history: History, between: Between, now: Callable[[], datetime], piece: int = PIECE
) -> int:
    """Piece by piece until nothing is left to drop; how many rows."""
    gone = 0
    while True:
        began = time.perf_counter()
        found = await between(lambda: shorten(store, history, now(), piece))
        gone += found
        if found < piece:
            return gone
        await asyncio.sleep(REST * (time.perf_counter() - began))

"""The one writer: takes the requests in order, makes each batch of them durable, then visible, then answers.

Law 7, durable before visible: until the journal says that a batch is stored, `snapshot` is the one before it, and
no requester hears anything, not even a refusal (which could rest on a change of the same batch that is lost).

    submit ─▶ waiting ─▶ run each on the growing snapshot ─▶ journal (thread) ─▶ swap ─▶ answers ─▶ listeners
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from netloom.intent.errors import ApiError
from netloom.intent.operation import Committed, Operation, Requester
from netloom.intent.snapshot import Record, Snapshot
from netloom.store.context import MakeContext
from netloom.store.errors import StoreCorrupt, StoreError, StoreUnavailable
from netloom.store.journal import Journal
from netloom.store.log import Draft, LogEntry, LogRow, Stored, decode_row, decode_stored, make_draft

LOG = logging.getLogger(__name__)

MAX_BATCH = 512
"""Requests of one transaction."""
BATCH_S = 0.02
"""How long a batch may go on taking requests: what the last one waits for the first."""

Listener = Callable[[Sequence[LogEntry], Snapshot], None]
"""Told of every batch after it is durable and visible: its entries in order, and the snapshot that has them all."""

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Waiting:
    """A request in the queue."""

    operation: Operation
    requester: Requester
    request_id: str
    answer: asyncio.Future[Committed]


@dataclass(slots=True)
class Batch:
    """Requests that were run, what each is to be told, and the snapshot that they lead to."""

    snapshot: Snapshot
    drafts: list[Draft] = field(default_factory=list)
    answers: list[tuple[Waiting, Committed | Exception]] = field(default_factory=list)


class Writer:
    """Keeps the snapshot and commits operations to it. Belongs to one event loop; close it before the store."""

    def __init__(
        self,
        journal: Journal,
        snapshot: Snapshot,
        make_context: MakeContext,
        *,
        max_batch: int = MAX_BATCH,
        batch_s: float = BATCH_S,
    ) -> None:
        self.snapshot = snapshot
        self.failure: StoreError | None = None
        """Why the last batch was not stored; None: it was."""
        self._journal = journal
        self._make_context = make_context
        self._max_batch = max_batch
        self._batch_s = batch_s
        self._waiting: deque[Waiting] = deque()
        self._listeners: list[Listener] = []
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._certain = True  # whether `snapshot` is known to be the newest that is stored
        self._thread = ThreadPoolExecutor(1, "store")

    async def submit(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        """Run the operation on the newest snapshot when its turn comes; returns once its changes are durable.

        Raises what the operation raises, ApiError 409 for a key that is taken, and ApiError 503 when the store fails:
        the change is then not made.
        """
        if self._closed:
            raise unavailable("the server is stopping")
        loop = asyncio.get_running_loop()
        waiting = Waiting(operation, requester, request_id, loop.create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = loop.create_task(self._drain())
        return await waiting.answer

    __call__ = submit

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener`, in the event loop, of every later batch; calling the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def between(self, work: Callable[[], T]) -> T:
        """Run blocking work on the store, such as shortening the log, in the writer's thread, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def close(self) -> None:
        """Serve what waits, refuse what comes, and end the thread."""
        self._closed = True
        if self._task:
            await self._task
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    # -- batches -------------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        try:
            while self._waiting:
                if not self._certain:
                    await self._catch_up([])
                if self._certain:
                    await self._store(self._take())
                else:
                    self._refuse_all()
        finally:
            self._task = None

    def _take(self) -> Batch:
        """Run the requests that wait, in order, each on the snapshot that the one before it leads to."""
        batch = Batch(self.snapshot)
        deadline = time.perf_counter() + self._batch_s
        while self._waiting and len(batch.answers) < self._max_batch:
            waiting = self._waiting.popleft()
            if waiting.answer.done():  # the requester went away
                continue
            try:
                batch.answers.append((waiting, self._run(batch, waiting)))
            except Exception as error:
                batch.answers.append((waiting, error))
            if time.perf_counter() > deadline:
                break
        return batch

    def _run(self, batch: Batch, waiting: Waiting) -> Committed:
        """One request. The batch grows only when nothing was raised: an operation happens whole or not at all."""
        context = self._make_context(waiting.requester, waiting.request_id)
        outcome = waiting.operation(batch.snapshot, context)
        if not outcome.changes:
            return Committed(batch.snapshot.revision, outcome, batch.snapshot)
        revision = batch.snapshot.revision + 1
        encode = batch.snapshot.encode
        last: dict[tuple[str, str], Stored] = {
            (c.kind, c.id): (c.kind, c.id, None if c.doc is None else Record(c.doc, revision, encode(c.doc)))
            for c in outcome.changes
        }
        stored = tuple(last.values())
        grown = batch.snapshot.apply_records(stored, revision)
        batch.drafts.append(make_draft(revision, context, outcome, stored))
        batch.snapshot = grown
        return Committed(revision, outcome, grown)

    async def _store(self, batch: Batch) -> None:
        if batch.drafts:
            try:
                await self.between(lambda: self._journal.append(batch.drafts))
            except Exception as error:
                self._certain = False
                await self._survive(batch, as_store_error(error))
                return
        self._settle(batch)

    def _settle(self, batch: Batch) -> None:
        """The batch is durable: show it, answer it, tell of it."""
        if batch.drafts:
            self.failure = None
            self.snapshot = batch.snapshot
        for waiting, answer in batch.answers:
            resolve(waiting, answer)
        if batch.drafts:
            self._tell([draft.entry for draft in batch.drafts])

    def _tell(self, entries: Sequence[LogEntry]) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(entries, self.snapshot)
            except Exception:
                LOG.exception("A listener failed at revision %d", self.snapshot.revision)

    # -- failure -------------------------------------------------------------------------------------------------------

    async def _survive(self, batch: Batch, error: StoreError) -> None:
        """A commit that failed may still have happened: the log says so, and then the answers stand."""
        LOG.error("%d requests were not stored: %s", len(batch.answers), error)
        if await self._catch_up([draft.row for draft in batch.drafts]):
            self._settle(batch)
            return
        self.failure = error
        refuse = unavailable if self._certain else unknown
        for waiting, _ in batch.answers:
            resolve(waiting, refuse(error.reason))

    async def _catch_up(self, ours: Sequence[LogRow]) -> bool:
        """Read what is stored beyond the snapshot. Whether that is just `ours`; what others wrote is taken over.

        When it cannot be read the snapshot stays uncertain, and nothing is run on it.
        """
        try:
            rows = await self.between(self._read_beyond)
            if rows and rows == list(ours):
                self._certain = True
                return True
            entries = [decode_row(row) for row in rows]
            for row in rows:
                self.snapshot = self.snapshot.apply_records(decode_stored(row), row.revision)
        except Exception as error:
            self.failure = as_store_error(error)
            LOG.error("What is stored cannot be read: %s", self.failure)
            return False
        self._certain = True
        if entries:
            self._tell(entries)
        return False

    def _read_beyond(self) -> list[LogRow]:
        """Rows after the snapshot's revision, without a gap. Raises StoreError."""
        revision = self.snapshot.revision
        last, rows = self._journal.read_since(revision)
        if last < revision or [row.revision for row in rows] != list(range(revision + 1, last + 1)):
            raise StoreCorrupt(
                f"The store ends at revision {last} and does not continue revision {revision}, which was answered: its "
                "file was replaced. Nothing more is written. Put the right file back and restart the server."
            )
        return rows

    def _refuse_all(self) -> None:
        reason = self.failure.reason if self.failure else StoreError.reason
        while self._waiting:
            resolve(self._waiting.popleft(), unavailable(reason))


def resolve(waiting: Waiting, answer: Committed | Exception) -> None:
    if waiting.answer.done():
        return
    if isinstance(answer, Committed):
        waiting.answer.set_result(answer)
    else:
        waiting.answer.set_exception(answer)


def as_store_error(error: Exception) -> StoreError:
    """Anything else than a StoreError is a fault of ours; the requesters are told the same."""
    if isinstance(error, StoreError):
        return error
    LOG.error("Unexpected failure while storing", exc_info=error)
    return StoreUnavailable(f"Storing failed unexpectedly: {error!r}")


def unavailable(reason: str) -> ApiError:
    return ApiError(503, "ServiceUnavailable", f"The request was not carried out: {reason}. Try again later.")


def unknown(reason: str) -> ApiError:
    return ApiError(
        503,
        "ServiceUnavailable",
        f"Whether the request was carried out is not known: {reason}. Look before trying again.",
    )

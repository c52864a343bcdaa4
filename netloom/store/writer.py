"""The one writer: takes the requests in order, makes each batch of them durable, then visible, then answers.

Law 7, durable before visible: until the journal says that a batch is stored, `snapshot` is the one before it, and
no requester hears anything, not even a refusal (which could rest on a change of the same batch that is lost).

    submit ─▶ waiting ─▶ run each on the growing snapshot ─▶ journal (thread) ─▶ swap ─▶ answers ─▶ listeners

Where several servers share a store, one that does not write keeps its snapshot with `follow`; its listeners hear the
same as those of the one that does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import Context
from dataclasses import dataclass, field
from typing import TypeVar

from netloom.intent.operation import Committed, Operation, Outcome, Requester
from netloom.intent.snapshot import Change, Record, Snapshot
from netloom.store.commit import continues, has_happened, is_shortened
from netloom.store.context import MakeContext
from netloom.store.errors import StoreConflict, StoreCorrupt, StoreError, StoreLost, StoreUnavailable
from netloom.store.journal import FOLLOWED, Journal
from netloom.store.log import Draft, LogEntry, LogRow, Stored, decode_row, decode_stored, make_draft
from netloom.store.told import Commit, hear_nothing, unavailable, unknown

LOG = logging.getLogger(__name__)

MAX_BATCH = 512
"""Requests of one transaction."""
BATCH_S = 0.02
"""How long a batch may go on taking requests: what the last one waits for the first."""

LEADER = "netloom"
"""Who is said to have made the empty revision with which a server becomes the writer."""

Listener = Callable[[Sequence[LogEntry], Snapshot], None]
"""Told of every batch after it is durable and visible: its entries in order, and the snapshot that has them all."""

T = TypeVar("T")


class NotWriting(Exception):
    """Another server writes. The request was not carried out here, and never will be: hand it on."""


class Shortened(StoreError):
    """What comes next is no longer in the log."""


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
        writing: bool = True,
        reload: Callable[[], Snapshot] | None = None,
    ) -> None:
        self.snapshot = snapshot
        self.writing = writing
        """Whether this server is to write; the log decides whether it can."""
        self.is_sure: Callable[[], bool] = lambda: True
        """Asked before each batch: whether nobody else can have become the writer since this snapshot was made."""
        self.outrun: Callable[[], None] | None = None
        """Called when another server has written first; None: this one tries again."""
        self.committed: Callable[[Commit], None] = hear_nothing
        """Told of every batch that was sent to the store."""
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
        self._reload = reload
        self._turn = asyncio.Lock()  # of whoever changes `snapshot`

    async def submit(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        """Run the operation on the newest snapshot when its turn comes; returns once its changes are durable.

        Raises what the operation raises, ApiError 409 for a key that is taken, and ApiError 503 when the store fails:
        the change is then not made. NotWriting: another server is the one to ask.
        """
        if self._closed:
            raise unavailable("the server is stopping")
        if not self.writing:
            raise NotWriting
        loop = asyncio.get_running_loop()
        waiting = Waiting(operation, requester, request_id, loop.create_future())
        self._waiting.append(waiting)
        if self._task is None:
            self._task = loop.create_task(self._drain(), context=Context())  # a batch is no one request's work
        return await waiting.answer

    __call__ = submit

    @property
    def waiting(self) -> int:
        """How many requests wait for their turn."""
        return len(self._waiting)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Tell `listener`, in the event loop, of every later batch; calling the result ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def between(self, work: Callable[[], T]) -> T:
        """Run blocking work on the store, such as shortening the log, in the writer's thread, between two commits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def follow(self) -> int:
        """Take over what other servers have written; the revision that is then shown. Raises StoreError."""
        while True:
            async with self._turn:
                before = self.snapshot.revision
                if not await self._catch_up([]) and not self._certain:
                    raise self.failure or StoreError()
                self.failure = None
            if self.snapshot.revision < before + FOLLOWED:
                return self.snapshot.revision

    async def lead(self) -> bool:
        """Become the writer, with an empty revision of its own: what an earlier writer made on the log before this one
        can then no longer be committed. False: somebody else has written meanwhile. Raises StoreError."""
        await self.follow()
        async with self._turn:
            context = self._make_context(Requester(user_id=LEADER), "")
            draft = make_draft(self.snapshot.revision + 1, context, Outcome(()), ())
            try:
                await self.between(lambda: self._journal.append([draft]))
            except StoreConflict:
                return False
            finally:
                self._certain = False
            self.writing = await self._catch_up([draft.row])
            if self.writing:
                self.snapshot = self.snapshot.apply_records((), draft.row.revision)
                self._tell([draft.entry])
            return self.writing

    async def stop_writing(self) -> None:
        """What is being stored is answered; what waits gets NotWriting."""
        self.writing = False
        if self._task:
            await self._task

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
                if not self.writing:
                    self._hand_back()
                    break
                async with self._turn:
                    if not self._certain:
                        await self._catch_up([])
                    if not self.is_sure():
                        self._hand_back()
                    elif self._certain:
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
            began_s, start = time.time(), time.perf_counter()
            rows = tuple((draft.row.revision, draft.row.request_id) for draft in batch.drafts)
            try:
                await self.between(lambda: self._journal.append(batch.drafts))
                self.committed(Commit(began_s, time.perf_counter() - start, rows))
            except Exception as error:
                self.committed(Commit(began_s, time.perf_counter() - start, rows, failed=True))
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
        if isinstance(error, StoreLost):
            error = await self._insist(batch, error)
        else:
            LOG.log(logging.INFO if isinstance(error, StoreConflict) else logging.ERROR, "%s", error)
        if await self._catch_up([draft.row for draft in batch.drafts]):
            self._settle(batch)
            return
        if isinstance(error, StoreConflict) and self._certain:
            self._run_again(batch)
            return
        LOG.error("%d requests were not stored: %s", len(batch.answers), error)
        self.failure = error
        refuse = unavailable if self._certain and not isinstance(error, StoreLost) else unknown
        for waiting, _ in batch.answers:
            resolve(waiting, refuse(error.reason))

    async def _insist(self, batch: Batch, error: StoreError) -> StoreError:
        """The same rows once more: a commit that the lost connection left behind may come to pass after any look at
        the log, but not beside this one, which has its revision."""
        LOG.warning("%s; once more", error)
        try:
            await self.between(lambda: self._journal.append(batch.drafts))
        except Exception as again:
            return as_store_error(again)
        return error

    def _run_again(self, batch: Batch) -> None:
        """Another server was faster, and nothing of the batch is stored: its requests are the next again, here or
        where `outrun` has them handed on."""
        self.failure = None
        self._waiting.extendleft(waiting for waiting, _ in reversed(batch.answers))
        if self.outrun:
            self.outrun()

    def _hand_back(self) -> None:
        while self._waiting:
            resolve(self._waiting.popleft(), NotWriting())

    async def _catch_up(self, ours: Sequence[LogRow]) -> bool:
        """Read what is stored beyond the snapshot. Whether it begins with `ours`; what others wrote is taken over.

        When it cannot be read the snapshot stays uncertain, and nothing is run on it.
        """
        try:
            rows = await self.between(self._read_beyond)
            if has_happened(ours, rows):
                self._certain = len(rows) == len(ours)  # what follows is read before the next batch
                return True
            entries = [decode_row(row) for row in rows]
            for row in rows:
                self.snapshot = self.snapshot.apply_records(decode_stored(row), row.revision)
        except Shortened:
            return await self._load_anew()
        except Exception as error:
            self.failure = as_store_error(error)
            LOG.error("What is stored cannot be read: %s", self.failure)
            self._certain = False
            return False
        self._certain = True
        if entries:
            self._tell(entries)
        return False

    async def _load_anew(self) -> bool:
        """For who was away for longer than the log reaches: listeners hear of the difference as one entry."""
        assert self._reload is not None
        try:
            found = await self.between(self._reload)
        except StoreError as error:
            self.failure, self._certain = error, False
            return False
        changes = tuple(find_changes(self.snapshot, found))
        self.snapshot, self._certain = found, True
        self._tell([LogEntry(found.revision, "", "", "", changes)])
        return False

    def _read_beyond(self) -> list[LogRow]:
        """Rows after the snapshot's revision, without a gap. Raises StoreError."""
        revision = self.snapshot.revision
        last, rows = self._journal.read_since(revision)
        if self._reload and is_shortened(revision, rows):
            raise Shortened
        if not continues(revision, last, rows):
            raise StoreCorrupt(
                f"The store ends at revision {last} and does not continue revision {revision}, which was answered: its "
                "file was replaced. Nothing more is written. Put the right file back and restart the server."
            )
        return rows

    def _refuse_all(self) -> None:
        reason = self.failure.reason if self.failure else StoreError.reason
        while self._waiting:
            resolve(self._waiting.popleft(), unavailable(reason))


def find_changes(old: Snapshot, new: Snapshot) -> Iterator[Change]:
    """What leads from one to the other, object by object."""
    for kind in {*old.kinds, *new.kinds}:
        before, after = old.records(kind), new.records(kind)
        yield from (Change(kind, id, None) for id in before if id not in after)
        for id, record in after.items():
            known = before.get(id)
            if known is None or known.revision != record.revision:
                yield Change(kind, id, record.doc)


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

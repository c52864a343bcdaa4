"""Law 7: no answer, no read and no follower shows a change that a crash could take back; no revision is used twice.

The disk here is a list that a schedule makes fail: before the commit, after it (the answer to the commit is lost), or
for good, which is the crash. Whatever is seen is compared with that list at the moment when it is seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.errors import ApiError
from netloom.intent.operation import Committed, Context, Operation, Outcome, Requester, Settings
from netloom.intent.schema import Catalog, Index, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot
from netloom.store.context import make_contexts
from netloom.store.errors import StoreError, StoreUnavailable
from netloom.store.load import encode_doc
from netloom.store.log import Draft, LogEntry, LogRow, decode_stored
from netloom.store.writer import Writer

NAMED: Catalog = {
    "port": Resource(
        "port", "ports", "", (), Rules("", "", "", ""), (Index("name", lambda doc: [doc["name"]], "unique"),)
    )
}


class Fate(Enum):
    """What becomes of one commit."""

    GOOD = "stored"
    BEFORE = "fails and is not stored"
    AFTER = "is stored and reported as failed"
    BLIND = "fails, and then nothing can be read for a while"
    BLIND_AFTER = "is stored and reported as failed, and then nothing can be read for a while"
    CRASH = "fails, like all that follows"


@dataclass
class Disk:
    """Rows that survive anything, and the fates of the commits to come."""

    rows: list[LogRow] = field(default_factory=list)
    fates: list[Fate] = field(default_factory=list)
    blind: int = 0
    dead: bool = False
    visible: Callable[[], Snapshot] | None = None
    early: list[str] = field(default_factory=list)

    def look(self, when: str) -> None:
        """What a reader sees at this moment of a commit; noted, because the writer outlives what is raised here."""
        if self.visible and not self.holds(self.visible()):
            self.early.append(f"{when}, a reader sees what is not stored")

    def append(self, drafts: Sequence[Draft]) -> None:
        self.look("as a commit begins")
        try:
            self.store(drafts)
        finally:
            self.look("as a commit ends")

    def store(self, drafts: Sequence[Draft]) -> None:
        fate = Fate.CRASH if self.dead else self.fates.pop(0) if self.fates else Fate.GOOD
        if fate in (Fate.GOOD, Fate.AFTER, Fate.BLIND_AFTER):
            if drafts[0].row.revision != len(self.rows) + 1:
                self.early.append("a revision was used twice or left out")
            self.rows.extend(draft.row for draft in drafts)
        if fate in (Fate.BLIND, Fate.BLIND_AFTER):
            self.blind = 2
        self.dead = fate is Fate.CRASH
        if fate is not Fate.GOOD:
            raise StoreUnavailable("the disk failed")

    def read_since(self, revision: int) -> tuple[int, list[LogRow]]:
        if self.blind or self.dead:
            self.blind = max(0, self.blind - 1)
            raise StoreUnavailable("the disk cannot be read")
        return len(self.rows), self.rows[revision:]

    def holds(self, snapshot: Snapshot) -> bool:
        """Whether a new server would show what this snapshot shows, at its revision."""
        return shown(snapshot) == shown(load(self.rows[: snapshot.revision])) and snapshot.revision <= len(self.rows)


def load(rows: Sequence[LogRow]) -> Snapshot:
    snapshot = Snapshot(NAMED, encode_doc)
    for row in rows:
        snapshot = snapshot.apply_records(decode_stored(row), row.revision)
    return snapshot


def shown(snapshot: Snapshot) -> dict[str, bytes]:
    return {id: record.json for id, record in snapshot.records("port").items()}


def create(name: str) -> Operation:
    def operation(snapshot: Snapshot, context: Context) -> Outcome:
        if snapshot.lookup("port", "name", name):
            raise ApiError(409, "Conflict", f"{name} is taken")
        id = context.new_id()
        return Outcome((Change("port", id, {"id": id, "name": name}),), ({"id": id},))

    return operation


@dataclass
class Watch:
    """Looks over the shoulder of every reader there is."""

    disk: Disk
    writer: Writer
    heard: list[int] = field(default_factory=list)
    answered: dict[str, int] = field(default_factory=dict)  # id → the revision that its requester was told

    def listen(self, entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        if not self.disk.holds(snapshot) or entries[-1].revision != snapshot.revision:
            self.disk.early.append("a follower sees what is not stored")
        self.heard.extend(entry.revision for entry in entries)

    async def ask(self, name: str) -> None:
        """A requester: what it is told, good or bad, rests on what is stored."""
        try:
            done: Committed = await self.writer.submit(create(name), Requester())
        except ApiError as error:
            if error.status == 409:
                names = [doc["name"] for doc in load(self.disk.rows).docs("port")]
                assert name in names, "a refusal rests on a change that is lost"
            else:
                assert error.status == 503
        else:
            assert self.disk.holds(done.snapshot), "an answer is not stored"
            assert done.revision <= len(self.disk.rows)
            self.answered[str(done.outcome.answer[0]["id"])] = done.revision

    def check_answers(self) -> None:
        """What was answered is there, at the revision that was said, for readers and in the log."""
        for id, revision in self.answered.items():
            record = self.writer.snapshot.record("port", id)
            assert record is not None and record.revision == revision
            assert f'"{id}"' in self.disk.rows[revision - 1].changes


async def live(disk: Disk, waves: Sequence[Sequence[str]]) -> None:
    """One life of a server: waves of requests, until the end or the crash. Starts from what is stored."""
    disk.dead, disk.blind = False, 0
    start = len(disk.rows)
    writer = Writer(disk, load(disk.rows), make_contexts(Settings()), max_batch=3)
    watch = Watch(disk, writer)
    writer.listen(watch.listen)
    disk.visible = lambda: writer.snapshot
    for wave in waves:
        await asyncio.gather(*(watch.ask(name) for name in wave))
        disk.look("after an answer")
    await writer.close()
    assert disk.early == []
    watch.check_answers()
    assert watch.heard == list(range(start + 1, writer.snapshot.revision + 1)), "followers hear each revision once"


WAVES = st.lists(st.lists(st.sampled_from("abcdef"), max_size=5), min_size=1, max_size=3)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(WAVES, st.lists(st.sampled_from(Fate), max_size=4)), min_size=1, max_size=3))
def test_nothing_is_seen_before_it_is_stored(lives: list[tuple[list[list[str]], list[Fate]]]) -> None:
    """Whenever the disk fails, what anyone saw or was told is what the next server shows, and no number comes twice."""
    disk = Disk()
    for waves, fates in lives:
        disk.fates = list(fates)
        asyncio.run(live(disk, waves))
    assert [row.revision for row in disk.rows] == list(range(1, len(disk.rows) + 1))


def test_a_commit_that_happened_is_answered_although_it_was_reported_as_failed() -> None:
    """When the database says no but the change is in the log, its requester hears yes."""
    disk = Disk(fates=[Fate.AFTER])

    async def run() -> int:
        writer = Writer(disk, load([]), make_contexts(Settings()))
        done = await writer.submit(create("a"), Requester())
        await writer.close()
        return done.revision

    assert asyncio.run(run()) == 1 and len(disk.rows) == 1


def test_a_commit_that_cannot_be_looked_up_is_called_unknown_and_shown_later() -> None:
    """Until the log can be read again nothing is written; then what it holds is shown to followers too."""
    disk = Disk(fates=[Fate.BLIND_AFTER])
    heard: list[int] = []

    async def run() -> list[str]:
        writer = Writer(disk, load([]), make_contexts(Settings()))
        writer.listen(lambda entries, snapshot: heard.extend(entry.revision for entry in entries))
        said = []
        for name in "aab":
            try:
                said.append(str((await writer.submit(create(name), Requester())).revision))
            except ApiError as error:
                said.append(error.message.partition(":")[0])
        await writer.close()
        assert isinstance(writer.failure, StoreError | None)
        return said

    unknown, refused, done = asyncio.run(run())
    assert unknown == "Whether the request was carried out is not known"
    assert refused == "The request was not carried out" and done == "2" and heard == [1, 2]

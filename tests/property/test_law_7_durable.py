"""Law 7, durable before visible: no answer, no read and no listener shows what a crash could take back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.errors import ApiError
from netloom.intent.operation import Context, Outcome, Requester, Settings
from netloom.intent.snapshot import Change, Snapshot
from netloom.store.context import make_contexts
from netloom.store.errors import StoreUnavailable
from netloom.store.load import encode_doc
from netloom.store.log import Draft, LogEntry, LogRow
from netloom.store.writer import Writer

FINE, REFUSED, LOST_ANSWER = "fine", "refused", "lost answer"
"""What becomes of a commit: it is made; it is not; it is made, and the program hears that it was not."""


@dataclass
class Disk:
    """A journal that fails as it is told, and looks at what the world can see while it writes."""

    fates: list[str]
    rows: list[LogRow] = field(default_factory=list)
    writer: Writer | None = None
    early: list[str] = field(default_factory=list)
    shown: int = 0

    @property
    def durable(self) -> int:
        return self.rows[-1].revision if self.rows else 0

    def look(self, seen: int, what: str) -> None:
        if seen > self.durable:
            self.early.append(f"{what} shows revision {seen}, {self.durable} is durable")

    def append(self, drafts: Sequence[Draft]) -> None:
        assert self.writer is not None
        self.look(self.writer.snapshot.revision, "a read during the commit")
        fate = self.fates.pop(0) if self.fates else FINE
        if fate != REFUSED:
            assert [d.row.revision for d in drafts] == list(range(self.durable + 1, self.durable + 1 + len(drafts)))
            self.rows += [draft.row for draft in drafts]
        if fate != FINE:
            raise StoreUnavailable(f"the disk says: {fate}")

    def read_since(self, revision: int) -> tuple[int, list[LogRow]]:
        return self.durable, [row for row in self.rows if row.revision > revision]


def make_create(n: int):  # type: ignore[no-untyped-def]
    def create(snapshot: Snapshot, context: Context) -> Outcome:
        doc = {"id": f"p{n}", "name": f"{n}"}
        return Outcome((Change("port", f"p{n}", doc),), (doc,))

    return create


async def ask(writer: Writer, disk: Disk, n: int, kept: dict[str, int]) -> None:
    try:
        done = await writer.submit(make_create(n), Requester())
    except ApiError as error:
        assert error.status in (503, 500, 504), error
        return
    disk.look(done.revision, "an answer")
    kept[f"p{n}"] = done.revision


async def tell_story(disk: Disk, bursts: list[int]) -> tuple[Writer, dict[str, int]]:
    writer = disk.writer = Writer(disk, Snapshot({}, encode_doc), make_contexts(Settings()))
    seen: list[int] = []

    def listen(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        disk.look(snapshot.revision, "a listener")
        seen.extend(entry.revision for entry in entries)

    writer.listen(listen)
    kept: dict[str, int] = {}
    n = 0
    for burst in bursts:
        await asyncio.gather(*(ask(writer, disk, n + i, kept) for i in range(burst)))
        disk.look(writer.snapshot.revision, "a read")
        n += burst
    assert seen == sorted(set(seen)), "a listener heard a revision twice, or out of order"
    await writer.close()
    return writer, kept


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.sampled_from((FINE, FINE, REFUSED, LOST_ANSWER)), max_size=8),
    st.lists(st.integers(1, 4), min_size=1, max_size=8),
)
def test_law_7_nothing_shows_that_a_crash_could_take_back(fates: list[str], bursts: list[int]) -> None:
    """Whatever the disk does to commits: what was answered is there, at the revision that was said, and once."""
    disk = Disk(list(fates))
    writer, kept = asyncio.run(tell_story(disk, bursts))
    assert disk.early == []
    assert [row.revision for row in disk.rows] == list(range(1, len(disk.rows) + 1))
    for id, revision in kept.items():
        record = writer.snapshot.record("port", id)
        assert record is not None and record.revision == revision
        assert f'"{id}"' in disk.rows[revision - 1].changes

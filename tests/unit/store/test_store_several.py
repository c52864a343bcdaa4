"""Several servers on one store: following, taking the seat, leaving it, on every engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from netloom.intent.errors import ApiError
from netloom.intent.operation import Settings
from netloom.intent.snapshot import Snapshot
from netloom.store.check import check_store
from netloom.store.context import make_contexts
from netloom.store.engine import Store, open_shared
from netloom.store.errors import StoreLocked
from netloom.store.history import History, shorten
from netloom.store.journal import SqlJournal
from netloom.store.lease import load_key
from netloom.store.load import load_snapshot
from netloom.store.log import LogEntry, read_log
from netloom.store.seat import Member, make_seat
from netloom.store.writer import LEADER, NotWriting, Writer
from tests.unit.store.store_kit import ADMIN, SMALL, create, put, read_docs, remove, url_of


def make_writer(store: Store, writing: bool = False) -> Writer:
    return Writer(
        SqlJournal(store), load_snapshot(store, SMALL), make_contexts(Settings()), writing=writing,
        reload=lambda: load_snapshot(store, SMALL),
    )  # fmt: skip


@asynccontextmanager
async def several(folder: Path, count: int = 2, writing: bool = False) -> AsyncIterator[list[tuple[Store, Writer]]]:
    """So many servers' stores and writers; each is as it would be in a process of its own."""
    async with AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            store = open_shared(url_of(folder))
            stack.callback(store.close)
            writer = make_writer(store, writing)
            stack.push_async_callback(writer.close)
            found.append((store, writer))
        yield found


def test_a_follower_shows_what_the_writer_has_written(tmp_path: Path) -> None:
    """Created, changed, deleted: after a look at the log both show the same, and listeners hear each revision once."""
    heard: list[int] = []

    def hear(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        heard.extend(entry.revision for entry in entries)

    async def run() -> None:
        async with several(tmp_path) as ((_, first), (_, second)):
            first.writing = True
            second.listen(hear)
            for step in (create("a", id="x"), create("b", id="y"), put("x", description="ü"), remove("y")):
                await first.submit(step, ADMIN)
            with pytest.raises(NotWriting):
                await second.submit(create("c"), ADMIN)
            assert await second.follow() == 4 == second.snapshot.revision
            assert read_docs(first.snapshot) == read_docs(second.snapshot) and heard == [1, 2, 3, 4]
            assert await second.follow() == 4 and heard == [1, 2, 3, 4]

    asyncio.run(run())


def test_a_follower_that_was_away_for_longer_than_the_log_reaches_loads_anew(tmp_path: Path) -> None:
    """With the rows gone that come next, the difference is told as one: created, changed and deleted ports."""
    heard: list[set[tuple[str, bool]]] = []

    def hear(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        heard.append({(change.id, change.doc is None) for entry in entries for change in entry.changes})

    async def run() -> None:
        async with several(tmp_path) as ((store, first), (_, second)):
            first.writing = True
            for name in "abc":
                await first.submit(create(name, id=name), ADMIN)
            await second.follow()
            second.listen(hear)
            for step in (create("d", id="d"), put("a", description="new"), remove("b"), put("d", description="newer")):
                await first.submit(step, ADMIN)
            assert await first.between(lambda: shorten(store, History(1, least=1), datetime.now(UTC))) == 6
            assert await second.follow() == 7
            assert heard == [{("a", False), ("b", True), ("d", False)}]
            assert read_docs(second.snapshot).keys() == {"a", "c", "d"}

    asyncio.run(run())


def test_two_that_both_write_take_turns_and_lose_nothing(tmp_path: Path) -> None:
    """Two servers that both commit as fast as they can: who is outrun runs its requests again on what is there."""

    async def run() -> None:
        async with several(tmp_path, writing=True) as ((_, first), (_, second)):
            names = [f"n{i}" for i in range(40)]
            answers = await asyncio.gather(
                *((first, second)[i % 2].submit(create(name), ADMIN) for i, name in enumerate(names)),
                *((first, second)[i % 2].submit(create("same"), ADMIN) for i in range(4)),
                return_exceptions=True,
            )
            refused = [answer for answer in answers if isinstance(answer, ApiError)]
            revisions = [answer.revision for answer in answers if not isinstance(answer, BaseException)]
            assert [error.status for error in refused] == [409] * 3 and sorted(revisions) == list(range(1, 42))
            await first.follow()
            await second.follow()
            assert read_docs(first.snapshot) == read_docs(second.snapshot)

    asyncio.run(run())
    assert check_store(url_of(tmp_path), SMALL) == []


def test_who_becomes_the_writer_shuts_out_what_was_made_before(tmp_path: Path) -> None:
    """A server takes over with a revision of its own, so that a commit an earlier one had prepared is refused."""

    async def run() -> None:
        async with several(tmp_path) as ((_, first), (store, second)):
            assert await first.lead()
            batch = first.snapshot
            assert await second.lead() and second.snapshot.revision == batch.revision + 1
            outrun: list[int] = []

            def step_back() -> None:
                outrun.append(first.snapshot.revision)
                first.writing = False

            first.outrun = step_back
            with pytest.raises(NotWriting):
                await first.submit(create("late"), ADMIN)
            assert outrun == [2] and not read_docs(second.snapshot)
            assert [entry.actor for entry in read_log(store, 0)] == [LEADER, LEADER]
            assert (await second.submit(create("a"), ADMIN)).revision == 3

    asyncio.run(run())
    assert check_store(url_of(tmp_path), SMALL) == []


def find_sureness(member: Member) -> bool:
    return member.is_sure


def test_a_server_that_is_not_sure_of_its_seat_writes_nothing(tmp_path: Path) -> None:
    """One that was paused for longer than a lease hands its requests back instead of guessing."""

    async def run() -> None:
        async with several(tmp_path, 1) as ((store, writer),):
            clock = [0.0]
            member = Member(writer, make_seat(store, "unix:/a"), now=lambda: clock[0])
            await member._try()
            assert find_sureness(member) is True
            assert (await writer.submit(create("a"), ADMIN)).revision == 2
            clock[0] += 60
            assert find_sureness(member) is False
            with pytest.raises(NotWriting):
                await writer.submit(create("b"), ADMIN)
            await member._keep()
            assert (await writer.submit(create("b"), ADMIN)).revision == 3
            await member.step_down()

    asyncio.run(run())


def test_the_seat_goes_to_another_by_order_and_comes_back(tmp_path: Path) -> None:
    """Step down: the next look of the other one finds the seat free; requests that wait are handed back."""

    async def run() -> None:
        async with several(tmp_path) as parts:
            members = [Member(writer, make_seat(store, f"unix:/{n}")) for n, (store, writer) in enumerate(parts)]
            for old, new in (members, members[::-1]):
                await old._try()
                assert old.writes and not new.writes
                await new._try()
                assert not new.writes and new.found.address and "process" in new.found.who
                assert await old.step_down(away_s=0)
                with pytest.raises(NotWriting):
                    await old.writer.submit(create("x"), ADMIN)
                assert not await old.step_down()
            assert (await members[0].find_writer()).holder == ""

    asyncio.run(run())


@pytest.mark.engines("postgresql")
def test_a_writer_that_was_paused_inside_a_batch_keeps_nobody_out(tmp_path: Path) -> None:
    """Its transaction has taken the next revision and waits for the rest of the batch: who takes over ends it."""
    url = url_of(tmp_path)
    open_shared(url).close()
    row = b"INSERT INTO log VALUES (1, 'now', 'paused', '', '[]')"

    async def run() -> None:
        async with several(tmp_path, 1) as ((_, _),):
            store = open_shared(url, busy_s=4.0)
            writer = make_writer(store)
            member = Member(writer, make_seat(store, "unix:/b"))
            with psycopg.connect(url) as paused:
                paused.pgconn.enter_pipeline_mode()
                for statement in (b"BEGIN", row):
                    paused.pgconn.send_query_params(statement, None)
                paused.pgconn.send_flush_request()
                paused.pgconn.flush()
                with pytest.raises(StoreLocked):
                    await member._try()
                await member._try()
                assert member.writes and writer.snapshot.revision == 1
                paused.pgconn.finish()
            await member.step_down()
            await writer.close()
            store.close()

    asyncio.run(run())


def test_readers_share_looks_at_the_log(tmp_path: Path) -> None:
    """A hundred reads at once cost a few looks, and each shows what was stored before it came."""

    async def run() -> None:
        async with several(tmp_path) as ((_, first), (store, second)):
            first.writing = True
            member = Member(second, make_seat(store, "unix:/b"))
            looks: list[int] = []
            follow = second.follow

            async def counted() -> int:
                looks.append(1)
                return await follow()

            second.follow = counted  # type: ignore[method-assign]
            for n in range(5):
                await first.submit(create(f"n{n}"), ADMIN)
                assert min(await asyncio.gather(*(member.refresh() for _ in range(100)))) == n + 1
            assert len(looks) <= 10
            assert await member.reach(5) and not await member.reach(6, 0.05)

    asyncio.run(run())


def test_servers_of_a_store_share_a_secret(tmp_path: Path) -> None:
    """Made once, found by all."""
    store = open_shared(url_of(tmp_path))
    assert load_key(store.engine, lambda: "one") == load_key(store.engine, lambda: "two") == "one"
    store.close()
    assert check_store(url_of(tmp_path), SMALL) == []


def test_an_id_that_no_column_takes_fails_alone(tmp_path: Path) -> None:
    """An id of three hundred characters is a 400 for its requester; its neighbours in the batch are stored."""

    async def run() -> None:
        async with several(tmp_path, 1, writing=True) as ((_, writer),):
            answers = await asyncio.gather(
                writer.submit(create("a"), ADMIN), writer.submit(create("b", id="x" * 300), ADMIN),
                writer.submit(create("c", id="nul\0"), ADMIN), writer.submit(create("d"), ADMIN),
                return_exceptions=True,
            )  # fmt: skip
            assert [getattr(answer, "status", 0) for answer in answers] == [0, 400, 400, 0]
            assert writer.snapshot.revision == 2

    asyncio.run(run())

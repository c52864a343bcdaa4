"""The writer: order, batches, answers, refusals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from netloom.intent.errors import ApiError
from netloom.intent.operation import Committed, Context, Outcome
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change, Snapshot
from netloom.store.engine import open_reader, open_store
from netloom.store.log import LogEntry, read_log
from netloom.store.writer import Writer
from tests.unit.store.store_kit import ADMIN, create, put, read_docs, remove, url_of, writing


def test_a_created_port_is_there_after_a_restart(tmp_path: Path) -> None:
    """What was answered is what a new server shows, at the same revision."""

    async def first() -> tuple[int, Doc]:
        async with writing(tmp_path) as writer:
            done = await writer.submit(create("web", id="a"), ADMIN, "req-1")
            record = done.snapshot.record("port", "a")
            assert record and writer.snapshot is done.snapshot
            return done.revision, record.doc

    async def second() -> tuple[int, Doc]:
        async with writing(tmp_path) as writer:
            record = writer.snapshot.record("port", "a")
            assert record and record.revision == writer.snapshot.revision
            return writer.snapshot.revision, record.doc

    (before, made), (after, loaded) = asyncio.run(first()), asyncio.run(second())
    assert before == after
    # What the stored document lacked of the declaration has its default after loading.
    assert {name: loaded[name] for name in made} == made


def test_revisions_are_consecutive_and_in_the_order_of_requests(tmp_path: Path) -> None:
    """A hundred requests at once get a hundred revisions in a row, first come first."""

    async def run() -> list[int]:
        async with writing(tmp_path) as writer:
            return [c.revision for c in await asyncio.gather(*(writer(create(f"p{i}"), ADMIN) for i in range(100)))]

    assert asyncio.run(run()) == list(range(1, 101))


def test_requests_that_wait_share_one_transaction(tmp_path: Path) -> None:
    """While one batch is being stored the next requests gather into one."""

    async def run() -> list[int]:
        async with writing(tmp_path) as writer:
            sizes: list[int] = []
            writer.listen(lambda entries, snapshot: sizes.append(len(entries)))
            first = asyncio.ensure_future(writer(create("first"), ADMIN))
            await asyncio.sleep(0)  # the first batch is taken here
            await asyncio.gather(first, *(writer(create(f"p{i}"), ADMIN) for i in range(20)))
            return sizes

    assert asyncio.run(run()) == [1, 20]


def test_one_create_costs_four_statements(tmp_path: Path, engine: str) -> None:
    """A request alone is: begin, log, object, commit."""
    statements: list[str] = []

    def note(connection: object, cursor: object, sql: str, *rest: object) -> None:
        statements.append(sql)

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.submit(create("warm"), ADMIN)
            used = writer._journal.store.engine  # type: ignore[attr-defined]
            event.listen(used, "before_cursor_execute", note)
            await writer.submit(create("web"), ADMIN)
            event.remove(used, "before_cursor_execute", note)

    asyncio.run(run())
    begin = ["BEGIN"] if engine == "sqlite" else []  # drivers of servers begin by themselves; and the commit
    assert [sql.split()[0] for sql in statements] == [*begin, "INSERT", "INSERT"]


def test_a_refused_request_harms_no_other(tmp_path: Path) -> None:
    """A name that is taken is refused to its requester; the requests around it are stored."""

    async def run() -> list[Any]:
        async with writing(tmp_path) as writer:
            names = ["a", "b", "a", "c"]
            answers = await asyncio.gather(*(writer(create(n), ADMIN) for n in names), return_exceptions=True)
            assert sorted(d["name"] for d in read_docs(writer.snapshot).values()) == ["a", "b", "c"]
            return list(answers)

    answers = asyncio.run(run())
    assert isinstance(answers[2], ApiError) and answers[2].status == 409
    assert [a.revision for i, a in enumerate(answers) if i != 2] == [1, 2, 3]


def test_a_fault_in_an_operation_reaches_only_its_requester(tmp_path: Path) -> None:
    """A bug in one operation, or a document that is not JSON, stops neither the writer nor its neighbours."""

    def broken(snapshot: Snapshot, context: Context) -> Outcome:
        raise ZeroDivisionError

    def not_json(snapshot: Snapshot, context: Context) -> Outcome:
        return Outcome((Change("port", "x", {"id": "x", "name": object()}),))

    async def run() -> None:
        async with writing(tmp_path) as writer:
            answers: tuple[object, ...] = await asyncio.gather(
                writer(broken, ADMIN), writer(not_json, ADMIN), writer(create("a"), ADMIN), return_exceptions=True
            )
            one, two, three = answers
            assert isinstance(one, ZeroDivisionError) and isinstance(two, TypeError)
            assert isinstance(three, Committed) and three.revision == 1

    asyncio.run(run())


def test_nothing_to_change_commits_nothing(tmp_path: Path) -> None:
    """An operation without changes is answered and takes no revision."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.submit(create("a"), ADMIN)
            done = await writer.submit(lambda snapshot, context: Outcome((), ({"seen": 1},)), ADMIN)
            assert (done.revision, done.outcome.answer) == (1, ({"seen": 1},))
            assert writer.snapshot.revision == 1

    asyncio.run(run())


def test_bulk_is_one_revision(tmp_path: Path) -> None:
    """A bulk create is one log entry and appears at once."""

    def bulk(snapshot: Snapshot, context: Context) -> Outcome:
        docs = [{"id": context.new_id(), "name": f"n{i}"} for i in range(50)]
        return Outcome(tuple(Change("port", d["id"], d) for d in docs), tuple(docs))

    async def run() -> None:
        async with writing(tmp_path) as writer:
            done = await writer.submit(bulk, ADMIN)
            assert done.revision == writer.snapshot.revision == 1 and writer.snapshot.count("port") == 50

    asyncio.run(run())


def test_update_and_delete_in_one_batch_leave_the_last_word(tmp_path: Path) -> None:
    """Create, change and delete of the same port in one transaction: gone afterwards, and the log tells the story."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            steps = [create("a", id="x"), put("x", description="hi"), remove("x"), create("b", id="y")]
            await asyncio.gather(*(writer(step, ADMIN, f"req-{i}") for i, step in enumerate(steps)))

    asyncio.run(run())
    store = open_reader(url_of(tmp_path))
    entries = read_log(store, 0)
    store.close()
    assert [(e.request_id, e.actor, e.changes[0].id) for e in entries] == [
        ("req-0", "admin", "x"),
        ("req-1", "admin", "x"),
        ("req-2", "admin", "x"),
        ("req-3", "admin", "y"),
    ]
    assert entries[2].changes == (Change("port", "x", None),)

    async def again() -> None:
        async with writing(tmp_path) as writer:
            assert list(read_docs(writer.snapshot)) == ["y"]

    asyncio.run(again())


def test_listeners_hear_each_batch_after_it_is_visible(tmp_path: Path) -> None:
    """A follower sees entries in order with the snapshot that holds them; one that fails disturbs nobody."""
    heard: list[tuple[list[int], int]] = []

    async def run() -> None:
        async with writing(tmp_path) as writer:

            def listener(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
                assert writer.snapshot is snapshot
                heard.append(([e.revision for e in entries], snapshot.revision))
                raise RuntimeError

            stop = writer.listen(listener)
            await asyncio.gather(*(writer(create(f"p{i}"), ADMIN) for i in range(5)))
            stop()
            await writer(create("last"), ADMIN)

    asyncio.run(run())
    assert heard == [([1, 2, 3, 4, 5], 5)]


def test_a_requester_that_went_away_costs_nothing(tmp_path: Path) -> None:
    """A request that is cancelled before its turn is not carried out; one cancelled later is stored all the same."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            early = asyncio.ensure_future(writer(create("early"), ADMIN))
            await asyncio.sleep(0)
            early.cancel()
            late = asyncio.ensure_future(writer(create("late"), ADMIN))
            gone = asyncio.ensure_future(writer(create("gone"), ADMIN))
            await asyncio.sleep(0)
            gone.cancel()
            await late
            assert {d["name"] for d in read_docs(writer.snapshot).values()} <= {"early", "late"}
            assert "gone" not in {d["name"] for d in read_docs(writer.snapshot).values()}

    asyncio.run(run())


def test_a_stopping_server_serves_what_waits_and_refuses_what_comes(tmp_path: Path) -> None:
    """Closing waits for the last batch; later requests get a 503."""

    async def run() -> None:
        store = open_store(url_of(tmp_path))
        writer = make(store)
        waiting = [asyncio.ensure_future(writer(create(f"p{i}"), ADMIN)) for i in range(3)]
        await asyncio.sleep(0)
        await writer.close()
        assert [(await w).revision for w in waiting] == [1, 2, 3]
        with pytest.raises(ApiError, match="stopping") as caught:
            await writer.submit(create("x"), ADMIN)
        assert caught.value.status == 503
        store.close()

    from tests.unit.store.store_kit import make_writer as make

    asyncio.run(run())


def test_writer_is_a_submit(tmp_path: Path) -> None:
    """Shells know the writer only as something that takes operations."""
    from netloom.intent.operation import Submit

    async def run() -> None:
        async with writing(tmp_path) as writer:
            submit: Submit = writer
            assert (await submit(create("a"), ADMIN)).revision == 1

    asyncio.run(run())
    assert Writer.__call__ is Writer.submit

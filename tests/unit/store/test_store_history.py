"""The log is shortened: what stays, what waits, what the disk gets back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from netloom.main.commands import stores
from netloom.store.check import check_store
from netloom.store.engine import Store, open_reader, open_store
from netloom.store.errors import StoreFull, StoreLocked
from netloom.store.history import UNLIMITED, History, compact, drop_outdated, keep_short, make_bounds, shorten
from netloom.store.load import load_snapshot
from netloom.store.log import read_bounds
from netloom.store.writer import Writer
from tests.unit.store.store_kit import ADMIN, SMALL, create, make_writer, url_of, writing

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def now() -> datetime:
    return datetime.now(UTC)


def write_ports(folder: Path, count: int) -> None:
    async def run() -> None:
        async with writing(folder) as writer:
            await asyncio.gather(*(writer.submit(create(f"n{i}", note="x" * 500), ADMIN) for i in range(count)))

    asyncio.run(run())


def run_both(folder: Path, test: Callable[[Store, Writer], Awaitable[None]]) -> None:
    """A test of an open store and the writer on it."""

    async def run() -> None:
        store = open_store(url_of(folder))
        writer = make_writer(store)
        try:
            await test(store, writer)
        finally:
            await writer.close()
            store.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("history", "dropped"),
    [
        (History(4, least=1), 6),
        (History(0, least=1), 9),
        (History(100, least=1), 0),
        (History(4, least=7), 3),
        (History(UNLIMITED, UNLIMITED, least=1), 0),
        (History(UNLIMITED, 0, least=3), 7),
        (History(UNLIMITED, 1, least=1), 0),
    ],
)
def test_a_shortened_log_loses_no_object_and_no_revision(tmp_path: Path, history: History, dropped: int) -> None:
    """After old rows are dropped the ports are all there and the next revision is the next one."""
    write_ports(tmp_path, 10)
    later = now() + timedelta(minutes=1)

    async def run(store: Store, writer: Writer) -> None:
        assert await writer.between(lambda: shorten(store, history, later)) == dropped
        assert read_bounds(store) == (1 + dropped, 10)
        assert (await writer.submit(create("next"), ADMIN)).revision == 11

    run_both(tmp_path, run)
    assert check_store(url_of(tmp_path), SMALL) == []
    store = open_reader(url_of(tmp_path))
    assert load_snapshot(store, SMALL).count("port") == 11
    store.close()


def test_a_revision_is_dropped_for_its_number_or_its_age() -> None:
    """Either limit is enough; neither reaches the newest rows."""
    bounds = make_bounds(History(100, 2, least=10), 1000, NOW)
    old, new = "2026-11-19T11:59:59Z", "2026-11-19T12:00:01Z"
    assert bounds.outdated(900, new) and not bounds.outdated(901, new)
    assert bounds.outdated(990, old) and not bounds.outdated(991, old)


def test_a_running_server_shortens_its_log_in_small_pieces(tmp_path: Path) -> None:
    """Between two pieces commits go on; in the end the log has the length that was asked for."""
    write_ports(tmp_path, 200)
    history = History(50, least=1)

    async def run(store: Store, writer: Writer) -> None:
        sizes: list[int] = []

        async def between(work: Callable[[], int]) -> int:
            done = asyncio.ensure_future(writer.between(work))
            committed = writer.submit(create(f"during{len(sizes)}"), ADMIN)
            sizes.append((await asyncio.gather(done, committed))[0])
            return sizes[-1]

        gone = await drop_outdated(store, history, between, now, piece=20)
        assert gone == sum(sizes) and max(sizes) == 20 and len(sizes) > 7
        first, last = read_bounds(store)
        assert last == 200 + len(sizes) == writer.snapshot.revision and last - first < 50 + len(sizes)

    run_both(tmp_path, run)


def test_the_log_stops_growing_while_the_server_runs(tmp_path: Path) -> None:
    """However long a server runs, its log keeps the configured length; a full disk only puts that off."""
    write_ports(tmp_path, 300)
    failures = [StoreFull("no room")]

    async def run(store: Store, writer: Writer) -> None:
        async def between(work: Callable[[], int]) -> int:
            if failures:
                raise failures.pop()
            return await writer.between(work)

        task = asyncio.ensure_future(keep_short(store, History(100, least=10), between, period_s=0.001))
        async with asyncio.timeout(10):
            while read_bounds(store) != (201, 300):
                await asyncio.sleep(0.002)
            await writer.submit(create("more"), ADMIN)
            while read_bounds(store) != (202, 301):
                await asyncio.sleep(0.002)
        task.cancel()
        assert not failures

    run_both(tmp_path, run)


def test_a_log_without_limits_is_left_alone(tmp_path: Path) -> None:
    """history_revisions = -1 and history_days = -1 keep all."""

    async def never(work: Callable[[], int]) -> int:
        raise AssertionError

    write_ports(tmp_path, 3)
    store = open_store(url_of(tmp_path))
    asyncio.run(keep_short(store, History(UNLIMITED), never, period_s=0))
    store.close()


@pytest.mark.engines("sqlite")
def test_compact_gives_the_room_back(tmp_path: Path) -> None:
    """`netloom db compact` drops the history, makes the file smaller, and the store is sound and complete."""
    write_ports(tmp_path, 400)
    path = tmp_path / "netloom.db"
    before = path.stat().st_size
    lines = stores.shorten(url_of(tmp_path), History(10, least=1))
    assert lines[0] == f"390 revisions were dropped from the log of {path}"
    assert path.stat().st_size < 0.7 * before
    assert check_store(url_of(tmp_path), SMALL) == []
    store = open_store(url_of(tmp_path))
    assert read_bounds(store) == (391, 400) and load_snapshot(store, SMALL).count("port") == 400
    assert compact(store, History(10, least=1), now()) == 0
    store.close()


@pytest.mark.engines("sqlite")
def test_compact_is_refused_beside_a_running_server(tmp_path: Path) -> None:
    """The error names the process that writes; nothing is changed."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.submit(create("a"), ADMIN)
            with pytest.raises(StoreLocked, match=r"process \d+ on .*Nothing was changed"):
                stores.shorten(url_of(tmp_path), History(1, least=1))

    asyncio.run(run())

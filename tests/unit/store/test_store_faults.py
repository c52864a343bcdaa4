"""A full disk, a locked or damaged file, a newer schema: a clear error each, and nothing that was answered is lost."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from netloom.intent.errors import ApiError
from netloom.store.check import check_store
from netloom.store.engine import open_reader, open_store, upgrade_store
from netloom.store.errors import StoreCorrupt, StoreFull, StoreLocked, StoreOutdated, StoreTooNew, StoreUnavailable
from netloom.store.load import load_snapshot
from netloom.store.schema import SCHEMA_VERSION
from netloom.store.status import backup_store
from netloom.store.writer import Writer
from tests.unit.store.store_kit import ADMIN, ENGINES, SMALL, create, make_writer, read_docs, run_sql, url_of, writing

pytestmark = pytest.mark.engines("sqlite")

BIG = "x" * 20_000


async def fill(writer: Writer, most: int = 2000) -> tuple[set[str], ApiError | None]:
    """Create ports until one is refused: the ids that were answered, and the refusal."""
    answered: set[str] = set()
    for _ in range(most):
        try:
            done = await writer.submit(create(description=BIG), ADMIN)
        except ApiError as error:
            return answered, error
        answered.add(str(done.outcome.answer[0]["id"]))
    return answered, None


def read_failure(writer: Writer) -> str:
    """Why the last batch was not stored, in words; empty: it was."""
    return str(writer.failure or "")


def make_store(folder: Path, ports: int = 3) -> set[str]:
    """A store with some ports, closed: the ids."""

    async def run() -> set[str]:
        async with writing(folder) as writer:
            return (await fill(writer, ports))[0]

    return asyncio.run(run())


# -- full --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 2 MB of its own, half of it taken by a file called ballast."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can only be mounted by root")
    (folder / "ballast").write_bytes(bytes(1_000_000))
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_writes_and_recovers_by_itself(small_disk: Path) -> None:
    """On a full disk a write gets a 503; with space freed writing goes on; all that was answered stays."""

    async def run() -> set[str]:
        async with writing(small_disk) as writer:
            answered, error = await fill(writer)
            assert error and error.status == 503 and "full" in error.message
            assert isinstance(writer.failure, StoreFull) and "Free space" in str(writer.failure)
            assert set(read_docs(writer.snapshot)) == answered
            (small_disk / "ballast").unlink()
            more, _ = await fill(writer, 5)
            assert len(more) == 5 and not read_failure(writer)
            assert writer.snapshot.revision == len(answered) + 5
            return answered | more

    answered = asyncio.run(run())
    assert check_store(url_of(small_disk), SMALL) == []
    store = open_reader(url_of(small_disk))
    assert set(read_docs(load_snapshot(store, SMALL))) == answered
    store.close()


def test_a_full_disk_at_start_is_named_and_leaves_no_half_store(small_disk: Path) -> None:
    """A server that finds no room for its store says so, and makes none; later it starts as if nothing had been."""
    with pytest.raises(OSError):
        (small_disk / "more").write_bytes(bytes(3_000_000))
    with pytest.raises(StoreFull, match="no room"):
        open_store(url_of(small_disk))
    assert not (small_disk / "netloom.db").exists()
    (small_disk / "ballast").unlink()
    open_store(url_of(small_disk)).close()


def test_a_backup_without_room_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    """A copy to a full disk says that it is full, and no half copy is left to be trusted."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await fill(writer, 100)

    asyncio.run(run())
    with pytest.raises(StoreFull, match=r"copy\.db"):
        backup_store(url_of(tmp_path), small_disk / "copy.db")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


def test_a_store_at_its_limit_refuses_writes_and_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    """The same without a disk of its own: SQLite is told how many pages it may use."""
    make_store(tmp_path, 1)
    limit = [60]

    def set_limit(dbapi: sqlite3.Connection, record: object) -> None:
        dbapi.execute(f"PRAGMA max_page_count={limit[0]}")

    async def run() -> set[str]:
        store = open_store(url_of(tmp_path))
        store.engine.dispose()
        event.listen(store.engine, "connect", set_limit)
        writer = make_writer(store)
        answered, error = await fill(writer)
        assert error and error.status == 503 and isinstance(writer.failure, StoreFull)
        limit[0] = 10_000
        store.engine.dispose()
        more, error = await fill(writer, 20)
        assert error is None and writer.snapshot.count("port") == 1 + len(answered) + 20
        await writer.close()
        store.close()
        return answered | more

    answered = asyncio.run(run())
    assert check_store(url_of(tmp_path), SMALL) == []
    store = open_reader(url_of(tmp_path))
    assert answered < set(read_docs(load_snapshot(store, SMALL)))
    store.close()


# -- locked ------------------------------------------------------------------------------------------------------------


def open_elsewhere(folder: Path) -> str:
    """What a second process says that opens the store."""
    program = f"from netloom.store.engine import open_store; open_store({url_of(folder)!r})"
    second = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert second.returncode
    return second.stderr


def test_a_second_server_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    """Two servers on one file: the second stops with the process number of the first, which goes on writing."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            said = open_elsewhere(tmp_path)
            assert f"already writes to {tmp_path / 'netloom.db'}" in said and f"process {os.getpid()} on" in said
            with pytest.raises(StoreLocked):
                open_store(url_of(tmp_path))
            assert (await writer.submit(create("a"), ADMIN)).revision == 1

    asyncio.run(run())
    open_store(url_of(tmp_path)).close()


def test_a_file_held_by_another_program_is_a_503_until_it_is_let_go(tmp_path: Path) -> None:
    """Somebody's sqlite3 shell in a transaction delays writes, then refuses them; afterwards they go on."""

    async def run() -> None:
        async with writing(tmp_path, busy_s=0.05) as writer:
            await writer.submit(create("a"), ADMIN)
            shell = sqlite3.connect(tmp_path / "netloom.db", isolation_level=None)
            shell.execute("BEGIN IMMEDIATE")
            with pytest.raises(ApiError, match="locked by another process"):
                await writer.submit(create("b"), ADMIN)
            assert isinstance(writer.failure, StoreLocked)
            shell.execute("ROLLBACK")
            shell.close()
            assert (await writer.submit(create("b"), ADMIN)).revision == 2

    asyncio.run(run())


def test_a_file_that_is_locked_whole_cannot_be_opened(tmp_path: Path) -> None:
    """A program that holds the file for itself alone is the reason that the start gives."""
    make_store(tmp_path)
    shell = sqlite3.connect(tmp_path / "netloom.db", isolation_level=None)
    shell.execute("PRAGMA locking_mode=EXCLUSIVE")
    shell.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreLocked, match="Stop that one"):
        open_store(url_of(tmp_path), busy_s=0.05)
    shell.close()
    open_store(url_of(tmp_path)).close()


# -- damaged -----------------------------------------------------------------------------------------------------------


def overwrite(path: Path, start: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\xa5" * length)


def open_and_load(folder: Path) -> None:
    store = open_store(url_of(folder))
    try:
        load_snapshot(store, SMALL)
    finally:
        store.close()


@pytest.mark.parametrize(("start", "length"), [(0, 200), (100, 4000), (4096, 60_000)], ids=["header", "first", "pages"])
def test_overwritten_bytes_are_damage(tmp_path: Path, start: int, length: int) -> None:
    """A file with bytes overwritten is refused by name, left as it is, and the check says the same."""
    make_store(tmp_path, 10)
    path = tmp_path / "netloom.db"
    overwrite(path, start, length)
    before = path.read_bytes()
    with pytest.raises(StoreCorrupt, match=r"damaged .* Restore a backup"):
        open_and_load(tmp_path)
    assert path.read_bytes() == before
    assert check_store(url_of(tmp_path), SMALL)


@pytest.mark.parametrize("left", [0, 50, 4096, 30_000])
def test_a_truncated_file_is_damage_and_never_a_new_store(tmp_path: Path, left: int) -> None:
    """A file cut short, even to nothing, is refused; it is not begun anew."""
    make_store(tmp_path, 10)
    path = tmp_path / "netloom.db"
    os.truncate(path, left)
    with pytest.raises(StoreCorrupt, match=r"netloom\.db is damaged"):
        open_and_load(tmp_path)
    assert path.stat().st_size == left
    assert check_store(url_of(tmp_path), SMALL)


def test_a_log_without_its_file_is_damage(tmp_path: Path) -> None:
    """With the file gone and the write-ahead log there, no new store is put on top of it."""
    (tmp_path / "netloom.db-wal").write_bytes(b"changes")
    with pytest.raises(StoreCorrupt, match="-wal is there"):
        open_store(url_of(tmp_path))


@pytest.mark.engines(*ENGINES)
def test_a_document_that_is_not_json_is_named(tmp_path: Path) -> None:
    """The object that cannot be read is named by kind and id."""
    (id, *_) = make_store(tmp_path)
    run_sql(tmp_path, f"UPDATE object SET doc = '{{\"id\"' WHERE id = '{id}'")
    with pytest.raises(StoreCorrupt, match=f"port {id} cannot be read"):
        open_and_load(tmp_path)
    assert any(id in fault for fault in check_store(url_of(tmp_path), SMALL))


@pytest.mark.engines(*ENGINES)
def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A file that is a database of something else is refused and stays as it was, byte for byte."""
    run_sql(tmp_path, "CREATE TABLE theirs (x INTEGER)")
    file = tmp_path / "netloom.db"
    before = file.read_bytes() if file.exists() else b""
    for attempt in (open_store, upgrade_store, open_reader):
        with pytest.raises(StoreCorrupt, match="not a Netloom store"):
            attempt(url_of(tmp_path))
    assert (file.read_bytes() if file.exists() else b"") == before
    assert run_sql(tmp_path, "SELECT * FROM theirs") == []


def test_a_file_that_is_moved_away_under_a_server_takes_no_more_writes(tmp_path: Path) -> None:
    """Writes to a file without a name would be lost at the next start: they are refused instead."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.submit(create("a"), ADMIN)
            (tmp_path / "netloom.db").rename(tmp_path / "away.db")
            with pytest.raises(ApiError) as caught:
                await writer.submit(create("b"), ADMIN)
            assert caught.value.status == 503 and "moved" in str(writer.failure)
            (tmp_path / "away.db").rename(tmp_path / "netloom.db")
            assert (await writer.submit(create("b"), ADMIN)).revision == 2

    asyncio.run(run())


# -- versions and places -----------------------------------------------------------------------------------------------


@pytest.mark.engines(*ENGINES)
def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    """A store of a newer Netloom is left alone; the text names its version and ours, and upgrade does not help."""
    ids = make_store(tmp_path)
    run_sql(tmp_path, "UPDATE alembic_version SET version_num = '0099'")
    for attempt in (open_store, upgrade_store, open_reader):
        with pytest.raises(StoreTooNew, match=f"schema 0099 and this program knows up to {SCHEMA_VERSION}"):
            attempt(url_of(tmp_path))
    run_sql(tmp_path, f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION}'")
    store = open_store(url_of(tmp_path))
    assert set(read_docs(load_snapshot(store, SMALL))) == ids
    store.close()


@pytest.mark.engines(*ENGINES)
def test_newer_documents_are_refused(tmp_path: Path) -> None:
    """So is one whose documents have a newer form."""
    make_store(tmp_path)
    run_sql(tmp_path, "UPDATE meta SET value = '2' WHERE value = '1'")
    with pytest.raises(StoreTooNew, match="document version 2 and this program knows up to 1"):
        open_store(url_of(tmp_path))


@pytest.mark.engines(*ENGINES)
def test_an_older_schema_asks_for_the_upgrade(tmp_path: Path) -> None:
    """A server does not change a schema by itself: it names the command that does."""
    make_store(tmp_path)
    run_sql(tmp_path, "UPDATE alembic_version SET version_num = '0000'")
    with pytest.raises(StoreOutdated, match="netloom db upgrade"):
        open_store(url_of(tmp_path))


@pytest.mark.parametrize("url", ["", "nonsense", "sqlite://", "sqlite:///:memory:", "oracle://db/netloom"])
def test_a_place_that_cannot_be_a_store_is_refused(url: str) -> None:
    """A wrong URL is answered with what a right one looks like."""
    with pytest.raises(StoreUnavailable, match="sqlite:////folder/file"):
        open_store(url)


def test_a_missing_folder_or_file_is_said(tmp_path: Path) -> None:
    """A folder that is not there, or a reader where nothing was made yet."""
    with pytest.raises(StoreUnavailable, match="folder exist"):
        open_store(url_of(tmp_path / "nowhere"))
    with pytest.raises(StoreUnavailable, match="does not exist"):
        open_reader(url_of(tmp_path))

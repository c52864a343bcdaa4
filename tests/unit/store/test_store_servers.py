"""PostgreSQL and MariaDB: what can be wrong with them is said as clearly as with a file, and nothing is lost."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.intent.errors import ApiError
from netloom.store.check import check_store
from netloom.store.engine import find_database, open_reader, open_shared, open_store
from netloom.store.errors import StoreError, StoreLocked, StoreUnavailable
from netloom.store.lease import Lease, Watcher, read_lease, take_alone
from netloom.store.load import load_snapshot
from netloom.store.move import move_store
from netloom.store.status import backup_store, read_status
from tests.databases import DatabaseServer, database_server, start_own
from tests.faults.server import free_port
from tests.unit.store.store_kit import ADMIN, PLACES, SMALL, create, make_writer, read_docs, run_sql, url_of, writing

pytestmark = pytest.mark.engines("postgresql", "mariadb")


@pytest.fixture
def own(engine: str) -> Iterator[DatabaseServer]:
    """A server of the test's own, which it may stop and kill."""
    server = start_own(engine)
    yield server
    server.stop()


def fill(folder: Path, count: int = 20) -> set[str]:
    async def run() -> set[str]:
        async with writing(folder) as writer:
            done = await asyncio.gather(*(writer.submit(create(f"n{i}", note="ü" * 9), ADMIN) for i in range(count)))
            return {str(one.outcome.answer[0]["id"]) for one in done}

    return asyncio.run(run())


# -- what is wrong, in words -------------------------------------------------------------------------------------------


def test_a_database_that_does_not_answer_is_named_without_its_password(engine: str) -> None:
    """Nobody listens there: the message has the address and no secret."""
    scheme = {"postgresql": "postgresql", "mariadb": "mysql"}[engine]
    with pytest.raises(StoreUnavailable, match="cannot be reached") as caught:
        open_store(f"{scheme}://netloom:geheim@127.0.0.1:{free_port()}/netloom")
    assert "geheim" not in str(caught.value) and "127.0.0.1" in str(caught.value)


def test_a_database_that_is_not_there_is_told_how_to_make(engine: str, tmp_path: Path) -> None:
    """The message says what to type."""
    with pytest.raises(StoreUnavailable, match=r"no such database\. Make it"):
        open_store(f"{url_of(tmp_path)}_no")


def test_a_wrong_password_is_called_so(engine: str, tmp_path: Path) -> None:
    """A user with a password, and another one given."""
    url, server = url_of(tmp_path), database_server(engine)
    if engine == "postgresql":
        hba = server.folder / "data" / "pg_hba.conf"
        hba.write_text(f"host all locked 127.0.0.1/32 scram-sha-256\n{hba.read_text()}")
        server.run("DROP ROLE IF EXISTS locked")
        server.run("CREATE ROLE locked LOGIN PASSWORD 'right'")
        server.run("SELECT pg_reload_conf()")
        wrong = url.replace("netloom@", "locked:wrong@")
    else:
        server.run("CREATE OR REPLACE USER locked@'127.0.0.1' IDENTIFIED BY 'right'")
        wrong = url.replace("root@", "locked:wrong@")
    with pytest.raises(StoreUnavailable, match="password is wrong") as caught:
        open_store(wrong)
    assert ":wrong@" not in str(caught.value)


def test_a_read_only_database_is_called_so(engine: str, tmp_path: Path) -> None:
    """A standby, or a database set to read only: the start says so, and a write is a 503."""
    fill(tmp_path, 2)
    server = database_server(engine)
    if engine == "postgresql":
        name = url_of(tmp_path).rpartition("/")[2]
        server.run(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    else:
        server.run("CREATE OR REPLACE USER reader@'127.0.0.1'")
        server.run("GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO reader@'127.0.0.1'")
        PLACES[tmp_path] = url_of(tmp_path).replace("root@", "reader@")
        server.run("SET GLOBAL read_only = 1")
    try:

        async def run() -> str:
            store = open_shared(url_of(tmp_path))
            writer = make_writer(store)
            with pytest.raises(ApiError) as caught:
                await writer.submit(create("x"), ADMIN)
            assert caught.value.status == 503
            await writer.close()
            store.close()
            return str(writer.failure)

        assert "it is read-only" in asyncio.run(run())
    finally:
        if engine == "mariadb":
            server.run("SET GLOBAL read_only = 0")


def test_settings_that_lose_commits_are_refused(engine: str, tmp_path: Path) -> None:
    """A database that answers before its disk has it is no store."""
    server = database_server(engine)
    if engine == "postgresql":
        server.run("ALTER SYSTEM SET full_page_writes = off")
        server.run("SELECT pg_reload_conf()")
    else:
        server.run("SET GLOBAL innodb_flush_log_at_trx_commit = 2")
    try:
        with pytest.raises(StoreUnavailable, match="a crash can take back"):
            for _ in range(100):  # the new setting reaches new sessions in a moment
                open_shared(url_of(tmp_path)).close()
    finally:
        if engine == "postgresql":
            server.run("ALTER SYSTEM RESET full_page_writes")
            server.run("SELECT pg_reload_conf()")
        else:
            server.run("SET GLOBAL innodb_flush_log_at_trx_commit = 1")


def test_every_commit_waits_for_the_disk(engine: str, tmp_path: Path) -> None:
    """Whatever the default of the database, our sessions commit in full."""
    if engine == "postgresql":
        name = url_of(tmp_path).rpartition("/")[2]
        database_server(engine).run(f"ALTER DATABASE {name} SET synchronous_commit = off")
        store = open_shared(url_of(tmp_path))
        with store.read() as connection:
            assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    else:
        store = open_shared(url_of(tmp_path))
        with store.read() as connection:
            assert "STRICT_ALL_TABLES" in connection.exec_driver_sql("SELECT @@sql_mode").scalar_one()
    store.close()


def test_a_lock_that_somebody_holds_is_a_503_until_it_is_let_go(engine: str, tmp_path: Path) -> None:
    """An administrator's open transaction on the log delays writes, then refuses them; afterwards they go on."""
    fill(tmp_path, 1)

    async def run() -> None:
        store = open_shared(url_of(tmp_path), busy_s=1.0)
        other = open_shared(url_of(tmp_path))
        writer = make_writer(store)
        with other.engine.connect() as shell:
            if engine == "postgresql":
                shell.exec_driver_sql("LOCK TABLE log IN EXCLUSIVE MODE")
            else:
                shell.exec_driver_sql("LOCK TABLES log WRITE")
            with pytest.raises(ApiError, match="locked by another process"):
                await writer.submit(create("b"), ADMIN)
            assert isinstance(writer.failure, StoreLocked)
            shell.exec_driver_sql("UNLOCK TABLES" if engine == "mariadb" else "ROLLBACK")
        assert (await writer.submit(create("b"), ADMIN)).revision == 2
        await writer.close()
        store.close()
        other.close()

    # MariaDB keeps even readers of a locked table out, so that the look at the log has to wait as well.
    if engine == "mariadb":
        pytest.skip("MariaDB's LOCK TABLES keeps readers out too: the outcome is unknown there, not refused")
    asyncio.run(run())


# -- restarts and crashes ----------------------------------------------------------------------------------------------


def test_a_killed_database_loses_no_answer(own: DatabaseServer, tmp_path: Path) -> None:
    """kill -9 of the database under load: requests of that moment get a 503; with the database back writing goes on by
    itself, and every answer is there."""
    PLACES[tmp_path] = own.make_database()

    async def run() -> set[str]:
        store = open_shared(url_of(tmp_path))
        writer = make_writer(store)
        answered: set[str] = set()
        failed: list[int] = []

        async def ask() -> None:
            while True:
                try:
                    done = await writer.submit(create(), ADMIN)
                except ApiError as error:
                    failed.append(error.status)
                    await asyncio.sleep(0.05)
                else:
                    answered.add(str(done.outcome.answer[0]["id"]))

        asking = [asyncio.ensure_future(ask()) for _ in range(4)]

        async def wait_for_more(count: int) -> None:
            async with asyncio.timeout(60):
                while len(answered) < count:
                    await asyncio.sleep(0.01)

        await wait_for_more(50)
        await asyncio.to_thread(own.kill)
        before = len(answered)
        own.start()  # here and not in a thread, whose end would be its end
        await wait_for_more(before + 50)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await writer.close()
        assert set(failed) <= {503} and answered <= set(read_docs(writer.snapshot))
        store.close()
        return answered

    answered = asyncio.run(run())
    assert check_store(url_of(tmp_path), SMALL) == []
    store = open_reader(url_of(tmp_path))
    assert answered <= set(read_docs(load_snapshot(store, SMALL)))
    store.close()


def test_a_paused_database_is_waited_for(own: DatabaseServer, tmp_path: Path) -> None:
    """A database that stands still for a moment delays the answer and fails nothing."""
    PLACES[tmp_path] = own.make_database()

    async def run() -> int:
        async with writing(tmp_path) as writer:
            await writer.submit(create("a"), ADMIN)
            own.signal(signal.SIGSTOP)
            asking = asyncio.ensure_future(writer.submit(create("b"), ADMIN))
            await asyncio.wait([asking], timeout=0.3)
            own.signal(signal.SIGCONT)
            return (await asking).revision

    assert asyncio.run(run()) == 2


# -- who writes --------------------------------------------------------------------------------------------------------


def test_a_command_is_refused_beside_a_server_that_is_alive(engine: str, tmp_path: Path) -> None:
    """The error names the process; one that is dead keeps nobody out for longer than a lease."""
    store = open_store(url_of(tmp_path))
    assert store.right is not None

    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    def beat(seconds: float) -> None:
        sleep(seconds)
        assert store.right.renew()  # type: ignore[union-attr]

    with pytest.raises(StoreLocked, match=r"process \d+ on .*Nothing was changed"):
        take_alone(store.engine, "db", "me", "process 1 on c2", beat, lambda: clock[0])
    assert re.match(r"process \d+ on ", read_status(url_of(tmp_path)).writer or "")
    held = take_alone(store.engine, "db", "me", "process 1 on c2", sleep, lambda: clock[0])
    assert read_status(url_of(tmp_path)).writer == "process 1 on c2"
    store.close()  # the first gives up what it no longer has
    assert held.renew()
    held.release()
    assert read_status(url_of(tmp_path)).writer is None
    held.engine.dispose()


def test_a_silent_holder_loses_the_lease_by_the_watchers_clock(engine: str, tmp_path: Path) -> None:
    """Two seconds without a beat, on one clock; a beat begins them anew."""
    store = open_store(url_of(tmp_path))
    clock = [100.0]
    watcher = Watcher(lambda: clock[0])
    found = read_lease(store.engine)
    assert not watcher.is_free(found)
    clock[0] += 1.9
    assert not watcher.is_free(read_lease(store.engine))
    assert store.right is not None and store.right.renew()  # type: ignore[attr-defined]
    clock[0] += 1.9
    assert not watcher.is_free(read_lease(store.engine))
    clock[0] += 2.1
    assert watcher.is_free(read_lease(store.engine))
    store.close()
    assert watcher.is_free(store_lease(tmp_path))


def store_lease(folder: Path) -> Lease:
    store = open_reader(url_of(folder))
    try:
        return read_lease(store.engine)
    finally:
        store.close()


# -- into another engine -----------------------------------------------------------------------------------------------


def test_a_store_moves_there_and_back(engine: str, tmp_path: Path) -> None:
    """SQLite to the database and back: objects, log and identity are the same, and the log is one that goes on."""
    there, first, last = url_of(tmp_path), tmp_path / "first.db", tmp_path / "last.db"
    PLACES[tmp_path] = f"sqlite:///{first}"
    fill(tmp_path, 1500)
    told: list[tuple[int, int]] = []
    moved = move_store(f"sqlite:///{first}", there, lambda done, total: told.append((done, total)))
    assert (moved.objects, moved.revisions, moved.last_revision) == (1500, 1500, 1500)
    assert told[-1] == (3000, 3000) and len(told) > 2
    assert check_store(there, SMALL) == []
    move_store(there, f"sqlite:///{last}", lambda done, total: None)
    before, after = read_status(f"sqlite:///{first}"), read_status(f"sqlite:///{last}")
    assert (before.store_id, before.created, before.counts) == (after.store_id, after.created, after.counts)
    query = "SELECT * FROM object ORDER BY id"
    PLACES[tmp_path] = f"sqlite:///{first}"
    rows = run_sql(tmp_path, query)
    PLACES[tmp_path] = f"sqlite:///{last}"
    assert run_sql(tmp_path, query) == rows
    PLACES[tmp_path] = there

    async def go_on() -> int:
        async with writing(tmp_path) as writer:
            return (await writer.submit(create("next"), ADMIN)).revision

    assert asyncio.run(go_on()) == 1501


def test_a_store_moves_nowhere_where_something_is(engine: str, tmp_path: Path) -> None:
    """A target that has objects is refused and stays as it is; a failure half-way leaves it empty."""
    fill(tmp_path, 3)
    there = url_of(tmp_path)
    file = tmp_path / "other.db"
    PLACES[tmp_path] = f"sqlite:///{file}"
    fill(tmp_path, 5)
    with pytest.raises(StoreUnavailable, match="has objects or a log already"):
        move_store(f"sqlite:///{file}", there, lambda done, total: None)
    assert read_status(there).counts == {"port": 3}
    empty = database_server(engine).make_database()

    def fail(done: int, total: int) -> None:
        raise StoreError("the network went away")

    with pytest.raises(StoreError, match="went away"):
        move_store(f"sqlite:///{file}", empty, fail)
    status = read_status(empty)
    assert (status.counts, status.last_revision, status.writer) == ({}, 0, None)
    move_store(f"sqlite:///{file}", empty, lambda done, total: None)
    assert read_status(empty).counts == {"port": 5}


def test_a_backup_of_a_database_is_the_databases_own(engine: str, tmp_path: Path) -> None:
    """The message names the means, and how to get a copy in one file."""
    fill(tmp_path, 1)
    with pytest.raises(StoreUnavailable, match=r"own means .* netloom db move --to sqlite:///"):
        backup_store(url_of(tmp_path), tmp_path / "copy.db")
    assert find_database(url_of(tmp_path)).exists() and not (tmp_path / "copy.db").exists()

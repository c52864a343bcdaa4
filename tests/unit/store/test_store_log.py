"""The log, loading, the check, the copy and the schema."""

from __future__ import annotations

import asyncio
import gc
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from netloom.intent.operation import Outcome, Requester, Settings
from netloom.intent.schema import Field, Index
from netloom.intent.snapshot import Change
from netloom.main.commands import stores
from netloom.store.check import check_store
from netloom.store.context import make_contexts, make_id
from netloom.store.engine import find_database, open_reader, open_store, upgrade_store
from netloom.store.errors import StoreCorrupt, StoreUnavailable
from netloom.store.load import load_snapshot
from netloom.store.log import read_log
from netloom.store.migrate import MIGRATIONS, upgrade
from netloom.store.schema import METADATA, SCHEMA_VERSION
from netloom.store.sqlite import make_engine
from netloom.store.status import backup_store, read_status
from tests.unit.store.store_kit import ADMIN, ANY, PORT, SMALL, create, put, remove, run_sql, url_of, writing


def write_ports(folder: Path, count: int) -> None:
    async def run() -> None:
        async with writing(folder) as writer:
            for i in range(count):
                await writer.submit(create(f"n{i}", id=f"p{i}", number=i), ADMIN, f"req-{i}")

    asyncio.run(run())


# -- log ---------------------------------------------------------------------------------------------------------------


def test_the_log_can_be_followed_from_any_revision(tmp_path: Path) -> None:
    """A follower asks for what comes after the revision it has, so many at a time."""
    write_ports(tmp_path, 10)
    store = open_reader(url_of(tmp_path))
    assert [entry.revision for entry in read_log(store, 3, 4)] == [4, 5, 6, 7]
    (last,) = read_log(store, 9)
    assert (last.request_id, last.actor) == ("req-9", "admin") and read_log(store, 10) == []
    assert isinstance(last.changes[0], Change) and last.changes[0].doc == read_log(store, 0)[9].changes[0].doc
    store.close()


# -- loading -----------------------------------------------------------------------------------------------------------


def test_indexes_are_there_after_loading(tmp_path: Path) -> None:
    """A port is found by name, by network and by number in a server that has just started."""
    write_ports(tmp_path, 20)
    store = open_reader(url_of(tmp_path))
    snapshot = load_snapshot(store, SMALL)
    store.close()
    found = snapshot.lookup("port", "name", "n7")
    assert found and found["id"] == "p7" and snapshot.revision == 20
    assert snapshot.count_in("port", "network_id", "n1") == 20
    assert snapshot.first_free("port", "number", "number", 0, 99) == 20


def test_a_document_of_an_older_program_gets_the_new_attribute(tmp_path: Path) -> None:
    """An attribute that came with an upgrade has its default on every old port, in the answer as well."""
    write_ports(tmp_path, 1)
    newer = {"port": replace(PORT, fields=(*PORT.fields, Field("hints", ANY, "", {"a": 1})))}
    store = open_reader(url_of(tmp_path))
    record = load_snapshot(store, newer).record("port", "p0")
    store.close()
    assert record and record.doc["hints"] == {"a": 1} and json.loads(record.json) == record.doc
    assert record.doc["name"] == "n0" and record.revision == 1


def test_a_kind_that_is_not_known_stays_stored(tmp_path: Path) -> None:
    """What a plug-in stored is still there when the server runs without it."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            widget = Outcome((Change("widget", "w", {"id": "w"}),))
            await writer.submit(lambda snapshot, context: widget, ADMIN)

    asyncio.run(run())
    write_ports(tmp_path, 1)
    store = open_reader(url_of(tmp_path))
    assert load_snapshot(store, SMALL).get("widget", "w") == {"id": "w"}
    store.close()


def test_a_document_without_what_an_index_needs_is_named(tmp_path: Path) -> None:
    """A port that the program cannot place is named at the start, and by the check beside its other faults."""
    write_ports(tmp_path, 2)
    needs_mac = replace(PORT, indexes=(Index("mac", lambda doc: [doc["mac_address"]]),))
    run_sql(tmp_path, "DELETE FROM log WHERE revision = 1")
    run_sql(tmp_path, "UPDATE object SET doc = replace(doc, '{', '{\"mac_address\":\"m\",') WHERE id = 'p0'")
    store = open_reader(url_of(tmp_path))
    with pytest.raises(StoreCorrupt, match=r"port p1 .*mac_address"):
        load_snapshot(store, {"port": needs_mac})
    store.close()
    assert any("port p1" in fault for fault in check_store(url_of(tmp_path), {"port": needs_mac}))


def test_loading_leaves_the_collector_on(tmp_path: Path) -> None:
    """The garbage collector is off only while the store is being loaded."""
    write_ports(tmp_path, 1)
    store, before = open_reader(url_of(tmp_path)), gc.get_freeze_count()
    load_snapshot(store, SMALL)
    store.close()
    assert gc.isenabled() and gc.get_freeze_count() > before


# -- check -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("UPDATE object SET doc = '{\"id\":\"p3\"}' WHERE id = 'p3'", "port p3 is not what revision 4 made it"),
        ("UPDATE object SET revision = 9 WHERE id = 'p3'", "port p3 is not what revision 4 made it"),
        ("DELETE FROM object WHERE id = 'p3'", "port p3 is missing; revision 4 made it and none deleted it"),
        ("DELETE FROM log WHERE revision = 4", "the log goes from revision 3 to 5"),
        ("INSERT INTO object VALUES ('port', 'q', '', 5, '{\"id\":\"q\"}')", "port q is of revision 5"),
        ("INSERT INTO object SELECT kind, 'q', '', 9, doc FROM object WHERE id = 'p1'", "contradict one another"),
        ("UPDATE log SET changes = '[[' WHERE revision = 2", "A row of the log cannot be read"),
    ],
)
def test_the_check_names_what_does_not_agree(tmp_path: Path, damage: str, said: str) -> None:
    """Whatever is changed behind the server's back, the check says which object or revision it is."""
    write_ports(tmp_path, 10)
    assert check_store(url_of(tmp_path), SMALL) == []
    run_sql(tmp_path, damage)
    assert any(said in fault for fault in check_store(url_of(tmp_path), SMALL))


def test_a_deleted_port_that_comes_back_is_found(tmp_path: Path) -> None:
    """A port that the log says is deleted may not be among the objects."""

    async def run() -> None:
        async with writing(tmp_path) as writer:
            for step in (create("a", id="x"), put("x", description="new"), remove("x")):
                await writer.submit(step, ADMIN)

    asyncio.run(run())
    assert check_store(url_of(tmp_path), SMALL) == []
    run_sql(tmp_path, "INSERT INTO object VALUES ('port', 'x', '', 2, '{}')")
    assert check_store(url_of(tmp_path), SMALL) == ["port x is not what revision 3 made it"]


# -- copy and status ---------------------------------------------------------------------------------------------------


@pytest.mark.engines("sqlite")
def test_a_backup_is_a_store(tmp_path: Path) -> None:
    """A copy made beside a running server opens as a store of its own, at the revision it was made at."""
    copy = tmp_path / "copy" / "netloom.db"
    copy.parent.mkdir()

    async def run() -> None:
        async with writing(tmp_path) as writer:
            await writer.submit(create("a"), ADMIN)
            lines, sound = stores.backup(url_of(tmp_path), copy, SMALL)
            assert sound and lines[0].startswith(f"{copy} holds revision 1 (port 1; ")
            await writer.submit(create("b"), ADMIN)

    asyncio.run(run())
    with pytest.raises(StoreUnavailable, match="is there already"):
        backup_store(url_of(tmp_path), copy)
    store = open_store(url_of(copy.parent))
    assert load_snapshot(store, SMALL).count("port") == 1
    store.close()


def test_status_tells_who_writes(tmp_path: Path) -> None:
    """The status names the process that has the store, its revisions and how much there is."""
    write_ports(tmp_path, 3)
    assert read_status(url_of(tmp_path)).writer is None

    async def run() -> list[str]:
        async with writing(tmp_path):
            return stores.status(url_of(tmp_path))

    text = "\n".join(asyncio.run(run()))
    assert re.search(r"revision +3 \(log from 1\)", text) and re.search(r"objects +port 3", text)
    assert re.search(r"writer +process \d+ on ", text) and f"schema     {SCHEMA_VERSION}" in text


def test_upgrade_and_check_print_what_they_found(tmp_path: Path) -> None:
    """The commands make a store where there is none, and call a sound one sound."""
    for said in ("was made", "is up to date"):
        assert stores.upgrade(url_of(tmp_path)) == [
            f"{find_database(url_of(tmp_path)).name} {said} (schema {SCHEMA_VERSION})"
        ]
    assert stores.check(url_of(tmp_path)) == (["no fault was found: no objects; revision 0"], True)
    run_sql(tmp_path, "INSERT INTO object VALUES ('widget', 'q', '', 5, '{}')")
    lines, sound = stores.check(url_of(tmp_path))
    assert not sound and "widget q" in lines[0]


# -- schema ------------------------------------------------------------------------------------------------------------


def test_migrations_make_the_declared_tables(tmp_path: Path) -> None:
    """A store that was migrated is what the program expects, and its version is the newest script."""
    store = open_store(url_of(tmp_path))
    with store.read() as connection:
        ours = MigrationContext.configure(connection)
        assert compare_metadata(ours, METADATA) == []
    store.close()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_current_head() == SCHEMA_VERSION


@pytest.mark.engines("sqlite")
def test_an_upgrade_that_is_cut_short_leaves_the_schema_as_it_was(tmp_path: Path) -> None:
    """Migrations run in one transaction: without its end there is nothing of them."""
    engine = make_engine(tmp_path / "new.db", 1, create=True)
    with engine.execution_options(write=True).connect() as connection:
        upgrade(connection)
        assert inspect(connection).has_table("object")
        connection.rollback()
        assert inspect(connection).get_table_names() == []
    engine.dispose()


def test_upgrading_a_store_that_is_up_to_date_changes_nothing(tmp_path: Path) -> None:
    """The command may be run again at any time."""
    write_ports(tmp_path, 2)
    before = read_status(url_of(tmp_path))
    upgrade_store(url_of(tmp_path)).close()
    after = read_status(url_of(tmp_path))
    assert (after.store_id, after.last_revision, after.counts) == (before.store_id, 2, {"port": 2})


@pytest.mark.engines("sqlite")
def test_every_commit_is_synced_to_a_write_ahead_log(tmp_path: Path) -> None:
    """The settings on which durability rests are on in every connection."""
    store = open_store(url_of(tmp_path))
    with store.read() as connection, store.engine.connect() as other:
        for c in (connection, other):
            assert c.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert c.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL
    store.close()


# -- what an operation may not invent ----------------------------------------------------------------------------------


def test_ids_are_random_uuids_and_macs_keep_their_prefix() -> None:
    """Ids are version 4; a MAC begins with three octets of base_mac, or four if the fourth is given."""
    assert all(
        re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", make_id())
        for _ in range(99)
    )
    three = make_contexts(Settings(base_mac="FA:16:3e:00:00:00"))(Requester(), "req-1")
    four = make_contexts(Settings(base_mac="fa:16:3e:4f:00:00"))(Requester(), "req-1")
    assert re.fullmatch(r"fa:16:3e(:[0-9a-f]{2}){3}", three.random_mac())
    assert re.fullmatch(r"fa:16:3e:4f(:[0-9a-f]{2}){2}", four.random_mac())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", three.now) and three.request_id == "req-1"

"""A backup is put back: what is there again, what is given up, which revision comes next."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from netloom.store.check import check_store
from netloom.store.engine import open_reader
from netloom.store.errors import StoreCorrupt, StoreError
from netloom.store.load import load_snapshot
from netloom.store.move import move_store
from netloom.store.restore import restore_store
from netloom.store.status import read_status
from tests.unit.store.store_kit import ADMIN, SMALL, create, put, read_docs, url_of, writing


def write(folder: Path, *names: str, change: str = "") -> None:
    async def run() -> None:
        async with writing(folder) as writer:
            for name in names:
                await writer.submit(create(name, id=name), ADMIN)
            if change:
                await writer.submit(put(change, description="later"), ADMIN)

    asyncio.run(run())


def make_backup(folder: Path) -> Path:
    """In one file, whatever the engine: a move is one."""
    move_store(url_of(folder), f"sqlite:///{folder}/backup.db", lambda done, total: None)
    return folder / "backup.db"


def read_all(folder: Path) -> dict[str, str]:
    store = open_reader(url_of(folder))
    found = {id: doc["description"] for id, doc in read_docs(load_snapshot(store, SMALL)).items()}
    store.close()
    return found


def test_a_backup_is_back_and_no_revision_comes_twice(tmp_path: Path) -> None:
    """Two ports as they were; a third, and a change, are given up; the next write gets a revision nobody has seen."""
    write(tmp_path, "a", "b")
    backup = make_backup(tmp_path)
    write(tmp_path, "c", change="a")
    done = restore_store(url_of(tmp_path), backup, lambda done, total: None, catalog=SMALL)
    assert (done.objects, done.backup_revision, done.given_up, done.revision) == (2, 2, 2, 5)
    assert read_all(tmp_path) == {"a": "", "b": ""} and check_store(url_of(tmp_path), SMALL) == []

    async def go_on() -> int:
        async with writing(tmp_path) as writer:
            return (await writer.submit(create("d"), ADMIN)).revision

    assert asyncio.run(go_on()) == 6
    assert read_status(url_of(tmp_path)).store_id == read_status(f"sqlite:///{backup}").store_id


def test_a_lost_store_is_made_anew_beyond_what_is_known(tmp_path: Path) -> None:
    """With nothing left but the backup, an operator who knows the last revision names it."""
    write(tmp_path, "a")
    backup = make_backup(tmp_path)
    empty = tmp_path / "new"
    empty.mkdir()
    done = restore_store(url_of(empty), backup, lambda done, total: None, after=70, catalog=SMALL)
    assert done.revision == 71 and read_all(empty) == {"a": ""}


def test_a_restore_that_fails_changes_nothing(tmp_path: Path) -> None:
    """A damaged backup is refused; one that breaks off half-way leaves the store as it was."""
    write(tmp_path, "a")
    backup = make_backup(tmp_path)
    write(tmp_path, "b")

    def fail(done: int, total: int) -> None:
        raise StoreError("the power went")

    with pytest.raises(StoreError, match="the power went"):
        restore_store(url_of(tmp_path), backup, fail, catalog=SMALL)
    (tmp_path / "bad.db").write_bytes(backup.read_bytes()[:5000])
    with pytest.raises(StoreCorrupt, match="has faults, and nothing was changed"):
        restore_store(url_of(tmp_path), tmp_path / "bad.db", lambda done, total: None, catalog=SMALL)
    assert read_all(tmp_path).keys() == {"a", "b"} and read_status(url_of(tmp_path)).last_revision == 2

"""`netloom db …` as an operator types it: what it prints, and with which status it ends."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Outcome
from netloom.intent.snapshot import Snapshot
from netloom.main.cli import app
from netloom.store.engine import open_store
from tests.unit.store.store_kit import ADMIN, make_writer, url_of

runner = CliRunner()


def db(folder: Path, *words: str) -> Result:
    return runner.invoke(app, ["db", *words, "--set", f"state_path={folder}"])


def report(host: str) -> Callable[[Snapshot, Context], Outcome]:
    return lambda snapshot, context: report_host(snapshot, context, host, {}, "nova")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder with a store of three revisions."""

    async def fill() -> None:
        store = open_store(url_of(tmp_path))
        writer = make_writer(store, CATALOG)
        for host in ("h1", "h2", "h3"):
            await writer.submit(report(host), ADMIN)
        await writer.close()
        store.close()

    asyncio.run(fill())
    return tmp_path


def spoil(folder: Path) -> None:
    database = sqlite3.connect(folder / "netloom.db")
    with database:
        database.execute("DELETE FROM log WHERE revision = 2")
    database.close()


def test_status_says_what_is_there(folder: Path) -> None:
    """One line each: file, schema, revision, objects, writer."""
    done = db(folder, "status")
    assert done.exit_code == 0
    assert f"store      {folder}/netloom.db" in done.stdout
    assert "revision   3 (log from 1)" in done.stdout and "objects    agent 12" in done.stdout
    assert done.stdout.endswith("writer     none\n")


def test_check_ends_with_1_when_something_is_wrong(folder: Path) -> None:
    """So that a script notices."""
    done = db(folder, "check")
    assert (done.exit_code, done.stdout) == (0, "no fault was found: agent 12; revision 3\n")
    spoil(folder)
    done = db(folder, "check")
    assert done.exit_code == 1 and "the log goes from revision 1 to 3" in done.stdout


def test_a_backup_can_be_taken_and_put_back(folder: Path) -> None:
    """The copy is whole and sound; a second one does not replace it; a folder that is not there is a sentence."""
    copy = folder / "monday.db"
    done = db(folder, "backup", str(copy))
    assert done.exit_code == 0 and f"{copy} holds revision 3 (agent 12; " in done.stdout
    again = db(folder, "backup", str(copy))
    assert again.exit_code == 1 and "is there already and was not touched" in again.stderr
    nowhere = db(folder, "backup", str(folder / "none" / "x.db"))
    assert nowhere.exit_code == 1 and nowhere.stderr.startswith("netloom: ") and nowhere.stderr.count("\n") == 1
    for name in ("netloom.db", "netloom.db-wal", "netloom.db-shm"):
        (folder / name).unlink(missing_ok=True)
    copy.rename(folder / "netloom.db")
    assert "revision 3" in db(folder, "check").stdout


def test_a_backup_of_a_faulty_store_says_so(folder: Path) -> None:
    """The copy is kept, and the command ends with status 1."""
    spoil(folder)
    done = db(folder, "backup", str(folder / "copy.db"))
    assert done.exit_code == 1 and "the store has faults:\nthe log goes" in done.stdout
    assert (folder / "copy.db").exists()


def test_compact_keeps_what_the_options_say_or_the_command(folder: Path) -> None:
    """Without --keep the history of the options stays; with it that many revisions."""
    assert db(folder, "compact").stdout.startswith("0 revisions were dropped")
    done = db(folder, "compact", "--keep", "1")
    assert done.exit_code == 0 and done.stdout.startswith("2 revisions were dropped from the log of ")
    assert re.search(r"^it takes \d+\.\d MB \(before: \d+\.\d MB\)$", done.stdout, re.MULTILINE)
    assert "revision   3 (log from 3)" in db(folder, "status").stdout


@pytest.mark.parametrize("command", ["upgrade", "compact"])
def test_what_needs_the_store_alone_names_who_has_it(folder: Path, command: str) -> None:
    """Beside a running server these change nothing and say which process to stop; the others work."""
    store = open_store(url_of(folder))
    done = db(folder, command)
    others = [db(folder, *words).exit_code for words in (["status"], ["check"], ["backup", f"{folder}/copy.db"])]
    store.close()
    assert done.exit_code == 1 and re.match(r"netloom: Another server .*\(process \d+ on ", done.stderr)
    assert others == [0, 0, 0]


def test_upgrade_makes_a_store_and_can_be_repeated(tmp_path: Path) -> None:
    """The first time there is a new store, then nothing is left to do."""
    assert "was made" in db(tmp_path, "upgrade").stdout
    assert "is up to date" in db(tmp_path, "upgrade").stdout


@pytest.mark.parametrize("command", [["status"], ["check"], ["backup", "copy.db"]])
def test_a_store_that_is_not_there_is_a_sentence(tmp_path: Path, command: list[str]) -> None:
    """It says how a store is made; none is."""
    done = db(tmp_path, *command)
    assert done.exit_code == 1 and "does not exist. netloom server or netloom db upgrade makes" in done.output
    assert list(tmp_path.iterdir()) == []

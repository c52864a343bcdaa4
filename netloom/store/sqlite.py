"""SQLite as the embedded store: everything that is particular to it, so that another engine is a sibling of this file.

Write-ahead log with full sync: a commit that has returned survives kill -9 and loss of power (sqlite.org/wal.html,
sqlite.org/pragma.html#pragma_synchronous). A new file comes into being whole, by rename: a short or empty one is
therefore always damage and never a store that was just begun.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, Engine, Table, create_engine, event
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.dml import Insert

from netloom.store.errors import (
    StoreConflict,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreUnavailable,
)
from netloom.store.migrate import VERSION, upgrade

PRAGMAS = (
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cell_size_check=ON",
    "PRAGMA cache_size=-32768",  # 32 MiB
    "PRAGMA wal_autocheckpoint=4000",  # pages; fewer and longer pauses than the 1,000 of the default
    "PRAGMA journal_size_limit=67108864",
)


def make_engine(path: Path, busy_s: float, create: bool = False) -> Engine:
    """An engine on the file. A transaction takes the write lock when it begins if the engine or connection has the
    execution option `write`: one that upgrades half-way could be refused half-way."""
    mode = "rwc" if create else "rw"
    uri = f"file:{str(path.absolute()).replace('%', '%25').replace('?', '%3f').replace('#', '%23')}"
    url = URL.create("sqlite", database=uri, query={"mode": mode, "uri": "true"})
    engine = create_engine(url, connect_args={"timeout": busy_s, "isolation_level": None}, pool_size=2)
    event.listen(engine, "connect", prepare_connection)
    event.listen(engine, "begin", begin)
    return engine


def prepare_connection(dbapi: sqlite3.Connection, _record: object) -> None:
    for pragma in PRAGMAS:
        dbapi.execute(pragma)
    if is_foreign(dbapi):
        return  # asking for the log would change the file; `check_version` refuses it
    (mode,) = dbapi.execute("PRAGMA journal_mode=WAL").fetchone()
    if mode != "wal":
        raise StoreUnavailable(
            f"SQLite cannot keep a write-ahead log here (it offers {mode!r}), as on a network file system. "
            "Put the store on a local disk."
        )


def is_foreign(dbapi: sqlite3.Connection) -> bool:
    tables = [name for (name,) in dbapi.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return bool(tables) and VERSION.name not in tables


def begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


@dataclass(frozen=True, slots=True)
class SqliteFile:
    """A store in a file. One process at a time may write, and several of one machine may use it."""

    path: Path
    inode: list[int] = field(default_factory=list, compare=False)  # of the file that was opened
    shared: bool = False

    @property
    def name(self) -> str:
        return str(self.path)

    def exists(self) -> bool:
        return check_file(self.path)

    def create(self, busy_s: float) -> None:
        with new_file(self.path) as draft:
            engine = make_engine(draft, busy_s, create=True)
            try:
                with engine.execution_options(write=True).begin() as connection:
                    upgrade(connection)
            finally:
                engine.dispose()

    def make_engine(self, busy_s: float) -> Engine:
        self.inode[:] = [self.path.stat().st_ino]
        return make_engine(self.path, busy_s)

    def clear_errors(self) -> AbstractContextManager[None]:
        return clear_errors(self.path)

    def check_engine(self, engine: Engine) -> None:
        """`prepare_connection` sets what is needed."""

    def check_in_place(self) -> None:
        check_in_place(self.path, self.inode[0])

    def take_right(self, engine: Engine | None) -> FileLock:
        return take_lock(self.path)

    def find_holder(self, engine: Engine) -> str | None:
        return find_holder(self.path)

    def make_upsert(self, table: Table) -> Insert:
        return make_upsert(table)

    def read_size(self, engine: Engine) -> int:
        return read_size(self.path)

    def be_patient(self, connection: Connection) -> None:
        """Nothing here is in a hurry."""

    def shut_out(self, engine: Engine) -> None:
        """A process that is paused keeps the file; only its end frees it."""

    def find_damage(self, connection: Connection) -> list[str]:
        return find_damage(connection)

    def give_back(self, engine: Engine) -> None:
        give_back(engine)

    def copy_to(self, engine: Engine, target: Path) -> None:
        copy_into(engine, target)


def make_upsert(table: Table) -> Insert:
    """Insert or replace by primary key."""
    statement = insert(table)
    rest = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)


# -- errors ------------------------------------------------------------------------------------------------------------


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the system raise into the errors of this package."""
    try:
        yield
    except DBAPIError as error:
        raise make_error(error.orig, path) from error
    except (sqlite3.Error, OSError) as error:
        raise make_error(error, path) from error


def make_error(error: BaseException | None, path: Path) -> StoreError:
    """By result code (sqlite.org/rescode.html); the low byte is the primary code."""
    code = getattr(error, "sqlite_errorcode", 0)
    primary = code & 0xFF
    if primary in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return locked(path, "")
    if primary in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return corrupt(path, str(error))
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and is_full(path)):
        return StoreFull(
            f"There is no room to write to {path} ({error}). What was answered is stored and reads go on; the change "
            "at hand was not made. Free space on that disk: writing goes on by itself."
        )
    if primary == sqlite3.SQLITE_CONSTRAINT:
        return StoreConflict(f"Another server has written to {path} ({error}). Let only one server use it.")
    return StoreUnavailable(
        f"{path} cannot be used ({error}). Check that the file and its folder exist, belong to the user that runs the "
        "server, are writable, and that the disk reports no errors."
    )


def locked(path: Path, by: str) -> StoreLocked:
    return StoreLocked(
        f"Another server already writes to {path}{by}. Nothing was changed. "
        "Stop that one (or whatever program holds the file), or give this one a store of its own."
    )


def corrupt(path: Path, reason: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"{path} is damaged ({reason}). It was not changed: keep it and its -wal file. Restore a backup made by "
        "netloom db backup, or see what can be recovered with: netloom db check"
    )


def is_full(path: Path) -> bool:
    """Whether the disk has less than 64 KiB left: some writes then fail as plain I/O errors."""
    try:
        disk = os.statvfs(path.parent)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < 65536


# -- the file ----------------------------------------------------------------------------------------------------------


class FileLock:
    """The right to write, held by an open file: the system takes it back at the instant the process dies."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def take_lock(path: Path, address: str = "") -> FileLock:
    """Raises StoreLocked naming the process that has it. `address`: where other processes find this one."""
    name = path.with_name(path.name + ".lock")
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 200).decode(errors="replace").strip().partition("\n")[0]
        os.close(descriptor)
        raise locked(path, f" ({holder})" if holder else "") from None
    with suppress(OSError):  # a full disk must not keep a server from starting; the name is only for people
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n{address}\n".encode())
    return FileLock(descriptor)


def find_holder(path: Path) -> str | None:
    """Who has the right to write, such as "process 12 on c1"; None: nobody."""
    found = read_holder(path)
    return found and found[0]


def read_holder(path: Path) -> tuple[str, str] | None:
    """Who has the right to write, and the address that this process gave; None: nobody."""
    try:
        with path.with_name(path.name + ".lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                who, _, address = file.read(400).decode(errors="replace").partition("\n")
                return who, address.strip()
    except FileNotFoundError:
        pass
    return None


def check_file(path: Path) -> bool:
    """Whether the store exists. Raises StoreCorrupt where a part of it is missing: SQLite would begin it anew."""
    journal = path.with_name(path.name + "-wal")
    if not path.exists():
        if journal.exists() and journal.stat().st_size:
            raise corrupt(path, "the file is gone but its -wal is there; changes in it would be lost")
        return False
    if path.stat().st_size == 0:
        raise corrupt(path, "the file is empty")
    return True


def check_in_place(path: Path, inode: int) -> None:
    """Raise StoreUnavailable if the file that was opened no longer has its name: writes to it would be lost."""
    try:
        there = path.stat().st_ino == inode
    except FileNotFoundError:
        there = False
    if not there:
        raise StoreUnavailable(
            f"{path} was moved, replaced or deleted while in use. No change was made. "
            "Put the file back and restart the server."
        )


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A path to make a database at; it gets its real name, and is synced, when the block ends well. It is for its
    owner's eyes: what all projects have is in it, and the secret by which servers know one another."""
    draft = path.with_name(path.name + ".new")
    remove_files(draft)
    draft.touch(mode=0o600)
    try:
        yield draft
        sync(draft)
        draft.replace(path)
        sync(path.parent)
    finally:
        remove_files(draft)


def remove_files(path: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def copy_into(engine: Engine, target: Path) -> None:
    """Write a consistent, compact copy, while others read and write (sqlite.org/lang_vacuum.html#vacuuminto)."""
    # Outside of a transaction, which VACUUM refuses.
    with closing(engine.raw_connection()) as connection:
        connection.cursor().execute("VACUUM INTO ?", (str(target),))


def give_back(engine: Engine) -> None:
    """Write the file anew without the room that nothing uses, and empty its write-ahead log
    (sqlite.org/lang_vacuum.html). A crash on the way leaves the file as it was."""
    with closing(engine.raw_connection()) as connection:
        cursor = connection.cursor()
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        cursor.fetchall()


def read_size(path: Path) -> int:
    """Bytes of the file and of its write-ahead log."""
    parts = (path, path.with_name(path.name + "-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def find_damage(connection: Connection) -> list[str]:
    """What SQLite's own check finds, at most 100 lines; it reads the whole file."""
    found = [str(row[0]) for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    return [] if found == ["ok"] else found

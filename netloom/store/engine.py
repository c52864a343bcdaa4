"""Opening a store: which engine, who may write, whether the schema is one that this program knows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from netloom.store import sqlite
from netloom.store.errors import StoreOutdated, StoreUnavailable
from netloom.store.migrate import check_version, upgrade

BUSY_S = 5.0
"""How long to wait for another process's lock on the file."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. `lock` is the right to write; None: opened to read."""

    path: Path
    engine: Engine
    inode: int
    lock: sqlite.FileLock | None = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one instant, whatever others commit meanwhile. Raises StoreError."""
        with self.clear_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction with the write lock, committed when the block ends well. Raises StoreError."""
        with self.clear_errors():
            sqlite.check_in_place(self.path, self.inode)
            with self.engine.execution_options(write=True).begin() as connection:
                yield connection

    def clear_errors(self) -> AbstractContextManager[None]:
        return sqlite.clear_errors(self.path)

    def close(self) -> None:
        """Close the files, then give up the right to write."""
        self.engine.dispose()
        if self.lock:
            self.lock.release()


def open_store(url: str, *, busy_s: float = BUSY_S) -> Store:
    """The store to write to; made if there is none. Raises StoreError: locked, corrupt, too new, outdated…"""
    return open_to_write(url, busy_s, migrate=False)


def upgrade_store(url: str, *, busy_s: float = BUSY_S) -> Store:
    """As `open_store`, and an older schema is brought up to date first, in one transaction."""
    return open_to_write(url, busy_s, migrate=True)


def open_to_write(url: str, busy_s: float, migrate: bool) -> Store:
    path = parse_url(url)
    with sqlite.clear_errors(path):
        lock = sqlite.take_lock(path)
        try:
            if not sqlite.check_file(path):
                create(path, busy_s)
            return open_checked(path, busy_s, lock, migrate)
        except BaseException:
            lock.release()
            raise


def open_reader(url: str, *, busy_s: float = BUSY_S) -> Store:
    """The store to read from, while a server may be writing to it. Raises StoreError."""
    path = parse_url(url)
    with sqlite.clear_errors(path):
        if not sqlite.check_file(path):
            raise StoreUnavailable(f"{path} does not exist. netloom server or netloom db upgrade makes a new store.")
        return open_checked(path, busy_s, None, migrate=False)


def open_checked(path: Path, busy_s: float, lock: sqlite.FileLock | None, migrate: bool) -> Store:
    store = Store(path, sqlite.make_engine(path, busy_s), path.stat().st_ino, lock)
    try:
        if migrate:
            migrate_store(store)
        with store.read() as connection:
            check_version(connection, str(path))
    except BaseException:
        store.engine.dispose()
        raise
    return store


def migrate_store(store: Store) -> None:
    """One that is too new, or not ours, is left for `check_version` to refuse."""
    try:
        with store.read() as connection:
            check_version(connection, str(store.path))
    except StoreOutdated:
        with store.write() as connection:
            upgrade(connection)


def create(path: Path, busy_s: float) -> None:
    """A new, empty store. A crash on the way leaves none."""
    with sqlite.new_file(path) as draft:
        engine = sqlite.make_engine(draft, busy_s, create=True)
        try:
            with engine.execution_options(write=True).begin() as connection:
                upgrade(connection)
        finally:
            engine.dispose()


def parse_url(url: str) -> Path:
    """The file of "sqlite:///relative/file" or "sqlite:////absolute/file"."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        raise StoreUnavailable(
            f"{url!r} is not a store that this version can open. Give sqlite:///file (relative to where the server "
            "starts) or sqlite:////folder/file."
        )
    return Path(str(parsed.database))

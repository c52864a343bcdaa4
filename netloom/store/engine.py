"""Opening a store: which engine, who may write, whether the schema is one that this program knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from netloom.store.database import Database, Right
from netloom.store.errors import StoreOutdated, StoreUnavailable
from netloom.store.mariadb import MARIADB
from netloom.store.migrate import check_version, upgrade
from netloom.store.postgres import POSTGRES
from netloom.store.sqlite import SqliteFile
from netloom.store.sqlserver import SqlServer

BUSY_S = 5.0
"""How long to wait for another process's lock on the store."""


@dataclass(frozen=True, slots=True)
class Store:
    """An open store. `right` is the right to write; None: opened to read, or by a server that shares it."""

    database: Database
    engine: Engine
    right: Right | None = None

    @property
    def name(self) -> str:
        return self.database.name

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one instant, whatever others commit meanwhile. Raises StoreError."""
        with self.clear_errors(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """A transaction with the write lock, committed when the block ends well. Raises StoreError."""
        with self.clear_errors():
            self.database.check_in_place()
            with self.engine.execution_options(write=True).begin() as connection:
                yield connection

    def clear_errors(self) -> AbstractContextManager[None]:
        return self.database.clear_errors()

    def close(self) -> None:
        """Close the files, then give up the right to write."""
        try:
            if self.right and self.database.shared:
                self.right.release()
        finally:
            self.engine.dispose()
            if self.right and not self.database.shared:
                self.right.release()


def open_store(url: str, *, busy_s: float = BUSY_S) -> Store:
    """The store to write to, alone; made if there is none. Raises StoreError: locked, corrupt, too new, outdated…"""
    return open_to_write(url, busy_s, migrate=False)


def upgrade_store(url: str, *, busy_s: float = BUSY_S) -> Store:
    """As `open_store`, and an older schema is brought up to date first, in one transaction."""
    return open_to_write(url, busy_s, migrate=True)


def open_to_write(url: str, busy_s: float, migrate: bool) -> Store:
    database = find_database(url)
    with database.clear_errors():
        if isinstance(database, SqliteFile):
            return open_file(database, busy_s, migrate)
        make_if_missing(database, busy_s)
        return open_checked(database, busy_s, database.take_right, migrate)


def open_file(database: SqliteFile, busy_s: float, migrate: bool) -> Store:
    """The lock of a file comes first: it is also what keeps two processes from making the file."""
    right = database.take_right(None)
    try:
        make_if_missing(database, busy_s)
        return open_checked(database, busy_s, lambda engine: right, migrate)
    except BaseException:
        right.release()
        raise


def make_if_missing(database: Database, busy_s: float) -> None:
    if not database.exists():
        database.create(busy_s)


def open_reader(url: str, *, busy_s: float = BUSY_S) -> Store:
    """The store to read from, while a server may be writing to it. Raises StoreError."""
    database = find_database(url)
    with database.clear_errors():
        if not database.exists():
            raise StoreUnavailable(
                f"{database.name} does not exist. netloom server or netloom db upgrade makes a new store."
            )
        return open_checked(database, busy_s, None, migrate=False)


def open_shared(url: str, *, busy_s: float = BUSY_S) -> Store:
    """The store as one of several servers opens it: made if there is none, and nobody has the right to write yet."""
    database = find_database(url)
    with database.clear_errors():
        if not database.exists():
            with_right_to_make(database, busy_s)
        return open_checked(database, busy_s, None, migrate=False)


def with_right_to_make(database: Database, busy_s: float) -> None:
    if isinstance(database, SqliteFile):
        open_file(database, busy_s, migrate=False).close()
    else:
        database.create(busy_s)


def open_checked(database: Database, busy_s: float, take: Callable[[Engine], Right] | None, migrate: bool) -> Store:
    engine = database.make_engine(busy_s)
    right = None
    try:
        database.check_engine(engine)
        reader = Store(database, engine)
        outdated = find_outdated(reader)
        if outdated and not migrate:
            raise outdated
        right = take(engine) if take else None
        if outdated:
            with reader.write() as connection:
                upgrade(connection)
    except BaseException:
        engine.dispose()
        raise
    return Store(database, engine, right)


def find_outdated(store: Store) -> StoreOutdated | None:
    """Raises StoreTooNew, or StoreCorrupt for what is not ours."""
    try:
        with store.read() as connection:
            check_version(connection, store.name)
    except StoreOutdated as error:
        return error
    return None


def find_database(url: str) -> Database:
    """Which engine a URL means. Raises StoreUnavailable for what is none."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    maker = MAKERS.get(parsed.get_backend_name()) if parsed is not None and parsed.database else None
    if parsed is None or maker is None or parsed.database == ":memory:":
        raise StoreUnavailable(
            f"{hide_password(url, parsed)} is not a store. Give sqlite:///file (relative to where the server starts), "
            "sqlite:////folder/file, postgresql://user:password@host/database or "
            "mysql+pymysql://user:password@host/database."
        )
    return maker(parsed)


def hide_password(url: str, parsed: URL | None) -> str:
    return repr(url) if parsed is None else repr(parsed.render_as_string(True))


def make_mariadb(url: URL) -> Database:
    # What operators append for other drivers (charset=utf8) would contradict our own settings.
    query = {name: value for name, value in url.query.items() if name.startswith(("ssl", "unix_socket"))}
    return SqlServer(url.set(drivername=MARIADB.driver, query=query), MARIADB)


MAKERS: dict[str, Callable[[URL], Database]] = {
    "sqlite": lambda url: SqliteFile(Path(str(url.database))),
    "postgresql": lambda url: SqlServer(url.set(drivername=POSTGRES.driver), POSTGRES),
    "postgres": lambda url: SqlServer(url.set(drivername=POSTGRES.driver), POSTGRES),
    "mysql": make_mariadb,
    "mariadb": make_mariadb,
}

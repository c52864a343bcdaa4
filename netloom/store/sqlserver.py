"""A store in a database server: what PostgreSQL and MariaDB have in common. What they have not is an `Engineering`.

Law: a commit that has returned survives a crash of the database server. Settings that break this are refused.
"""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, Executable, MetaData, Table, create_engine, event, inspect, literal, select
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import DropTable

from netloom.store.errors import StoreCorrupt, StoreError, StoreLost, StoreUnavailable
from netloom.store.lease import HeldLease, read_lease, take_alone
from netloom.store.migrate import VERSION, upgrade
from netloom.store.schema import METADATA

PAUSE_S = 3
"""How long a transaction that writes may stand still: a server that was paused in the middle of one would otherwise
keep its locks, and the next writer out, for as long as it is paused."""


@dataclass(frozen=True, slots=True)
class Engineering:
    """What is particular to one kind of database server.

    `explain(error, place)`: the StoreError for what the driver raised. `one_maker(connection)`: within it nobody else
    makes tables. `unsafe(connection)`: settings under which a crash takes commits back, in words. `size`: SQL for the
    bytes of our tables. `patient`: SQL for a transaction that may stand still for long. `shut_out`:
    SQL that ends transactions of others which have held the log for longer than PAUSE_S; empty: the engine does so.
    """

    driver: str
    package: str
    arguments: Callable[[float], Mapping[str, Any]]
    prepare: Callable[[Any, float], None]
    explain: Callable[[BaseException, str], StoreError]
    one_maker: Callable[[Connection], Any]
    unsafe: Callable[[Connection], str]
    make_upsert: Callable[[Table], Executable]
    size: str
    patient: str
    shut_out: str
    backup: str


OURS = frozenset((*METADATA.tables, VERSION.name))


def has_rows(connection: Connection, tables: Iterable[str]) -> bool:
    """Whether any of them, but for the schema's version, has a row."""
    queries = (
        select(literal(1)).select_from(Table(name, MetaData())).limit(1) for name in tables if name != VERSION.name
    )
    return any(connection.execute(query).first() for query in queries)


@dataclass(frozen=True, slots=True)
class SqlServer:
    """A store in a database of a server; `url` has the driver that we use."""

    url: URL
    kind: Engineering
    shared: bool = True
    name: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", self.url.set(drivername=self.url.get_backend_name()).render_as_string(True))

    def make_engine(self, busy_s: float) -> Engine:
        try:
            engine = create_engine(
                self.url, connect_args=dict(self.kind.arguments(busy_s)), pool_size=4, isolation_level="REPEATABLE READ"
            )
        except (ModuleNotFoundError, NoSuchModuleError):
            raise StoreUnavailable(
                f"{self.name} needs the Python package {self.kind.package}, which is not installed. "
                f"Run: pip install {self.kind.package}"
            ) from None
        event.listen(engine, "connect", lambda dbapi, record: self.kind.prepare(dbapi, busy_s))
        return engine

    @contextmanager
    def clear_errors(self) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            raise self.explain(error) from error
        except (SQLAlchemyError, OSError) as error:
            raise StoreUnavailable(f"{self.name} cannot be used ({error}).") from error

    def explain(self, error: DBAPIError) -> StoreError:
        found = self.kind.explain(error.orig or error, self.name)
        # A broken connection outweighs the rest: whether the commit happened is open.
        if error.connection_invalidated and type(found) is StoreUnavailable:
            return StoreLost(str(found))
        return found

    # -- making and opening --------------------------------------------------------------------------------------------

    def exists(self) -> bool:
        engine = self.make_engine(5.0)
        try:
            with self.clear_errors(), engine.begin() as connection:
                return self.is_ours(connection)
        finally:
            engine.dispose()

    def is_ours(self, connection: Connection) -> bool:
        """Raises StoreCorrupt where there are tables, but not ours."""
        there = set(inspect(connection).get_table_names())
        if there - OURS or (there and not there >= OURS and has_rows(connection, there)):
            raise StoreCorrupt(
                f"{self.name} is a database but not a Netloom store: it has tables of something else. It was not "
                "touched. Name an empty database of its own for Netloom."
            )
        return there >= OURS

    def create(self, busy_s: float) -> None:
        engine = self.make_engine(busy_s)
        try:
            with self.clear_errors(), engine.begin() as connection, self.kind.one_maker(connection):
                if not self.is_ours(connection):
                    for name in OURS & set(inspect(connection).get_table_names()):
                        # MariaDB keeps what a crash left of the first attempt: empty, as `is_ours` has seen.
                        connection.execute(DropTable(Table(name, MetaData())))
                    upgrade(connection)
        finally:
            engine.dispose()

    def check_engine(self, engine: Engine) -> None:
        with engine.begin() as connection:
            unsafe = self.kind.unsafe(connection)
        if unsafe:
            raise StoreUnavailable(
                f"{self.name} is set so that a crash can take back what was answered ({unsafe}). Nothing was written. "
                "Change that setting of the database server."
            )

    def check_in_place(self) -> None:
        """A server's database has no other place."""

    # -- the right to write --------------------------------------------------------------------------------------------

    def take_right(self, engine: Engine) -> HeldLease:
        return take_alone(engine, self.name, str(uuid.uuid4()), f"process {os.getpid()} on {socket.gethostname()}")

    def find_holder(self, engine: Engine) -> str | None:
        return read_lease(engine).who or None

    # -- the rest ------------------------------------------------------------------------------------------------------

    def make_upsert(self, table: Table) -> Executable:
        return self.kind.make_upsert(table)

    def read_size(self, engine: Engine) -> int:
        with self.clear_errors(), engine.begin() as connection:
            return int(connection.exec_driver_sql(self.kind.size).scalar_one() or 0)

    def be_patient(self, connection: Connection) -> None:
        connection.exec_driver_sql(self.kind.patient)

    def shut_out(self, engine: Engine) -> None:
        if self.kind.shut_out:
            with self.clear_errors(), engine.begin() as connection:
                connection.exec_driver_sql(self.kind.shut_out).all()

    def find_damage(self, connection: Connection) -> list[str]:
        """The server looks after its own pages."""
        return []

    def give_back(self, engine: Engine) -> None:
        """The server does so by itself (autovacuum, purge)."""

    def copy_to(self, engine: Engine, target: Path) -> None:
        raise StoreUnavailable(
            f"{self.name} is backed up with the database's own means ({self.kind.backup}). For a copy in one file run: "
            f"netloom db move --to sqlite:///{target}"
        )

"""MariaDB as a store, as OpenStack sites have it: the driver is PyMySQL, which they have too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects.mysql import insert

from netloom.store.errors import (
    StoreConflict,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreLost,
    StoreUnavailable,
)
from netloom.store.sqlserver import PAUSE_S, Engineering

PACKET = 1 << 30
"""The longest statement, in bytes, that we would send; the server's own max_allowed_packet decides."""


def make_arguments(busy_s: float) -> Mapping[str, Any]:
    return {
        "connect_timeout": max(2, round(busy_s)),
        "read_timeout": 60,
        "write_timeout": 60,
        "charset": "utf8mb4",
        "max_allowed_packet": PACKET,
    }


def prepare_connection(dbapi: Any, busy_s: float) -> None:
    """Nothing is cut short in silence, and a lock is waited for no longer than elsewhere."""
    with dbapi.cursor() as cursor:
        cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'")
        cursor.execute(f"SET SESSION innodb_lock_wait_timeout = {max(1, round(busy_s))}")
        cursor.execute(f"SET SESSION idle_write_transaction_timeout = {PAUSE_S}")
        cursor.execute(f"SET SESSION lock_wait_timeout = {max(1, round(busy_s))}")


CODES: Mapping[int, tuple[type[StoreError], str]] = {
    1062: (StoreConflict, "another server has written first"),
    1213: (StoreConflict, "another server was writing at the same time"),
    1020: (StoreConflict, "another server has written first"),
    1205: (StoreLocked, "somebody holds a lock in it. End that transaction (SHOW PROCESSLIST shows it)"),
    1021: (StoreFull, "its disk is full. Free space there: writing goes on by itself"),
    1114: (StoreFull, "a table is full. Free space there: writing goes on by itself"),
    1290: (StoreUnavailable, "it is read-only, as a replica is. Name the primary"),
    1792: (StoreUnavailable, "it is read-only, as a replica is. Name the primary"),
    1836: (StoreUnavailable, "it is read-only, as a replica is. Name the primary"),
    1040: (StoreUnavailable, "it takes no more connections. Raise max_connections, or stop who has them"),
    1045: (StoreUnavailable, "user or password is wrong"),
    1049: (StoreUnavailable, "there is no such database. Make it: CREATE DATABASE <name>"),
    1044: (StoreUnavailable, "this user may not use it. GRANT ALL ON <name>.* TO the user"),
    1142: (StoreUnavailable, "this user lacks a right in it. GRANT ALL ON <name>.* TO the user"),
    1698: (StoreUnavailable, "user or password is wrong"),
    1153: (StoreUnavailable, "a change is longer than it takes at once. Raise max_allowed_packet"),
    1053: (StoreLost, "it is being stopped"),
    1927: (StoreLost, "the connection was ended there"),
    2006: (StoreLost, "the connection was lost"),
    2013: (StoreLost, "the connection was lost"),
    2014: (StoreLost, "the connection was lost"),
    1034: (StoreCorrupt, "an index of it is damaged. Restore a backup"),
    1712: (StoreCorrupt, "an index of it is damaged. Restore a backup"),
}
"""By error number (MariaDB knowledge base, "MariaDB Error Codes")."""
NO_CONNECTION = (2002, 2003, 2005)


def explain(error: BaseException, place: str) -> StoreError:
    code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    text = " ".join(str(part) for part in error.args[1:]) or str(error)
    if code in CODES:
        maker, words = CODES[code]
        return maker(f"{place}: {words}. ({code}: {text})")
    if code in NO_CONNECTION:
        return StoreUnavailable(
            f"{place} cannot be reached ({text}). Check that the server runs, that address and port are right and that "
            "nothing between refuses them."
        )
    if code == 0:
        return StoreLost(f"{place}: the connection was lost ({text}).")
    return StoreUnavailable(f"{place} cannot be used ({code}: {text}).")


@contextmanager
def one_maker(connection: Connection) -> Iterator[None]:
    """MariaDB commits with every table that is made: only the lock keeps two servers from doing it at once."""
    connection.exec_driver_sql("SELECT GET_LOCK('netloom', 60)").all()
    try:
        yield
    finally:
        connection.exec_driver_sql("SELECT RELEASE_LOCK('netloom')").all()


def find_unsafe(connection: Connection) -> str:
    """ "InnoDB System Variables": with another value than 1 a crash loses the last second, or more."""
    flush = connection.exec_driver_sql("SELECT @@innodb_flush_log_at_trx_commit").scalar_one()
    return "" if int(flush) in (1, 3) else f"innodb_flush_log_at_trx_commit = {flush}"


def make_upsert(table: Table) -> Executable:
    statement = insert(table)
    rest = {c.name: statement.inserted[c.name] for c in table.columns if not c.primary_key}
    return statement.on_duplicate_key_update(rest)


MARIADB = Engineering(
    driver="mysql+pymysql",
    package="PyMySQL",
    arguments=make_arguments,
    prepare=prepare_connection,
    explain=explain,
    one_maker=one_maker,
    unsafe=find_unsafe,
    make_upsert=make_upsert,
    size=("SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = DATABASE()"),
    patient="SET SESSION idle_write_transaction_timeout = 0",
    shut_out="",
    backup="mariadb-backup or mariadb-dump",
)

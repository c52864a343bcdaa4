"""PostgreSQL as a store: the driver is psycopg, whose calls block, as the writer's thread wants them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Executable, Table
from sqlalchemy.dialects.postgresql import insert

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

MAKER = 0x6E65746C6F6F6D
"""The advisory lock of whoever makes tables: "netloom"."""


PATIENT = "SET LOCAL idle_in_transaction_session_timeout = 0"


SHUT_OUT = f"""
SELECT pg_terminate_backend(activity.pid)
FROM pg_stat_activity AS activity JOIN pg_locks AS held ON held.pid = activity.pid
WHERE held.relation = 'log'::regclass AND held.mode = 'RowExclusiveLock' AND held.granted
AND activity.pid <> pg_backend_pid() AND activity.xact_start < clock_timestamp() - interval '{PAUSE_S} seconds'
"""
"""The timeout of idle transactions does not see one whose client was paused between the parts of a batch: the server
is then waiting for the rest of it, and not idle."""


def make_arguments(busy_s: float) -> Mapping[str, Any]:
    """A server that is gone without a word is given up after some seconds (libpq, "Parameter Key Words")."""
    return {
        "connect_timeout": max(2, round(busy_s)),
        "tcp_user_timeout": 10_000,
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        "application_name": "netloom",
    }


def prepare_connection(dbapi: Any, busy_s: float) -> None:
    """Commits wait for the disk whatever the server's default is; one that is left half-way by a paused process lets
    go of its locks by itself."""
    dbapi.autocommit = True
    with dbapi.cursor() as cursor:
        cursor.execute("SELECT current_setting('synchronous_commit')")
        if cursor.fetchone()[0] in ("off", "false", "no", "0"):
            cursor.execute("SET synchronous_commit = on")
        cursor.execute(f"SET lock_timeout = '{max(1, round(busy_s * 1000))}ms'")
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{PAUSE_S}s'")
    dbapi.autocommit = False


STATES: Mapping[str, tuple[type[StoreError], str]] = {
    "23505": (StoreConflict, "another server has written first"),
    "40001": (StoreConflict, "another server has written first"),
    "40P01": (StoreConflict, "another server was writing at the same time"),
    "55P03": (StoreLocked, "somebody holds a lock in it. End that transaction (pg_stat_activity shows it)"),
    "53100": (StoreFull, "its disk is full. Free space there: writing goes on by itself"),
    "53300": (StoreUnavailable, "it takes no more connections. Raise max_connections, or stop who has them"),
    "25006": (StoreUnavailable, "it is read-only, as a standby is. Name the primary"),
    "28P01": (StoreUnavailable, "the password is wrong"),
    "28000": (StoreUnavailable, "this user may not connect. See pg_hba.conf"),
    "3D000": (StoreUnavailable, "there is no such database. Make it: createdb -O <user> <name>"),
    "42501": (StoreUnavailable, "this user lacks a right in it. Make the user the database's owner"),
    "57P03": (StoreUnavailable, "it is starting or stopping. Try again"),
    "57P01": (StoreLost, "it is being stopped"),
    "25P03": (StoreLost, "it ended a transaction that was left alone for too long"),
    "XX001": (StoreCorrupt, "its pages are damaged. Restore a backup"),
    "XX002": (StoreCorrupt, "an index of it is damaged. Run REINDEX"),
}
"""By SQLSTATE (PostgreSQL documentation, appendix A)."""


def explain(error: BaseException, place: str) -> StoreError:
    state = str(getattr(error, "sqlstate", None) or "")
    text = " ".join(str(error).split())
    for kind, (maker, words) in STATES.items():
        if state == kind or (not state and f"{words}" in text):
            return maker(f"{place}: {words}. No change was made. ({text})")
    if not state and "no such database" not in text and ("does not exist" in text and "database" in text):
        return StoreUnavailable(f"{place}: {STATES['3D000'][1]}. ({text})")
    if not state and "password authentication failed" in text:
        return StoreUnavailable(f"{place}: {STATES['28P01'][1]}. ({text})")
    if not state or state.startswith("08"):
        return StoreUnavailable(
            f"{place} cannot be reached ({text}). Check that the server runs, that address and port are right and that "
            "nothing between refuses them."
        )
    return StoreUnavailable(f"{place} cannot be used ({state}: {text}).")


@contextmanager
def one_maker(connection: Connection) -> Iterator[None]:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MAKER})")
    yield


def find_unsafe(connection: Connection) -> str:
    """Both lose commits that were reported ("Write Ahead Log", section 20.5)."""
    found = {name: connection.exec_driver_sql(f"SHOW {name}").scalar_one() for name in ("fsync", "full_page_writes")}
    return ", ".join(f"{name} = {value}" for name, value in found.items() if value != "on")


def make_upsert(table: Table) -> Executable:
    statement = insert(table)
    rest = {c.name: statement.excluded[c.name] for c in table.columns if not c.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=rest)


POSTGRES = Engineering(
    driver="postgresql+psycopg",
    package="psycopg[binary]",
    arguments=make_arguments,
    prepare=prepare_connection,
    explain=explain,
    one_maker=one_maker,
    unsafe=find_unsafe,
    make_upsert=make_upsert,
    size="SELECT pg_database_size(current_database())",
    patient=PATIENT,
    shut_out=SHUT_OUT,
    backup="pg_dump, or base backup and archive",
)

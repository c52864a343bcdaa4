"""A small catalog, operations on it, and a store in a folder: what the tests of the store share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine

from netloom.intent.operation import Context, Operation, Outcome, Requester, Settings
from netloom.intent.schema import GENERATED, Catalog, Doc, Field, Index, Kind, Resource, Rules
from netloom.intent.snapshot import Change, Snapshot
from netloom.store.context import make_contexts
from netloom.store.engine import Store, open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer

ANY = Kind("any", lambda value: value, {})
ADMIN = Requester(user_id="admin", project_id="p1", is_admin=True)

PORT = Resource(
    "port",
    "ports",
    "Where something meets a network.",
    (
        Field("id", ANY, "", GENERATED),
        Field("project_id", ANY, "", GENERATED),
        Field("name", ANY, "", ""),
        Field("mac_address", ANY, "", GENERATED),
        Field("network_id", ANY, "", GENERATED),
        Field("fixed_ips", ANY, "", []),
        Field("description", ANY, "", ""),
    ),
    Rules("", "", "", ""),
    (
        Index("name", lambda doc: [doc["name"]] if doc.get("name") else [], "unique"),
        Index("network_id", lambda doc: [doc["network_id"]] if "network_id" in doc else []),
        Index("number", lambda doc: [("number", doc["number"])] if "number" in doc else [], "bits"),
    ),
)

SMALL: Catalog = {"port": PORT}


ENGINES = ("sqlite", "postgresql", "mariadb")
PLACES: dict[Path, str] = {}
"""The store of a folder where that is no file in it."""


def url_of(folder: Path) -> str:
    return PLACES.get(folder) or f"sqlite:///{folder / 'netloom.db'}"


def run_sql(folder: Path, statement: str) -> list[Any]:
    """Behind the server's back."""
    engine = create_engine(find_driver(url_of(folder)), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            done = connection.exec_driver_sql(statement.replace("%", "%%"))
            return list(done) if done.returns_rows else []
    finally:
        engine.dispose()


def find_driver(url: str) -> str:
    return url.replace("postgresql://", "postgresql+psycopg://")


def create(name: str = "", **more: Any) -> Operation:
    """An operation that creates a port; `id` may be given."""

    def operation(snapshot: Snapshot, context: Context) -> Outcome:
        id = more.get("id") or context.new_id()
        doc: Doc = {"id": id, "project_id": "p1", "name": name, "network_id": "n1", **more}
        return Outcome((Change("port", id, doc),), (doc,))

    return operation


def remove(id: str) -> Operation:
    return lambda snapshot, context: Outcome((Change("port", id, None),))


def put(id: str, **attributes: Any) -> Operation:
    """An operation that changes attributes of a port."""

    def operation(snapshot: Snapshot, context: Context) -> Outcome:
        doc = {**(snapshot.get("port", id) or {"id": id}), **attributes}
        return Outcome((Change("port", id, doc),), (doc,))

    return operation


def make_writer(store: Store, catalog: Catalog = SMALL) -> Writer:
    return Writer(SqlJournal(store), load_snapshot(store, catalog), make_contexts(Settings()))


@asynccontextmanager
async def writing(folder: Path, busy_s: float = 5.0) -> AsyncIterator[Writer]:
    """A writer on the store of a folder; both are closed at the end."""
    store = open_store(url_of(folder), busy_s=busy_s)
    writer = make_writer(store)
    try:
        yield writer
    finally:
        await writer.close()
        store.close()


def read_docs(snapshot: Snapshot, kind: str = "port") -> dict[str, Doc]:
    return {str(doc["id"]): doc for doc in snapshot.docs(kind)}

"""What is in a store and who writes to it, and a copy of it: both beside a running server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from netloom.intent.schema import Doc
from netloom.store import sqlite
from netloom.store.engine import open_reader
from netloom.store.errors import StoreUnavailable
from netloom.store.load import load_record
from netloom.store.migrate import read_meta, read_version
from netloom.store.schema import LOG, OBJECT


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """A store at one instant. `writer` is who has the right to write, such as "process 12 on c1"; None: nobody."""

    name: str
    store_id: str
    created: str
    schema: str
    first_revision: int
    last_revision: int
    counts: Mapping[str, int]
    size_bytes: int
    writer: str | None


def read_status(url: str) -> StoreStatus:
    """Raises StoreError."""
    store = open_reader(url)
    try:
        with store.read() as connection:
            meta = read_meta(connection)
            first, last = connection.execute(select(func.min(LOG.c.revision), func.max(LOG.c.revision))).one()
            counts = connection.execute(select(OBJECT.c.kind, func.count()).group_by(OBJECT.c.kind))
            return StoreStatus(
                store.name,
                meta["store_id"],
                meta["created"],
                read_version(connection) or "",
                first or 0,
                last or 0,
                {row[0]: row[1] for row in counts},
                store.database.read_size(store.engine),
                store.database.find_holder(store.engine),
            )
    finally:
        store.close()


def read_kind(url: str, kind: str) -> list[Doc]:
    """All documents of one kind, as at one instant. Raises StoreError."""
    store = open_reader(url)
    try:
        with store.read() as connection:
            query = select(OBJECT.c.id, OBJECT.c.revision, OBJECT.c.doc).where(OBJECT.c.kind == kind)
            return [load_record(kind, id, revision, text, None).doc for id, revision, text in connection.execute(query)]
    finally:
        store.close()


def backup_store(url: str, target: Path) -> None:
    """Write a copy of the store, as at one instant, to a file that is not there yet; it appears when it is whole.

    Raises StoreError; no part of a copy is left then.
    """
    if target.exists():
        raise StoreUnavailable(f"{target} is there already and was not touched. Name a new file for the backup.")
    store = open_reader(url)
    try:
        with sqlite.clear_errors(target), sqlite.new_file(target) as draft:
            store.database.copy_to(store.engine, draft)
    finally:
        store.close()

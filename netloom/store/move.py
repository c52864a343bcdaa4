"""A store into another engine: all objects, the whole log and the store's identity, verified on the other side.

Law: the target has all of it or nothing (one transaction); the source is read and not changed, and nobody writes to it
meanwhile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from netloom.store.engine import Store, open_store
from netloom.store.errors import StoreCorrupt, StoreUnavailable
from netloom.store.lease import KEY, PEER_KEY
from netloom.store.schema import LOG, META, OBJECT

CHUNK = 1000
OWN = (KEY, PEER_KEY)
"""Rows of `meta` that belong to a place rather than to what is stored."""

Progress = Callable[[int, int], None]
"""Told how many rows of how many are copied."""


@dataclass(frozen=True, slots=True)
class Digest:
    """Of the rows of a table, whatever their order: how many, and the sum of their hashes."""

    rows: int
    sum: int


@dataclass(frozen=True, slots=True)
class Moved:
    source: str
    target: str
    objects: int
    revisions: int
    last_revision: int


def move_store(source_url: str, target_url: str, progress: Progress) -> Moved:
    """Copy a store to a place where there is none yet, or an empty one. Raises StoreError, and then the target is
    empty."""
    source = open_store(source_url)
    try:
        target = open_store(target_url)
        try:
            return copy_all(source, target, progress)
        finally:
            target.close()
    finally:
        source.close()


def copy_all(source: Store, target: Store, progress: Progress) -> Moved:
    with source.read() as old:
        source.database.be_patient(old)
        total = sum(count(old, table) for table in (OBJECT, LOG))
        with target.write() as new:
            target.database.be_patient(new)
            if any(count(new, table) for table in (OBJECT, LOG)):
                raise StoreUnavailable(f"{target.name} has objects or a log already. Nothing was changed. Name an "
                                       "empty database, or a file that is not there yet.")  # fmt: skip
            done = 0
            for table in (OBJECT, LOG):
                for rows in chunks(read_rows(old, table)):
                    new.execute(insert(table), rows)
                    done += len(rows)
                    progress(done, total)
            copy_meta(old, new)
            for table in (OBJECT, LOG):
                verify(table, old, new)  # before the commit: what differs is taken back
    with source.read() as old, target.read() as new:
        source.database.be_patient(old)
        target.database.be_patient(new)
        for table in (OBJECT, LOG):
            verify(table, old, new)  # and after it, with what the target has read from its disk
        last = new.execute(select(func.max(LOG.c.revision))).scalar_one() or 0
        return Moved(source.name, target.name, count(new, OBJECT), count(new, LOG), last)


def verify(table: Table, old: Connection, new: Connection) -> None:
    if digest_rows(read_rows(old, table), table) != digest_rows(read_rows(new, table), table):
        raise StoreCorrupt(f"The copy of the table {table.name} is not what was read. The source is as it was; name "
                           "another target.")  # fmt: skip


def count(connection: Connection, table: Table) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def read_rows(connection: Connection, table: Table) -> Iterator[dict[str, Any]]:
    with connection.execute(select(table), execution_options={"yield_per": CHUNK}) as rows:
        for row in rows.mappings():
            yield dict(row)


def chunks(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while found := list(islice(rows, CHUNK)):
        yield found


def copy_meta(old: Connection, new: Connection) -> None:
    kept = [row for row in read_rows(old, META) if row["key"] not in OWN]
    new.execute(delete(META).where(META.c.key.not_in(OWN)))
    new.execute(insert(META), kept)


def digest_rows(rows: Iterable[dict[str, Any]], table: Table) -> Digest:
    names = [column.name for column in table.columns]
    found = [digest_row([row[name] for name in names]) for row in rows]
    return Digest(len(found), sum(found) % (1 << 256))


def digest_row(values: Sequence[Any]) -> int:
    hashed = hashlib.sha256()
    for value in values:
        data = b"\0" if value is None else str(value).encode()
        hashed.update(b"%d:" % len(data) + data)
    return int.from_bytes(hashed.digest())

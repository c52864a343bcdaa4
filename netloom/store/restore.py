"""A backup put back in the place of what a store has.

Law: a revision once seen is never used again. What was answered after the backup was made is given up, but not its
revisions: the log begins anew beyond the last one that is known, so that nobody takes the old for the new.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, delete, func, insert, select

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Catalog
from netloom.store.check import check_store
from netloom.store.engine import open_reader, open_store
from netloom.store.errors import StoreCorrupt
from netloom.store.journal import row_values
from netloom.store.log import LogRow
from netloom.store.move import Progress, chunks, copy_meta, count, read_rows, verify
from netloom.store.schema import LOG, OBJECT

RESTORER = "netloom db restore"
"""Who is said to have made the revision with which the log begins anew."""


@dataclass(frozen=True, slots=True)
class Restored:
    """`given_up`: how many revisions the store had beyond the backup's last."""

    name: str
    objects: int
    backup_revision: int
    given_up: int
    revision: int


def restore_store(
    url: str, backup: Path, progress: Progress, after: int = 0, now: datetime | None = None, catalog: Catalog = CATALOG
) -> Restored:
    """Replace all that a store has by what a backup has, in one transaction. `after`: a revision that is known to have
    been used, where the store itself is lost. Raises StoreError, and then nothing is changed."""
    faults = check_store(f"sqlite:///{backup}", catalog)
    if faults:
        raise StoreCorrupt(f"{backup} has faults, and nothing was changed: {faults[0]} (netloom db check lists all)")
    source = open_reader(f"sqlite:///{backup}")
    try:
        target = open_store(url)
        try:
            with source.read() as old, target.write() as new:
                target.database.be_patient(new)
                at = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
                return replace_all(target.name, old, new, after, at, progress)
        finally:
            target.close()
    finally:
        source.close()


def replace_all(name: str, old: Connection, new: Connection, after: int, at: str, progress: Progress) -> Restored:
    kept, lost = read_last(old), read_last(new)
    new.execute(delete(OBJECT))
    new.execute(delete(LOG))
    total, done = count(old, OBJECT), 0
    for rows in chunks(read_rows(old, OBJECT)):
        new.execute(insert(OBJECT), rows)
        done += len(rows)
        progress(done, total)
    copy_meta(old, new)
    revision = max(kept, lost, after) + 1
    new.execute(insert(LOG), row_values(LogRow(revision, at, RESTORER, "", "[]")))
    verify(OBJECT, old, new)
    return Restored(name, total, kept, max(0, lost - kept), revision)


def read_last(connection: Connection) -> int:
    return connection.execute(select(func.max(LOG.c.revision))).scalar_one() or 0

"""What makes a batch durable: one transaction with the objects as they are now and the log rows that made them so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sqlalchemy import Executable, bindparam, delete, func, insert, select

from netloom.store.engine import Store
from netloom.store.log import Draft, LogRow, Stored, clip, select_rows
from netloom.store.schema import LOG, OBJECT

FOLLOWED = 2000
"""Rows that are taken over at once: who is far behind takes several steps."""


class Journal(Protocol):
    """All that the writer needs of a database. Both calls block; the writer makes them in its own thread."""

    def append(self, drafts: Sequence[Draft]) -> None:
        """All of it durable on return. Raises StoreError: none of it is, or, when the failure was at the very commit,
        all of it; `read_since` tells which."""
        ...

    def read_since(self, revision: int) -> tuple[int, list[LogRow]]:
        """The rows after `revision`, so many at a time, and the revision of the last; without any, the last that there
        is. Raises StoreError."""
        ...


@dataclass(frozen=True, slots=True)
class SqlJournal:
    """The journal in the tables of a store."""

    store: Store
    upsert: Executable = field(init=False)
    remove: Executable = field(
        default_factory=lambda: delete(OBJECT).where(
            OBJECT.c.kind == bindparam("kind_"), OBJECT.c.id == bindparam("id_")
        )
    )
    add: Executable = field(default_factory=lambda: insert(LOG))

    def __post_init__(self) -> None:
        object.__setattr__(self, "upsert", self.store.database.make_upsert(OBJECT))

    def append(self, drafts: Sequence[Draft]) -> None:
        objects, gone = fold(drafts)
        with self.store.write() as connection:
            # The log first: where another writer was faster, its key refuses this batch before anything else happens.
            connection.execute(self.add, [row_values(draft.row) for draft in drafts])
            if objects:
                connection.execute(self.upsert, objects)
            if gone:
                connection.execute(self.remove, gone)

    def read_since(self, revision: int) -> tuple[int, list[LogRow]]:
        # The row at `revision` itself is read too: that it is there proves that the log still is the one it was.
        with self.store.read() as connection:
            rows = select_rows(connection, revision - 1, FOLLOWED)
            if rows and rows[0].revision == revision:
                return rows[-1].revision, rows[1:]
            last = connection.execute(select(func.max(LOG.c.revision))).scalar_one() or 0
            return (rows[-1].revision if rows else last), rows


def fold(drafts: Sequence[Draft]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows to write and keys to remove: of several changes to an object in a batch the last counts."""
    final: dict[tuple[str, str], Stored] = {(s[0], s[1]): s for draft in drafts for s in draft.stored}
    objects = [
        {
            "kind": k,
            "id": i,
            "project_id": clip(r.doc.get("project_id") or ""),
            "revision": r.revision,
            "doc": r.json.decode(),
        }
        for k, i, r in final.values()
        if r
    ]
    return objects, [{"kind_": k, "id_": i} for k, i, r in final.values() if not r]


def row_values(row: LogRow) -> dict[str, Any]:
    return {
        "revision": row.revision,
        "at": row.at,
        "actor": row.actor,
        "request_id": row.request_id,
        "changes": row.changes,
    }

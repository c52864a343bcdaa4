"""The log: one row for each revision, in order and without gaps; enough to follow, to audit and to look back.

A row's changes are text made of the documents' own JSON: a document is encoded once and never again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, func, select

from netloom.intent.errors import bad_request
from netloom.intent.operation import Context, Outcome
from netloom.intent.snapshot import Change, Record
from netloom.store.engine import Store
from netloom.store.errors import StoreCorrupt
from netloom.store.schema import LOG

NULL = b"null"
DECODER = msgspec.json.Decoder(list[tuple[str, str, msgspec.Raw]])
ENCODER = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One committed operation: what it changed, when, who asked and under which request id."""

    revision: int
    at: str
    actor: str
    request_id: str
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class LogRow:
    """A log entry as it is stored; two rows are equal when they are the same commit."""

    revision: int
    at: str
    actor: str
    request_id: str
    changes: str


Stored = tuple[str, str, Record | None]
"""Kind, id, record (None: gone)."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A log entry that is about to be written, with the records that the next snapshot holds."""

    entry: LogEntry
    row: LogRow
    stored: tuple[Stored, ...]


COLUMN = 255
"""Characters of a column that is no document."""


def clip(text: str) -> str:
    """What every engine takes in a column: no more than that, and no NUL."""
    return text[:COLUMN].replace("\0", "")


def check_keys(stored: Iterable[Stored]) -> None:
    """Raises ApiError 400 where an id would not fit: in a batch it would fail its neighbours too."""
    for _, id, _ in stored:
        if len(id) > COLUMN or "\0" in id:
            raise bad_request(f"An id has at most {COLUMN} characters, and no NUL")


def make_draft(revision: int, context: Context, outcome: Outcome, stored: Sequence[Stored]) -> Draft:
    check_keys(stored)
    actor = clip(context.requester.user_id)
    row = LogRow(revision, context.now, actor, context.request_id, encode_changes(stored))
    entry = LogEntry(revision, context.now, actor, context.request_id, outcome.changes)
    return Draft(entry, row, tuple(stored))


def encode_changes(stored: Iterable[Stored]) -> str:
    return ENCODER.encode([(kind, id, msgspec.Raw(r.json) if r else None) for kind, id, r in stored]).decode()


def decode_changes(text: str) -> list[tuple[str, str, bytes | None]]:
    """Kind, id and JSON of each change; None: deleted. Raises StoreCorrupt."""
    try:
        found = DECODER.decode(text)
    except msgspec.DecodeError as error:
        raise StoreCorrupt(f"A row of the log cannot be read ({error}). Run: netloom db check") from None
    return [(kind, id, None if (raw := bytes(doc)) == NULL else raw) for kind, id, doc in found]


def decode_row(row: LogRow) -> LogEntry:
    changes = (
        Change(kind, id, None if doc is None else msgspec.json.decode(doc))
        for kind, id, doc in decode_changes(row.changes)
    )
    return LogEntry(row.revision, row.at, row.actor, row.request_id, tuple(changes))


def decode_stored(row: LogRow) -> list[Stored]:
    """The records that a row made, as the snapshot holds them."""
    return [
        (kind, id, None if doc is None else Record(msgspec.json.decode(doc), row.revision, doc))
        for kind, id, doc in decode_changes(row.changes)
    ]


# -- reading -----------------------------------------------------------------------------------------------------------


def read_rows(store: Store, after_revision: int, limit: int | None = None) -> list[LogRow]:
    """Rows with revision > after_revision, in order, at most `limit`. Raises StoreError."""
    with store.read() as connection:
        return select_rows(connection, after_revision, limit)


def select_rows(connection: Connection, after_revision: int, limit: int | None = None) -> list[LogRow]:
    query = select(LOG).where(LOG.c.revision > after_revision).order_by(LOG.c.revision).limit(limit)
    return [LogRow(r.revision, r.at, r.actor, r.request_id, r.changes) for r in connection.execute(query)]


def read_log(store: Store, after_revision: int, limit: int | None = None) -> list[LogEntry]:
    """Entries with revision > after_revision, in order, at most `limit`. Raises StoreError.

    The first one's revision is greater than after_revision + 1 when the log has been shortened past it.
    """
    return [decode_row(row) for row in read_rows(store, after_revision, limit)]


def read_bounds(store: Store) -> tuple[int, int]:
    """The first and last revision in the log; (0, 0): nothing was ever written."""
    with store.read() as connection:
        first, last = connection.execute(select(func.min(LOG.c.revision), func.max(LOG.c.revision))).one()
    return first or 0, last or 0

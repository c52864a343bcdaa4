"""The tables. Plain types that every SQL engine has; documents and changes are JSON text, encoded once.

The primary key of `log` is what makes two writers impossible: the writer gives the revision, and only one row can
have it. `migrations/` makes these tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text

SCHEMA_VERSION = "0001"
"""The newest migration that this program knows; a test compares it with the scripts."""

DOCUMENT_VERSION = 1
"""The form of the documents. Raised only when a program of the version before could not read them."""

REVISION = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite stores a table by its key only if that is called INTEGER; it has 64 bits all the same."""

METADATA = MetaData()

OBJECT = Table(
    "object",
    METADATA,
    Column("kind", String(64), primary_key=True),
    Column("id", String(255), primary_key=True),
    Column("project_id", String(255)),
    Column("revision", REVISION, nullable=False),
    Column("doc", Text, nullable=False),
)

LOG = Table(
    "log",
    METADATA,
    Column("revision", REVISION, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("request_id", String(255), nullable=False),
    Column("changes", Text, nullable=False),
)

META = Table(
    "meta",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)

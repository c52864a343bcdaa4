"""The tables. Plain types that every SQL engine has; documents and changes are JSON text, encoded once.

The primary key of `log` is what makes two writers impossible: the writer gives the revision, and only one row can
have it. `migrations/` makes these tables; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, Text
from sqlalchemy.dialects.mysql import LONGTEXT

SCHEMA_VERSION = "0001"
"""The newest migration that this program knows; a test compares it with the scripts."""

DOCUMENT_VERSION = 1
"""The form of the documents. Raised only when a program of the version before could not read them."""

REVISION = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite stores a table by its key only if that is called INTEGER; it has 64 bits all the same."""

LONG = Text().with_variant(LONGTEXT(), "mysql", "mariadb")
"""MariaDB's TEXT ends at 64 KB."""

OPTIONS: Mapping[str, Any] = {
    "mysql_engine": "InnoDB", "mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_nopad_bin",
    "mariadb_engine": "InnoDB", "mariadb_charset": "utf8mb4", "mariadb_collate": "utf8mb4_nopad_bin",
}  # fmt: skip
"""Keys differ when their bytes do, as in the other engines; MariaDB left alone would call "a" and "A " the same."""

METADATA = MetaData()

OBJECT = Table(
    "object",
    METADATA,
    Column("kind", String(64), primary_key=True),
    Column("id", String(255), primary_key=True),
    Column("project_id", String(255)),
    Column("revision", REVISION, nullable=False),
    Column("doc", LONG, nullable=False),
    **OPTIONS,
)

LOG = Table(
    "log",
    METADATA,
    Column("revision", REVISION, primary_key=True, autoincrement=False),
    Column("at", String(32), nullable=False),
    Column("actor", String(255), nullable=False),
    Column("request_id", String(255), nullable=False),
    Column("changes", LONG, nullable=False),
    **OPTIONS,
)

META = Table(
    "meta",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("value", LONG, nullable=False),
    **OPTIONS,
)

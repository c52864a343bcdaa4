"""From an older schema to this program's, in one transaction; and what schema a store has.

Alembic is imported only where a migration runs: an ordinary start reads one row and needs none of it.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Column, Connection, MetaData, String, Table, inspect, select

from netloom.store.errors import StoreCorrupt, StoreOutdated, StoreTooNew
from netloom.store.schema import DOCUMENT_VERSION, META, SCHEMA_VERSION

MIGRATIONS = Path(__file__).parent / "migrations"

VERSION = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


def upgrade(connection: Connection) -> None:
    """Bring the schema to SCHEMA_VERSION; an up-to-date one is left as it is. The caller commits."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, SCHEMA_VERSION)
    fill_meta(connection)


def fill_meta(connection: Connection) -> None:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    wanted = {"store_id": str(uuid.uuid4()), "created": now, "document_version": str(DOCUMENT_VERSION)}
    known = read_meta(connection)
    missing = [{"key": k, "value": v} for k, v in wanted.items() if k not in known]
    if missing:
        connection.execute(META.insert(), missing)


def read_meta(connection: Connection) -> dict[str, str]:
    """store_id, created, document_version."""
    return {row.key: row.value for row in connection.execute(select(META))}


def read_version(connection: Connection) -> str | None:
    """The schema that the store has, such as "0001"; None: it has no table of ours."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    return connection.execute(select(VERSION.c.version_num)).scalar_one_or_none()


def check_version(connection: Connection, where: str) -> None:
    """Raise StoreTooNew, StoreOutdated or StoreCorrupt unless this program can work with the store's schema."""
    found = read_version(connection)
    if found is None:
        raise StoreCorrupt(
            f"{where} is a database but not a Netloom store (it has no schema version). It was not touched. "
            "Name the right file, or move this one away and start again to make a new store."
        )
    if found > SCHEMA_VERSION:
        raise too_new(where, "schema", found, SCHEMA_VERSION)
    if found < SCHEMA_VERSION:
        raise StoreOutdated(
            f"{where} has schema {found} and this program needs {SCHEMA_VERSION}. It was not touched. "
            "Stop every server that uses it, make a copy (netloom db backup), then run: netloom db upgrade"
        )
    documents = int(read_meta(connection).get("document_version", "0"))
    if documents > DOCUMENT_VERSION:
        raise too_new(where, "document version", str(documents), str(DOCUMENT_VERSION))


def too_new(where: str, what: str, found: str, known: str) -> StoreTooNew:
    return StoreTooNew(
        f"{where} has {what} {found} and this program knows up to {known}: a newer Netloom has written it. "
        "It was not touched. Start that newer version, or restore a backup made before the upgrade."
    )

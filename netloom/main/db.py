"""What the `netloom db` commands do: each takes the store's URL and gives the lines to print.

Raises StoreError, whose text tells an operator what to do.
"""

from __future__ import annotations

from pathlib import Path

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Catalog
from netloom.store.check import check_store
from netloom.store.engine import upgrade_store
from netloom.store.schema import SCHEMA_VERSION
from netloom.store.status import StoreStatus, backup_store, read_status


def upgrade(url: str) -> list[str]:
    """Make the store, or bring an older one up to date in one transaction."""
    store = upgrade_store(url)
    store.close()
    return [f"{store.path} is up to date (schema {SCHEMA_VERSION})"]


def check(url: str) -> tuple[list[str], bool]:
    """The faults, and whether the store is sound."""
    found = check_store(url)
    return found or ["no fault was found"], not found


def backup(url: str, target: Path, catalog: Catalog = CATALOG) -> list[str]:
    """Copy the store to a new file, and make sure that the copy is sound."""
    backup_store(url, target)
    found = check_store(f"sqlite:///{target}", catalog)
    if found:
        return [f"{target} was written, and the store has faults:", *found]
    return [f"{target} holds revision {read_status(f'sqlite:///{target}').last_revision}"]


def status(url: str) -> list[str]:
    return render_status(read_status(url))


def render_status(status: StoreStatus) -> list[str]:
    objects = ", ".join(f"{kind} {count}" for kind, count in sorted(status.counts.items()))
    return [
        f"store      {status.path} ({status.size_bytes / 1e6:.1f} MB)",
        f"id         {status.store_id}, made {status.created}",
        f"schema     {status.schema} (this program: {SCHEMA_VERSION})",
        f"revision   {status.last_revision} (log from {status.first_revision})",
        f"objects    {objects or 'none'}",
        f"writer     {status.writer or 'none'}",
    ]

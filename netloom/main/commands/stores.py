"""What the `netloom db` commands do: each takes the store's URL and gives the lines to print.

Raises StoreError, whose text tells an operator what to do.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Catalog
from netloom.store.check import check_store
from netloom.store.engine import find_database, open_reader, open_store, upgrade_store
from netloom.store.errors import StoreUnavailable
from netloom.store.history import History, compact
from netloom.store.move import Progress, move_store
from netloom.store.restore import restore_store
from netloom.store.schema import SCHEMA_VERSION
from netloom.store.status import StoreStatus, backup_store, read_status

Said = tuple[list[str], bool]
"""The lines to print, and whether all is well."""


def upgrade(url: str) -> list[str]:
    """Make the store, or bring an older one up to date in one transaction."""
    made = not find_database(url).exists()
    store = upgrade_store(url)
    store.close()
    return [f"{store.name} {'was made' if made else 'is up to date'} (schema {SCHEMA_VERSION})"]


def check(url: str, catalog: Catalog = CATALOG) -> Said:
    """The faults, or how much was found to be sound."""
    found = check_store(url, catalog)
    if found:
        return found, False
    status = read_status(url)
    return [f"no fault was found: {render_counts(status)}; revision {status.last_revision}"], True


def backup(url: str, target: Path, catalog: Catalog = CATALOG) -> Said:
    """Copy the store to a new file, and look whether the copy is sound."""
    backup_store(url, target)
    copy = f"sqlite:///{target}"
    found = check_store(copy, catalog)
    if found:
        return [f"{target} was written, and the store has faults:", *found], False
    status = read_status(copy)
    size = render_size(status.size_bytes)
    return [f"{target} holds revision {status.last_revision} ({render_counts(status)}; {size})"], True


def move(url: str, target: str, progress: Progress) -> list[str]:
    """Copy the store into another engine, or another place, and verify the copy on both sides."""
    require(url)
    moved = move_store(url, target, progress)
    return [
        f"{moved.target} has {moved.objects} objects and {moved.revisions} revisions, the last {moved.last_revision}, "
        f"the same as {moved.source}",
        f"now set [database] connection to it and start the server; {moved.source} was not changed",
    ]


def restore(url: str, backup: Path, progress: Progress, after: int = 0) -> list[str]:
    """Put a backup in the place of what the store has."""
    if not backup.is_file():
        raise StoreUnavailable(f"{backup} is not there, or no file. Nothing was changed. Name what db backup has made.")
    done = restore_store(url, backup, progress, after)
    given_up = f"; {done.given_up} later revisions were given up" if done.given_up else ""
    return [
        f"{done.name} has the {done.objects} objects of revision {done.backup_revision} again{given_up}",
        f"its log begins anew with revision {done.revision}",
    ]


def shorten(url: str, history: History) -> list[str]:
    """Drop what of the log need not be kept, and give the room back to the disk."""
    require(url)
    store = open_store(url)
    try:
        before = store.database.read_size(store.engine)
        gone = compact(store, history, datetime.now(UTC))
        after = store.database.read_size(store.engine)
    finally:
        store.close()
    first = f"{gone} revisions were dropped from the log of {store.name}"
    return [first, f"it takes {render_size(after)} (before: {render_size(before)})"]


def require(url: str) -> None:
    """Raises StoreError where there is no store, for what would otherwise make one and find it empty."""
    open_reader(url).close()


def status(url: str) -> list[str]:
    return render_status(read_status(url))


def render_status(status: StoreStatus) -> list[str]:
    return [
        f"store      {status.name} ({render_size(status.size_bytes)})",
        f"id         {status.store_id}, made {status.created}",
        f"schema     {status.schema} (this program: {SCHEMA_VERSION})",
        f"revision   {status.last_revision} (log from {status.first_revision})",
        f"objects    {render_counts(status)}",
        f"writer     {status.writer or 'none'}",
    ]


def render_counts(status: StoreStatus) -> str:
    return ", ".join(f"{kind} {count}" for kind, count in sorted(status.counts.items())) or "no objects"


def render_size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.1f} MB"

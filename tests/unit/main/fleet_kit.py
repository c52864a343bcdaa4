"""A store in a folder, writers of it, and the options of a server whose hosts come by a socket file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from netloom.intent.catalog import CATALOG
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.store.context import make_contexts
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer


def make_options(folder: Path, **more: str) -> ServerOptions:
    return load_server_options((), {"state_path": str(folder), "netloom.feed_listen": f"unix:{folder}/s", **more})


@asynccontextmanager
async def open_writers(options: ServerOptions, count: int = 1) -> AsyncIterator[list[Writer]]:
    """So many of one store, each with all that is in it."""
    store = open_store(options.database_url)
    writers: list[Writer] = []
    try:
        for _ in range(count):
            loaded = load_snapshot(store, CATALOG)
            writers.append(Writer(SqlJournal(store), loaded, make_contexts(options.settings)))
        yield writers
    finally:
        for writer in writers:
            await writer.close()
        store.close()

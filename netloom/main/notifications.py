"""Composes what other services are told: from the writer's commits, and after a start from the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import httpx

from netloom.intent.snapshot import Change, Snapshot
from netloom.main.options import ServerOptions
from netloom.notify.events import find_events, find_missed
from netloom.notify.nova import Nova
from netloom.notify.outbox import Outbox
from netloom.notify.place import Place
from netloom.store.engine import Store
from netloom.store.log import LogEntry, decode_stored, read_rows
from netloom.store.writer import Writer

READ = 5000
"""Rows of the log that are looked through after a start; what came before is not told any more."""


@asynccontextmanager
async def tell_nova(options: ServerOptions, store: Store, writer: Writer) -> AsyncIterator[None]:
    """While the context is open, Nova is told of its instances' ports; where no [nova] auth_url is given, nobody is."""
    if options.nova is None:
        yield
        return
    interest, place = options.nova.interest, Place(options.state_path / "nova.json")
    async with httpx.AsyncClient(verify=options.nova.verify) as client:
        nova = Outbox("Nova", Nova(options.nova.settings, client).send, place)
        last = place.load()
        if last is not None:
            missed = find_missed(writer.snapshot, read_changes(store, last), interest)
            nova.tell(missed, writer.snapshot.revision)
        known = [writer.snapshot]

        def heard(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
            before, known[0] = known[0], snapshot
            if writer.writing:  # of several servers one tells
                changes = [change for entry in entries for change in entry.changes]
                nova.tell(find_events(before, snapshot, changes, interest), snapshot.revision)

        writer.listen(heard)
        sending = asyncio.get_running_loop().create_task(nova.run())
        try:
            yield
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError):
                await sending
            nova.keep_place()


def read_changes(store: Store, after_revision: int) -> list[Change]:
    """What the log says has changed since, as far as it still has it."""
    rows = read_rows(store, after_revision, READ)
    return [Change(kind, id, record.doc if record else None) for row in rows for kind, id, record in decode_stored(row)]

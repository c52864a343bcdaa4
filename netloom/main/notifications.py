"""Composes what other services are told: from the writer's commits, and after a start from the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TypeVar

import httpx

from netloom.intent.snapshot import Change, Snapshot
from netloom.main.nova_options import NovaOptions
from netloom.main.option_checks import OptionError
from netloom.main.options import ServerOptions
from netloom.notify.events import find_events, find_missed
from netloom.notify.messages import Message, Told, find_messages
from netloom.notify.nova import Nova
from netloom.notify.outbox import Outbox
from netloom.notify.place import Place
from netloom.notify.rabbit_settings import RabbitSettings
from netloom.store.context import make_id
from netloom.store.engine import Store
from netloom.store.log import LogEntry, decode_stored, read_rows
from netloom.store.writer import Writer

READ = 5000
"""Rows of the log that are looked through after a start; what came before is not told any more."""

T = TypeVar("T")
Find = Callable[[Snapshot, Snapshot, Sequence[LogEntry]], Iterable[T]]
"""What is to be told of commits: (snapshot before, snapshot after, their entries) → items."""


@asynccontextmanager
async def tell_others(options: ServerOptions, store: Store, writer: Writer) -> AsyncIterator[None]:
    """While the context is open, those whom the options name are told what happens."""
    async with AsyncExitStack() as stack:
        if options.nova is not None:
            await stack.enter_async_context(tell_nova(options, options.nova, store, writer))
        if options.rabbit is not None:
            await stack.enter_async_context(tell_rabbit(options, options.rabbit, writer))
        yield


@asynccontextmanager
async def tell_nova(options: ServerOptions, nova: NovaOptions, store: Store, writer: Writer) -> AsyncIterator[None]:
    """Nova, of its instances' ports; first of what happened while nobody told it."""
    interest, place = nova.interest, Place(options.state_path / "nova.json")
    async with httpx.AsyncClient(verify=nova.verify) as client:
        outbox = Outbox("Nova", Nova(nova.settings, client).send, place)
        last = place.load()
        if last is not None:
            outbox.tell(find_missed(writer.snapshot, read_changes(store, last), interest), writer.snapshot.revision)
        async with keep_telling(
            writer, outbox, lambda old, new, entries: find_events(old, new, merge(entries), interest)
        ):
            yield


@asynccontextmanager
async def tell_rabbit(options: ServerOptions, settings: RabbitSettings, writer: Writer) -> AsyncIterator[None]:
    """Whoever reads notifications from RabbitMQ."""
    try:
        from netloom.notify.rabbit import Rabbit
    except ImportError as error:
        name = "[oslo_messaging_notifications] driver"
        raise OptionError(name, "messagingv2", f"it needs pip install 'netloom[rabbit]' ({error})") from None
    rabbit = Rabbit(settings, make_id)
    outbox = Outbox("RabbitMQ", rabbit.send, Place(options.state_path / "rabbit.json"))
    try:
        async with keep_telling(writer, outbox, describe):
            yield
    finally:
        await rabbit.close()


def describe(old: Snapshot, new: Snapshot, entries: Sequence[LogEntry]) -> Iterable[Message]:
    commits = ((Told(entry.at, entry.actor, entry.request_id), entry.changes) for entry in entries)
    return find_messages(old, commits)


@asynccontextmanager
async def keep_telling(writer: Writer, outbox: Outbox[T], find: Find[T]) -> AsyncIterator[None]:
    known = [writer.snapshot]

    def heard(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        before, known[0] = known[0], snapshot
        if writer.writing:  # of several servers one tells
            outbox.tell(list(find(before, snapshot, entries)), snapshot.revision)

    stop = writer.listen(heard)
    sending = asyncio.get_running_loop().create_task(outbox.run())
    try:
        yield
    finally:
        stop()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        outbox.keep_place()


def merge(entries: Sequence[LogEntry]) -> list[Change]:
    return [change for entry in entries for change in entry.changes]


def read_changes(store: Store, after_revision: int) -> list[Change]:
    """What the log says has changed since, as far as it still has it."""
    rows = read_rows(store, after_revision, READ)
    return [Change(kind, id, record.doc if record else None) for row in rows for kind, id, record in decode_stored(row)]

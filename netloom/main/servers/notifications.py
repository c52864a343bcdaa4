"""Composes what other services are told: from the writer's commits, and after a start from the log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import groupby
from typing import TypeVar

import httpx

from netloom.intent.snapshot import Change, Snapshot
from netloom.main.options.checks import OptionError
from netloom.main.options.nova import NovaOptions
from netloom.main.options.server import ServerOptions
from netloom.main.servers.placement import tell_placement
from netloom.notify import messages
from netloom.notify.events import Interest, NovaEvent, find_events, find_missed
from netloom.notify.messages import Message, Told, find_messages
from netloom.notify.nova import Nova
from netloom.notify.outbox import Outbox
from netloom.notify.place import Place, StorePlace
from netloom.notify.rabbit_settings import RabbitSettings
from netloom.store.engine import Store
from netloom.store.errors import StoreError
from netloom.store.log import LogEntry, LogRow, decode_row, decode_stored, read_rows
from netloom.store.writer import Writer

READ = 5000
"""Rows of the log that are looked through after a start; what came before is not told any more."""

T = TypeVar("T")
Find = Callable[[Snapshot, Snapshot, Sequence[LogEntry]], Iterable[tuple[int, T]]]
"""What is to be told of commits: (snapshot before, snapshot after, their entries) → (revision, item) of each."""
Outboxes = Mapping[str, Callable[[], int]]
SETTLE_S = 1.0
"""How long a server that begins to write waits for the one before it to note what it has told."""


@asynccontextmanager
async def tell_others(options: ServerOptions, store: Store, writer: Writer) -> AsyncIterator[Outboxes]:
    """While the context is open, those whom the options name are told what happens; gives how many words wait, by
    name."""
    found: dict[str, Callable[[], int]] = {}
    async with AsyncExitStack() as stack:
        if options.nova is not None:
            nova = await stack.enter_async_context(tell_nova(options, options.nova, store, writer))
            found["nova"] = lambda: nova.waiting
        if options.rabbit is not None:
            rabbit = await stack.enter_async_context(tell_rabbit(options, options.rabbit, store, writer))
            found["rabbit"] = lambda: rabbit.waiting
        if options.placement is not None:
            keepers = await stack.enter_async_context(tell_placement(options.placement, options.nova, writer))
            found["placement"] = lambda: sum(keeper.waiting for keeper in keepers)
        yield found


@asynccontextmanager
async def tell_nova(
    options: ServerOptions, nova: NovaOptions, store: Store, writer: Writer
) -> AsyncIterator[Outbox[NovaEvent]]:
    """Nova, of its instances' ports; first of what happened while nobody told it."""
    interest, place = nova.interest, StorePlace(store, "nova", options.state_path / "nova.json")
    async with httpx.AsyncClient(verify=nova.verify) as client:
        outbox = make_outbox("Nova", Nova(nova.settings, client).send, place, writer)
        for row in await read_missed(store, place, writer):
            changes = [Change(kind, id, record.doc if record else None) for kind, id, record in decode_stored(row)]
            outbox.tell(find_missed(writer.snapshot, changes, interest), row.revision)
        async with keep_telling(writer, outbox, make_find(interest)):
            yield outbox


def make_find(interest: Interest) -> Find[NovaEvent]:
    def find(old: Snapshot, new: Snapshot, entries: Sequence[LogEntry]) -> Iterable[tuple[int, NovaEvent]]:
        return ((new.revision, event) for event in find_events(old, new, merge(entries), interest))

    return find


@asynccontextmanager
async def tell_rabbit(
    options: ServerOptions, settings: RabbitSettings, store: Store, writer: Writer
) -> AsyncIterator[Outbox[Message]]:
    """Whoever reads notifications from RabbitMQ."""
    try:
        from netloom.notify.rabbit import Rabbit
    except ImportError as error:
        name = "[oslo_messaging_notifications] driver"
        raise OptionError(name, "messagingv2", f"it needs pip install 'netloom[rabbit]' ({error})") from None
    rabbit = Rabbit(settings)
    place = StorePlace(store, "rabbit", options.state_path / "rabbit.json")
    outbox = make_outbox("RabbitMQ", rabbit.send, place, writer)
    for row in await read_missed(store, place, writer):
        entry = decode_row(row)
        outbox.tell(list(messages.find_missed(writer.snapshot.catalog, tell_of(entry), entry.changes)), row.revision)
    try:
        async with keep_telling(writer, outbox, describe):
            yield outbox
    finally:
        await rabbit.close()


def make_outbox(name: str, send: Callable[[Sequence[T]], Awaitable[None]], place: Place, writer: Writer) -> Outbox[T]:
    """Whoever writes tells. A server that begins to gives the one before it a moment to say how far it came."""
    settle_s = 0.0 if writer.writing else SETTLE_S
    return Outbox(name, send, place, tells=lambda: writer.writing, aside=writer.between, settle_s=settle_s)


def describe(old: Snapshot, new: Snapshot, entries: Sequence[LogEntry]) -> Iterable[tuple[int, Message]]:
    """(revision, message) of each."""
    found = find_messages(old, ((tell_of(entry), entry.changes) for entry in entries))
    return ((message.revision, message) for message in found)


def tell_of(entry: LogEntry) -> Told:
    return Told(entry.at, entry.actor, entry.request_id, entry.revision)


@asynccontextmanager
async def keep_telling(writer: Writer, outbox: Outbox[T], find: Find[T]) -> AsyncIterator[None]:
    known = [writer.snapshot]

    def heard(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        before, known[0] = known[0], snapshot
        for revision, found in groupby(find(before, snapshot, entries), key=lambda pair: pair[0]):
            outbox.tell([item for _, item in found], revision)
        outbox.tell((), snapshot.revision)

    stop = writer.listen(heard)
    sending = asyncio.get_running_loop().create_task(outbox.run())
    try:
        yield
    finally:
        stop()
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        with suppress(StoreError):
            await outbox.stop()


def merge(entries: Sequence[LogEntry]) -> list[Change]:
    return [change for entry in entries for change in entry.changes]


async def read_missed(store: Store, place: Place, writer: Writer) -> list[LogRow]:
    """Rows of the log that are shown already and that the service was not told of, as far as the log still has them."""
    last = await asyncio.to_thread(place.load)
    if last is None:
        return []
    rows = await asyncio.to_thread(read_rows, store, last, READ)
    return [row for row in rows if row.revision <= writer.snapshot.revision]

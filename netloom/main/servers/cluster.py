"""Composition of the part of a server that has the store: alone, or as one of several.

Alone is a server with one process on a file: it holds the file's lock and there is nothing to hand on. Everything else
is one of several: processes of one machine on a file or a database, or machines on a database.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from netloom.feed import pki
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Submit
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import open_authority
from netloom.main.servers.fleet import HOSTS, make_operation
from netloom.main.servers.handing import Handing
from netloom.main.servers.peers import NotDelivered, Peers, PeerServer, Unanswered, decode, make_peer_context, sweep
from netloom.main.servers.shared_state import make_share
from netloom.store.context import make_contexts
from netloom.store.engine import Store, find_database, open_shared, open_store
from netloom.store.errors import StoreUnavailable
from netloom.store.history import keep_short
from netloom.store.journal import SqlJournal
from netloom.store.lease import load_key
from netloom.store.load import load_snapshot
from netloom.store.seat import Member, make_seat
from netloom.store.writer import Writer

LOG = logging.getLogger("netloom.server")


@dataclass(frozen=True, slots=True)
class Kept:
    """The store as the rest of a server uses it. `handing` is None where the server is alone."""

    store: Store
    writer: Writer
    submit: Submit
    handing: Handing | None = None


def is_one_of_several(options: ServerOptions) -> bool:
    return options.api_workers > 1 or find_database(options.database_url).shared


@asynccontextmanager
async def keep_store(options: ServerOptions, worker: int = 0) -> AsyncIterator[Kept]:
    """The store, open for as long as the context lasts. Raises StoreError."""
    async with AsyncExitStack() as stack:
        several = is_one_of_several(options)
        store = (open_shared if several else open_store)(options.database_url)
        stack.callback(store.close)
        writer = await stack.enter_async_context(open_writer(options, store, not several))
        await stack.enter_async_context(
            in_background(keep_short(store, options.history, writer.between, ours=lambda: writer.writing))
        )
        if several:
            handing = await stack.enter_async_context(join_others(options, store, writer, worker))
            yield Kept(store, writer, handing.submit, handing)
        else:
            yield Kept(store, writer, writer.submit)


@asynccontextmanager
async def open_writer(options: ServerOptions, store: Store, writing: bool) -> AsyncIterator[Writer]:
    snapshot = load_snapshot(store, CATALOG)
    LOG.info("%s at revision %d", store.name, snapshot.revision)
    writer = Writer(
        SqlJournal(store), snapshot, make_contexts(options.settings), writing=writing,
        reload=lambda: load_snapshot(store, CATALOG),
    )  # fmt: skip
    try:
        yield writer
    finally:
        await writer.close()


@asynccontextmanager
async def join_others(options: ServerOptions, store: Store, writer: Writer, worker: int) -> AsyncIterator[Handing]:
    """Be one of the servers of this store: known to the others, and its writer when it is this one's turn."""
    authority = open_authority(options.state_path / "feed", datetime.now(UTC), share=make_share(store))
    context = pki.make_server_context(
        authority.server_certificate_file, authority.server_key_file, authority.authority_file
    )
    with store.clear_errors():
        key = load_key(store.engine, lambda: secrets.token_hex(32))
    peers = Peers(key, partial(make_peer_context, authority.authority_file))
    listen = PeerServer(key, lambda what, body: handing.serve(what, body))
    if gone := await asyncio.to_thread(sweep, options.state_path / "peers"):
        LOG.info("sockets of processes that are no more: %s", ", ".join(gone))
    address = await listen.listen(find_peer_address(options, worker), context)
    member = Member(writer, make_seat(store, address))
    handing = Handing(member, peers, make_operation, HOSTS, options.api.max_request_body_size)
    try:
        async with in_background(member.run()), in_background(handing.follow_news()):
            yield handing
            await member.step_down()
    finally:
        await listen.stop()
        await peers.close()
        if address.startswith("unix:"):
            await asyncio.to_thread(Path(address[5:]).unlink, missing_ok=True)


def find_peer_address(options: ServerOptions, worker: int) -> str:
    if not options.peer_listen:
        return f"unix:{options.state_path.absolute()}/peers/{os.getpid()}.sock"
    if options.peer_listen.startswith("unix:"):
        return f"{options.peer_listen}.{worker}"
    host, _, port = options.peer_listen.rpartition(":")
    return f"{host}:{int(port) + worker if int(port) else 0}"


@asynccontextmanager
async def in_background(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """The work goes on until the context ends."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


# -- by order ----------------------------------------------------------------------------------------------------------


def order_step_down(options: ServerOptions) -> str:
    """Have the server that writes leave that to another; says who did. Raises StoreError."""
    store = open_shared(options.database_url)
    try:
        with store.clear_errors():
            key = load_key(store.engine, lambda: secrets.token_hex(32))
            before = make_seat(store, "").look()
        if not before.address:
            raise StoreUnavailable(f"{store.name}: no server that has others beside it writes to it now.")
        folder = options.state_path / "feed"
        authority = open_authority(folder, datetime.now(UTC), renew=False, share=make_share(store))
        peers = Peers(key, partial(make_peer_context, authority.authority_file))
        asyncio.run(ask_to_step_down(peers, before.address))
    finally:
        store.close()
    return f"{before.who} has stepped down"


async def ask_to_step_down(peers: Peers, address: str) -> None:
    try:
        done = decode(await peers.find(address).ask("step-down", None), type=bool)
    except (NotDelivered, Unanswered) as error:
        raise StoreUnavailable(f"the server that writes cannot be reached: {error}") from None
    finally:
        await peers.close()
    if not done:
        raise StoreUnavailable("that server no longer writes; nothing was changed. Ask again.")

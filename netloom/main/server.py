"""Composition of a server: store, writer, API, and the feed that hosts follow. Nothing here decides anything."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import uvicorn
import uvloop

from netloom import __version__
from netloom.api.app import make_app
from netloom.api.aside import Aside
from netloom.api.parts import ApiParts
from netloom.api.public import make_public
from netloom.api.rules import make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.main.fleet import Fleet, serve_fleet
from netloom.main.identities import make_identities
from netloom.main.options import ServerOptions
from netloom.store.context import make_contexts
from netloom.store.engine import Store, open_store
from netloom.store.history import keep_short
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer

LOG = logging.getLogger("netloom.server")


def run_server(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT. What is waited for is answered first."""
    logging.basicConfig(
        level=logging.DEBUG if options.debug else logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for noisy in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    for note in options.notes:
        LOG.info("%s", note)
    options.state_path.mkdir(parents=True, exist_ok=True, mode=0o750)
    uvloop.run(serve(options))


async def serve(options: ServerOptions) -> None:
    async with AsyncExitStack() as stack:
        store = open_store(options.database_url)
        stack.callback(store.close)
        writer = await stack.enter_async_context(open_writer(options, store))
        await stack.enter_async_context(in_background(keep_short(store, options.history, writer.between)))
        identities = make_identities(options)
        stack.push_async_callback(identities.close)
        fleet = await stack.enter_async_context(serve_fleet(options, writer))

        def ready() -> Mapping[str, Any]:
            failure = writer.failure
            return {"ready": failure is None, "hosts": fleet.count(), **({"store": str(failure)} if failure else {})}

        parts = ApiParts(
            catalog=CATALOG,
            snapshot=lambda: writer.snapshot,
            submit=writer.submit,
            identity=identities.identity,
            policy=make_policy_source(CATALOG, str(options.policy_file or ""), options.policy_remote),
            settings=options.api,
            live=fleet.show_live,
            ready=ready,
            mounts=identities.mounts,
            options=options.settings,
        )
        await serve_api(options, parts, fleet)


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


@asynccontextmanager
async def open_writer(options: ServerOptions, store: Store) -> AsyncIterator[Writer]:
    snapshot = load_snapshot(store, CATALOG)
    LOG.info("%s at revision %d", options.database_url, snapshot.revision)
    writer = Writer(SqlJournal(store), snapshot, make_contexts(options.settings))
    try:
        yield writer
    finally:
        await writer.close()


async def serve_api(options: ServerOptions, parts: ApiParts, fleet: Fleet) -> None:
    app = make_public(make_app(parts), options.public_url)
    aside = Aside(app, lambda: parts.policy.elsewhere)
    config = uvicorn.Config(
        aside if options.policy_file else app,
        loop="none", http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, timeout_keep_alive=75, ssl_certfile=options.tls_cert,
        ssl_keyfile=str(options.tls_key) if options.tls_key else None, ssl_version=ssl.PROTOCOL_TLS_SERVER,
        backlog=2048, timeout_graceful_shutdown=10,
    )  # fmt: skip
    listener = make_listener(options.bind_host, options.bind_port)
    host, port = listener.getsockname()[:2]
    server = Quiet(config)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    LOG.info("netloom %s serves the Networking API at %s port %d; %s", __version__, host, port, fleet.describe())
    try:
        await server.serve([listener])
    finally:
        aside.close()


class Quiet(uvicorn.Server):
    """uvicorn, with signals left to the event loop, so that stopping is part of our own order."""

    def stop(self) -> None:
        self.should_exit = True

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


def make_listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    return listener

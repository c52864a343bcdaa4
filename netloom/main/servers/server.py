"""Composition of a server: store, writer, API, and the feed that hosts follow. Nothing here decides anything."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import uvicorn
import uvloop
from prometheus_client import CollectorRegistry, generate_latest

from netloom import __version__
from netloom.api.app import make_app
from netloom.api.aside import AsgiApp, Aside
from netloom.api.limits import SharedLevels
from netloom.api.message import find_ids
from netloom.api.parts import ApiParts, hear_nothing
from netloom.api.public import make_public
from netloom.api.rules import make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.main.options.server import ServerOptions
from netloom.main.servers.authority import open_authority, take_pairs
from netloom.main.servers.cluster import in_background, keep_store
from netloom.main.servers.collector import short_looks
from netloom.main.servers.fleet import Fleet, serve_fleet
from netloom.main.servers.handing import Handing
from netloom.main.servers.identities import make_identities
from netloom.main.servers.notifications import tell_others
from netloom.main.servers.shared_state import follow_shared, make_share
from netloom.main.servers.wire import make_protocol
from netloom.main.servers.workers import run_workers
from netloom.main.service import tell_manager
from netloom.main.watching.logs import set_up_logs
from netloom.main.watching.metrics_page import serve_figures
from netloom.main.watching.server_figures import ServerFigures
from netloom.main.watching.telemetry import open_spans
from netloom.store.engine import open_shared

LOG = logging.getLogger("netloom.server")


def run_server(options: ServerOptions) -> None:
    """Serve until SIGTERM or SIGINT. What is waited for is answered first."""
    set_up_logs(options.log, find_ids)
    for note in options.notes:
        LOG.info("%s", note)
    options.state_path.mkdir(parents=True, exist_ok=True, mode=0o750)
    if options.api_workers == 1:
        uvloop.run(serve(options))
        return
    options = prepare(options)
    status = run_workers(options.api_workers, lambda worker: uvloop.run(serve(options, worker)))
    if status:
        raise SystemExit(status)


def prepare(options: ServerOptions) -> ServerOptions:
    """What is made at a first start is made once, before there are several processes: the store, users, authority; and
    where they count requests together."""
    store = open_shared(options.database_url)
    try:
        open_authority(options.state_path / "feed", datetime.now(UTC), share=make_share(store))
        make_identities(options, make_share(store))
    finally:
        store.close()
    rates = options.api.rates
    if rates.project or rates.token:
        options = replace(options, api=replace(options.api, rates=replace(rates, shared=SharedLevels())))
    if options.bind_port:
        return options
    with make_listener(options.bind_host, 0, several=True) as probe:
        return replace(options, bind_port=probe.getsockname()[1])


async def serve(options: ServerOptions, worker: int = 0) -> None:
    async with AsyncExitStack() as stack:
        stack.enter_context(short_looks())
        kept = await stack.enter_async_context(keep_store(options, worker))
        writer, handing = kept.writer, kept.handing
        outboxes = await stack.enter_async_context(tell_others(options, kept.store, writer))
        spans = await stack.enter_async_context(open_spans(options.otel_endpoint, "netloom-server", options.log.host))
        share = make_share(kept.store)
        identities = make_identities(options, share)
        if share:
            also = partial(take_pairs, share, options.state_path / "feed")
            await stack.enter_async_context(in_background(follow_shared(share, options.state_path, also)))
        stack.push_async_callback(identities.close)
        if handing:
            await stack.enter_async_context(in_background(identities.follow()))
        say, look = (handing.say, handing.member.refresh) if handing else (None, None)
        fleet = await stack.enter_async_context(serve_fleet(options, writer, say, worker, share, look))
        figures = ServerFigures(CollectorRegistry(), writer, fleet, outboxes, spans)
        figures.start()
        await stack.enter_async_context(in_background(figures.watch(kept.store)))
        page = serve_figures(options.metrics_listen, lambda: generate_latest(figures.registry), worker)
        await stack.enter_async_context(page)

        def ready() -> Mapping[str, Any]:
            failure = writer.failure
            role = {"writes": writer.writing} if handing else {}
            failed = {"store": str(failure)} if failure else {}
            return {"ready": failure is None, "hosts": fleet.count(), **role, **failed}

        parts = ApiParts(
            catalog=CATALOG,
            snapshot=lambda: writer.snapshot,
            submit=kept.submit,
            identity=identities.identity,
            policy=make_policy_source(CATALOG, str(options.policy_file or ""), options.policy_remote),
            settings=options.api,
            live=fleet.show_live,
            ready=ready,
            registry=figures.registry,
            answered=spans.answered if spans else hear_nothing,
            mounts=identities.mounts,
            options=options.settings,
        )
        await serve_api(options, parts, fleet, handing)


async def serve_api(options: ServerOptions, parts: ApiParts, fleet: Fleet, handing: Handing | None) -> None:
    app = make_public(make_app(parts), options.public_url)
    aside = Aside(app, lambda: parts.policy.elsewhere)
    whole: AsgiApp = aside if options.policy_file else app
    if handing:
        handing.app, whole = whole, handing
    config = uvicorn.Config(
        whole, loop="none", http=make_protocol(options.client_timeout_s, options.max_header_size), ws="none",
        lifespan="off", log_config=None, access_log=False, server_header=False, timeout_keep_alive=75,
        ssl_certfile=options.tls_cert, ssl_keyfile=str(options.tls_key) if options.tls_key else None,
        ssl_version=ssl.PROTOCOL_TLS_SERVER, backlog=2048, timeout_graceful_shutdown=10,
    )  # fmt: skip
    listener = make_listener(options.bind_host, options.bind_port, options.api_workers > 1)
    host, port = listener.getsockname()[:2]
    server = Quiet(config)
    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, lambda: tasks.append(loop.create_task(stop_in_order(server, handing))))
    LOG.info("netloom %s serves the Networking API at %s port %d; %s", __version__, host, port, fleet.describe())
    try:
        await server.serve([listener])
    finally:
        aside.close()


async def stop_in_order(server: Quiet, handing: Handing | None) -> None:
    """Another server writes before this one takes no more requests: what still comes here is handed on to it."""
    tell_manager("STOPPING=1")
    if handing:
        await handing.leave()
    server.stop()


class Quiet(uvicorn.Server):
    """uvicorn, with signals left to the event loop, so that stopping is part of our own order."""

    def stop(self) -> None:
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell_manager("READY=1")

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        await self._serve(sockets)


def make_listener(host: str, port: int, several: bool = False) -> socket.socket:
    """`several`: other processes of this machine listen there too, and the system shares out who connects."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if several:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind((host, port))
    return listener

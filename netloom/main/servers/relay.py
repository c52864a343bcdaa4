"""Composition of a relay: its papers, what it follows, and where it listens for hosts. Nothing here decides anything.

In the state folder: relay/ with key.pem, cert.pem, ca.pem, name, joined and slices/. A relay whose folder is lost joins
again and costs its hosts a connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop

from netloom import __version__
from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.client import request_join
from netloom.feed.grants import is_relay
from netloom.feed.hub import Hub, run_together
from netloom.feed.pki import RELAY, JoinError, encode_key, look_at, make_key, make_request, parse_token
from netloom.feed.relay import Relay
from netloom.main.hosts.papers import Papers
from netloom.main.options.relay import RelayOptions
from netloom.main.servers.broker import keep_listening
from netloom.main.servers.listening import listen
from netloom.main.service import tell_manager
from netloom.main.watching.logs import set_up_logs
from netloom.main.watching.metrics_page import serve_figures
from netloom.main.watching.relay_figures import RelayFigures

LOG = logging.getLogger("netloom.relay")


def run_relay(options: RelayOptions, token: str = "") -> None:
    """Serve until SIGTERM or SIGINT. Raises JoinError where the relay never joined."""
    set_up_logs(options.log)
    for note in options.notes:
        LOG.info("%s", note)
    if token:
        join_relay(options, token)
    papers = find_papers(options)
    if not papers.whole:
        raise JoinError(f"the relay has not joined: get a token by `netloom agent token {RELAY}NAME` on a server")
    uvloop.run(serve_relay(options, papers))


def find_papers(options: RelayOptions) -> Papers:
    return Papers(options.state_path / "relay")


def find_name(papers: Papers) -> str:
    return (papers.folder / "name").read_text()


def join_relay(options: RelayOptions, token: str) -> None:
    """Get the relay's certificate at the first upstream that gave the token; once used here it is enough. Raises
    JoinError."""
    papers, used = find_papers(options), hashlib.sha256(token.strip().encode()).hexdigest()
    if papers.whole and papers.token.exists() and papers.token.read_text() == used:
        return
    found = parse_token(token)
    if not is_relay(found.host):
        raise JoinError(f"the token is one for host {found.host}; a relay's is for a name such as {RELAY}r1")
    key, problems = make_key(), []
    for address in options.upstream:
        try:
            joined = asyncio.run(request_join(address, found, make_request(key, found.host)))
            break
        except JoinError as error:
            problems.append(str(error))
    else:
        raise JoinError("; ".join(problems))
    papers.write(papers.key, encode_key(key))
    papers.save(joined)
    papers.write(papers.folder / "name", found.host.encode())
    papers.write(papers.token, used.encode())


async def serve_relay(options: RelayOptions, papers: Papers) -> None:
    """Until a signal asks to stop; hosts then go elsewhere."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    context = papers.open_listening()
    relay = make_relay(options, papers)
    figures = RelayFigures(relay)
    page = serve_figures(options.metrics_listen, figures.render, describe=figures.describe)
    async with page, listening(options.listen, relay.hub, context):
        LOG.info("netloom %s is %s at %s, for %s", __version__, relay.name, ", ".join(options.listen),
                 ", ".join(options.upstream))  # fmt: skip
        tell_manager("READY=1")
        await run_together(relay.run(), wait_for(stop), keep_listening(options.nats_servers, relay))
    relay.keep()
    LOG.info("stopped")


async def wait_for(stop: asyncio.Event) -> None:
    await stop.wait()


def make_relay(options: RelayOptions, papers: Papers) -> Relay:
    def take(joined: m.Joined) -> None:
        papers.save(joined)
        relay.hub.ping()  # its hosts hear now of an authority that is new

    name = find_name(papers)
    relay = Relay(
        name,
        options.upstream,
        papers.open_context,
        keep_read(papers.authority),
        Cache(papers.folder / "slices"),
        grant=lambda upper: papers.make_grant(name, upper),
        on_joined=take,
        csr=lambda: papers.make_renewal(name),
        anew=lambda tag: papers.make_anew(name, tag),
        program=f"netloom {__version__}",
    )
    return relay


def keep_read(path: Path) -> Callable[[], bytes]:
    """Gives the file's bytes, and reads them again when it was replaced: each ping to each host asks."""
    seen: object = None
    held = b""

    def read() -> bytes:
        nonlocal seen, held
        if (now := look_at([path])) != seen:
            seen, held = now, path.read_bytes()
        return held

    return read


@asynccontextmanager
async def listening(addresses: tuple[str, ...], hub: Hub, context: ssl.SSLContext) -> AsyncIterator[None]:
    servers = [await listen(address, hub.serve, context) for address in addresses]
    try:
        yield
    finally:
        for server in servers:
            server.close()
        for address in addresses:
            if address.startswith("unix:"):
                await asyncio.to_thread(Path(address[5:]).unlink, missing_ok=True)

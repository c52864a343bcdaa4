"""The server's side of hosts: slices kept current with each commit, the hub that serves them, and what hosts say back.

What a host says becomes an operation like any other; words of the same kind from one host are joined while one waits.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from netloom.feed import messages as m
from netloom.feed import pki
from netloom.feed.hub import Hub
from netloom.intent.agent import mark_alive, report_host
from netloom.intent.errors import ApiError
from netloom.intent.operation import Operation, Requester
from netloom.intent.port_status import acknowledge
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.main.authority import Authority, open_authority
from netloom.main.options import ServerOptions
from netloom.resolve.slices import SliceBook
from netloom.store.log import LogEntry
from netloom.store.writer import Writer

LOG = logging.getLogger("netloom.server")
HOSTS = Requester(user_id="netloom", roles=("admin", "service"), is_admin=True, user_name="hosts")
"""In whose name what hosts say is written."""


class Fleet:
    """All hosts, as this server sees them."""

    def __init__(self, options: ServerOptions, writer: Writer, authority: Authority) -> None:
        self._options = options
        self._writer = writer
        self._authority = authority
        self._book = SliceBook(writer.snapshot)
        self._seen: dict[str, str] = {}
        self._said: dict[str, tuple[int, list[str], dict[str, str]]] = {}
        self._saying: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.hub = Hub(self._book, self, lambda: self._book.snapshot.revision, "netloom")

    # -- with each commit ----------------------------------------------------------------------------------------------

    def advance(self, entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
        """Called by the writer after a batch is durable."""
        changes = [change for entry in entries for change in entry.changes]
        self.hub.notify(self._book.advance(changes, snapshot))

    # -- what hosts say ------------------------------------------------------------------------------------------------

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        if configurations:
            await self._write(lambda s, c: report_host(s, c, host, configurations, zone))

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        """The newest word of a host stands for all before it: each names every port of the host."""
        self._said[host] = (revision, wired, dict(pending))
        if host not in self._saying:
            self._saying.add(host)
            task = asyncio.get_running_loop().create_task(self._tell(host))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _tell(self, host: str) -> None:
        try:
            while host in self._said:
                revision, wired, pending = self._said.pop(host)
                await self._write(make_acknowledge(host, revision, wired, pending))
        finally:
            self._saying.discard(host)

    async def present(self, host: str, here: bool) -> None:
        self._seen[host] = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        LOG.info("%s is %s", host, "here" if here else "gone")
        await self._write(lambda s, c: mark_alive(s, c, host, here))

    async def finish(self) -> None:
        """Let what hosts said last be written."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def _write(self, operation: Operation) -> None:
        try:
            await self._writer.submit(operation, HOSTS)
        except ApiError as error:
            LOG.warning("what a host said was not written: %s", error.message)

    # -- certificates --------------------------------------------------------------------------------------------------

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        self._authority.use_token(host, token, datetime.now(UTC))
        return self._issue(host, csr)

    async def renew(self, host: str, csr: str) -> m.Joined:
        return self._issue(host, csr)

    def _issue(self, host: str, csr: str) -> m.Joined:
        authority = self._authority.authority
        return m.Joined(pki.sign_request(authority, host, csr, datetime.now(UTC)), authority.certificate.decode())

    # -- for the API ---------------------------------------------------------------------------------------------------

    def count(self) -> int:
        return len(self.hub.hosts)

    def show_live(self, kind: str, doc: Doc) -> Doc:
        """An agent as it is at this moment: its heartbeat is its connection."""
        if kind != "agent":
            return doc
        host = doc["host"]
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
        alive = host in self.hub.hosts
        return {**doc, "alive": alive, "heartbeat_timestamp": now if alive else doc["heartbeat_timestamp"]}

    def describe(self) -> str:
        return f"hosts at {', '.join(self._options.feed_listen) or 'no address'}"


def make_acknowledge(host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> Operation:
    return lambda snapshot, context: acknowledge(snapshot, context, host, wired, pending, revision)


@asynccontextmanager
async def serve_fleet(options: ServerOptions, writer: Writer) -> AsyncIterator[Fleet]:
    """Listen for hosts for as long as the context lasts."""
    authority = open_authority(options.state_path / "feed", datetime.now(UTC))
    fleet = Fleet(options, writer, authority)
    quiet = writer.listen(fleet.advance)
    # Who was alive when the last server stopped is not, until it says so; a reconnecting host is alive in a moment.
    context = pki.make_server_context(
        authority.server_certificate_file, authority.server_key_file, authority.authority_file
    )
    servers = [await listen(address, fleet, context) for address in options.feed_listen]
    fleet.hub.start()
    try:
        yield fleet
    finally:
        for server in servers:
            server.close()
        await fleet.hub.stop()
        await asyncio.sleep(0)
        quiet()
        await fleet.finish()


async def listen(address: str, fleet: Fleet, context: ssl.SSLContext) -> asyncio.Server:
    """`address`: "host:port" or "unix:/path". A socket file that a killed server left is taken over."""
    if address.startswith("unix:"):
        path = Path(address[5:])
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return await asyncio.start_unix_server(fleet.hub.serve, path, ssl=context, limit=1 << 20)
    host, _, port = address.rpartition(":")
    return await asyncio.start_server(fleet.hub.serve, host.strip("[]"), int(port), ssl=context, limit=1 << 20)


def make_join_token(options: ServerOptions, host: str) -> str:
    """A token with which `host` may join once, within the hour. The server may be running beside."""
    now = datetime.now(UTC)
    return open_authority(options.state_path / "feed", now, renew=False).make_token(host, now)

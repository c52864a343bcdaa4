"""The server's end of the feed: which host follows which slices, and what each still has to be told.

Law 9: a host is the name in its certificate; it follows `host/<name>` and what that slice leads to, and may speak only
of ports in it. A host that reads slowly costs one mark per slice it is behind on, never a queue: what it is sent is
made when it can take it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from netloom.feed import messages as m
from netloom.feed.codec import MAX_FROM_HOST, MAX_JOIN, make_frame, receive_frame
from netloom.feed.pki import JoinError, Life, find_host_name, find_life, read_life
from netloom.feed.report import parse_report
from netloom.model.delta import SliceDelta, changes_leads
from netloom.model.digest import change_digest, digest_rows
from netloom.model.slices import FloatingRow, PortRow, Slice, find_reached

LOG = logging.getLogger("netloom.feed")
PING_S = 15.0
SILENCE_S = 45.0
"""A host that said nothing for this long, not even to a ping, is taken for gone."""
LAST_WORD_S = 1.0
"""How long a host that is refused is given to take the reason."""


class SliceSource(Protocol):
    """Slices, kept current while they are followed."""

    def follow(self, name: str) -> Slice | None: ...

    def unfollow(self, name: str) -> None: ...

    def slice(self, name: str) -> Slice | None: ...

    def leads(self, name: str) -> Iterable[str]:
        """The slices that a followed one leads to."""
        ...


class Fleet(Protocol):
    """Whom the hub tells what hosts say. What is awaited here delays that host alone."""

    async def admit(self, host: str, issued_s: float) -> None:
        """Raises JoinError for a host whose certificate of that second is void."""
        ...

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        """Raises MessageError for what this host cannot be."""
        ...

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None: ...

    async def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        """What the copies of routers on the host are now."""
        ...

    async def present(self, host: str, here: bool) -> None: ...

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        """Raises JoinError."""
        ...

    async def renew(self, host: str, csr: str) -> m.Joined:
        """Raises JoinError."""
        ...


@dataclass(slots=True, eq=False)
class Connection:
    """One host, connected. `sent`: the revision it was sent of each slice; `behind`: what it must be told.

    `led`: what it follows may lead elsewhere now.
    """

    host: str
    life: Life
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    have: dict[str, tuple[int, str]] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    behind: dict[str, SliceDelta | None] = field(default_factory=dict)
    led: bool = True
    revision: int = -1
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    heard: float = field(default_factory=time.monotonic)
    end: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def expel(self, reason: str) -> None:
        """End the connection with a word of refusal; nothing that the host says is taken any more."""
        if not self.end.done():
            self.end.set_exception(JoinError(reason))


class Hub:
    """Serves hosts; `notify` is called with each commit. Belongs to one event loop."""

    def __init__(self, source: SliceSource, fleet: Fleet, revision: Callable[[], int], server: str = "") -> None:
        self._source = source
        self._fleet = fleet
        self._revision = revision
        self._server = server
        self._hosts: dict[str, Connection] = {}
        self._followers: dict[str, set[Connection]] = {}
        self._digests: dict[str, tuple[Slice, int]] = {}
        self._frames: dict[tuple[str, int, int], bytes] = {}
        self._pulse: asyncio.Task[None] | None = None

    @property
    def hosts(self) -> frozenset[str]:
        """Who is connected now."""
        return frozenset(self._hosts)

    # -- commits -------------------------------------------------------------------------------------------------------

    def notify(self, deltas: Mapping[str, SliceDelta]) -> None:
        """Mark the hosts that follow what changed; costs nothing for all others."""
        self._frames.clear()
        for name, delta in deltas.items():
            self._advance_digest(name, delta)
            for connection in self._followers.get(name, ()):
                whole = name in connection.behind or delta.whole or connection.sent.get(name) != delta.start
                connection.behind[name] = None if whole else delta
                connection.led = connection.led or changes_leads(delta)
                connection.wake.set()

    # -- connections ---------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from beginning to end; whatever goes wrong with it ends here."""
        tls = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls else None
        host = find_host_name(certificate)
        try:
            if certificate and host:
                await self._follow(host, find_life(certificate), reader, writer)
            else:
                await self._join(reader, writer)
        except (EOFError, ConnectionError, ssl.SSLError, TimeoutError):
            pass
        except (m.MessageError, JoinError) as error:
            LOG.warning("%s: %s", host or "a host without a certificate", error)
            await self._refuse(writer, str(error))
        finally:
            writer.close()
            with suppress(ConnectionError, ssl.SSLError, TimeoutError):
                await writer.wait_closed()

    async def _refuse(self, writer: asyncio.StreamWriter, reason: str) -> None:
        with suppress(ConnectionError, ssl.SSLError, TimeoutError):
            writer.write(make_frame(m.Refuse(reason[:500])))
            async with asyncio.timeout(LAST_WORD_S):
                await writer.drain()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SILENCE_S):
            message = m.parse_from_host(await receive_frame(reader, MAX_JOIN))
            if not isinstance(message, m.Join):
                raise m.MessageError("without a certificate a host may only join")
            writer.write(make_frame(await self._fleet.join(message.host, message.token, message.csr)))
            await writer.drain()
        LOG.info("%s has joined", message.host)

    async def _follow(self, host: str, life: Life, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(SILENCE_S):
            hello = m.parse_from_host(await receive_frame(reader, MAX_FROM_HOST))
        if not isinstance(hello, m.Hello):
            raise m.MessageError("the first message must be hello")
        if hello.host != host:
            raise m.MessageError(f"the certificate is of {host}, the hello of {hello.host}")
        await self._fleet.admit(host, life.issued_s)
        connection = Connection(host, life, reader, writer, dict(hello.have))
        async with self._present(connection):
            await self._report(connection, hello)
            writer.write(make_frame(m.Welcome(m.VERSION, self._server, self._revision())))
            self._subscribe(connection, f"host/{host}")
            await run_together(self._send(connection), self._receive(connection), connection.end)

    @asynccontextmanager
    async def _present(self, connection: Connection) -> AsyncIterator[None]:
        """The newest connection of a host is the host: an older one, whose end nobody noticed yet, is closed."""
        host, old = connection.host, self._hosts.get(connection.host)
        if old is not None:
            old.writer.transport.abort()
        self._hosts[host] = connection
        await self._fleet.present(host, True)
        try:
            yield
        finally:
            for name in list(connection.sent):
                self._unsubscribe(connection, name)
            if self._hosts.get(host) is connection:
                del self._hosts[host]
                await self._fleet.present(host, False)

    # -- what a host follows -------------------------------------------------------------------------------------------

    def _subscribe(self, connection: Connection, name: str) -> None:
        self._source.follow(name)
        self._followers.setdefault(name, set()).add(connection)
        connection.sent[name] = -1
        connection.behind[name] = None
        connection.wake.set()

    def _unsubscribe(self, connection: Connection, name: str) -> None:
        self._source.unfollow(name)
        connection.sent.pop(name, None)
        connection.behind.pop(name, None)
        followers = self._followers.get(name, set())
        followers.discard(connection)
        if not followers:
            self._followers.pop(name, None)
            self._digests.pop(name, None)

    def _follow_all(self, connection: Connection) -> list[str]:
        """Follow what the host's own slice leads to now, and no more; the names that it may follow no longer."""
        connection.led = False
        reached = set()
        for name in find_reached(f"host/{connection.host}", self._source.leads):
            reached.add(name)
            if name not in connection.sent:
                self._subscribe(connection, name)
        gone = [name for name in connection.sent if name not in reached]
        for name in gone:
            self._unsubscribe(connection, name)
        return gone

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self, connection: Connection) -> None:
        while True:
            await connection.wake.wait()
            connection.wake.clear()
            connection.writer.write(b"".join(self._make_frames(connection)))
            await connection.writer.drain()

    def _make_frames(self, connection: Connection) -> Iterable[bytes]:
        """All that the host has to be told to be where the server is now."""
        own = f"host/{connection.host}"
        frames: list[bytes] = []
        if connection.led:
            frames += [make_frame(m.Gone(name)) for name in self._follow_all(connection)]
        first = not connection.sent.get(own, 0) >= 0
        behind, connection.behind = connection.behind, {}
        # The host's own slice goes last: when a port appears in it, the network it needs is there already.
        for name in sorted(behind, key=lambda name: name == own):
            frames.append(self._make_frame(connection, name, behind[name]))
        if first:
            frames += [make_frame(m.Gone(name)) for name in connection.have if name not in connection.sent]
            connection.have = {}
        revision = self._revision()
        frames.append(make_frame(m.At(revision)))
        connection.revision = revision
        return frames

    def _make_frame(self, connection: Connection, name: str, delta: SliceDelta | None) -> bytes:
        found = self._source.slice(name)
        if found is None or (delta is not None and delta.gone):
            connection.sent[name] = 0
            return make_frame(m.Gone(name))
        digest = self._digest(found)
        kept = connection.have.pop(name, None)
        connection.sent[name] = found.revision
        if kept is not None and kept[1] == digest:
            return make_frame(m.Keep(name, found.revision))
        start = delta.start if delta is not None and delta.revision == found.revision else -1
        return self._encode(found, digest, delta if start >= 0 else None, start)

    def _encode(self, found: Slice, digest: str, delta: SliceDelta | None, start: int) -> bytes:
        """The frame, made once for all hosts that follow the slice."""
        name = (found.name, start, found.revision)
        frame = self._frames.get(name)
        if frame is None:
            frame = make_frame(m.make_whole(found, digest) if delta is None else m.make_delta(delta, digest))
            self._frames[name] = frame
        return frame

    def _digest(self, found: Slice) -> str:
        kept = self._digests.get(found.name)
        if kept is None or kept[0] is not found:
            kept = self._digests[found.name] = (found, digest_rows(found.rows))
        return f"{kept[1]:032x}"

    def _advance_digest(self, name: str, delta: SliceDelta) -> None:
        """Keep a slice's digest by its changed rows alone."""
        kept, found = self._digests.get(name), self._source.slice(name)
        if kept is None or found is None or kept[0].revision != delta.start:
            self._digests.pop(name, None)
            return
        self._digests[name] = (found, change_digest(kept[1], kept[0].rows, delta.put, delta.drop))

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def _receive(self, connection: Connection) -> None:
        while True:
            message = m.parse_from_host(await receive_frame(connection.reader, MAX_FROM_HOST))
            connection.heard = time.monotonic()
            await self._take(connection, message)

    async def _take(self, connection: Connection, message: m.FromHost) -> None:
        match message:
            case m.Ack():
                await self._acknowledge(connection, message)
            case m.Report():
                await self._report(connection, message)
            case m.Ask():
                if message.name in connection.sent:
                    LOG.warning("%s asks for %s anew: its copy differed", connection.host, message.name)
                    connection.behind[message.name] = None
                    connection.wake.set()
            case m.Renew():
                await self._renew(connection, message)
            case m.Ping():
                connection.writer.write(make_frame(m.Pong()))
                await connection.writer.drain()  # who asks and never reads is not heard any more
            case m.Pong():
                pass
            case _:
                raise m.MessageError(f"{type(message).__name__.lower()} is not expected here")

    async def _report(self, connection: Connection, said: m.Hello | m.Report) -> None:
        told, zone = parse_report(said.configurations, said.availability_zone)
        await self._fleet.report(connection.host, told, zone)

    async def _renew(self, connection: Connection, message: m.Renew) -> None:
        await self._fleet.admit(connection.host, connection.life.issued_s)
        joined = await self._fleet.renew(connection.host, message.csr)
        connection.life = read_life(joined.certificate.encode())
        connection.writer.write(make_frame(joined))

    async def _acknowledge(self, connection: Connection, ack: m.Ack) -> None:
        """Pass on what the host says of ports in its own slice; nothing beyond what it has been sent can be acked."""
        if ack.revision > connection.revision:
            raise m.MessageError(f"revision {ack.revision} was never sent")
        own = self._source.slice(f"host/{connection.host}")
        bound = {row.id for row in own.rows.values() if isinstance(row, PortRow)} if own else set()
        if not bound.issuperset((*ack.wired, *ack.pending)):
            bound |= self._find_floating(connection)
        wired = [id for id in ack.wired if id in bound]
        pending = {id: reason for id, reason in ack.pending.items() if id in bound}
        await self._fleet.acknowledge(connection.host, ack.revision, wired, pending)
        copies = {id: state for id, state in ack.copies.items() if own and f"follow/router/{id}" in own.rows}
        if copies:
            await self._fleet.take_copies(connection.host, copies)

    def _find_floating(self, connection: Connection) -> set[str]:
        """The floating IPs of the routers that the host follows; which of them it translates, intent knows."""
        parts = (self._source.slice(name) for name in connection.sent if name.startswith("router/"))
        return {row.id for part in parts if part for row in part.rows.values() if isinstance(row, FloatingRow)}

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._pulse = asyncio.get_running_loop().create_task(self._watch())

    def expel(self, void: Callable[[str, float], str], now_s: float) -> None:
        """Let go of hosts whose certificates have ended, or are void: `void(host, second of issue)` gives a reason."""
        for connection in list(self._hosts.values()):
            host, life = connection.host, connection.life
            reason = f"the certificate of {host} has ended" if life.ends_s < now_s else void(host, life.issued_s)
            if reason:
                connection.expel(reason)

    async def stop(self) -> None:
        if self._pulse is not None:
            self._pulse.cancel()
        for connection in list(self._hosts.values()):
            connection.writer.transport.abort()

    async def _watch(self) -> None:
        """Ping every host now and then, and let go of those that do not answer."""
        while True:
            await asyncio.sleep(PING_S)
            for connection in list(self._hosts.values()):
                if time.monotonic() - connection.heard > SILENCE_S:
                    LOG.warning("%s does not answer", connection.host)
                    connection.writer.transport.abort()
                else:
                    with suppress(ConnectionError):
                        connection.writer.write(make_frame(m.Ping()))


async def run_together(*parts: Awaitable[None]) -> None:
    """Until one of them ends or fails; the others end with it, and its error is raised."""
    tasks = [asyncio.ensure_future(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

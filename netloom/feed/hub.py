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
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from netloom.feed import messages as m
from netloom.feed.codec import MAX_FROM_HOST, MAX_JOIN, make_frame, receive_frame
from netloom.feed.connection import Connection
from netloom.feed.frames import Frames
from netloom.feed.grants import is_relay
from netloom.feed.heard import Heard
from netloom.feed.parts import FAILED, Fleet, Gate, SliceSource
from netloom.feed.pki import JoinError, Life, find_host_name, find_life, find_tag, read_life
from netloom.feed.pulse import SILENCE_S, Pulse
from netloom.feed.relays import Relays
from netloom.feed.report import parse_report
from netloom.model.delta import SliceDelta

LOG = logging.getLogger("netloom.feed")
LAST_WORD_S = 1.0
"""How long a host that is refused is given to take the reason."""
STOPS = "the server stops; it will be back, or another one is there"
RENEW_COST_S = 0.05
"""Of what a server has to do otherwise, for each host that is to have another certificate."""
ASK_COST = 0.02
"""Of a word that only has a slice sent again, beside one that is written down."""


class Hub:
    """Serves hosts; `notify` is called with each commit. Belongs to one event loop.

    `authority` gives the certificates (PEM) that hosts' words for relays are checked by, and that hosts are to know;
    without it no relay is let in.
    `gate`: of a hub that is a relay's own.
    """

    def __init__(
        self,
        source: SliceSource,
        fleet: Fleet,
        revision: Callable[[], int],
        server: str = "",
        authority: Callable[[], bytes] | None = None,
        gate: Gate | None = None,
    ) -> None:
        self._source = source
        self._fleet = fleet
        self._revision = revision
        self._server = server
        self._gate = gate
        self._authority = authority
        self._hosts: dict[str, Connection] = {}
        self._heard = Heard(source)
        self._followers: dict[str, set[Connection]] = {}
        self.frames = Frames(source, revision)
        self.relays = Relays(self, fleet, authority, gate)
        self.frames.count_readers = self.relays.count_readers
        self.sent_bytes = 0
        self.pulse = Pulse(self._find_connections, self.frames.make_compare, self._find_authority)
        self._serving: set[asyncio.Task[Any]] = set()

    @property
    def hosts(self) -> frozenset[str]:
        """Who is connected now, directly or through a relay."""
        return frozenset(self._hosts)

    def find_behind(self) -> list[str]:
        """Of them, who has not taken yet what there is to tell. What a relay's host has acknowledged is not known."""
        return [
            host
            for host, found in self._hosts.items()
            if found.behind or (found.acked < found.revision and not found.is_relay)
        ]

    def has(self, host: str) -> bool:
        return host in self._hosts

    # -- commits -------------------------------------------------------------------------------------------------------

    def notify(self, deltas: Mapping[str, SliceDelta], requests: Mapping[str, Sequence[str]] | None = None) -> None:
        """Mark the hosts that follow what changed; costs nothing for all others. `requests`: whose ids each bears."""
        whose = requests or {}
        self.frames.advance(deltas)
        for name, delta in deltas.items():
            for connection in self._followers.get(name, ()):
                connection.mark(delta, whose.get(name, ()))

    # -- connections ---------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection from beginning to end; whatever goes wrong with it ends here."""
        tls = writer.get_extra_info("ssl_object")
        certificate = tls.getpeercert() if tls else None
        host = find_host_name(certificate)
        if task := asyncio.current_task():
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
        try:
            if certificate and host:
                await self._follow(host, find_life(certificate), reader, writer)
            else:
                await self._join(reader, writer)
        except (EOFError, ConnectionError, ssl.SSLError, TimeoutError):
            pass
        except (m.MessageError, JoinError) as error:
            level = logging.INFO if str(error) == STOPS else logging.WARNING
            LOG.log(level, "%s: %s", host or "a host without a certificate", error)
            await self._refuse(writer, str(error))
        except Exception:  # such as a file of tokens that cannot be read
            LOG.exception("%s", host or "a host without a certificate")
            await self._refuse(writer, FAILED)
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
        await self._fleet.reach(hello.newest)
        connection = Connection(host, life, reader, writer, hello.version, dict(hello.have), grant=hello.grant)
        if is_relay(host):
            await self._serve_relay(connection)
            return
        if self._gate is not None:
            await self.relays.attach_direct(self._gate, hello)
        async with self._present(connection):
            await self._report(connection, hello)
            self._welcome(connection)
            connection.interest.add(f"host/{host}")
            connection.wake.set()
            await self._run(connection)

    def _welcome(self, connection: Connection) -> None:
        tag, within_s = self._find_authority()
        welcome = m.Welcome(m.VERSION, self._server, self._revision(), self._find_bus(), tag, within_s)
        connection.writer.write(make_frame(welcome))

    def _find_bus(self) -> str:
        return self.frames.offers.subject if self.frames.offers else ""

    async def _run(self, connection: Connection) -> None:
        await run_together(self._send(connection), self._receive(connection), connection.end)

    async def _serve_relay(self, connection: Connection) -> None:
        """A relay, and for as long as it is here the hosts that it speaks for."""
        self.relays.come(connection)
        self._welcome(connection)
        connection.wake.set()
        try:
            await self._run(connection)
        finally:
            self._unfollow_all(connection)
            self.relays.go(connection)

    @asynccontextmanager
    async def _present(self, connection: Connection) -> AsyncIterator[None]:
        """The newest connection of a host is the host: an older one, whose end nobody noticed yet, is closed."""
        host = connection.host
        self.seat(host, connection)
        await self._fleet.present(host, True)
        try:
            yield
        finally:
            self._unfollow_all(connection)
            if self.leave(host, connection):
                await self._fleet.present(host, False)

    def seat(self, host: str, connection: Connection) -> None:
        """The host is there from now on; where it was before it is no more."""
        old = self._hosts.get(host)
        self._hosts[host] = connection
        if old is None or old is connection:
            return
        if old.is_relay:
            old.dismiss(host, f"{host} has come by another way")
        else:
            old.writer.transport.abort()

    def leave(self, host: str, connection: Connection) -> bool:
        """Whether the host was there, and is now gone."""
        if self._hosts.get(host) is not connection:
            return False
        del self._hosts[host]
        self._heard.forget(host)
        return True

    # -- what a host follows -------------------------------------------------------------------------------------------

    def _subscribe(self, connection: Connection, name: str) -> None:
        self._source.follow(name)
        self._followers.setdefault(name, set()).add(connection)
        connection.sent[name] = -1
        connection.behind[name] = None

    def _unsubscribe(self, connection: Connection, name: str) -> None:
        self._source.unfollow(name)
        connection.sent.pop(name, None)
        connection.behind.pop(name, None)
        followers = self._followers.get(name, set())
        followers.discard(connection)
        if not followers:
            self._followers.pop(name, None)
            self.frames.forget(name)

    def _unfollow_all(self, connection: Connection) -> None:
        for name in list(connection.sent):
            self._unsubscribe(connection, name)

    def _settle(self, connection: Connection) -> list[str]:
        """Follow what the host's own slice leads to now, and no more; the names that it may follow no longer."""
        gone = connection.interest.settle(self._source.leads, lambda name: self._subscribe(connection, name))
        for name in gone:
            self._unsubscribe(connection, name)
        return gone

    # -- sending -------------------------------------------------------------------------------------------------------

    async def _send(self, connection: Connection) -> None:
        while True:
            await connection.wake.wait()
            connection.wake.clear()
            if connection.end.done():
                return  # who is let go of is told nothing more: it may be less than what it leads to
            gone = self._settle(connection) if connection.interest.stale else []
            for part in self.frames.make(connection, gone):
                self.sent_bytes += len(part)
                connection.writer.write(part)
                await connection.writer.drain()

    # -- receiving -----------------------------------------------------------------------------------------------------

    async def _receive(self, connection: Connection) -> None:
        while True:
            message = m.parse_from_host(await receive_frame(connection.reader, MAX_FROM_HOST))
            connection.heard = time.monotonic()
            await self._take(connection, message)

    async def _take(self, connection: Connection, message: m.FromHost) -> None:
        match message:
            case m.Ask():
                await connection.keep_pace(ASK_COST)
                self._ask(connection, message)
            case m.Renew():
                await connection.keep_pace(1.0)
                await self._renew(connection, message)
            case m.Ping():
                connection.writer.write(make_frame(m.Pong()))
                await connection.writer.drain()  # who asks and never reads is not heard any more
            case m.Pong():
                pass
            case m.Let():
                self.relays.renew_word(connection, message.grant)
            case _ if connection.is_relay:
                await self.relays.take(connection, message)
            case m.Ack():
                await self._hear(connection, message)
            case m.Same():
                await self._hear(connection, connection.repeat(connection.host, message.revision))
            case m.Report():
                await connection.keep_pace(1.0)
                await self._report(connection, message)
            case _:
                raise m.MessageError(f"{type(message).__name__.lower()} is not expected here")

    async def _hear(self, connection: Connection, ack: m.Ack) -> None:
        if ack.revision > connection.revision:
            raise m.MessageError(f"revision {ack.revision} was never sent")
        connection.acked = max(connection.acked, ack.revision)
        await self.acknowledge(connection, connection.host, ack)

    def _ask(self, connection: Connection, ask: m.Ask) -> None:
        name = ask.name
        if name in connection.sent:
            if not ask.since:
                LOG.warning("%s asks for %s anew: its copy differed", connection.host, name)
            connection.sent[name], connection.behind[name] = ask.since or -1, None
            connection.wake.set()

    async def _report(self, connection: Connection, said: m.Hello | m.Report) -> None:
        told, zone = parse_report(said.configurations, said.availability_zone)
        await self._fleet.report(connection.host, told, zone)

    async def _renew(self, connection: Connection, message: m.Renew) -> None:
        await self._fleet.admit(connection.host, connection.life.issued_s)
        joined = await self._fleet.renew(connection.host, message.csr)
        connection.life = read_life(joined.certificate.encode())
        connection.writer.write(make_frame(joined))

    async def acknowledge(self, connection: Connection, host: str, ack: m.Ack) -> None:
        """Pass on what the host says of ports in its own slice."""
        connection.words[host] = ack
        word = self._heard.take(host, ack, connection.interest)
        await self._fleet.acknowledge(host, ack.revision, word.wired, word.pending)
        await self._fleet.take_copies(host, word.copies)

    # -- life ----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.pulse.start()

    def _find_connections(self) -> set[Connection]:
        return {*self._hosts.values(), *self.relays.here.values()}

    def expel(self, void: Callable[[str, float], str], now_s: float) -> None:
        """Let go of hosts whose certificates have ended, or are void: `void(host, second of issue)` gives a reason."""
        for connection in self._find_connections():
            host, life = connection.host, connection.life
            reason = f"the certificate of {host} has ended" if life.ends_s < now_s else void(host, life.issued_s)
            if reason:
                connection.expel(reason)
            self.relays.expel(connection, void, now_s)

    def dismiss(self, host: str, reason: str) -> None:
        """Let go of one host, wherever it is."""
        connection = self._hosts.get(host)
        if connection is None:
            return
        if connection.is_relay:
            self.relays.dismiss(connection, host, reason)
        else:
            connection.expel(reason)

    async def stop(self) -> None:
        """Every host is told that the server stops; it comes back, here or elsewhere, after its own while."""
        self.pulse.stop()
        last = self._find_connections()
        for connection in last:
            connection.expel(STOPS)
        if self._serving:
            await asyncio.wait(self._serving, timeout=LAST_WORD_S)
        for connection in last:
            connection.writer.transport.abort()
        await self.relays.stop()

    def ping(self) -> None:
        """Every host, at once."""
        self.pulse.ping()

    def _find_authority(self) -> tuple[str, float]:
        """The tag of those that hosts are to know, and how long they may take until all of them do."""
        tag = find_tag(self._authority()) if self._authority else ""
        return tag, len(self._hosts) * RENEW_COST_S


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

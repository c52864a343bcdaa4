"""The host's end of the feed: keeps the slices that the server says this host follows, on disk too.

What cannot be right is asked for again, slice by slice; a broken connection is made anew after a while that grows and
is never the same on two hosts. Slices change hands only between messages `at`: nobody sees half of a commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.hub import SILENCE_S, run_together
from netloom.feed.pki import SERVER_NAME, JoinError, Token, check_server, make_join_context
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.digest import change_digest, digest_rows
from netloom.model.slices import Row, Slice, Slices

LOG = logging.getLogger("netloom.feed")
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 15.0
LONG = 128
"""Rows from which on a slice's digest is changed by a delta's rows, and no more counted over all."""
RENEW_LOOK_S = 3600.0
"""How often a connected host looks whether it is time for its next certificate."""


async def open_stream(
    address: str, context: ssl.SSLContext, limit: int = 1 << 20
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """TLS to "host:port" or "unix:/path"."""
    if address.startswith("unix:"):
        return await asyncio.open_unix_connection(address[5:], ssl=context, server_hostname=SERVER_NAME, limit=limit)
    host, _, port = address.rpartition(":")
    return await asyncio.open_connection(
        host.strip("[]"), int(port), ssl=context, server_hostname=SERVER_NAME, limit=limit
    )


class Feed:
    """The slices of one host, as far as they are known; `run` keeps them so. Belongs to one event loop."""

    def __init__(
        self,
        host: str,
        address: str,
        context: Callable[[], ssl.SSLContext],
        cache: Cache,
        on_joined: Callable[[m.Joined], None] | None = None,
        csr: Callable[[], str | None] = lambda: None,
        program: str = "",
        availability_zone: str | None = None,
        configurations: Mapping[str, Any] | None = None,
        renew_look_s: float = RENEW_LOOK_S,
    ) -> None:
        self.host = host
        self.slices: Slices = cache.load()
        self.revision = max((s.revision for s in self.slices.values()), default=0)
        self.complete = cache.complete
        """Whether `slices` was all of it at some moment; before that nobody may sweep by it."""
        self.connected = False
        self._address = address
        self._context = context
        self._cache = cache
        self._on_joined = on_joined
        self._csr = csr
        self._renew_look_s = renew_look_s
        self._program = program
        self._coming: dict[str, Slice] = dict(self.slices)
        self._dirty: set[str] = set()
        self._digests: dict[str, tuple[Mapping[str, Row], int]] = {}  # of just these rows
        self._asked: set[str] = set()
        self._changed = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._report = m.Report(dict(configurations or {}), availability_zone)
        self._ack: m.Ack | None = None
        self._fresh = False  # connected, and not told yet where the server is
        if self.complete:
            self._changed.set()

    # -- for the agent -------------------------------------------------------------------------------------------------

    async def wait_changed(self) -> None:
        """Return when slices or revision changed, or the connection was made anew, since the last return."""
        await self._changed.wait()
        self._changed.clear()

    async def send_ack(
        self,
        revision: int,
        wired: Collection[str],
        pending: Mapping[str, str],
        copies: Mapping[str, str] | None = None,
    ) -> None:
        self._ack = m.Ack(revision, sorted(wired), dict(pending), dict(copies or {}))
        self._send_ack()

    def _send_ack(self) -> None:
        """What the host said last, if this server can know of it.

        Before it has said where it is, and when it is further back (restored from a backup), it would refuse the word
        and the connection with it. The next turn has another, for the revision is another.
        """
        if self._ack is not None and not self._fresh and self._ack.revision <= self.revision:
            self._send(self._ack)

    async def send_report(self, configurations: Mapping[str, Any]) -> None:
        report = m.Report(dict(configurations), self._report.availability_zone)
        if report != self._report:
            self._report = report
            self._send(report)

    def _send(self, message: m.Message) -> None:
        """What cannot be sent now is said again at the next connection."""
        if self._writer is not None and self.connected:
            with suppress(ConnectionError):
                self._writer.write(make_frame(message))

    # -- the connection ------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the server until cancelled."""
        wait = FIRST_RETRY_S
        while True:
            try:
                await self._connect()
            except (OSError, EOFError, m.MessageError, ssl.SSLError, TimeoutError) as error:
                LOG.info("%s: %s", self._address, str(error) or type(error).__name__)
            except Exception:  # a host without its server goes on; an agent that ended would not
                LOG.exception("%s: the connection broke off", self._address)
            # A server that refuses before it has told anything is not asked ten times a second.
            told = self.connected and not self._fresh
            wait = FIRST_RETRY_S if told else min(wait * 2, LAST_RETRY_S)
            self.connected, self._writer = False, None
            await asyncio.sleep(wait * random.uniform(0.5, 1.0))

    async def _connect(self) -> None:
        async with asyncio.timeout(SILENCE_S):
            reader, writer = await open_stream(self._address, self._context())
        try:
            have = {name: (s.revision, f"{digest_rows(s.rows):032x}") for name, s in self._coming.items()}
            told = self._report
            hello = m.Hello(self.host, m.VERSION, self._program, have, told.configurations, told.availability_zone)
            self._fresh = True
            self._asked.clear()  # an answer to the last connection's question will not come by this one
            writer.write(make_frame(hello))
            self._writer = writer
            await run_together(self._receive(reader), drain_often(writer), self._renew_in_time(writer))
        finally:
            writer.transport.abort()

    async def _renew_in_time(self, writer: asyncio.StreamWriter) -> None:
        """Now and again, at times that differ from host to host: thousands joined in the same hour."""
        while True:
            csr = self._csr()
            if csr is not None:
                writer.write(make_frame(m.Renew(csr)))
            await asyncio.sleep(self._renew_look_s * random.uniform(0.5, 1.0))

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(SILENCE_S):
                body = await receive_frame(reader, MAX_FROM_SERVER)
            self._take(m.parse_from_server(body))

    def _take(self, message: m.FromServer) -> None:
        match message:
            case m.Welcome():
                self.connected = True
                LOG.info("following %s, at revision %d", self._address, message.revision)
            case m.Whole():
                self._put(Slice(message.name, message.revision, m.parse_rows(message.rows)), message.digest)
            case m.Delta():
                self._apply(message)
            case m.Keep():
                self._asked.discard(message.name)
                held = self._coming.get(message.name)
                if held is not None:
                    self._coming[message.name] = Slice(held.name, message.revision, held.rows)
            case m.Gone():
                self._asked.discard(message.name)
                self._coming.pop(message.name, None)
                self._digests.pop(message.name, None)
                self._dirty.add(message.name)
            case m.At():
                self._publish(message.revision)
            case m.Joined():
                if self._on_joined is not None:
                    self._on_joined(message)
            case m.Refuse():
                raise m.MessageError(f"the server refuses: {message.reason}")
            case m.Ping():
                self._send(m.Pong())
            case _:
                pass

    def _apply(self, message: m.Delta) -> None:
        held = self._coming.get(message.name)
        if held is None or held.revision != message.start:
            self._ask(message.name)
            return
        put = m.parse_rows(message.put)
        after = apply_delta(held, SliceDelta(message.name, message.start, message.revision, put, tuple(message.drop)))
        assert after is not None
        known = self._digests.get(message.name)
        is_long = known is not None and known[0] is held.rows and len(held.rows) > LONG
        sums = change_digest(known[1], held.rows, put, message.drop) if known and is_long else None
        self._put(after, message.digest, sums)

    def _put(self, found: Slice, digest: str, sums: int | None = None) -> None:
        """Take a slice if it is what the server says it is; a row of a kind we do not know makes it differ for good."""
        sums = digest_rows(found.rows) if sums is None else sums
        if f"{sums:032x}" != digest and found.name not in self._asked:
            self._ask(found.name)
            return
        self._digests[found.name] = found.rows, sums
        self._asked.discard(found.name)
        self._coming[found.name] = found
        self._dirty.add(found.name)

    def _ask(self, name: str) -> None:
        LOG.warning("the copy of %s differs; asking for it anew", name)
        self._asked.add(name)
        self._send(m.Ask(name))

    def _publish(self, revision: int) -> None:
        """All of a commit is here, unless a slice of it was asked for again: then it is at the next `at`."""
        if self._asked:
            return
        self._keep()
        self.slices, self.revision, self.complete = dict(self._coming), revision, True
        self._changed.set()
        if self._fresh:
            # A server that comes back, or another one, hears again what still holds.
            self._fresh = False
            self._send_ack()

    def _keep(self) -> None:
        """Write what changed to the disk. One that is full keeps nobody from following; it is tried again next time."""
        try:
            for name in tuple(self._dirty):
                found = self._coming.get(name)
                if found is None:
                    self._cache.drop(name)
                else:
                    self._cache.save(found)
                self._dirty.discard(name)
            if not self._cache.complete:
                self._cache.mark_complete()
        except OSError as error:
            LOG.error("slices are not kept on disk, so a restart without a server would find old ones: %s", error)


async def request_join(address: str, token: Token, csr: str) -> m.Joined:
    """Show the token to the server that it is from, and to no other; the certificate comes back. Raises JoinError."""
    try:
        async with asyncio.timeout(SILENCE_S):
            reader, writer = await open_stream(address, make_join_context())
            try:
                tls = writer.get_extra_info("ssl_object")
                check_server(tls.getpeercert(binary_form=True), token.fingerprint)
                writer.write(make_frame(m.Join(token.secret, token.host, csr)))
                answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
            finally:
                writer.transport.abort()
    except (OSError, EOFError, m.MessageError, TimeoutError) as error:
        raise JoinError(f"{address}: {str(error) or type(error).__name__}") from None
    if isinstance(answer, m.Refuse):
        raise JoinError(f"the server refuses: {answer.reason}")
    if not isinstance(answer, m.Joined):
        raise JoinError(f"{address} gave no certificate")
    return answer


async def drain_often(writer: asyncio.StreamWriter) -> None:
    """What was written by others flows as the server takes it; a connection that is stuck ends by its silence."""
    while True:
        await asyncio.sleep(1.0)
        await writer.drain()

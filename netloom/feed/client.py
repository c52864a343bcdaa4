"""The host's end of the feed: keeps the slices that the server says this host follows, on disk too.

What cannot be right is asked for again, slice by slice; a broken connection is made anew after a while that grows and
is never the same on two hosts. Slices change hands only between messages `at`: nobody sees half of a commit.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections import deque
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.copies import Copies, changes_rows
from netloom.feed.dial import Dial, find_relay, split_addresses
from netloom.feed.dial import open_stream as open_stream
from netloom.feed.grants import Grant
from netloom.feed.hub import run_together
from netloom.feed.papers import RENEW_LOOK_S as RENEW_LOOK_S
from netloom.feed.papers import Renewal, renew_word
from netloom.feed.pki import JoinError, Token, check_server, make_join_context
from netloom.feed.pulse import SILENCE_S
from netloom.feed.upper import Upper
from netloom.model.slices import Slices

LOG = logging.getLogger("netloom.feed")
FIRST_RETRY_S, LAST_RETRY_S = 0.2, 15.0
REQUESTS = 64
"""Ids of requests that are remembered until somebody asks for them."""


class Feed:
    """The slices of one host, as far as they are known; `run` keeps them so. Belongs to one event loop.

    `address`: of a server or relay, or several with commas between them, the nearest first. `grant`: the host's word
    for a relay of that name. `csr`, `anew`: requests for its next certificate (`feed/papers.py`). `chance`: for tests
    that need the same waits again. `compares`: whether what is in memory is counted again whenever the server asks.
    """

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
        grant: Callable[[str], Grant | None] = lambda relay: None,
        chance: random.Random | None = None,
        anew: Callable[[str], str | None] = lambda tag: None,
        compares: bool = True,
    ) -> None:
        self.host = host
        self.slices: Slices = cache.load()
        self.revision = max((s.revision for s in self.slices.values()), default=0)
        self.complete = cache.complete
        """Whether `slices` was all of it at some moment; before that nobody may sweep by it."""
        self.connected = False
        self.received_bytes = 0
        self._requests: deque[str] = deque(maxlen=REQUESTS)
        self._chance = chance or random.Random()
        self._dial = Dial(split_addresses(address), self._chance)
        self._grant = grant
        self._context = context
        self._cache = cache
        self.renewal = Renewal(csr, anew, self._chance, renew_look_s)
        self._program = program
        self._compares = compares
        self._copies = Copies(self.slices, lambda name, since: self._send(m.Ask(name, since)))
        self._upper = Upper(self._copies, self.renewal, self._send, on_joined)
        self._dirty: set[str] = set()
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

    def take_requests(self) -> tuple[str, ...]:
        """Ids of requests that changed what this host follows, since the last call; the newest of them."""
        found = tuple(dict.fromkeys(self._requests))
        self._requests.clear()
        return found

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
            again = self._upper.is_repeated(self.host, self._ack)
            self._send(m.Same(self._ack.revision) if again else self._ack)

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
        while True:
            try:
                await self._connect(self._dial.address)
            except (OSError, EOFError, m.MessageError, ssl.SSLError, TimeoutError) as error:
                LOG.info("%s: %s", self._dial.address, str(error) or type(error).__name__)
            except Exception:  # a host without its server goes on; an agent that ended would not
                LOG.exception("%s: the connection broke off", self._dial.address)
            # A server that refuses before it has told anything is not asked ten times a second.
            told = self.connected and not self._fresh
            self.connected, self._writer = False, None
            await asyncio.sleep(self._dial.fail(told))

    async def _connect(self, address: str) -> None:
        async with asyncio.timeout(SILENCE_S):
            reader, writer = await open_stream(address, self._context())
        try:
            self._fresh = True
            self._upper.begin()
            relay = find_relay(writer)
            writer.write(make_frame(self._make_hello(relay)))
            self._writer = writer
            await run_together(
                self._receive(reader),
                drain_often(writer),
                self.renewal.run(writer),
                renew_word(writer, self._grant, relay, self._chance),
            )
        finally:
            writer.transport.abort()

    def _make_hello(self, relay: str) -> m.Hello:
        told, grant = self._report, self._grant(relay) if relay else None
        return m.Hello(
            self.host, m.VERSION, self._program, self._copies.describe(), told.configurations, told.availability_zone,
            grant,
        )  # fmt: skip

    async def _receive(self, reader: asyncio.StreamReader) -> None:
        while True:
            async with asyncio.timeout(SILENCE_S):
                body = await receive_frame(reader, MAX_FROM_SERVER)
            self.received_bytes += len(body)
            self._take(m.parse_from_server(body))

    def _take(self, message: m.FromServer) -> None:
        if isinstance(message, m.Compare) and not self._compares:
            return
        match self._upper.take(message):
            case m.Welcome() as welcome:
                self.connected = True
                LOG.info("following %s, at revision %d", self._dial.address, welcome.revision)
            case m.At() as at:
                self._requests += at.requests
                self._publish(at.revision)
            case _:
                pass

    def _publish(self, revision: int) -> None:
        """All of a commit is here, unless a slice of it was asked for again: then it is at the next `at`."""
        if self._copies.asked:
            return
        self._dirty.update(name for name, delta in self._copies.changed.items() if changes_rows(delta))
        self._copies.changed.clear()
        self._keep()
        self.slices, self.revision, self.complete = dict(self._copies.coming), revision, True
        self._changed.set()
        if self._fresh:
            # A server that comes back, or another one, hears again what still holds.
            self._fresh = False
            self._send_ack()

    def _keep(self) -> None:
        """Write what changed to the disk. One that is full keeps nobody from following; it is tried again next time."""
        try:
            for name in tuple(self._dirty):
                found = self._copies.coming.get(name)
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

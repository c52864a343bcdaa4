"""A relay: to its hosts a server, to its server one connection that follows what those hosts lead to, and no more.

Law: a relay holds copies and words on their way, nothing that is not elsewhere too. One that dies costs its hosts a
connection: they go to another relay or a server and go on from what they have.
"""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from msgspec.structs import replace

from netloom.feed import messages as m
from netloom.feed.cache import Cache
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.copies import Copies, changes_rows
from netloom.feed.dial import Dial, find_relay, open_stream
from netloom.feed.grants import Grant
from netloom.feed.hearing import Hearing
from netloom.feed.hub import Hub, run_together
from netloom.feed.papers import RENEW_LOOK_S, Renewal, renew_word
from netloom.feed.pki import JoinError
from netloom.feed.pulse import SILENCE_S
from netloom.feed.returning import Returning
from netloom.feed.saying import Saying
from netloom.feed.upper import Upper
from netloom.model.delta import SliceDelta
from netloom.model.slices import Slice, find_leads

LOG = logging.getLogger("netloom.feed")
ADMIT_S = 20.0
"""How long a host waits for the word from upstream, at the door or after upstream was away."""
ORPHAN_S = 10.0
"""How long a relay without anybody upstream keeps its hosts from going elsewhere."""
GATHER_S = 0.002
"""How long what hosts say is gathered before it goes up as one message."""
KEEP_S = 5.0
"""How often what changed is written to the disk; a relay that starts again asks for what is newer alone."""
FORGET_S = 120.0
"""How long what was on the disk waits for a host that leads to it."""


class Relay:
    """Follows one of `addresses` as `name`, and serves hosts by `hub`. Belongs to one event loop.

    It is the hub's source of slices, its fleet and its gate. `grant`: this relay's word for another one.
    """

    def __init__(
        self,
        name: str,
        addresses: tuple[str, ...],
        context: Callable[[], ssl.SSLContext],
        authority: Callable[[], bytes],
        cache: Cache,
        grant: Callable[[str], Grant | None] = lambda relay: None,
        on_joined: Callable[[m.Joined], None] | None = None,
        csr: Callable[[], str | None] = lambda: None,
        program: str = "",
        chance: random.Random | None = None,
        orphan_s: float = ORPHAN_S,
        anew: Callable[[str], str | None] = lambda tag: None,
    ) -> None:
        self.name = name
        self.revision = 0
        self.connected = False
        self.received_bytes = self.connections = 0
        self.hub = Hub(self, self, lambda: self.revision, name, authority, self)
        self.slices: dict[str, Slice] = cache.load()
        self.orphan_s = orphan_s
        self._chance = chance or random.Random()
        self._dial = Dial(addresses, self._chance)
        self._context, self._grant = context, grant
        self._renewal = Renewal(csr, anew, self._chance, RENEW_LOOK_S)
        self._program = program
        self._cache = cache
        self._copies = Copies(self.slices, lambda name, since: self._send(m.Ask(name, since)))
        self._upper = Upper(self._copies, self._renewal, self._send, on_joined)
        self._leads: dict[str, frozenset[str]] = {}
        self._dirty: set[str] = set()
        self._writer: asyncio.StreamWriter | None = None
        self._fresh = True  # not told yet where the server is
        self._attached: dict[str, m.Attach] = {}
        self._arriving: dict[str, asyncio.Future[None]] = {}
        self.saying = Saying(self._upper.is_repeated)
        self._admitted: list[str] = []
        self._returning = Returning()
        self._renewals: dict[str, asyncio.Future[m.Joined]] = {}
        self.hearing = Hearing()
        self._alone_since = self._since = time.monotonic()

    @property
    def upstream(self) -> str:
        """Whom it follows, or will ask next."""
        return self._dial.address

    # -- the hub's source ----------------------------------------------------------------------------------------------

    def follow(self, name: str) -> Slice | None:
        return self.slices.get(name)

    def unfollow(self, name: str) -> None:
        """What no host leads to any more, the server takes back."""

    def slice(self, name: str) -> Slice | None:
        return self.slices.get(name)

    def leads(self, name: str) -> frozenset[str]:
        found = self._leads.get(name)
        if found is None:
            held = self.slices.get(name)
            found = self._leads[name] = find_leads(held.rows) if held else frozenset()
        return found

    # -- the hub's gate ------------------------------------------------------------------------------------------------

    async def attach(self, attach: m.Attach) -> None:
        """Ask upstream. Raises JoinError with its reason, or when nobody answers."""
        if self._is_orphan():
            raise JoinError(f"{self.name} has nobody upstream")
        host = attach.host
        waiting = self._arriving.get(host)
        if waiting is None or waiting.done():
            waiting = self._arriving[host] = asyncio.get_running_loop().create_future()
        self._attached[host] = attach
        self._upper.said.pop(host, None)
        self._send(attach)
        try:
            await asyncio.wait_for(asyncio.shield(waiting), ADMIT_S)
        except TimeoutError:
            self._forget(host)
            raise JoinError(f"{self.name} has no answer from its server yet") from None
        finally:
            if self._arriving.get(host) is waiting:
                del self._arriving[host]

    def renew_word(self, host: str, grant: Grant) -> None:
        attach = self._attached.get(host)
        if attach is not None:
            grants = [grant if (old.holder, old.to) == (grant.holder, grant.to) else old for old in attach.grants]
            self._attached[host] = replace(attach, grants=grants)
            self._send(self._attached[host])

    def _forget(self, host: str) -> None:
        if self._let_go(host):
            self._send(m.Detach(host))
        self._settle()

    def _let_go(self, host: str) -> bool:
        """Whether it was here. Who comes again is not let in by an answer to who was here before."""
        self.saying.forget(host)
        self._returning.answer(host)
        self._admitted = [other for other in self._admitted if other != host]
        return self._attached.pop(host, None) is not None

    # -- the hub's fleet -----------------------------------------------------------------------------------------------

    async def admit(self, host: str, issued_s: float) -> None:
        """Whose certificate is void, upstream knows."""

    async def reach(self, revision: int) -> None:
        """Upstream goes there before it lets the host in."""

    async def present(self, host: str, here: bool) -> None:
        if not here and host not in self._arriving:
            self._forget(host)

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        attach = self._attached.get(host)
        told = (dict(attach.configurations), attach.availability_zone) if attach else ({}, None)
        if attach is not None and told != (dict(configurations), zone):
            self._attached[host] = replace(attach, configurations=dict(configurations), availability_zone=zone)
            self.saying.report(host, m.Report(dict(configurations), zone))

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        self.saying.acknowledge(host, revision, wired, pending)

    async def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        self.saying.take_copies(host, copies)

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        raise JoinError("this is a relay: a host joins at a server, and may follow a relay from then on")

    async def renew(self, host: str, csr: str) -> m.Joined:
        """By way of upstream. Raises JoinError."""
        waiting = self._renewals[host] = asyncio.get_running_loop().create_future()
        self._send(m.RenewFor(host, csr))
        try:
            return await asyncio.wait_for(waiting, ADMIT_S)
        except TimeoutError:
            raise JoinError(f"{self.name} has no answer from its server") from None
        finally:
            self._renewals.pop(host, None)

    # -- upward --------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow until cancelled."""
        self.hub.start()
        try:
            await run_together(self._follow(), self._look_after())
        finally:
            await self.hub.stop()

    async def _follow(self) -> None:
        while True:
            try:
                await self._connect(self._dial.address)
            except (OSError, EOFError, m.MessageError, ssl.SSLError, TimeoutError) as error:
                LOG.info("%s: %s", self._dial.address, str(error) or type(error).__name__)
            except Exception:  # a relay without its server goes on
                LOG.exception("%s: the connection broke off", self._dial.address)
            served = self.connected and not self._fresh
            if self.connected:
                self._alone_since = time.monotonic()
            self.connected, self._writer, self._fresh = False, None, True
            self._returning = Returning()  # what it told and is not shown yet, the next connection tells anew
            self._admitted.clear()
            await asyncio.sleep(self._dial.fail(served))

    async def _connect(self, address: str) -> None:
        async with asyncio.timeout(SILENCE_S):
            reader, writer = await open_stream(address, self._context())
        try:
            self._upper.begin()
            upper = find_relay(writer)
            grant = self._grant(upper) if upper else None
            hello = m.Hello(self.name, m.VERSION, self._program, self._copies.describe(), grant=grant)
            writer.write(make_frame(hello))
            await run_together(
                self._receive(reader, writer), self._speak(writer),
                renew_word(writer, self._grant, upper, self._chance),
                self._renewal.run(writer),
            )  # fmt: skip
        finally:
            writer.transport.abort()

    async def _speak(self, writer: asyncio.StreamWriter) -> None:
        """What hosts said, of each the newest, in one message; when the server takes nothing it is more of them."""
        while True:
            await self.saying.news.wait()
            await asyncio.sleep(GATHER_S)
            self.saying.news.clear()
            # One that has not told yet where it is is told nothing.
            if said := self.saying.gather(-1 if self._fresh else self.revision):
                writer.write(make_frame(said))
            await writer.drain()

    def _send(self, message: m.Message) -> None:
        """What cannot be sent now is said again at the next connection."""
        if self._writer is not None:
            with suppress(ConnectionError):
                self._writer.write(make_frame(message))

    # -- downward ------------------------------------------------------------------------------------------------------

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            async with asyncio.timeout(SILENCE_S):
                body = await receive_frame(reader, MAX_FROM_SERVER)
            self.received_bytes += len(body)
            message = m.parse_from_server(body)
            if isinstance(message, m.Due):
                self._copies.take(message)
                await self.hearing.collect(message, self._copies)
                self._tell_hearing()
            else:
                self._take(message, writer)

    def _tell_hearing(self) -> None:
        if self.connected and (news := self.hearing.find_news(self.connected)) is not None:
            self._send(news)

    def _take(self, message: m.FromServer, writer: asyncio.StreamWriter) -> None:
        match self._upper.take(message):
            case m.Welcome() as welcome:
                self._begin(welcome, writer)
            case m.At() as at:
                self._returning.hear(at)
                self._settle()
            case m.Admitted() as admitted:
                self._admit(admitted.host)
            case m.Dismissed() as dismissed:
                self._answer(dismissed.host, dismissed.reason)
            case m.JoinedFor() as joined:
                self._pass_renewal(joined)
            case _:
                pass

    def _begin(self, message: m.Welcome, writer: asyncio.StreamWriter) -> None:
        if message.version < 2:
            raise m.MessageError("the server is of a version that serves no relays")
        LOG.info(
            "following %s, at revision %d, for %d hosts", self._dial.address, message.revision, len(self._attached)
        )
        self._writer, self.connected, self._since = writer, True, time.monotonic()
        self.connections += 1
        self.hearing.begin(message.bus)
        self._returning.begin(self._attached, self._since)
        for attach in self._attached.values():
            self._send(attach)

    def _admit(self, host: str) -> None:
        if host in self._attached:
            self._admitted.append(host)
        else:  # it was sent away before this answer, and upstream would take it for here
            self._send(m.Detach(host))
        self._returning.answer(host)
        self._settle()

    def _settle(self) -> None:
        """Show what is here, and let in those whose slices are, unless it is half of a commit or less than the hosts
        lead to: who saw less would take away what it does not see. Then it is at the next `at` or answer."""
        if self._copies.asked or self._copies.half or self._returning:
            return
        if (at := self._returning.take()) is not None:
            self._publish(at)
        admitted, self._admitted = self._admitted, []
        for host in admitted:
            self._answer(host, None)

    def _publish(self, at: m.At) -> None:
        changed, self._copies.changed = self._copies.changed, {}
        deltas = {name: self._change(name, delta) for name, delta in changed.items()}
        self.revision = at.revision
        if self._fresh:
            self._fresh = False
            self.saying.repeat()
        told = {name: delta for name, delta in deltas.items() if changes_rows(delta)}
        self.hub.notify(told, dict.fromkeys(told, at.requests))

    def _change(self, name: str, delta: SliceDelta | None) -> SliceDelta:
        found = self._copies.coming.get(name)
        self._leads.pop(name, None)
        if changes_rows(delta):
            self._dirty.add(name)
        if found is None:
            self.slices.pop(name, None)
            return SliceDelta(name, 0, 0, {}, gone=True)
        self.slices[name] = found
        return delta or SliceDelta(name, 0, found.revision, found.rows, whole=True)

    def _answer(self, host: str, reason: str | None) -> None:
        """Upstream lets a host follow, or does not (any more)."""
        waiting = self._arriving.get(host)
        if reason is None:
            if waiting is not None and not waiting.done():
                waiting.set_result(None)
            return
        self._let_go(host)
        if waiting is not None and not waiting.done():
            waiting.set_exception(JoinError(reason))
        self.hub.dismiss(host, reason)
        self._settle()

    def _pass_renewal(self, message: m.JoinedFor) -> None:
        waiting = self._renewals.get(message.host)
        if waiting is None or waiting.done():
            return
        if message.certificate:
            waiting.set_result(m.Joined(message.certificate, message.authority))
        else:
            waiting.set_exception(JoinError(message.reason))

    # -- life ----------------------------------------------------------------------------------------------------------

    async def _look_after(self) -> None:
        """Let go of hosts whose words have ended, and of all when nobody is upstream; keep on the disk what changed."""
        kept = time.monotonic()
        while True:
            await asyncio.sleep(min(1.0, self.orphan_s / 4))
            now = time.monotonic()
            self._tell_hearing()
            self.hub.expel(lambda host, issued_s: "", time.time())
            for host in self._returning.find_late(now, ADMIT_S) if self.connected else ():
                self._send(m.Detach(host))
                self._answer(host, f"{self.name} has no answer from its server")
            if self._is_orphan():
                for host in self.hub.hosts:
                    self.hub.dismiss(host, f"{self.name} has nobody upstream")
            if now - kept > KEEP_S:
                kept = now
                self.keep()

    def _is_orphan(self) -> bool:
        return not self.connected and time.monotonic() - self._alone_since > self.orphan_s

    def keep(self) -> None:
        """Write what changed, and forget what no host has led to since a while after the connection was made."""
        if self.connected and time.monotonic() - self._since > FORGET_S:
            for name in [name for name in self.slices if name not in self._copies.told]:
                self._copies.forget(name)
                del self.slices[name]
                self._dirty.add(name)
        try:
            for name in tuple(self._dirty):
                found = self.slices.get(name)
                if found is None:
                    self._cache.drop(name)
                else:
                    self._cache.save(found)
                self._dirty.discard(name)
        except OSError as error:
            LOG.error("slices are not kept on disk: %s", error)

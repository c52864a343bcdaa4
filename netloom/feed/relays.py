"""The server's end of relays: connections that follow and speak for many hosts, by those hosts' own words.

Law 9: a relay follows what the hosts lead to that let it, and passes on what those say, as if each were connected
itself; its own certificate leads to nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from msgspec.structs import replace

from netloom.feed import messages as m
from netloom.feed.connection import Connection
from netloom.feed.grants import Grant, check_chain
from netloom.feed.parts import FAILED, Fleet, Gate, Seats
from netloom.feed.pki import JoinError
from netloom.feed.report import parse_report
from netloom.feed.turns import Turns

LOG = logging.getLogger("netloom.feed")
GRACE_S = 5.0
"""How long hosts of a relay that is gone have to come by another way before they are taken for gone."""


class Relays:
    """Of one hub: who is here, and what they say for their hosts."""

    def __init__(self, seats: Seats, fleet: Fleet, authority: Callable[[], bytes] | None, gate: Gate | None) -> None:
        self.here: dict[str, Connection] = {}
        self.grace_s = GRACE_S
        self._seats = seats
        self._fleet = fleet
        self._authority = authority
        self._gate = gate
        self._turns = Turns()
        self._missing: set[asyncio.Task[None]] = set()

    # -- relays --------------------------------------------------------------------------------------------------------

    def come(self, connection: Connection) -> None:
        """Raises JoinError where no relays are served."""
        if self._authority is None:
            raise JoinError("relays are not served here")
        if connection.version < 2:
            raise JoinError(f"{connection.host} is of a version that is no relay")
        old = self.here.get(connection.host)
        if old is not None:
            old.writer.transport.abort()
        self.here[connection.host] = connection
        LOG.info("%s is here", connection.host)

    def go(self, connection: Connection) -> None:
        if self.here.get(connection.host) is connection:
            del self.here[connection.host]
        gone = [host for host in connection.attached if self._seats.leave(host, connection)]
        connection.attached.clear()
        connection.words.clear()
        LOG.info("%s is gone; %d hosts followed through it", connection.host, len(gone))
        if gone:
            task = asyncio.get_running_loop().create_task(self._miss(gone))
            self._missing.add(task)
            task.add_done_callback(self._missing.discard)

    async def _miss(self, hosts: list[str]) -> None:
        """They are gone, unless they come by another way soon."""
        await asyncio.sleep(self.grace_s)
        for host in hosts:
            self._turns.add(host, lambda host=host: self._part(host))  # type: ignore[misc]

    async def _part(self, host: str) -> None:
        if not self._seats.has(host):
            await self._fleet.present(host, False)

    async def stop(self) -> None:
        for task in self._missing:
            task.cancel()
        await self._turns.stop()

    def count_readers(self, name: str) -> int:
        """Relays that follow the slice and hear the bus."""
        return sum(relay.on_bus and name in relay.sent for relay in self.here.values())

    # -- hosts of a relay ----------------------------------------------------------------------------------------------

    async def take(self, connection: Connection, message: m.FromHost) -> None:
        """What a relay says. Raises MessageError for what it may not say."""
        await connection.writer.drain()  # who asks and never reads is not heard any more
        match message:
            case m.Attach():
                await asyncio.sleep(connection.attaching.spend(time.monotonic()))
                self._turns.add(message.host, lambda: self._attach(connection, message))
            case m.Detach():
                self._turns.add(message.host, lambda: self._detach(connection, message.host))
            case m.Said():
                await self._hear(connection, message)
            case m.Listen():
                connection.on_bus = message.on
            case m.RenewFor():
                await connection.keep_pace(1.0)
                self._turns.add(message.host, lambda: self._renew(connection, message))
            case _:
                raise m.MessageError(f"{type(message).__name__.lower()} is not expected of a relay")

    async def _attach(self, connection: Connection, attach: m.Attach) -> None:
        host = attach.host
        try:
            await self._let_in(connection, attach)
            if attach.configurations:
                told, zone = parse_report(attach.configurations, attach.availability_zone)
                await self._fleet.report(host, told, zone)
        except (m.MessageError, JoinError) as error:
            LOG.warning("%s through %s: %s", host, connection.host, error)
            await self._send_away(connection, host, str(error))
        except Exception:  # a relay that comes back shows nothing to anybody until each of its hosts is answered for
            LOG.exception("%s through %s", host, connection.host)
            await self._send_away(connection, host, FAILED)

    async def _send_away(self, connection: Connection, host: str, reason: str) -> None:
        if self._seats.leave(host, connection):
            await self._fleet.present(host, False)
        connection.dismiss(host, reason)

    async def _let_in(self, connection: Connection, attach: m.Attach) -> None:
        """Raises JoinError, MessageError."""
        assert self._authority is not None
        host, now_s = attach.host, time.time()
        links = check_chain(attach.grants, host, connection.host, self._authority(), now_s)
        for link in links:
            await self._fleet.admit(link.name, link.issued_s)
        await self._fleet.reach(attach.revision)
        if self._gate is not None:
            await self._gate.attach(self._pass_on(connection, attach))
        if self.here.get(connection.host) is not connection:
            await self._part(host)  # the relay went away meanwhile
            return
        fresh = host not in connection.attached
        connection.attached[host] = links
        connection.interest.add(f"host/{host}")
        connection.after.append(m.Admitted(host))
        connection.wake.set()
        self._seats.seat(host, connection)
        if fresh:
            await self._fleet.present(host, True)

    def _pass_on(self, connection: Connection, attach: m.Attach) -> m.Attach:
        """The same for who is upstream, with this relay's own leave to speak for the one that asks."""
        if connection.grant is None:
            raise JoinError(f"{connection.host} has not let this relay speak for it")
        grants = [*attach.grants, connection.grant]
        return replace(attach, grants=grants)

    async def _detach(self, connection: Connection, host: str) -> None:
        connection.words.pop(host, None)
        if connection.attached.pop(host, None) is None:
            return
        connection.interest.remove(f"host/{host}")
        connection.wake.set()
        if self._seats.leave(host, connection):
            await self._fleet.present(host, False)

    def dismiss(self, connection: Connection, host: str, reason: str) -> None:
        """Let go of one host of a relay."""
        connection.dismiss(host, reason)
        if self._seats.leave(host, connection):
            self._turns.add(host, lambda: self._part(host))

    async def _hear(self, connection: Connection, said: m.Said) -> None:
        """What is said of a host that is still being let in waits until it is; what takes as long as the store does is
        waited for by that host alone, or nothing would be heard of the others, not even that they are there."""
        words: dict[str, m.Ack | int] = {**said.acks, **said.same}
        for host, ack in words.items():
            if self._turns.is_busy(host) or speaks_of_copies(connection, host, ack):
                self._turns.add(host, lambda host=host, ack=ack: self._acknowledge(connection, host, ack))  # type: ignore[misc]
            else:
                await self._acknowledge(connection, host, ack)
        for host, report in said.reports.items():
            if host in connection.attached or self._turns.is_busy(host):
                await connection.keep_pace(1.0)
                self._turns.add(host, lambda host=host, report=report: self._report(connection, host, report))  # type: ignore[misc]

    async def _acknowledge(self, connection: Connection, host: str, said: m.Ack | int) -> None:
        """`said`: a host's word, or the revision at which it says again what it said last. Of hosts that the relay does
        not speak for, or of what it was not sent (a server that was restored), nothing."""
        if host not in connection.attached:
            return
        try:
            ack = connection.repeat(host, said) if isinstance(said, int) else said
        except m.MessageError as error:
            self.dismiss(connection, host, str(error))
            return
        if ack.revision <= connection.revision:
            await self._seats.acknowledge(connection, host, ack)

    async def _report(self, connection: Connection, host: str, report: m.Report) -> None:
        if host not in connection.attached:
            return
        try:
            told, zone = parse_report(report.configurations, report.availability_zone)
            await self._fleet.report(host, told, zone)
        except m.MessageError as error:
            LOG.warning("%s through %s: %s", host, connection.host, error)
            self.dismiss(connection, host, str(error))

    async def _renew(self, connection: Connection, message: m.RenewFor) -> None:
        host = message.host
        try:
            links = connection.attached.get(host, ())
            if not links:
                raise JoinError(f"{host} is not here")
            await self._fleet.admit(host, links[0].issued_s)
            joined = await self._fleet.renew(host, message.csr)
            answer = m.JoinedFor(host, joined.certificate, joined.authority)
        except JoinError as error:
            answer = m.JoinedFor(host, reason=str(error))
        connection.after.append(answer)
        connection.wake.set()

    # -- words ---------------------------------------------------------------------------------------------------------

    async def attach_direct(self, gate: Gate, hello: m.Hello) -> None:
        """A host that connects to this relay itself. Raises JoinError."""
        grants = [hello.grant] if hello.grant else []
        if not grants:
            raise JoinError(
                "this is a relay, and the host has not let it follow: its agent is older, or its address wrong"
            )
        told = (hello.configurations, hello.availability_zone)
        await gate.attach(m.Attach(hello.host, grants, *told, hello.newest))

    def renew_word(self, connection: Connection, grant: Grant) -> None:
        """A host's, or a relay's for all of its hosts. Raises MessageError."""
        if grant.holder != connection.host:
            raise m.MessageError(f"the word is of {grant.holder}")
        connection.grant = grant
        if self._gate is not None:
            for host in connection.attached if connection.is_relay else (connection.host,):
                self._gate.renew_word(host, grant)

    def expel(self, connection: Connection, void: Callable[[str, float], str], now_s: float) -> None:
        """Let go of a relay's hosts whose words have ended, or by a certificate that is void."""
        for host, links in list(connection.attached.items()):
            for link in links:
                ended = f"the word of {link.name} has ended" if link.ends_s < now_s else ""
                if reason := ended or void(link.name, link.issued_s):
                    self.dismiss(connection, host, reason)
                    break


def speaks_of_copies(connection: Connection, host: str, said: m.Ack | int) -> bool:
    """Whether the word, or the one that it repeats, is of copies of routers, which are written one by one."""
    ack = connection.words.get(host) if isinstance(said, int) else said
    return ack is not None and bool(ack.copies)

"""Where instances are answered: a packet in, its port looked up, the answer out of that port and no other.

It needs the last known slices and the switch, never the server. Each port has a budget, so that one instance that
floods delays nobody else; what is above it, or comes faster than it can be worked off, is dropped.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from netloom.agent.bucket import Bucket
from netloom.agent.parts import Parts, Tuning
from netloom.model.facts import HostFacts
from netloom.model.slices import PortRow, Slice, Slices
from netloom.render.answers import (
    Scope,
    Settings,
    advert_frame,
    answer_frame,
    is_advert_due,
    news_frames,
    read_scope,
)
from netloom.render.scene import find_ports

LOG = logging.getLogger(__name__)

QUEUE = 1024
"""Frames that wait for an answer, over all ports."""

TICK_S = 1.0
"""How often turns for unasked router advertisements, and changes that call for one, are looked for."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A plugged port: its row, its network's surroundings, and the ofport of the device that it is reached by."""

    port: PortRow
    scope: Scope
    device: int
    vlan: int = 0  # the tag of its frames there


class Desk:
    """Answers by number: a port's ofport, or a subport's own. `update` after every change of slices or facts."""

    def __init__(self, parts: Parts, tuning: Tuning, settings: Settings) -> None:
        self._parts, self._tuning, self._settings = parts, tuning, settings
        self.seats: dict[int, Seat] = {}
        self._scopes: dict[str, tuple[Slice, Scope | None]] = {}
        self._told: dict[str, Scope] = {}
        self._buckets: dict[int, Bucket] = {}
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(QUEUE)

    def update(self, slices: Slices, facts: HostFacts) -> None:
        """Seat the ports that are bound here and plugged; a network is read once after each change."""
        seats = {}
        scopes: dict[str, tuple[Slice, Scope | None]] = {}
        for plugged in self._parts.find_plugged(find_ports(slices, facts.host), facts):
            part = slices.get(f"network/{plugged.port.network_id}")
            if part is None:
                continue
            if part.name not in scopes:
                scopes[part.name] = self._scope_of(part)
            scope = scopes[part.name][1]
            if scope and scope.network.admin_state_up:
                seats[plugged.ofport] = Seat(
                    plugged.port, scope, plugged.device, plugged.port.vlan if plugged.trunk else 0
                )
        self._note_changes(scopes)
        self.seats, self._scopes = seats, scopes
        self._buckets = {ofport: bucket for ofport, bucket in self._buckets.items() if ofport in seats}

    def _scope_of(self, part: Slice) -> tuple[Slice, Scope | None]:
        held = self._scopes.get(part.name)
        return held if held and held[0] is part else (part, read_scope(part, *(held or ())))

    def _note_changes(self, scopes: dict[str, tuple[Slice, Scope | None]]) -> None:
        """Keep what ports were told of networks that are other now; one that is met for the first time told nothing."""
        for name, (part, scope) in scopes.items():
            before, known = self._scopes.get(name, (part, None))
            if before is not part and known and scope and is_other(known, scope):
                self._told.setdefault(name, known)
        self._told = {name: known for name, known in self._told.items() if name in scopes}

    def find_port(self, ofport: int) -> PortRow | None:
        """The port that has this number here."""
        seat = self.seats.get(ofport)
        return seat.port if seat else None

    def take(self, ofport: int, frame: bytes) -> None:
        """Accept a frame for answering, if its port is known and within its budget. Never waits."""
        if ofport not in self.seats or not self._pay(ofport) or self._queue.full():
            return
        self._queue.put_nowait((ofport, frame))

    def _pay(self, ofport: int) -> bool:
        now, tuning = self._parts.clock(), self._tuning
        held = self._buckets.get(ofport, Bucket(tuning.packet_burst, now))
        left = held.take(now, tuning.packet_rate, tuning.packet_burst)
        self._buckets[ofport] = left or held
        return left is not None

    async def run(self) -> None:
        """Answer until cancelled."""
        while True:
            ofport, frame = await self._queue.get()
            await self.answer(ofport, frame)

    async def answer(self, ofport: int, frame: bytes) -> None:
        """Answer one frame; whatever goes wrong with it ends with it."""
        seat = self.seats.get(ofport)
        if seat is None:
            return
        try:
            reply = answer_frame(frame, seat.port, seat.scope, self._settings)
        except Exception:
            LOG.exception("port %s: a frame of %d bytes could not be answered", seat.port.id, len(frame))
            return
        if reply:
            await self._send(seat, reply)

    async def _send(self, seat: Seat, frame: bytes) -> None:
        try:
            await self._parts.packets.send_packet(seat.device, add_tag(frame, seat.vlan))
        except (OSError, TimeoutError) as error:
            LOG.warning("the switch took no answer for its port %d: %s", seat.device, error)

    async def run_adverts(self) -> None:
        """Send each port its unasked router advertisements, in turns, until cancelled."""
        before = self._parts.clock()
        while True:
            await asyncio.sleep(TICK_S)
            now = self._parts.clock()
            await self.send_news()
            await self.send_adverts(before, now)
            before = now

    async def send_news(self) -> None:
        """To each port of a network whose advertisement has changed, at once: its instances would wait a whole turn."""
        told, self._told = self._told, {}
        frames: dict[str, tuple[bytes, ...]] = {}
        for seat in tuple(self.seats.values()) if told else ():
            name = f"network/{seat.port.network_id}"
            if name not in frames:
                frames[name] = self._make_news(told[name], seat.scope) if name in told else ()
            for frame in frames[name]:
                await self._send(seat, frame)

    def _make_news(self, told: Scope, scope: Scope) -> tuple[bytes, ...]:
        """Rows that make no sense end with their network."""
        try:
            return news_frames(told, scope, self._settings)
        except ValueError:
            LOG.exception("network %s: nothing can be advertised of it", scope.network.id)
            return ()

    async def send_adverts(self, before: float, now: float) -> None:
        """Those whose turn lies in (before, now]."""
        for seat in self._due(before, now):
            if frame := advert_frame(seat.scope, self._settings):
                await self._send(seat, frame)

    def _due(self, before: float, now: float) -> Iterable[Seat]:
        seats = tuple(self.seats.values())
        return (seat for seat in seats if is_advert_due(seat.port.id, before, now, self._settings))


def is_other(known: Scope, scope: Scope) -> bool:
    """Whether anything is other that an advertisement is made of."""
    return (known.network, known.subnets, known.routers) != (scope.network, scope.subnets, scope.routers)


def add_tag(frame: bytes, vlan: int) -> bytes:
    """The frame with an 802.1Q tag after its addresses; 0: without one.

    >>> add_tag(bytes(12) + b"xy", 100)[12:]
    b'\x81\x00\x00dxy'
    """
    return frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:] if vlan else frame

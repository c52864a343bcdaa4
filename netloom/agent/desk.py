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
from netloom.agent.view import find_ports
from netloom.model.facts import HostFacts
from netloom.model.slices import PortRow, Slice, Slices
from netloom.render.answers import Scope, Settings, advert_frame, answer_frame, is_advert_due, read_scope

LOG = logging.getLogger(__name__)

QUEUE = 1024
"""Frames that wait for an answer, over all ports."""

TICK_S = 1.0
"""How often turns for unasked router advertisements are looked for."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A plugged port: its row, and its network's surroundings."""

    port: PortRow
    scope: Scope


class Desk:
    """Answers by ofport. `update` after every change of slices or facts."""

    def __init__(self, parts: Parts, tuning: Tuning, settings: Settings) -> None:
        self._parts, self._tuning, self._settings = parts, tuning, settings
        self.seats: dict[int, Seat] = {}
        self._scopes: dict[str, tuple[Slice, Scope | None]] = {}
        self._buckets: dict[int, Bucket] = {}
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(QUEUE)

    def update(self, slices: Slices, facts: HostFacts) -> None:
        """Seat the ports that are bound here and plugged; networks that did not change are not read again."""
        seats = {}
        scopes: dict[str, tuple[Slice, Scope | None]] = {}
        for port in find_ports(slices, facts.host):
            interface = facts.interfaces.get(port.id)
            part = slices.get(f"network/{port.network_id}")
            if interface is None or interface.ofport <= 0 or part is None or not port.admin_state_up:
                continue
            scopes[part.name] = self._scope_of(part)
            scope = scopes[part.name][1]
            if scope and scope.network.admin_state_up:
                seats[interface.ofport] = Seat(port, scope)
        self.seats, self._scopes = seats, scopes
        self._buckets = {ofport: bucket for ofport, bucket in self._buckets.items() if ofport in seats}

    def _scope_of(self, part: Slice) -> tuple[Slice, Scope | None]:
        held = self._scopes.get(part.name)
        return held if held and held[0] is part else (part, read_scope(part))

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
            await self._send(ofport, reply)

    async def _send(self, ofport: int, frame: bytes) -> None:
        try:
            await self._parts.packets.send_packet(ofport, frame)
        except (OSError, TimeoutError) as error:
            LOG.warning("the switch took no answer for its port %d: %s", ofport, error)

    async def run_adverts(self) -> None:
        """Send each port its unasked router advertisements, in turns, until cancelled."""
        before = self._parts.clock()
        while True:
            await asyncio.sleep(TICK_S)
            now = self._parts.clock()
            await self.send_adverts(before, now)
            before = now

    async def send_adverts(self, before: float, now: float) -> None:
        """Those whose turn lies in (before, now]."""
        for ofport, seat in self._due(before, now):
            if frame := advert_frame(seat.scope, self._settings):
                await self._send(ofport, frame)

    def _due(self, before: float, now: float) -> Iterable[tuple[int, Seat]]:
        seats = tuple(self.seats.items())
        return (item for item in seats if is_advert_due(item[1].port.id, before, now, self._settings))

"""Addresses that came to this host's routers are announced: at once, and a few times more in case a frame is lost.

Law: only what was changed is announced. A restart changes nothing, so it says nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence

from netloom.agent.parts import PacketIo
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Op, Put
from netloom.render.answers import announce_frame

LOG = logging.getLogger(__name__)
TIMES_S = (0.0, 0.2, 1.0, 3.0)
"""After the change. The device may be wired only with the next turn, so the first one may come to nothing."""
ADDRESSES = ("address", "alias")

Said = tuple[str, str]
"""(the device on the switch, the address)."""


def find_announced(ops: Iterable[Op]) -> Iterator[Said]:
    """What came to routers here."""
    for op in ops:
        if isinstance(op, Put) and op.thing.kind in ADDRESSES:
            _, _, device, cidr = op.thing.key
            yield f"tap{device[3:]}", cidr.partition("/")[0]


class Announcer:
    """`note` after every plan that was applied; `run` sends."""

    def __init__(
        self, packets: PacketIo, facts: Callable[[], HostFacts | None], times_s: Sequence[float] = TIMES_S
    ) -> None:
        self._packets, self._facts, self._times_s = packets, facts, times_s
        self._queue: asyncio.Queue[list[Said]] = asyncio.Queue()

    def note(self, done: Iterable[Op]) -> None:
        found = list(find_announced(done))
        if found:
            self._queue.put_nowait(found)

    async def run(self) -> None:
        """Announce until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(self._announce(await self._queue.get()))

    async def _announce(self, said: list[Said]) -> None:
        before = 0.0
        for moment in self._times_s:
            await asyncio.sleep(moment - before)
            before = moment
            await self._send(said)

    async def _send(self, said: list[Said]) -> None:
        facts = self._facts()
        wired = {held.name: held for held in facts.interfaces.values() if held.ofport > 0} if facts else {}
        for device, ip in said:
            if device in wired:
                await self._inject(wired[device], ip)

    async def _inject(self, port: Interface, ip: str) -> None:
        try:
            await self._packets.inject_packet(port.ofport, announce_frame(port.mac, ip))
        except (OSError, TimeoutError) as error:
            LOG.warning("%s was not announced: %s", ip, error)

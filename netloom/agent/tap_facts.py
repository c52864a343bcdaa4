"""The facts of a host whose NICs have functions: with the macvtap devices that stand on them, as they come and go.

Law: the devices are asked for when the kernel said that some changed, and not for each turn of the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from netloom.agent.parts import FactsSource
from netloom.drivers.bridge.watch import LinkWatch
from netloom.model.facts import HostFacts, Interface

LOG = logging.getLogger(__name__)
ReadTaps = Callable[[], Awaitable[Mapping[str, Interface]]]


class Links(Protocol):
    """What tells that some device changed (see `drivers.bridge.watch`)."""

    async def wait(self, seen: int) -> int:
        """Wait for another number than `seen`; 0 never is one."""
        ...

    def close(self) -> None: ...


class TapFacts:
    """As the facts that it is given, with `taps`; a device that changed is a change, once it changed the taps."""

    def __init__(self, facts: FactsSource, read_taps: ReadTaps, watch: Links | None = None) -> None:
        self._facts, self._read_taps = facts, read_taps
        self._watch: Links = watch or LinkWatch()
        self._taps: Mapping[str, Interface] = {}
        self._looked = 0  # the watch's number when the taps were read
        self._seen = 0
        self._turn = 0

    @property
    def epoch(self) -> int:
        return self._facts.epoch

    async def read_facts(self) -> HostFacts:
        await self._look()
        return replace(await self._facts.read_facts(), taps=self._taps)

    async def _look(self) -> bool:
        """Whether the taps are others than before."""
        number = await self._watch.wait(0)  # never 0, so this is the number now
        if number == self._looked:
            return False
        self._looked = number
        before = self._taps
        try:
            self._taps = dict(await self._read_taps())
        except OSError as error:
            LOG.warning("macvtap devices as before: %s", error)
        return before != self._taps

    async def wait_change(self, seen: int) -> int:
        """One waits at a time; `seen` is what it was given last."""
        if seen < self._turn:
            return self._turn
        waits = [asyncio.ensure_future(self._facts.wait_change(self._seen)), asyncio.ensure_future(self._wait_taps())]
        try:
            done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            numbers = {wait: wait.result() for wait in done}  # what broke one of them is the caller's to see
            self._seen = numbers.get(waits[0], self._seen)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._turn += 1
        return self._turn

    async def _wait_taps(self) -> int:
        while True:
            number = await self._watch.wait(self._looked)
            if await self._look():
                return number

    def close(self) -> None:
        self._watch.close()

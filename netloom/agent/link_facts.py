"""The facts of a host that its devices tell, and no switch: macvtap devices on functions of NICs, and what the device
with the tunnel address carries.

Law: the kernel is asked when it said that some device changed, and not for each turn of the loop, but for what it did
not answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from netloom.agent.parts import FactsSource
from netloom.drivers.bridge.watch import LinkWatch
from netloom.model.facts import HostFacts

LOG = logging.getLogger(__name__)
Read = Callable[[], Awaitable[object]]


class Links(Protocol):
    """What tells that some device changed (see `drivers.bridge.watch`)."""

    async def wait(self, seen: int) -> int:
        """Wait for another number than `seen`; 0 never is one."""
        ...

    def close(self) -> None: ...


class LinkFacts:
    """As the facts that it is given, with those of `reads`, by name; a device that changed is a change, once one of
    them is another."""

    def __init__(self, facts: FactsSource, reads: Mapping[str, Read], watch: Links | None = None) -> None:
        self._facts, self._reads = facts, reads
        self._watch: Links = watch or LinkWatch()
        self.known: Mapping[str, Any] = {}
        self._looked = 0  # the watch's number when they were read
        self._missed: dict[str, str] = {}  # what could not be read then, and why
        self._seen = 0
        self._turn = 0

    @property
    def epoch(self) -> int:
        return self._facts.epoch

    async def read_facts(self) -> HostFacts:
        await self._look(again=bool(self._missed))
        return replace(await self._facts.read_facts(), **self.known)

    async def _look(self, again: bool = False) -> bool:
        """Whether what is known is other than before. `again`: also where no device changed."""
        number = await self._watch.wait(0)  # never 0, so this is the number now
        if number == self._looked and not again:
            return False
        found = await self._read()
        self._looked = number  # not before: who waits may be cancelled while the kernel is asked
        before, self.known = self.known, {**self.known, **found}
        return before != self.known

    async def _read(self) -> dict[str, object]:
        """All but what cannot be read now; that is tried again by the next turn."""
        found, missed = {}, {}
        for name, read in self._reads.items():
            try:
                found[name] = await read()
            except OSError as error:
                missed[name] = str(error)
                if self._missed.get(name) != missed[name]:
                    LOG.warning("%s as before: %s", name, error)
        self._missed = missed
        return found

    async def wait_change(self, seen: int) -> int:
        """One waits at a time; `seen` is what it was given last."""
        if seen < self._turn:
            return self._turn
        waits = [asyncio.ensure_future(self._facts.wait_change(self._seen)), asyncio.ensure_future(self._wait_links())]
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

    async def _wait_links(self) -> int:
        while True:
            number = await self._watch.wait(self._looked)
            if await self._look():
                return number

    def close(self) -> None:
        self._watch.close()

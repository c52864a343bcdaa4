"""The facts of a host where daemons run: with the end of one, what the devices hold is to be read again."""

from __future__ import annotations

import asyncio
from typing import Protocol

from netloom.agent.parts import FactsSource
from netloom.model.facts import HostFacts


class Daemons(Protocol):
    """Processes that are watched."""

    @property
    def ends(self) -> int:
        """How many have ended."""
        ...

    async def wait_change(self, seen: int) -> int:
        """Wait until more than `seen` ended."""
        ...


class DaemonFacts:
    """As the facts that it is given, but that it changes, and its epoch grows, with the end of a daemon."""

    def __init__(self, facts: FactsSource, daemons: Daemons) -> None:
        self._facts, self._daemons = facts, daemons
        self._seen = [0, 0]
        self._turn = 0

    @property
    def epoch(self) -> int:
        return self._facts.epoch + self._daemons.ends

    async def read_facts(self) -> HostFacts:
        return await self._facts.read_facts()

    async def wait_change(self, seen: int) -> int:
        """One waits at a time; `seen` is what it was given last."""
        if seen < self._turn:
            return self._turn
        waits = [
            asyncio.ensure_future(self._facts.wait_change(self._seen[0])),
            asyncio.ensure_future(self._daemons.wait_change(self._seen[1])),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for number, wait in enumerate(waits):
                if wait.done():
                    self._seen[number] = wait.result()
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        self._turn += 1
        return self._turn

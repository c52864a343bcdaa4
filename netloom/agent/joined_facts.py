"""The facts of a host from two places: its switch, and the namespaces that hold copies of routers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from netloom.agent.parts import FactsSource
from netloom.model.facts import HostFacts


class CopySource(Protocol):
    """What the copies of routers on this host are, and when that changes."""

    @property
    def copies(self) -> Mapping[str, str]: ...

    async def wait_change(self, seen: int) -> int: ...


class JoinedFacts:
    """A change of either is a change."""

    def __init__(self, switch: FactsSource, copies: CopySource) -> None:
        self._switch, self._copies = switch, copies
        self._seen = [0, 0]
        self._turn = 0

    @property
    def epoch(self) -> int:
        return self._switch.epoch

    async def read_facts(self) -> HostFacts:
        return replace(await self._switch.read_facts(), copies=dict(self._copies.copies))

    async def wait_change(self, seen: int) -> int:
        """One waits at a time; `seen` is what it was given last."""
        if seen < self._turn:
            return self._turn
        waits = [
            asyncio.ensure_future(self._switch.wait_change(self._seen[0])),
            asyncio.ensure_future(self._copies.wait_change(self._seen[1])),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for number, wait in enumerate(waits):
                if wait.done() and not wait.cancelled() and wait.exception() is None:
                    self._seen[number] = wait.result()
                wait.cancel()
        for wait in waits:
            if wait.done() and not wait.cancelled():
                wait.result()  # what broke it is the caller's to see
        self._turn += 1
        return self._turn

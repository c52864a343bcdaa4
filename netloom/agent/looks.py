"""Devices that tell nobody when somebody else changes them: each is looked at now and then, between the turns.

Law: looking takes no more than a fiftieth of the time, however much there is to see, and decides nothing: what is found
is for the next turn, which reads everything and heals it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

LOOK_S = 3.0
"""At least so long a driver's devices are left alone between two looks."""
SHARE = 50
"""A look that took some time is followed by so many times that without one."""


class Looks:
    """`found`: how often a look showed something else than was known. `differs`: whether one at a driver does."""

    def __init__(
        self,
        differs: Callable[[str], Awaitable[bool]],
        clock: Callable[[], float],
        on_found: Callable[[], None],
        look_s: float = LOOK_S,
    ) -> None:
        self.found = 0
        self._differs, self._clock, self._on_found, self._look_s = differs, clock, on_found, look_s

    async def run(self, names: Iterable[str]) -> None:
        """Look at these drivers until cancelled, each at its own pace."""
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(self._follow(name))

    async def _follow(self, name: str) -> None:
        wait_s = self._look_s
        while True:
            await asyncio.sleep(wait_s)
            began = self._clock()
            if await self._differs(name):
                self.found += 1
                self._on_found()
            wait_s = max(self._look_s, (self._clock() - began) * SHARE)

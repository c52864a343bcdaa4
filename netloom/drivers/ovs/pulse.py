"""Whether ovs-vswitchd still answers: asked every few seconds by an OpenFlow echo, on a connection that there is.

Law: a switch that is at work for us is not asked, for what it was told to do comes first; and one that is silent keeps
its connection, so that with its first word all is as before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from netloom.drivers.ovs.channel import Channel

LOG = logging.getLogger(__name__)
EVERY_S, PATIENCE_S = 2.0, 5.0
"""So a switch that stopped is known to be silent after seven seconds at most."""
WORDS = f"ovs-vswitchd has not answered for {PATIENCE_S:g} s"


class Pulse:
    """`find_channel`: any connection, None without one. `on_change`: called when the switch fell silent, and when it
    answers again. `silent`: words for an operator, empty while it answers."""

    def __init__(
        self,
        find_channel: Callable[[], Channel | None],
        is_busy: Callable[[], bool],
        on_change: Callable[[], None],
        every_s: float = EVERY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._find_channel, self._is_busy, self._on_change = find_channel, is_busy, on_change
        self._every_s, self._patience_s = every_s, patience_s
        self._task: asyncio.Task[None] | None = None
        self.silent = ""

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._every_s)
            channel = self._find_channel()
            if channel is not None and not self._is_busy():
                await self._ask(channel)

    async def _ask(self, channel: Channel) -> None:
        answer = channel.ask_echo()
        try:
            while not (await asyncio.wait([answer], timeout=self._patience_s))[0]:
                if not self._is_busy():
                    self._note(WORDS)
        finally:
            answer.cancel()
        if not answer.cancelled() and answer.exception() is None:
            self._note("")

    def note_return(self) -> None:
        """The switch came back by another connection; whoever is told of that need not be told here."""
        self.silent = ""

    def _note(self, words: str) -> None:
        if words != self.silent:
            LOG.warning("%s", words or "ovs-vswitchd answers again")
            self.silent = words
            self._on_change()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

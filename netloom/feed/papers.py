"""What whoever follows says now and again on the connection that is there: its next certificate, its next word.

Law: at times that differ from one to the next, for thousands joined or came back in the same hour.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from netloom.feed import messages as m
from netloom.feed.codec import make_frame
from netloom.feed.grants import GRANT_LIFE_S, Grant

RENEW_LOOK_S = 3600.0
"""How often who is connected looks whether it is time for its next certificate."""
LONGEST_S = 600.0
"""Within which the next certificate is asked for, whoever says that there is more time."""
WORD_S = GRANT_LIFE_S / 3
"""How often a relay is given the next word."""


class Renewal:
    """Asks for the next certificate: when it is time (`csr`), and when who is asked trusts other authorities than are
    known here (`anew`, by their tag). Both give a request, or None."""

    def __init__(
        self, csr: Callable[[], str | None], anew: Callable[[str], str | None], chance: random.Random, look_s: float
    ) -> None:
        self.csr, self.anew = csr, anew
        self._chance = chance
        self._look_s = look_s
        self._said: m.Welcome | m.Ping = m.Ping()
        self._news = asyncio.Event()

    def hear(self, said: m.Welcome | m.Ping) -> None:
        if said.authority != self._said.authority:
            self._said = said
            self._news.set()

    async def run(self, writer: asyncio.StreamWriter) -> None:
        """Of one connection, until cancelled."""
        self._said = m.Ping()
        while True:
            request = self.csr() or self.anew(self._said.authority)
            if request is not None:
                writer.write(make_frame(m.Renew(request)))
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(self._look_s * self._chance.uniform(0.5, 1.0)):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
        await asyncio.sleep(min(self._said.within_s, LONGEST_S) * self._chance.random())


async def renew_word(
    writer: asyncio.StreamWriter, grant: Callable[[str], Grant | None], relay: str, chance: random.Random
) -> None:
    """Until cancelled. A relay goes on by the next word before the last one ends; a server (no name) needs none."""
    while True:
        await asyncio.sleep(WORD_S * chance.uniform(0.5, 1.0))
        if relay and (word := grant(relay)) is not None:
            writer.write(make_frame(m.Let(word)))

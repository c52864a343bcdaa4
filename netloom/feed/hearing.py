"""A relay's ear for the bus: what is due comes by it, or is asked for by the relay's own connection.

Law: a broker that does not bring what is due is left alone for a while: it costs a delay now and then, not each time.
"""

from __future__ import annotations

import asyncio
import logging
import time

from netloom.feed import messages as m
from netloom.feed.bus import Listener, Shelf
from netloom.feed.copies import Copies

LOG = logging.getLogger("netloom.feed")
BUS_S, MISSES, DEAF_S = 0.25, 2, 30.0
"""How long a frame may take by the broker; how often in a row it may not come, and for how long it is then left."""


class Hearing:
    """Of one relay. `listener`: None where there is no broker."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.listener: Listener | None = None
        self.bus_s, self.deaf_s = BUS_S, DEAF_S
        self._subject = ""
        self._told = False  # what the server was told last
        self._missed = 0
        self._deaf_until = 0.0

    def begin(self, subject: str) -> None:
        """A connection to a server that publishes there; empty: it does not."""
        self._told = False
        if subject != self._subject and self.listener is not None:
            self._subject = subject
            self.listener.listen(subject)

    def find_news(self, connected: bool) -> m.Listen | None:
        """What the server is to be told now, if that is another thing than before."""
        ready = connected and bool(self._subject) and self.listener is not None and self.listener.ready
        hears = ready and time.monotonic() >= self._deaf_until
        if hears == self._told:
            return None
        self._told = hears
        return m.Listen(hears)

    async def collect(self, due: m.Due, copies: Copies) -> None:
        """Take what is on the bus, and ask for what does not come; nothing that is told later may be taken before."""
        loop = asyncio.get_running_loop()
        ends, missed = loop.time() + self.bus_s, False
        for name, (_, key) in due.frames.items():
            frame = await self.shelf.take(key, max(0.0, ends - loop.time()))
            if frame is None:
                missed = True
                copies.miss(name)
            else:
                copies.take(m.parse_from_server(frame[4:]))
        self._missed = self._missed + 1 if missed else 0
        if self._missed >= MISSES:
            self._turn_away()

    def _turn_away(self) -> None:
        LOG.warning("the broker does not bring what is due; it is left alone for %.0f s", self.deaf_s)
        self._missed, self._deaf_until = 0, time.monotonic() + self.deaf_s
        if self.listener is not None:
            self.listener.listen(self._subject)

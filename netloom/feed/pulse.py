"""Whether hosts and relays are there: each is asked now and then, and compared with what it should have by the way.

Law: those who are asked are spread over the whole time; thousands at once would keep everybody else waiting.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from netloom.feed import messages as m
from netloom.feed.codec import make_frame
from netloom.feed.connection import Connection

LOG = logging.getLogger("netloom.feed")
PING_S = 15.0
PING_PARTS = 300
"""In how many turns all hosts are pinged within that time."""
SILENCE_S = 45.0
"""A host that said nothing for this long, not even to a ping, is taken for gone."""


class Pulse:
    """Of one hub. `make_compare`: a frame with what a connection should have; `find_authority`: what a ping says."""

    def __init__(
        self,
        find_connections: Callable[[], Iterable[Connection]],
        make_compare: Callable[[Connection], bytes],
        find_authority: Callable[[], tuple[str, float]],
    ) -> None:
        self._find_connections = find_connections
        self._make_compare, self._find_authority = make_compare, find_authority
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        while True:
            waiting = tuple(self._find_connections())
            for part in range(PING_PARTS):
                await asyncio.sleep(PING_S / PING_PARTS)
                for connection in waiting[part::PING_PARTS]:
                    self._ask(connection)

    def _ask(self, connection: Connection) -> None:
        if connection.writer.is_closing():
            return
        if time.monotonic() - connection.heard > SILENCE_S:
            LOG.warning("%s does not answer", connection.host)
            connection.writer.transport.abort()
        else:
            self.look_over(connection)

    def look_over(self, connection: Connection) -> None:
        """Ask whether the host is there, and have it look whether some of its slices are what they should be."""
        with suppress(ConnectionError):
            connection.writer.write(make_frame(m.Ping(*self._find_authority())))
            if compare := self._make_compare(connection):
                connection.writer.write(compare)

    def ping(self) -> None:
        """Everybody, at once."""
        for connection in self._find_connections():
            self.look_over(connection)

"""Work for each host in the order in which it came; no host waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

Work = Callable[[], Awaitable[None]]


class Turns:
    """Belongs to one event loop. What a work raises ends that work alone: it has to say so itself."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Task[None]] = {}

    def add(self, host: str, work: Work) -> None:
        task = asyncio.get_running_loop().create_task(self._run(self._last.get(host), work))
        self._last[host] = task
        task.add_done_callback(lambda done: self._forget(host, done))

    def is_busy(self, host: str) -> bool:
        return host in self._last

    async def _run(self, before: asyncio.Task[None] | None, work: Work) -> None:
        if before is not None:
            await asyncio.wait([before])
        await work()

    def _forget(self, host: str, done: asyncio.Task[None]) -> None:
        if self._last.get(host) is done:
            del self._last[host]
        if not done.cancelled() and (error := done.exception()):
            asyncio.get_running_loop().call_exception_handler({"message": f"a word of {host}", "exception": error})

    async def stop(self) -> None:
        tasks = list(self._last.values())
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)

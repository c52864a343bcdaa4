"""A link between two parts of a deployment: a TCP proxy that can be cut, stalled and slowed while it is in use."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

PIECE = 1 << 16
Address = tuple[str, int]


@dataclass(eq=False)
class Link:
    """Listens at `port` of loopback and passes on to the first of `targets` that takes a connection, in turn.

    `sent`: bytes that went to targets.
    """

    name: str
    targets: list[Address]
    port: int
    delay_s: float = 0.0
    is_cut: bool = False
    flowing: asyncio.Event = field(default_factory=asyncio.Event)
    listener: asyncio.Server | None = None
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    turn: int = 0
    sent: int = 0

    async def open(self) -> None:
        self.flowing.set()
        self.listener = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def close(self) -> None:
        self.cut()
        if self.listener is not None:
            self.listener.close()
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection, and take no new one."""
        self.is_cut = True
        for writer in self.writers:
            writer.transport.abort()

    def stall(self) -> None:
        self.flowing.clear()

    def delay(self, seconds: float) -> None:
        self.delay_s = seconds

    def mend(self) -> None:
        self.is_cut, self.delay_s = False, 0.0
        self.flowing.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        self.writers.add(writer)
        try:
            await self.flowing.wait()
            far_reader, far_writer = await self._connect()
            self.writers.add(far_writer)
            try:
                await run_first(lambda: self._pass(reader, far_writer, True), lambda: self._pass(far_reader, writer))
            finally:
                self.writers.discard(far_writer)
                far_writer.transport.abort()
        except OSError:
            pass
        except asyncio.CancelledError:
            pass  # asyncio would log a handler that was cancelled as one that failed
        finally:
            self.tasks.discard(task)
            self.writers.discard(writer)
            writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.is_cut:
            raise ConnectionError
        self.turn += 1
        for n in range(len(self.targets)):
            with suppress(OSError):
                return await asyncio.open_connection(*self.targets[(self.turn + n) % len(self.targets)])
        raise ConnectionError

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, there: bool = False) -> None:
        while piece := await reader.read(PIECE):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self.flowing.wait()
            self.sent += len(piece) if there else 0
            writer.write(piece)
            await writer.drain()


async def run_first(*works: Callable[[], Awaitable[None]]) -> None:
    """Until the first of them ends; the others end with it."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

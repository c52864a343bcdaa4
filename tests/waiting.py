"""Tests of what runs in the background: none waits for ever, and none leaves anything running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_S = 30.0
"""Generous: it costs nothing where all is well."""


async def until(holds: Callable[[], object], timeout_s: float = PATIENCE_S) -> None:
    """Let the others run until that holds. Raises TimeoutError."""
    async with asyncio.timeout(timeout_s):
        while not holds():
            await asyncio.sleep(0.002)


async def end(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def running(work: Coroutine[Any, Any, object], timeout_s: float = PATIENCE_S) -> AsyncIterator[None]:
    """The work goes on as long as the context does, which is not longer than that. Raises TimeoutError."""
    task = asyncio.create_task(work)
    try:
        async with asyncio.timeout(timeout_s):
            yield
    finally:
        await end(task)

"""A page of figures for Prometheus, at an address of its own: for an agent, and for each of several processes.

Law: whatever comes, it is answered in a moment or let go; nothing of it is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

LONGEST = 8192
PATIENCE_S = 5.0


@asynccontextmanager
async def serve_figures(address: str, render: Callable[[], bytes], worker: int = 0) -> AsyncIterator[int]:
    """Serve what `render` gives at "host:port" (the next port for each worker) while the context lasts; gives the port.
    With no address nothing is served. Raises OSError where somebody listens there."""
    if not address:
        yield 0
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
                writer.write(make_page(line, render))
                await writer.drain()
        except (OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            pass
        finally:
            writer.close()

    host, _, port = address.rpartition(":")
    server = await asyncio.start_server(
        answer, host.strip("[]"), int(port) + worker if int(port) else 0, limit=LONGEST, reuse_address=True
    )
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        with suppress(OSError):
            await server.wait_closed()


def make_page(line: bytes, render: Callable[[], bytes]) -> bytes:
    method, _, rest = line.partition(b" ")
    if method != b"GET" or rest.partition(b" ")[0].partition(b"?")[0] not in (b"/metrics", b"/"):
        return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    body = render()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
    return head + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body

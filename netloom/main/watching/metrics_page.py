"""A page of figures for Prometheus, at an address of its own: for an agent, a relay, and each of several processes.

A relay, which has no API, says there too whether it can serve.

Law: whatever comes, it is answered in a moment or let go; nothing of it is kept.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

LONGEST = 8192
PATIENCE_S = 5.0


@asynccontextmanager
async def serve_figures(
    address: str,
    render: Callable[[], bytes],
    worker: int = 0,
    describe: Callable[[], Mapping[str, Any]] | None = None,
) -> AsyncIterator[int]:
    """Serve what `render` gives at "host:port" (the next port for each worker) while the context lasts; gives the port.
    `describe`: what /healthcheck shows there; "ready" false makes it answer 503.

    With no address nothing is served. Raises OSError where somebody listens there."""
    if not address:
        yield 0
        return

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[0]
                writer.write(make_page(line, render, describe))
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


def make_page(
    line: bytes, render: Callable[[], bytes], describe: Callable[[], Mapping[str, Any]] | None = None
) -> bytes:
    method, _, rest = line.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    if method == b"GET" and path in (b"/metrics", b"/"):
        return make_answer(b"200 OK", b"text/plain; version=0.0.4; charset=utf-8", render())
    if method == b"GET" and path == b"/healthcheck" and describe is not None:
        found = describe()
        status = b"200 OK" if found["ready"] else b"503 Service Unavailable"
        return make_answer(status, b"application/json", json.dumps(found).encode())
    return make_answer(b"404 Not Found", b"text/plain", b"")


def make_answer(status: bytes, kind: bytes, body: bytes) -> bytes:
    head = b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
    return head % (status, kind, len(body)) + body

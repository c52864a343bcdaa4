"""Where hosts come in: TCP or a socket file, with TLS."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


BACKLOG = 4096
"""Hosts that may knock at once: of those beyond, after a restart, the system would let each wait for up to a minute."""


async def listen(address: str, serve: Serve, context: ssl.SSLContext, several: bool = False) -> asyncio.Server:
    """`address`: "host:port" or "unix:/path". A socket file that a killed server left is taken over."""
    if address.startswith("unix:"):
        path = Path(address[5:])
        await asyncio.to_thread(path.unlink, missing_ok=True)
        return await asyncio.start_unix_server(serve, path, ssl=context, limit=1 << 20, backlog=BACKLOG)
    host, _, port = address.rpartition(":")
    return await asyncio.start_server(
        serve, host.strip("[]"), int(port), ssl=context, limit=1 << 20, backlog=BACKLOG, reuse_port=several or None
    )

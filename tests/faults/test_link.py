"""The link between two parts does what it is told, and passes everything on as it came otherwise."""

from __future__ import annotations

import asyncio

import pytest

from tests.faults.link import Link
from tests.faults.server import free_port


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(1000):
        writer.write(data)
    writer.close()


async def ask(streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], data: bytes) -> bytes:
    reader, writer = streams
    writer.write(data)
    async with asyncio.timeout(20):
        return await reader.readexactly(len(data))


def test_a_link_passes_stalls_and_breaks() -> None:
    """What was sent while it stalls comes when it flows again; a cut ends connections and lets no new one through."""

    async def run() -> None:
        far = await asyncio.start_server(echo, "127.0.0.1", 0)
        dead, port = free_port(), free_port()
        link = Link("x", [("127.0.0.1", dead), ("127.0.0.1", far.sockets[0].getsockname()[1])], port)
        await link.open()
        streams = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(streams, b"one") == b"one"
        link.stall()
        waiting = asyncio.ensure_future(ask(streams, b"two"))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        link.mend()
        assert await waiting == b"two"
        link.cut()
        for again in (streams, await asyncio.open_connection("127.0.0.1", port)):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await ask(again, b"three")
            again[1].transport.abort()
        link.mend()
        link.delay(0.001)
        streams = await asyncio.open_connection("127.0.0.1", port)
        assert await ask(streams, b"four") == b"four"
        streams[1].transport.abort()
        await link.close()
        far.close()

    asyncio.run(run())

"""HTTP of clients that are slow, or that send without end: each ends its own connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from netloom.main.servers.server import Quiet, make_listener
from netloom.main.servers.wire import make_protocol

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter, asyncio.Event], Awaitable[bytes]]
HEAD = b"HTTP/1.1 200 OK\r\n"


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Reads the whole body, then answers with as many bytes as the query asks for."""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        if not message.get("more_body"):
            break
    size = int(scope["query_string"] or b"2")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % size)]})
    while size:
        part = min(size, 1 << 18)
        size -= part
        await send({"type": "http.response.body", "body": b"x" * part, "more_body": size > 0})


def talk(say: Talk, client_timeout_s: float = 30.0, max_header_size: int = 8192) -> bytes:
    """What a client hears that `say` speaks for; it is told when the server has done with a request."""

    async def run() -> bytes:
        ended = asyncio.Event()

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await answer(scope, receive, send)
            ended.set()

        protocol = make_protocol(client_timeout_s, max_header_size)
        config = uvicorn.Config(
            app, loop="none", http=protocol, ws="none", lifespan="off", log_config=None, access_log=False
        )
        server, listener = Quiet(config), make_listener("127.0.0.1", 0)
        port = listener.getsockname()[1]
        listener.listen()
        serving = asyncio.create_task(server.serve([listener]))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            async with asyncio.timeout(60):
                return await say(reader, writer, ended)
        finally:
            writer.transport.abort()
            server.stop()
            await serving

    return asyncio.run(run())


def make_talk(*parts: bytes) -> Talk:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event) -> bytes:
        for part in parts:
            writer.write(part)
            await writer.drain()
        return await reader.read()

    return say


def test_a_request_is_answered() -> None:
    """With the limits on, as without; a body in pieces as well."""
    assert talk(make_talk(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).startswith(HEAD)
    head = b"POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 300000\r\n\r\n"
    assert talk(make_talk(head, *[b"y" * 100_000] * 3)).startswith(HEAD)


def test_several_requests_of_a_connection_each_have_their_room() -> None:
    """Headers of one request do not count for the next."""
    one = b"GET / HTTP/1.1\r\nhost: a\r\nx: " + b"y" * 5000 + b"\r\n\r\n"
    last = one.replace(b"host: a", b"host: a\r\nconnection: close")

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event) -> bytes:
        heard = b""
        for _ in range(4):
            writer.write(one)
            heard += await reader.readuntil(b"xx")
        writer.write(last)
        return heard + await reader.read()

    assert talk(say).count(HEAD) == 5


def test_headers_without_end_are_refused() -> None:
    """Many, or one line of any length: 431, long before memory is a matter."""
    many = b"GET / HTTP/1.1\r\n" + b"".join(b"h%d: %s\r\n" % (n, b"v" * 90) for n in range(200))
    assert talk(make_talk(many)).startswith(b"HTTP/1.1 431 ")
    assert talk(make_talk(b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000)).startswith(b"HTTP/1.1 431 ")
    assert talk(make_talk(b"GET /" + b"y" * 20_000)).startswith(b"HTTP/1.1 431 ")


def test_a_client_that_says_nothing_is_let_go() -> None:
    """At once, within the headers, or within the body: 408."""
    for said in (b"", b"GET / HTTP/1.1\r\nhost:", b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc"):
        assert talk(make_talk(said), client_timeout_s=0.1).startswith(b"HTTP/1.1 408 ")


def test_headers_have_to_come_in_time_however_they_drip() -> None:
    """A byte now and then does not keep a connection."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event) -> bytes:
        writer.write(b"GET / HTTP/1.1\r\nx: ")
        reading = asyncio.ensure_future(reader.read())
        while not reading.done():
            writer.write(b"y")
            await asyncio.wait([reading], timeout=0.02)
        return reading.result()

    assert talk(say, client_timeout_s=0.3).startswith(b"HTTP/1.1 408 ")


def test_a_client_that_takes_nothing_is_let_go() -> None:
    """Its answer is not kept for ever: the connection ends."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, ended: asyncio.Event) -> bytes:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /?200000000 HTTP/1.1\r\nhost: a\r\n\r\n")
        await ended.wait()
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        found = 0
        try:
            while part := await reader.read(1 << 20):
                found += len(part)
        except ConnectionError:
            pass
        return b"%d" % found

    assert int(talk(say, client_timeout_s=0.1)) < 100_000_000

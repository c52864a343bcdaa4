"""The proxy over real sockets, with Nova as a function and the callers' addresses those of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netloom.agent import metadata
from netloom.agent.metadata import MetadataProxy, MetadataSettings
from netloom.agent.metadata_request import Refused, Request, make_headers
from netloom.lab.metadata import Listener, Service
from netloom.render.metadata import Caller

CALLER = Caller("port-a", "instance-a", "tenant-a", "10.0.0.5")
Answer = tuple[int, list[tuple[str, str]], bytes]


class Bench:
    """A proxy that listens on this machine's own loopback, whose only caller is 127.0.0.1."""

    def __init__(self, ask: Callable[[Request, Caller], Coroutine[Any, Any, Answer]] | None, **settings: Any) -> None:
        self.proxy = MetadataProxy(Path("/nowhere"), MetadataSettings(**settings), ask)
        self.proxy._callers = {"q": {"127.0.0.1": CALLER}}

    async def __aenter__(self) -> Bench:
        self.server = await asyncio.start_server(partial(self.proxy._serve, "q"), "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *gone: object) -> None:
        self.server.close()
        await self.proxy._close()

    async def send(self, data: bytes, end: bool = False) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(data)
        if end:
            writer.write_eof()
        async with asyncio.timeout(10):
            answer = await reader.read()
        writer.close()
        return answer


async def echo(request: Request, caller: Caller) -> Answer:
    return 200, [], f"{request.method} {request.target} {caller.device_id}".encode()


def test_the_caller_is_who_the_address_stands_for() -> None:
    """What is passed on is the request and the port that it came from."""

    async def go() -> None:
        async with Bench(echo) as bench:
            answer = await bench.send(b"GET /latest/ HTTP/1.1\r\nHost: m\r\n\r\n")
            assert answer.endswith(b"\r\n\r\nGET /latest/ instance-a")

    asyncio.run(go())


def test_nobody_is_answered_whom_nobody_knows() -> None:
    """A port that went away meanwhile gets no data, also not on a connection that it had."""

    async def go() -> None:
        async with Bench(echo) as bench:
            bench.proxy._callers = {}
            assert (await bench.send(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 ")

    asyncio.run(go())


def test_half_a_request_is_refused() -> None:
    """A client that ends in the middle, or never goes on, is told so and let go."""

    async def go(monkeypatch: pytest.MonkeyPatch) -> None:
        async with Bench(echo) as bench:
            assert (await bench.send(b"GET / HTT", end=True)).startswith(b"HTTP/1.1 400 ")
            monkeypatch.setattr(metadata, "READ_S", 0.05)
            assert (await bench.send(b"GET / HTT")).startswith(b"HTTP/1.1 408 ")

    with pytest.MonkeyPatch.context() as patch:
        asyncio.run(go(patch))


def test_one_port_cannot_take_all_the_room() -> None:
    """Of one port so many requests are under way and no more; when they end there is room again."""

    async def go() -> None:
        gate = asyncio.Event()

        async def wait(request: Request, caller: Caller) -> Answer:
            await gate.wait()
            return 200, [], b"done"

        async with Bench(wait) as bench:
            held = [
                asyncio.create_task(bench.send(b"GET / HTTP/1.1\r\n\r\n")) for _ in range(metadata.MOST_OF_ONE)
            ]  # fmt: skip
            while bench.proxy._busy.total() < metadata.MOST_OF_ONE:
                await asyncio.sleep(0)
            assert (await bench.send(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 429 ")
            gate.set()
            assert all(answer.endswith(b"done") for answer in await asyncio.gather(*held))
            assert not bench.proxy._busy

    asyncio.run(go())


def test_what_nova_refuses_is_said() -> None:
    """Its statuses go back to the instance; a Nova that is not there is 503."""

    async def go() -> None:
        async def refuse(request: Request, caller: Caller) -> Answer:
            raise Refused(504, "the metadata service does not answer")

        async with Bench(refuse) as bench:
            assert (await bench.send(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 504 Gateway Timeout")
        async with Bench(None, port=1) as bench:
            assert (await bench.send(b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 503 ")

    asyncio.run(go())


def test_the_labs_nova_takes_the_signature_and_no_other() -> None:
    """With the same secret the instance is told of itself; with another it is refused."""
    nova = Listener("127.0.0.1", 0, Service("shared"))
    port = nova.server_address[1]

    async def go() -> None:
        serving = asyncio.get_running_loop().run_in_executor(None, nova.serve_forever)
        try:
            async with Bench(None, port=port, secret="shared") as bench:
                answer = await bench.send(b"GET /latest/meta-data/instance-id HTTP/1.1\r\n\r\n")
                assert answer.endswith(b"\r\n\r\ninstance-a")
            async with Bench(None, port=port, secret="other") as bench:
                answer = await bench.send(b"GET /latest/meta-data/instance-id HTTP/1.1\r\n\r\n")
                assert answer.startswith(b"HTTP/1.1 403 ")
        finally:
            await asyncio.to_thread(nova.shutdown)
            await serving
            nova.server_close()

    asyncio.run(go())


def test_a_path_cannot_lead_to_another_server() -> None:
    """The address that is asked is the configured one, whatever the path looks like."""
    headers = make_headers(Request("GET", "//elsewhere/"), CALLER, "s")
    assert headers["X-Instance-ID"] == "instance-a"
    seen: list[str] = []

    async def go() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            seen.append((await reader.readuntil(b"\r\n\r\n")).decode())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
            writer.close()

        nova = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = nova.sockets[0].getsockname()[1]
        async with Bench(None, port=port) as bench:
            for path in ("//elsewhere/x", "/a/../x", "/@elsewhere:80/"):
                assert (await bench.send(f"GET {path} HTTP/1.1\r\n\r\n".encode())).endswith(b"ok")
        nova.close()

    asyncio.run(go())
    assert [line.split()[1] for line in seen] == ["//elsewhere/x", "/x", "/@elsewhere:80/"]

"""Requests on a server that may not be the writer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netloom.intent.errors import ApiError
from netloom.intent.operation import Operation, Requester, Settings
from netloom.main.servers import handing as handing_module
from netloom.main.servers.handing import Handing, make_error, make_receive
from netloom.main.servers.peers import HttpRequest, Peers, PeerServer
from netloom.store.context import make_contexts
from netloom.store.engine import open_shared
from netloom.store.errors import StoreUnavailable
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.seat import Member, make_seat
from netloom.store.writer import Writer
from tests.unit.store.store_kit import SMALL, create, url_of

Answer = tuple[int, dict[bytes, bytes], bytes]


def make_app(handing: Handing) -> Any:
    """An API of two methods: POST creates a port and says by whom; GET counts them."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, id = 200, b"req-%d" % id_of(scope)
        body = b"%d" % handing.member.writer.snapshot.count("port")
        if scope["method"] == "POST":
            name = (await receive())["body"].decode()
            try:
                await handing.submit(create(name), Requester(user_id="u"), id.decode())
                status, body = 201, name.encode()
            except ApiError as error:
                status, body = error.status, error.message.encode()
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-openstack-request-id", id)]})
        await send({"type": "http.response.body", "body": body})

    return app


def id_of(scope: Any) -> int:
    return id(scope)


def make_operation(name: str, values: list[Any]) -> Operation:
    return create(*values)


async def ask(app: Any, method: str, body: bytes = b"", **headers: str) -> Answer:
    got: list[Any] = []

    async def send(message: Any) -> None:
        got.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": "/v2.0/ports", "query_string": b"", "headers": given}
    await app(scope, make_receive(body), send)
    return got[0]["status"], dict(got[0]["headers"]), got[1]["body"]


@asynccontextmanager
async def servers(folder: Path, count: int = 2) -> AsyncIterator[list[Handing]]:
    """So many servers of one store, each with its socket; none writes yet."""
    async with AsyncExitStack() as stack:
        found: list[Handing] = []
        for number in range(count):
            store = open_shared(url_of(folder))
            stack.callback(store.close)
            writer = Writer(SqlJournal(store), load_snapshot(store, SMALL), make_contexts(Settings()), writing=False)
            stack.push_async_callback(writer.close)
            peers = Peers("key", lambda: None)
            stack.push_async_callback(peers.close)
            server = PeerServer("key", serve_later(found, number))
            address = await server.listen(f"unix:{folder}/{number}.sock", None)
            stack.push_async_callback(server.stop)
            handing = Handing(Member(writer, make_seat(store, address)), peers, make_operation, Requester())
            handing.app = make_app(handing)
            found.append(handing)
        yield found


def serve_later(found: list[Handing], number: int) -> Any:
    async def serve(what: str, body: msgspec.Raw) -> Any:
        return await found[number].serve(what, body)

    return serve


def test_a_write_goes_to_the_writer_and_is_shown_where_it_was_asked(tmp_path: Path) -> None:
    """The answer has the revision, and the server in between shows it by then."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            status, headers, body = await ask(second, "POST", b"web")
            assert (status, body, headers[b"x-netloom-revision"]) == (201, b"web", b"2")
            assert second.member.writer.snapshot.revision == 2
            assert (await ask(first, "GET"))[2] == b"1"
            await second.say("create", "of-a-host")
            assert (await ask(second, "GET"))[2] == b"2"

    asyncio.run(run())


def test_a_request_that_was_begun_here_moves_with_the_seat(tmp_path: Path) -> None:
    """A server that loses its seat in the middle of a request hands that on; the client hears of nothing."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            await first.member.step_down()
            first.member.writer.writing = True  # it still believes
            first.member._sure_until = -1.0
            await second.member._try()

            async def learn() -> None:
                await asyncio.sleep(0.1)
                first.member.writer.writing = False

            (status, _, _), _ = await asyncio.gather(ask(first, "POST", b"web"), learn())
            assert status == 201 and second.member.writer.snapshot.count("port") == 1
            assert not first._moved

    asyncio.run(run())


def test_a_read_waits_for_the_revision_that_its_client_has_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """X-Netloom-Revision of another server's answer: shown when it is there; 409 when it does not come."""
    monkeypatch.setattr(handing_module, "READ_S", 0.05)

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            await ask(first, "POST", b"web")
            status, headers, body = await ask(second, "GET", x_netloom_revision="2")
            assert (status, body, headers[b"x-netloom-revision"]) == (200, b"1", b"2")
            assert (await ask(second, "GET", x_netloom_revision="99"))[0] == 409
            assert (await ask(second, "GET", x_netloom_revision="nonsense"))[0] == 200

    asyncio.run(run())


def test_without_a_writer_a_request_waits_and_is_then_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody writes: a 503 in time; somebody does before that: the request is carried out."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            monkeypatch.setattr(handing_module, "HAND_S", 0.1)
            status, _, body = await ask(second, "POST", b"web")
            assert status == 503 and b"no server writes" in body
            monkeypatch.setattr(handing_module, "HAND_S", 20.0)
            asking = asyncio.ensure_future(ask(second, "POST", b"web"))
            await asyncio.sleep(0.1)
            await first.member._try()
            assert (await asking)[0] == 201

    asyncio.run(run())


def test_a_writer_that_dies_with_a_request_leaves_it_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was delivered and never answered: a 503 that says so, and the request is not handed on again."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            await second.member.find_writer()

            async def stall(*args: Any) -> None:
                await asyncio.sleep(0.2)
                second.member.writer.writing = True  # the seat is another's by now
                await asyncio.sleep(1)

            first.app = stall
            status, _, body = await ask(second, "POST", b"web")
            assert status == 503 and b"is not known" in body
            assert second.member.writer.snapshot.count("port") == 0
            second.member.writer.writing = False

    asyncio.run(run())


async def fail() -> int:
    raise StoreUnavailable("no route to the database")


def test_a_read_that_the_store_does_not_answer_is_answered_by_the_writer(tmp_path: Path) -> None:
    """A server whose way to the database is cut shows what the others know; without them it says that it may be old."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            await ask(second, "POST", b"one")
            second.member.writer.follow = fail  # type: ignore[method-assign]
            await first.submit(create("two"), Requester(), "r")
            status, headers, body = await ask(second, "GET")
            assert (status, body, headers[b"x-netloom-revision"]) == (200, b"2", b"3")
            assert second.member.writer.snapshot.count("port") == 1
            await first.member.step_down()
            status, headers, body = await ask(second, "GET")
            assert (status, body) == (200, b"1") and headers[b"warning"].startswith(b"110 ")

    asyncio.run(run())


def test_a_writer_that_slept_answers_from_what_others_wrote_meanwhile(tmp_path: Path) -> None:
    """It still believes that it writes: what it would refuse or show rests on the log, not on what it remembers."""

    async def run() -> None:
        async with servers(tmp_path) as (first, second):
            await first.member._try()
            await first.member.step_down()
            await second.member._try()
            await second.submit(create("web"), Requester(), "r")
            first.member.writer.writing = True
            request = HttpRequest("GET", b"/v2.0/ports", "/v2.0/ports", b"", "http", [], b"")
            assert (await first.answer(request)).body == b"1"
            first.member.writer.follow = fail  # type: ignore[method-assign]
            assert (await first.answer(request)).moved

    asyncio.run(run())


def test_a_503_says_when_to_ask_again() -> None:
    """Another server writes by then."""
    assert dict(make_error(503, "no").headers)[b"retry-after"] == b"1"
    assert b"retry-after" not in dict(make_error(409, "no").headers)

"""Requests on a server that may not be the writer: reads wait until they are current, writes go to who writes.

Law 7 across servers: a read shows everything that any server had answered before it came; an answer is given by the
server that made it durable, and shown by the one that passes it on only when that one shows it too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from netloom.intent.errors import ApiError
from netloom.intent.operation import Committed, Operation, Requester
from netloom.intent.snapshot import Snapshot
from netloom.main.servers.peers import (
    HttpAnswer,
    HttpRequest,
    NotDelivered,
    Pair,
    Peers,
    Unanswered,
    Word,
    WordAnswer,
    decode,
)
from netloom.store.errors import StoreError
from netloom.store.log import LogEntry
from netloom.store.seat import Member
from netloom.store.told import AGAIN_S
from netloom.store.writer import NotWriting

LOG = logging.getLogger("netloom.server")
HAND_S = 15.0
"""How long a request waits for somebody to write."""
LEAVE_S = 1.0
"""How long a server that stops waits for another one to write."""
PATIENCE_S = 0.25
"""How often who waits for an answer looks whether another server writes by now."""
READ_S = 10.0
"""How long a read waits for a revision that its requester has seen elsewhere."""
ELSEWHERE_S = 2.0
"""How long a read that the store does not answer waits for the server that writes."""
REVISION = b"x-netloom-revision"
STALE: Pair = (b"warning", b'110 - "Response is Stale"')
"""On what was read while neither the store nor another server could say whether there is something newer."""
READS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})

AsgiApp = Callable[[Any, Any, Any], Awaitable[None]]
MakeOperation = Callable[[str, list[Any]], Operation]


class Handing:
    """Everything of a server that depends on whether it writes."""

    def __init__(
        self, member: Member, peers: Peers, make_operation: MakeOperation, requester: Requester, longest: int = 16 << 20
    ) -> None:
        self.member = member
        self.app: AsgiApp | None = None
        self._peers = peers
        self._make_operation = make_operation
        self._requester = requester
        self._longest = longest
        self._alone = False  # this server stops, and no other one is there to write
        self._moved: set[str] = set()  # requests that were begun here and belong elsewhere

    # -- writing -------------------------------------------------------------------------------------------------------

    async def submit(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        """What the API is given as its writer. One that must be handed on is noted by its request id, and `__call__`
        does so: only there is the request as it came."""
        try:
            return await self.member.writer.submit(operation, requester, request_id)
        except NotWriting:
            self._moved.add(request_id)
            raise ApiError(503, "ServiceUnavailable", "Another server has to carry this out.") from None

    async def say(self, name: str, *values: Any) -> None:
        """Write what a host said. Raises ApiError."""
        word = Word(name, list(values))
        ends = time.monotonic() + HAND_S
        while True:
            answer = await self._try_word(word)
            if answer is not None and not answer.moved:
                break
            if time.monotonic() > ends or self._alone:
                raise no_writer()
            await self._wait_for_writer()
        if answer.status:
            raise ApiError(answer.status, answer.type, answer.message)

    async def _try_word(self, word: Word) -> WordAnswer | None:
        if self.member.writes:
            return await self.carry_out(word)
        try:
            return decode(await self._ask(self.member.found.address, "word", word), type=WordAnswer)
        except (NotDelivered, Unanswered):
            return None  # a host's words say what is, so that saying them twice is no harm

    async def carry_out(self, word: Word) -> WordAnswer:
        """A host's word, on the server that writes."""
        try:
            done = await self.member.writer.submit(self._make_operation(word.name, word.values), self._requester)
        except NotWriting:
            return WordAnswer(moved=True)
        except ApiError as error:
            return WordAnswer(error.status, error.type, error.message)
        except KeyError:
            return WordAnswer(501, "NotImplemented", f"the server that writes is older and does not know {word.name}")
        return WordAnswer(revision=done.revision)

    async def _ask(self, address: str, what: str, body: Any) -> msgspec.Raw:
        """Ask the writer, for as long as it is the writer: one that is paused never answers. Raises Unanswered."""
        if not address:
            raise NotDelivered("nobody writes")
        asking = asyncio.ensure_future(self._peers.find(address).ask(what, body))
        try:
            while not (await asyncio.wait([asking], timeout=PATIENCE_S))[0]:
                if self.member.writes or self.member.found.address not in ("", address):
                    raise Unanswered(address)
            return asking.result()
        finally:
            asking.cancel()

    async def _wait_for_writer(self) -> None:
        await asyncio.sleep(0.05)
        if not self.member.writes:
            try:
                await self.member.find_writer()
            except StoreError as error:
                LOG.debug("who writes is not known: %s", error)

    async def leave(self) -> None:
        """Before this server stops: have another one write. Where there is none, requests need not wait for it."""
        await self.member.step_down()
        ends = time.monotonic() + LEAVE_S
        while not self.member.found.address and time.monotonic() < ends:
            await self._wait_for_writer()
        self._alone = not self.member.found.address

    # -- requests ------------------------------------------------------------------------------------------------------

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        assert self.app is not None
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["method"] in READS:
            await self._read(scope, receive, send)
        elif is_write(scope["method"], scope["path"]):
            await self._write(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _read(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/v2.0"):
            named = dict(scope["headers"]).get(REVISION, b"")
            wanted = int(named) if named.isdigit() else 0
            if not await self._refresh():
                LOG.warning("the store cannot be reached; reads are handed on, or may be behind")
                answer = await self._read_elsewhere(scope)
                if answer is not None and answer.revision >= wanted:
                    await send_answer(send, answer)
                    return
                send = with_header(send, STALE)
            if not await self._reach(wanted):
                await send_answer(send, make_error(409, f"Revision {wanted} is not known here yet."))
                return
        assert self.app is not None
        await self.app(scope, receive, self._with_revision(send))

    async def _refresh(self) -> bool:
        """Show what was answered before now. False: the store does not say what that is."""
        if not self.member.is_sure:
            try:
                await self.member.refresh()
            except StoreError as error:
                LOG.debug("the store cannot be reached: %s", error)
                return False
        return True

    async def _reach(self, wanted: int) -> bool:
        if self.member.writer.snapshot.revision >= wanted:
            return True
        try:
            return await self.member.reach(wanted, READ_S)
        except StoreError:
            return False

    async def _read_elsewhere(self, scope: Any) -> HttpAnswer | None:
        """From the server that writes, which may reach the store where this one does not. None: it does not either."""
        if self.member.writes:
            return None
        try:
            async with asyncio.timeout(ELSEWHERE_S):
                body = await self._ask(self.member.found.address, "http", make_request(scope, b""))
            answer = decode(body, type=HttpAnswer)
        except (NotDelivered, Unanswered, TimeoutError):
            return None
        return None if answer.moved else answer

    def _with_revision(self, send: Any) -> Any:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                revision = self.member.writer.snapshot.revision
                message["headers"] = [*message["headers"], (REVISION, b"%d" % revision)]
            await send(message)

        return sending

    async def _write(self, scope: Any, receive: Any, send: Any) -> None:
        request = await read_request(scope, receive, self._longest)
        if request is not None:
            await send_answer(send, await self._find_answer(request))

    async def _find_answer(self, request: HttpRequest) -> HttpAnswer:
        ends = time.monotonic() + HAND_S
        while True:
            try:
                answer = await (self.answer(request) if self.member.writes else self._hand_on(request))
            except Unanswered:
                return make_error(
                    503, "Whether the request was carried out is not known: the server that writes went away. "
                    "Look before trying again.",
                )  # fmt: skip
            except NotDelivered:
                answer = None
            if answer is not None and not answer.moved:
                return answer
            if time.monotonic() > ends or self._alone:
                error = no_writer()
                return make_error(error.status, error.message)
            await self._wait_for_writer()

    async def _hand_on(self, request: HttpRequest) -> HttpAnswer:
        address = self.member.found.address
        answer = decode(await self._ask(address, "http", request), type=HttpAnswer)
        if answer.revision and not answer.moved and await self._refresh():
            await self._reach(answer.revision)
        return answer

    async def answer(self, request: HttpRequest) -> HttpAnswer:
        """Carry a client's request out here, if this server writes.

        One that was paused may write no more and not know it: it would refuse what rests on what others have written.
        """
        if not self.member.writes or self.app is None or not await self._refresh():
            return HttpAnswer(moved=True)
        kept = HttpAnswer(headers=[])

        async def send(message: Mapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept.status, kept.headers = message["status"], [(bytes(n), bytes(v)) for n, v in message["headers"]]
            else:
                kept.body += message.get("body", b"")

        await self.app(make_scope(request), make_receive(request.body), send)
        id = dict(kept.headers).get(b"x-openstack-request-id", b"").decode()
        if id in self._moved:
            self._moved.discard(id)
            return HttpAnswer(moved=True)
        kept.revision = self.member.writer.snapshot.revision
        return kept

    # -- calls of peers ------------------------------------------------------------------------------------------------

    async def serve(self, what: str, body: msgspec.Raw) -> Any:
        if what == "http":
            return await self.answer(decode(body, type=HttpRequest))
        if what == "word":
            return await self.carry_out(decode(body, type=Word))
        if what == "news":
            return await self._wait_for_news(decode(body, type=int))
        if what == "step-down":
            return await self.member.step_down()
        return None

    async def _wait_for_news(self, after: int, most_s: float = 1.0) -> int:
        """The revision that is shown here, as soon as it is beyond `after`, or in a second."""
        if self.member.writer.snapshot.revision <= after and self.member.writes:
            loop = asyncio.get_running_loop()
            news: asyncio.Future[None] = loop.create_future()

            def hear(entries: Sequence[LogEntry], snapshot: Snapshot) -> None:
                if not news.done():
                    news.set_result(None)

            quiet = self.member.writer.listen(hear)
            try:
                await asyncio.wait([news], timeout=most_s)
            finally:
                quiet()
        return self.member.writer.snapshot.revision

    async def follow_news(self) -> None:
        """Take over each commit of the writer as soon as it says that there is one; until cancelled."""
        while True:
            try:
                if self.member.writes or not self.member.found.address:
                    await asyncio.sleep(0.1)
                    continue
                after = self.member.writer.snapshot.revision
                body = await self._peers.find(self.member.found.address).ask("news", after)
                if decode(body, type=int) > after:
                    await self.member.refresh()
            except (NotDelivered, Unanswered):
                await asyncio.sleep(0.1)
                await self._wait_for_writer()
            except StoreError as error:
                LOG.warning("the log cannot be followed: %s", error)
                await asyncio.sleep(0.5)


def is_write(method: str, path: str) -> bool:
    """Whether it changes what all servers share. Tokens are made by any of them and revoked by one."""
    return path.startswith("/v2.0") or (method == "DELETE" and path.startswith("/identity"))


def no_writer() -> ApiError:
    return ApiError(
        503,
        "ServiceUnavailable",
        "The request was not carried out: no server writes at present. Try again later.",
        retry_after_s=AGAIN_S,
    )


def make_error(status: int, message: str) -> HttpAnswer:
    body = msgspec.json.encode({"NeutronError": {"type": "ServiceUnavailable", "message": message, "detail": ""}})
    headers: list[Pair] = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    if status == 503:
        headers.append((b"retry-after", b"%d" % AGAIN_S))
    return HttpAnswer(status, headers, body)


async def read_request(scope: Any, receive: Any, longest: int) -> HttpRequest | None:
    """The whole request; None: the client went away. Of a body that is too long so much that the API refuses it."""
    parts: list[bytes] = []
    while sum(map(len, parts)) <= longest:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            break
    return make_request(scope, b"".join(parts))


def make_request(scope: Any, body: bytes) -> HttpRequest:
    headers = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
    raw = scope.get("raw_path") or scope["path"].encode()
    return HttpRequest(
        scope["method"], raw, scope["path"], scope["query_string"], scope.get("scheme", "http"), headers, body
    )


def with_header(send: Any, header: Pair) -> Any:
    async def sending(message: Any) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], header]
        await send(message)

    return sending


def make_scope(request: HttpRequest) -> dict[str, Any]:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": request.method,
        "raw_path": request.raw_path,
        "path": request.path,
        "query_string": request.query,
        "scheme": request.scheme,
        "root_path": "",
        "headers": request.headers,
        "client": None,
        "server": None,
    }


def make_receive(body: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def send_answer(send: Any, answer: HttpAnswer) -> None:
    headers = [*answer.headers, (REVISION, b"%d" % answer.revision)] if answer.revision else answer.headers
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})

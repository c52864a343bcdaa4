"""A request as the handlers see it, and what they answer. Plain values over ASGI's dictionaries.

Law: nothing that a client sends raises anything here but ApiError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from netloom.api.parts import Headers
from netloom.intent.errors import ApiError, bad_request
from netloom.intent.operation import Requester

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Params = Mapping[str, list[str]]

JSON_TYPE = (b"content-type", b"application/json")
EMPTY_REQUESTER = Requester()
MAX_PARAMS = 20_000
"""Query parameters of one request: a client may filter by thousands of ids."""


def as_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


ENCODER = msgspec.json.Encoder(enc_hook=as_plain)
DECODER = msgspec.json.Decoder()
encode = ENCODER.encode


@dataclass(slots=True)
class Trace:
    """The ids of the request at hand: its own, and the revision that it became. `ended`: it has been answered."""

    request_id: str
    revision: int = 0
    ended: bool = False


TRACE: ContextVar[Trace | None] = ContextVar("trace", default=None)
"""Of whoever works for a request; for what is logged meanwhile."""


def find_ids() -> Mapping[str, Any]:
    """For a line of the log: whose work this is; nothing outside of requests."""
    trace = TRACE.get()
    return {"request_id": trace.request_id, "revision": trace.revision} if trace and not trace.ended else {}


@dataclass(slots=True)
class Request:
    method: str
    path: str
    headers: Headers
    query: bytes = b""
    body: bytes = b""
    request_id: str = ""
    requester: Requester = EMPTY_REQUESTER
    base_url: str = ""
    tail: tuple[str, ...] = ()  # what of the path follows the collection
    route: str = "other"  # for the figures

    def params(self) -> Params:
        return parse_params(self.query) if self.query else {}

    def json(self) -> dict[str, Any]:
        """The body as an object. Raises ApiError 400 for anything else, as Neutron words it."""
        try:
            found = DECODER.decode(self.body)
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            raise bad_request("Body contains invalid data") from None
        if not isinstance(found, dict):
            raise bad_request("Body contains invalid data")
        return found


@dataclass(slots=True)
class Response:
    """`chunks` stands in for the body where that is long: it is sent piece by piece, so memory stays flat."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[bytes, bytes], ...] = (JSON_TYPE,)
    chunks: Iterator[bytes] | None = field(default=None)


def make_json(body: Any, status: int = 200) -> Response:
    return Response(status, encode(body))


def make_error(error: ApiError) -> Response:
    body = {"NeutronError": {"type": error.type, "message": error.message, "detail": error.detail}}
    headers = ((b"retry-after", b"%d" % error.retry_after_s),) if error.retry_after_s else ()
    return Response(error.status, encode(body), (JSON_TYPE, *headers))


def not_found() -> ApiError:
    return ApiError(404, "HTTPNotFound", "The resource could not be found.")


def not_allowed() -> ApiError:
    return ApiError(405, "HTTPMethodNotAllowed", "The method is not allowed for this resource.")


def parse_params(query: bytes) -> dict[str, list[str]]:
    """The values of each parameter in their order; a parameter without a value has an empty one."""
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_PARAMS)
    except ValueError:
        raise bad_request(f"A request may have {MAX_PARAMS} query parameters") from None
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


async def read_body(receive: Receive, limit: int) -> bytes | None:
    """The whole body. Raises ApiError 413 beyond `limit` bytes; None: the client went away."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        part: bytes = message.get("body", b"")
        body = body + part if body else part
        if len(body) > limit:
            raise ApiError(413, "HTTPRequestEntityTooLarge", f"The body is longer than {limit} bytes.")
        if not message.get("more_body", False):
            return body


async def send_response(send: Send, response: Response, request_id: bytes) -> None:
    """Send it, long bodies in pieces; the event loop may serve others between two of them."""
    if response.chunks is None:
        headers = [*response.headers, (b"x-openstack-request-id", request_id)]
        if response.status != 204:  # RFC 9110, 8.6: a 204 has no Content-Length
            headers.append((b"content-length", b"%d" % len(response.body)))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": response.body})
        return
    headers = [*response.headers, (b"x-openstack-request-id", request_id)]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    for chunk in response.chunks:
        if chunk:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await asyncio.sleep(0)  # a client that reads fast would never let `send` wait
    await send({"type": "http.response.body", "body": b""})

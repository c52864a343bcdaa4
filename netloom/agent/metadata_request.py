"""A request to the metadata service as an instance sends it, and as it goes on to Nova. Pure.

Law: what says who asks comes from us alone. Of the client's headers a few go on that say nothing of that; whatever a
header of his is called, and however it is spelt, he cannot speak for another instance.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

import httptools

from netloom.render.metadata import Caller

METHODS = frozenset({"GET", "HEAD", "POST", "PUT"})
PASSED = ("accept", "content-type", "user-agent")
"""Headers of a client that go on. All others, also those that nobody knows yet, stay behind."""
MOST_REQUEST, MOST_TARGET, MOST_VALUE = 64 << 10, 4096, 1024
"""Bytes of a request with all that belongs to it, of its path and query, and of a header that goes on."""

Headers = tuple[tuple[str, str], ...]


class Refused(Exception):
    """The request is not passed on. `status` is for the client."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks. `target` is the path with its query, as it came."""

    method: str
    target: str
    headers: Headers = ()
    body: bytes = b""


@dataclass
class _Collector:
    """What httptools calls while it reads; a second request on the connection is passed over."""

    target: bytes = b""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    done: bool = False

    def on_url(self, url: bytes) -> None:
        self.target += b"" if self.done else url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.done:
            self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        self.body += b"" if self.done else body

    def on_message_complete(self) -> None:
        self.done = True


class RequestReader:
    """Bytes in, at last a request out. Raises Refused for what is no request, or too long."""

    def __init__(self) -> None:
        self._held = _Collector()
        self._parser = httptools.HttpRequestParser(self._held)
        self._length = 0

    def feed(self, data: bytes) -> Request | None:
        """The request, once it is whole. What comes after it is not looked at."""
        self._length += len(data)
        if self._length > MOST_REQUEST:
            raise Refused(413, "the request is too long")
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise Refused(400, "no other protocol is spoken here") from None
        except httptools.HttpParserError as error:
            if not self._held.done:
                raise Refused(400, f"not a request: {error}") from None
        return self._make() if self._held.done else None

    def _make(self) -> Request:
        held = self._held
        return check_request(
            Request(
                self._parser.get_method().decode(), held.target.decode("latin-1"), tuple(held.headers), held.body
            )
        )  # fmt: skip


def check_request(request: Request) -> Request:
    """Raises Refused for a method that nothing is asked by, and a target that is not a plain path."""
    if request.method not in METHODS:
        raise Refused(405, f"{request.method} is not answered")
    target = request.target
    if not target.startswith("/") or len(target) > MOST_TARGET or not all("!" <= letter <= "~" for letter in target):
        raise Refused(400, "not a path")
    return request


def sign(secret: str, device_id: str) -> str:
    """What Nova checks X-Instance-ID against: HMAC-SHA256 of it under the shared secret, in hex."""
    return hmac.new(secret.encode(), device_id.encode(), sha256).hexdigest()


def make_headers(request: Request, caller: Caller, secret: str) -> dict[str, str]:
    """All headers of the request to Nova, as Neutron's metadata agent names them."""
    passed = {name: value for name, value in request.headers if name in PASSED and is_plain(value)}
    return {
        **passed,
        "X-Forwarded-For": caller.address,
        "X-Instance-ID": caller.device_id,
        "X-Tenant-ID": caller.project_id,
        "X-Instance-ID-Signature": sign(secret, caller.device_id),
    }


def is_plain(value: str) -> bool:
    return len(value) <= MOST_VALUE and value.isascii() and value.isprintable()


REASONS = {
    200: "OK", 400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 413: "Content Too Large", 429: "Too Many Requests", 500: "Internal Server Error",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip


def render_response(status: int, headers: Iterable[tuple[str, str]], body: bytes, head_only: bool = False) -> bytes:
    """One answer; the connection ends with it, so none outlives the port that it began with."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Answer')}"]
    lines += [f"{name}: {value}" for name, value in headers]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("latin-1") + (b"" if head_only else body)

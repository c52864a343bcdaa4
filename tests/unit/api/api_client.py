"""A whole API in memory and a client of it: requests go through the ASGI application, commits into a value."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import count
from typing import Any
from urllib.parse import quote

from netloom.api.app import App, make_app
from netloom.api.identity.noauth import NoAuth
from netloom.api.parts import ApiParts, ApiSettings
from netloom.api.rules import PolicySource, make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Committed, Context, Operation, Requester, Settings
from netloom.intent.snapshot import Snapshot

NOW = "2026-11-21T01:02:03Z"
MEMBER = {"X-Project-Id": "demo", "X-User-Id": "u1", "X-Roles": "member,reader"}
READER = {"X-Project-Id": "demo", "X-User-Id": "u2", "X-Roles": "reader"}
OTHER = {"X-Project-Id": "other", "X-User-Id": "u3", "X-Roles": "member,reader"}
ADMIN = {"X-Project-Id": "admin", "X-User-Id": "u0", "X-Roles": "admin,member,reader"}
Headers = Mapping[str, str]


@dataclass
class Memory:
    """A writer without a disk."""

    snapshot: Snapshot = field(default_factory=lambda: Snapshot(CATALOG))
    options: Settings = field(default_factory=Settings)
    ids: count[int] = field(default_factory=lambda: count(1))

    async def __call__(self, operation: Operation, requester: Requester, request_id: str = "") -> Committed:
        context = Context(requester, NOW, self.new_id, self.new_mac, self.options, request_id)
        outcome = operation(self.snapshot, context)
        if outcome.changes:
            self.snapshot = self.snapshot.apply(outcome.changes, self.snapshot.revision + 1)
        return Committed(self.snapshot.revision, outcome, self.snapshot)

    def new_id(self) -> str:
        return f"{next(self.ids):08x}-0000-4000-8000-000000000000"

    def new_mac(self) -> str:
        number = next(self.ids)
        return f"fa:16:3e:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes
    chunks: int

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> tuple[int, str, str]:
        found = self.json["NeutronError"]
        return self.status, found["type"], found["message"]


class Client:
    """Requests of one user; `as_user` gives another's."""

    def __init__(self, app: App, headers: Headers) -> None:
        self.app = app
        self.headers = headers

    def as_user(self, headers: Headers) -> Client:
        return Client(self.app, headers)

    def send(self, method: str, path: str, content: bytes = b"", *, if_match: str = "") -> Reply:
        named = {"If-Match": if_match} if if_match else {}
        return asyncio.run(exchange(self.app, method, path, content, {**self.headers, **named}))

    def get(self, path: str) -> Reply:
        return self.send("GET", path)

    def post(self, path: str, body: Any) -> Reply:
        return self.send("POST", path, json.dumps(body).encode())

    def put(self, path: str, body: Any, *, if_match: str = "") -> Reply:
        return self.send("PUT", path, content=json.dumps(body).encode(), if_match=if_match)

    def delete(self, path: str, *, if_match: str = "") -> Reply:
        return self.send("DELETE", path, if_match=if_match)

    def make(self, kind: str, /, **body: Any) -> dict[str, Any]:
        """One new object, as its maker sees it."""
        reply = self.post(f"/v2.0/{kind}s", {kind: body})
        assert reply.status == 201, reply.body
        made: dict[str, Any] = reply.json[kind]
        return made


async def exchange(app: App, method: str, path: str, content: bytes, headers: Headers) -> Reply:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": content, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(dict(message))

    target, _, query = path.partition("?")
    scope = {
        "type": "http", "method": method, "path": target, "raw_path": quote(target, safe="/%").encode(),
        "query_string": query.encode(), "scheme": "http",
        "headers": [(b"host", b"api:9696"), *((k.lower().encode(), v.encode()) for k, v in headers.items())],
    }  # fmt: skip
    await app(scope, receive, send)
    start, *parts = sent
    names = {k.decode(): v.decode() for k, v in start["headers"]}
    return Reply(start["status"], names, b"".join(part["body"] for part in parts), len(parts))


@cache
def find_policy() -> PolicySource:
    """The rules as they are declared, which no request changes: made once, since oslo.policy takes long to."""
    return make_policy_source(CATALOG)


def make_client(headers: Headers = MEMBER, **parts: Any) -> Client:
    """A client of a new, empty API."""
    memory = parts.pop("memory", None) or Memory()
    settings = ApiSettings(**parts.pop("settings", {}))
    given = ApiParts(CATALOG, lambda: memory.snapshot, memory, NoAuth(), find_policy(), settings)
    return Client(make_app(replace(given, **parts)), headers)

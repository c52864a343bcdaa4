"""What the API is made of: values and functions that main hands in. Nothing here reads configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from prometheus_client import CollectorRegistry

from netloom.api.limits import Rates
from netloom.api.rules import PolicySource
from netloom.intent.operation import Requester, Settings, Submit
from netloom.intent.schema import Catalog, Doc
from netloom.intent.snapshot import Snapshot

Headers = Mapping[bytes, bytes]
"""Request headers by lower-case name."""


class Unauthorized(Exception):
    """The request says no valid name. `www_authenticate`: where to get a token."""

    def __init__(self, www_authenticate: str = "") -> None:
        super().__init__("authentication is required")
        self.www_authenticate = www_authenticate


class Identity(Protocol):
    """Who asks for `method` on `path`. Raises Unauthorized, or ApiError 503 when that cannot be found out now."""

    async def authenticate(self, headers: Headers, method: str = "", path: str = "") -> Requester: ...


class Mounted(Protocol):
    """A part that serves paths of its own below the prefix it is mounted at; gives (status, body, headers)."""

    async def serve(
        self, method: str, path: str, query: Mapping[str, list[str]], headers: Headers, body: bytes, base_url: str
    ) -> tuple[int, bytes, tuple[tuple[bytes, bytes], ...]]: ...


@dataclass(frozen=True, slots=True)
class Answered:
    """A request that was answered. `began_s`: second since 1970; `revision`: what it became; 0: it changed nothing."""

    request_id: str
    route: str
    method: str
    status: int
    began_s: float
    seconds: float
    revision: int = 0


def hear_nothing(answered: Answered) -> None:
    pass


@dataclass(frozen=True, slots=True)
class ApiSettings:
    """The options of the API, with Neutron's names where they mean the same."""

    pagination_max_limit: int = -1  # -1: no limit
    allow_bulk: bool = True
    filter_validation: bool = True
    max_request_body_size: int = 16 << 20  # bytes
    max_bulk_items: int = 10_000
    rates: Rates = field(default_factory=Rates)
    live_kinds: frozenset[str] = frozenset({"agent"})
    version: str = ""


def as_stored(kind: str, doc: Doc) -> Doc:
    return doc


def always_ready() -> Mapping[str, Any]:
    return {"ready": True}


@dataclass(frozen=True, slots=True)
class ApiParts:
    """All that `make_app` composes.

    `live(kind, doc)`: the document with what the server knows of the moment, such as an agent's heartbeat; asked for
    the kinds of `settings.live_kinds`. `ready()`: what /healthcheck shows; "ready" false makes it answer 503.
    `mounts`: parts by path prefix, such as "/identity". `options`: those of intent, for quotas. `answered`: told of
    every request.
    """

    catalog: Catalog
    snapshot: Callable[[], Snapshot]
    submit: Submit
    identity: Identity
    policy: PolicySource
    settings: ApiSettings = ApiSettings()
    live: Callable[[str, Doc], Doc] = as_stored
    ready: Callable[[], Mapping[str, Any]] = always_ready
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    mounts: Mapping[str, Mounted] = field(default_factory=dict)
    options: Settings = field(default_factory=Settings)
    answered: Callable[[Answered], None] = hear_nothing

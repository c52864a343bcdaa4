"""Nova, told of its instances' ports (Compute API, POST /os-server-external-events): in batches, in order, until it
has heard.

Law: events are let go of when Nova has answered for them, or when they are too old to be of use to anybody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from netloom.notify.events import NovaEvent
from netloom.notify.place import Place

LOG = logging.getLogger("netloom.nova")

BATCH = 500
"""Events of one request."""
BATCH_S = 0.05
"""How long the first event of a batch waits for others."""
FIRST_RETRY_S, LAST_RETRY_S = 0.1, 15.0
OLDEST_S = 900.0
"""Nova gives up waiting for a port to be plugged after five minutes, unless told otherwise."""
MOST = 100_000
"""Events that wait; beyond that the oldest are let go."""


@dataclass(frozen=True, slots=True)
class NovaSettings:
    """Section [nova], with its names. `endpoint` stands in for what Keystone's catalog says."""

    auth_url: str
    username: str
    password: str = field(repr=False)
    project_name: str = "service"
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    region_name: str = ""
    endpoint_type: str = "public"
    endpoint: str = ""
    timeout_s: float = 30.0

    @property
    def v3(self) -> str:
        base = self.auth_url.rstrip("/")
        return base if base.endswith("/v3") else f"{base}/v3"


class NovaError(Exception):
    """Nova or Keystone did not do what was asked; it may another time."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event, the revision that it is of, and when it came."""

    event: NovaEvent
    revision: int
    since: float


class Nova:
    """Tells Nova. `tell` never waits; `run` sends until it is cancelled. `client` is main's to close."""

    def __init__(
        self,
        settings: NovaSettings,
        client: httpx.AsyncClient,
        place: Place,
        now: Callable[[], float] = time.monotonic,
        batch_s: float = BATCH_S,
    ) -> None:
        self._settings = settings
        self._client = client
        self._place = place
        self._now = now
        self._batch_s = batch_s
        self._waiting: deque[Waiting] = deque(maxlen=MOST)
        self._wake = asyncio.Event()
        self._seen = 0
        self._token: tuple[str, str] | None = None

    def tell(self, events: Sequence[NovaEvent], revision: int) -> None:
        """These happened at or before the revision; with none, it is only noted that nothing did."""
        now = self._now()
        self._waiting += (Waiting(event, revision, now) for event in events)
        self._seen = revision
        if events:
            self._wake.set()

    async def run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            await self._wake.wait()
            await asyncio.sleep(self._batch_s)
            try:
                await self._send_all()
                retry_s = FIRST_RETRY_S
            except NovaError as error:
                LOG.warning("%d events wait for Nova: %s", len(self._waiting), error)
                await asyncio.sleep(retry_s)
                retry_s = min(retry_s * 2, LAST_RETRY_S)

    def keep_place(self) -> None:
        """Note on disk how far Nova has heard."""
        self._place.save(self._waiting[0].revision - 1 if self._waiting else self._seen)

    async def _send_all(self) -> None:
        while self._waiting:
            self._drop_old()
            batch = [self._waiting[n] for n in range(min(BATCH, len(self._waiting)))]
            if batch:
                await self._send([one.event for one in batch])
            for one in batch:
                if self._waiting and self._waiting[0] is one:  # a full queue may have let go of it meanwhile
                    self._waiting.popleft()
        self._wake.clear()
        await asyncio.to_thread(self.keep_place)

    def _drop_old(self) -> None:
        while self._waiting and self._now() - self._waiting[0].since > OLDEST_S:
            gone = self._waiting.popleft().event
            LOG.error("Nova was never told: %s of port %s of %s", gone.name, gone.tag, gone.server_uuid)

    # -- requests ------------------------------------------------------------------------------------------------------

    async def _send(self, events: Sequence[NovaEvent]) -> None:
        """Raises NovaError where it has to be tried again."""
        body = {"events": [{k: v for k, v in asdict(event).items() if v} for event in events]}
        for attempt in (1, 2):
            token, endpoint = await self._find_endpoint()
            reply = await self._ask("POST", f"{endpoint}/os-server-external-events", body, {"X-Auth-Token": token})
            if reply.status_code != 401 or attempt == 2:
                break
            self._token = None
        self._judge(reply, events)

    def _judge(self, reply: httpx.Response, events: Sequence[NovaEvent]) -> None:
        status = reply.status_code
        if status in (200, 207):
            for refused in find_refused(reply):
                LOG.info("Nova does not take %s", refused)
        elif status == 404:
            LOG.info("Nova knows none of the servers of %d events", len(events))
        elif status in (400, 413, 422):
            LOG.error("Nova refuses %d events (%d): %s", len(events), status, reply.text[:500])
        else:
            raise NovaError(f"Nova answers {status}: {reply.text[:200]}")

    async def _find_endpoint(self) -> tuple[str, str]:
        """A token, and where Nova is."""
        if self._token is None:
            reply = await self._ask("POST", f"{self._settings.v3}/auth/tokens", render_login(self._settings), {})
            if reply.status_code != 201:
                raise NovaError(f"Keystone refuses {self._settings.username} ({reply.status_code})")
            endpoint = self._settings.endpoint or find_compute(read_catalog(reply), self._settings)
            self._token = reply.headers.get("x-subject-token", ""), endpoint.rstrip("/")
        return self._token

    async def _ask(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return await self._client.request(
                method, url, json=body, headers=dict(headers), timeout=self._settings.timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NovaError(f"{url} cannot be reached: {error!r}") from None


def find_refused(reply: httpx.Response) -> Iterator[str]:
    """Events that Nova says it did not take; it answers for each."""
    try:
        events = reply.json()["events"]
        yield from (f"{one['name']} of {one['server_uuid']}" for one in events if one.get("code", 200) != 200)
    except (ValueError, KeyError, TypeError, AttributeError):
        return


def render_login(settings: NovaSettings) -> dict[str, Any]:
    domain = {"name": settings.user_domain_name}
    user = {"name": settings.username, "password": settings.password, "domain": domain}
    project = {"name": settings.project_name, "domain": {"name": settings.project_domain_name}}
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": {"project": project}}}


def read_catalog(reply: httpx.Response) -> Sequence[Mapping[str, Any]]:
    try:
        found: Sequence[Mapping[str, Any]] = reply.json()["token"]["catalog"]
    except (ValueError, KeyError, TypeError):
        raise NovaError("Keystone's answer has no catalog") from None
    return found


def find_compute(catalog: Sequence[Mapping[str, Any]], settings: NovaSettings) -> str:
    """The compute service's address. Raises NovaError."""
    for service in catalog:
        if service.get("type") != "compute":
            continue
        for endpoint in service.get("endpoints", ()):
            region = endpoint.get("region_id") or endpoint.get("region")
            if endpoint.get("interface") == settings.endpoint_type and settings.region_name in ("", region):
                return str(endpoint["url"])
    region = settings.region_name or "any region"
    raise NovaError(f"the catalog has no {settings.endpoint_type} compute endpoint in {region}")

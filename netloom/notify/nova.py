"""Nova, told of its instances' ports (Compute API, POST /os-server-external-events).

Law: what Nova has not answered for is said again; what it refuses is let go, so that it keeps no other waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx

from netloom.notify.events import NovaEvent
from netloom.notify.outbox import NotTold

LOG = logging.getLogger("netloom.nova")


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


class Nova:
    """Tells Nova: the `send` of an outbox. `client` is main's to close."""

    def __init__(self, settings: NovaSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._token: tuple[str, str] | None = None

    async def send(self, events: Sequence[NovaEvent]) -> None:
        """Raises NotTold where it has to be tried again."""
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
            raise NotTold(f"Nova answers {status}: {reply.text[:200]}")

    async def _find_endpoint(self) -> tuple[str, str]:
        """A token, and where Nova is."""
        if self._token is None:
            reply = await self._ask("POST", f"{self._settings.v3}/auth/tokens", render_login(self._settings), {})
            if reply.status_code != 201:
                raise NotTold(f"Keystone refuses {self._settings.username} ({reply.status_code})")
            endpoint = self._settings.endpoint or find_service("compute", read_catalog(reply), self._settings)
            self._token = reply.headers.get("x-subject-token", ""), endpoint.rstrip("/")
        return self._token

    async def _ask(self, method: str, url: str, body: Any, headers: Mapping[str, str]) -> httpx.Response:
        try:
            return await self._client.request(
                method, url, json=body, headers=dict(headers), timeout=self._settings.timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotTold(f"{url} cannot be reached: {error!r}") from None


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
        raise NotTold("Keystone's answer has no catalog") from None
    return found


def find_service(type: str, catalog: Sequence[Mapping[str, Any]], settings: NovaSettings) -> str:
    """The address of the service of a type: compute, placement. Raises NotTold."""
    for service in catalog:
        if service.get("type") != type:
            continue
        for endpoint in service.get("endpoints", ()):
            region = endpoint.get("region_id") or endpoint.get("region")
            if endpoint.get("interface") == settings.endpoint_type and settings.region_name in ("", region):
                return str(endpoint["url"])
    region = settings.region_name or "any region"
    raise NotTold(f"the catalog has no {settings.endpoint_type} {type} endpoint in {region}")

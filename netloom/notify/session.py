"""Another service's API, with a token of Keystone's (Identity API v3) that is got when it is needed and kept.

Law: a token that is good no more is renewed once for a request; what is worth another try raises NotTold.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from netloom.notify.nova import NovaSettings, find_service, read_catalog, render_login
from netloom.notify.outbox import NotTold


class Session:
    """Requests to the service of a type, as `login` says. `url`: a service that asks for no login, in its place.

    `client` is main's to close. `version` goes along with each request (API reference, "Microversions").
    """

    def __init__(
        self, type: str, name: str, version: str, client: httpx.AsyncClient, login: NovaSettings | None, url: str = "",
        timeout_s: float = 30.0,
    ) -> None:  # fmt: skip
        self._type = type
        self._name = name
        self._version = version
        self._client = client
        self._login = login
        self._url = url
        self._timeout_s = timeout_s
        self._token: tuple[str, str] | None = None

    async def ask(
        self, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """The answer, where the request was taken or refused for what it says. Raises NotTold for all else."""
        for attempt in (1, 2):
            token, endpoint = await self._find_endpoint()
            reply = await self._send(method, endpoint + path, body, token, query)
            if reply.status_code != 401 or attempt == 2:
                break
            self._token = None
        if reply.status_code in (401, 403, 406, 429) or reply.status_code >= 500:
            raise NotTold(f"{self._name} answers {reply.status_code}: {reply.text[:200]}")
        return reply

    async def _send(
        self, method: str, url: str, body: Any, token: str, query: Mapping[str, str] | None
    ) -> httpx.Response:
        headers = {"OpenStack-API-Version": self._version, "X-Auth-Token": token, "Accept": "application/json"}
        try:
            return await self._client.request(
                method, url, params=query, json=body, headers=headers, timeout=self._timeout_s
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotTold(f"{url} cannot be reached: {error!r}") from None

    async def _find_endpoint(self) -> tuple[str, str]:
        """A token, and where the service is."""
        if self._login is None:
            return "admin", self._url
        if self._token is None:
            self._token = await self._log_in(self._login)
        return self._token

    async def _log_in(self, login: NovaSettings) -> tuple[str, str]:
        reply = await self._send("POST", f"{login.v3}/auth/tokens", render_login(login), "", None)
        if reply.status_code != 201:
            raise NotTold(f"Keystone refuses {login.username} ({reply.status_code})")
        endpoint = login.endpoint or find_service(self._type, read_catalog(reply), login)
        return reply.headers.get("x-subject-token", ""), endpoint.rstrip("/")


def read_json(reply: httpx.Response) -> Any:
    """Raises NotTold for what is refused, or no JSON."""
    if reply.status_code >= 400:
        raise NotTold(f"{reply.url} answers {reply.status_code}: {reply.text[:200]}")
    try:
        return reply.json()
    except ValueError:
        raise NotTold(f"{reply.url} answers with no JSON: {reply.text[:200]}") from None


def pick(found: Any, key: str, type: type[Any]) -> Any:
    """A part of an answer, of a type. Raises NotTold."""
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, type):
        raise NotTold(f"an answer has no {key}")
    return value

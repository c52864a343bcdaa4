"""A real Keystone says who shows a token; the answer holds for token_cache_time, and never longer than the token.

Law: nobody is believed while Keystone cannot be asked: that is a 503, never a guess.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import httpx

from netloom.api.identity.access_rules import HEADER, AccessRules, is_allowed, read_access_rules
from netloom.api.parts import Headers, Unauthorized
from netloom.intent.errors import ApiError
from netloom.intent.operation import Requester

LOG = logging.getLogger(__name__)
MAX_KNOWN = 50_000
MARGIN_S = 60.0
"""The own token is renewed this long before it expires."""
SERVICE_ROLE = "service"
"""Who has it may show a user's token that has expired (Identity API, service tokens): Nova's work outlives tokens."""


@dataclass(frozen=True, slots=True)
class KeystoneSettings:
    """Section [keystone_authtoken], with its names. `auth_url` is with or without /v3."""

    auth_url: str
    username: str
    password: str = field(repr=False)
    project_name: str = "service"
    user_domain_name: str = "Default"
    project_domain_name: str = "Default"
    www_authenticate_uri: str = ""
    cafile: str = ""
    insecure: bool = False
    http_connect_timeout_s: float = 10.0
    token_cache_time_s: float = 300.0  # how long a revoked token may still be believed; 0 or less: not at all

    @property
    def v3(self) -> str:
        base = self.auth_url.rstrip("/")
        return base if base.endswith("/v3") else f"{base}/v3"


Shown = tuple[bytes, bool]
"""A token, and whether it may have expired."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who a token is of, until when (seconds since 1970), and the only requests it is for, if it has access rules."""

    expires_s: float
    requester: Requester
    rules: AccessRules | None


@dataclass(slots=True)
class KeystoneIdentity:
    """`client` is the one to talk with (main closes it); `now` is seconds since 1970."""

    settings: KeystoneSettings
    client: httpx.AsyncClient
    now: Callable[[], float] = time.time
    _known: dict[Shown, tuple[float, Owner]] = field(default_factory=dict)
    _asking: dict[Shown, asyncio.Future[Owner]] = field(default_factory=dict)
    _own: tuple[float, str] = (0.0, "")
    _login: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def authenticate(self, headers: Headers, method: str = "", path: str = "") -> Requester:
        """A service that asks for a user asks what the user's rules do not name: they are the user's own requests'."""
        text = headers.get(b"x-auth-token", b"")
        roles = await self._find_service(headers[b"x-service-token"]) if b"x-service-token" in headers else ()
        owner = await self._find((text, bool(roles)))
        if roles:
            return replace(owner.requester, service_roles=roles)
        if not is_allowed(owner.rules, method, path):
            raise self._unauthorized()
        return owner.requester

    async def _find_service(self, text: bytes) -> tuple[str, ...]:
        """The roles of a good service token, else none; Keystone refuses the request's own token if it needed that."""
        try:
            roles = (await self._find((text, False))).requester.roles
        except Unauthorized:
            return ()
        return roles if SERVICE_ROLE in roles else ()

    async def _find(self, shown: Shown) -> Owner:
        """The owner, remembered or asked for; one question however many requests wait for it."""
        known = self._known.get(shown)
        if known is not None and known[0] > self.now():
            return known[1]
        if not shown[0] or not is_header_text(shown[0]):
            raise self._unauthorized()
        asking = self._asking.get(shown)
        if asking is None:
            asking = self._asking[shown] = asyncio.ensure_future(self._ask(shown))
            asking.add_done_callback(lambda _: self._asking.pop(shown, None))
        return await asyncio.shield(asking)

    def _unauthorized(self) -> Unauthorized:
        return Unauthorized(f'Keystone uri="{self.settings.www_authenticate_uri or self.settings.auth_url}"')

    async def _ask(self, shown: Shown) -> Owner:
        """The owner of a token, from Keystone."""
        own = await self._own_token()
        response = await self._validate(shown, own)
        if response.status_code == 401:  # our own token was revoked, or Keystone has other keys now
            self._forget(own)
            response = await self._validate(shown, await self._own_token())
        if response.status_code == 404:
            raise self._unauthorized()
        if response.status_code != 200:
            raise refuse(f"Keystone answered {response.status_code} when {self.settings.username} asked about a token")
        owner = read_owner(response)
        if owner.expires_s <= self.now() and not shown[1]:
            raise self._unauthorized()
        self._remember(shown, owner)
        return owner

    def _remember(self, shown: Shown, owner: Owner) -> None:
        cached_s = self.now() + self.settings.token_cache_time_s
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[shown] = (cached_s if shown[1] else min(owner.expires_s, cached_s), owner)

    async def _validate(self, shown: Shown, own: str) -> httpx.Response:
        headers = {"X-Auth-Token": own, "X-Subject-Token": shown[0].decode("ascii"), **HEADER}
        late = "&allow_expired=1" if shown[1] else ""
        return await self._send("GET", f"/auth/tokens?nocatalog{late}", headers=headers)

    async def _own_token(self) -> str:
        async with self._login:
            if self._own[0] > self.now():
                return self._own[1]
            response = await self._send("POST", "/auth/tokens?nocatalog", json=render_login(self.settings))
            if response.status_code != 201:
                raise refuse(f"Keystone refuses the service user {self.settings.username} ({response.status_code})")
            self._own = (read_owner(response).expires_s - MARGIN_S, response.headers["x-subject-token"])
            return self._own[1]

    def _forget(self, own: str) -> None:
        """Unless another request has got a new one meanwhile."""
        if self._own[1] == own:
            self._own = (0.0, "")

    async def _send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Said again once where a kept connection ends under it, as it does when Keystone was restarted."""
        url = self.settings.v3 + path
        try:
            try:
                return await self.client.request(method, url, **given)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                return await self.client.request(method, url, **given)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise refuse(f"Keystone cannot be reached at {self.settings.auth_url}: {error!r}") from None


def make_client(settings: KeystoneSettings) -> httpx.AsyncClient:
    verify: ssl.SSLContext | bool = not settings.insecure
    if settings.cafile and verify:
        verify = ssl.create_default_context(cafile=settings.cafile)
    return httpx.AsyncClient(verify=verify, timeout=settings.http_connect_timeout_s)


def refuse(reason: str) -> ApiError:
    LOG.error("%s", reason)
    return ApiError(503, "ServiceUnavailable", "The identity service cannot be asked now. Try again later.")


def is_header_text(text: bytes) -> bool:
    return all(0x20 < byte < 0x7F for byte in text)


def render_login(settings: KeystoneSettings) -> dict[str, Any]:
    user = {
        "name": settings.username,
        "password": settings.password,
        "domain": {"name": settings.user_domain_name},
    }
    project = {"name": settings.project_name, "domain": {"name": settings.project_domain_name}}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"auth": {"identity": identity, "scope": {"project": project}}}


def read_owner(response: httpx.Response) -> Owner:
    """What Keystone's token document says. Raises ApiError 503 when it is no such document."""
    try:
        token = response.json()["token"]
        expires_s = datetime.fromisoformat(token["expires_at"].replace("Z", "+00:00")).timestamp()
        return Owner(expires_s, make_requester(token), read_access_rules(token))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise refuse("Keystone's answer is no token document") from None


def make_requester(token: Mapping[str, Any]) -> Requester:
    project = token.get("project") or {}
    return Requester(
        user_id=token["user"]["id"],
        project_id=project.get("id", ""),
        roles=tuple(sorted(role["name"].lower() for role in token.get("roles", ()))),
        project_name=project.get("name", ""),
        user_name=token["user"].get("name", ""),
        domain_id=(token.get("domain") or {}).get("id", ""),
        system_scope="all" if (token.get("system") or {}).get("all") else "",
    )

"""Placement, told what hosts have (Placement API 1.37): a tree is read, planned and asked for.

Law: what another has changed meanwhile is read again and not written over; a request that is refused keeps no other
from being made.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from netloom.notify.nova import NovaSettings, find_service, read_catalog, render_login
from netloom.notify.outbox import NotTold
from netloom.notify.placement_plan import Actual, Held, Request, plan
from netloom.notify.placement_wanted import Tree

LOG = logging.getLogger("netloom.placement")

VERSION = {"OpenStack-API-Version": "placement 1.37"}
"""The first in which a provider may be given another parent."""
TRIES = 10
"""Times that a tree is read because somebody else is changing it."""


class Outdated(Exception):
    """A provider has changed since it was read."""


@dataclass(frozen=True, slots=True)
class PlacementSettings:
    """Section [placement]. `url`: a Placement that asks for no login, in place of one that `login` finds."""

    login: NovaSettings | None = None
    url: str = ""
    tunnelled: str = "rp_tunnelled"
    timeout_s: float = 30.0


class Placement:
    """`client` is main's to close."""

    def __init__(self, settings: PlacementSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client
        self._token: tuple[str, str] | None = None

    async def tell(self, tree: Tree) -> None:
        """Placement holds the tree when this returns. Raises NotTold."""
        for _ in range(TRIES):
            actual = await self._read(tree)
            if tree.wanted and not actual.root:
                raise NotTold(f"Placement has no provider {tree.hypervisor}: Nova has not told of that hypervisor")
            try:
                return await self._apply(plan(tree, actual), actual)
            except Outdated:
                continue
        raise NotTold(f"providers of {tree.agent_name} change all the time")

    # -- what is there -------------------------------------------------------------------------------------------------

    async def _read(self, tree: Tree) -> Actual:
        roots = await self._list("/resource_providers", "resource_providers", name=tree.hypervisor)
        found = await self._list("/resource_providers", "resource_providers", in_tree=tree.agent_id)
        known = {one["uuid"] for one in found}
        for one in tree.wanted:
            if one.id not in known:
                found += await self._list("/resource_providers", "resource_providers", uuid=one.id)
        providers = {one["uuid"]: read_provider(one) for one in found}
        for one in tree.wanted:
            if one.id in providers:
                providers[one.id] = await self._look(one.id, providers[one.id])
        names = sorted({trait for one in tree.wanted for trait in one.traits})
        there = await self._list("/traits", "traits", name=f"in:{','.join(names)}") if names else []
        return Actual(roots[0]["uuid"] if roots else "", providers, frozenset(there))

    async def _look(self, id: str, held: Held) -> Held:
        """What the provider has. It is of the generation that was read before, so nothing newer is taken for it."""
        traits = await self._list(f"/resource_providers/{id}/traits", "traits")
        path = f"/resource_providers/{id}/inventories"
        inventories = pick(read_json(await self._ask(Request("GET", path))), "inventories", dict)
        return Held(held.name, held.parent, held.generation, frozenset(traits), inventories)

    async def _list(self, path: str, key: str, **query: str) -> list[Any]:
        reply = await self._ask(Request("GET", path), query)
        if reply.status_code == 404:
            return []
        found: list[Any] = pick(read_json(reply), key, list)
        return found

    # -- what is asked for ---------------------------------------------------------------------------------------------

    async def _apply(self, requests: Sequence[Request], actual: Actual) -> None:
        generations = {id: held.generation for id, held in actual.providers.items()}
        refused = []
        for request in requests:
            body = request.body
            if request.of:
                body = {**(body or {}), "resource_provider_generation": generations.get(request.of, 0)}
            reply = await self._ask(Request(request.method, request.path, body))
            if is_outdated(reply):
                raise Outdated
            if reply.status_code >= 400:
                refused.append(f"{request.method} {request.path}: {reply.status_code} {reply.text[:300]}")
            elif request.of:
                generations[request.of] = pick(read_json(reply), "resource_provider_generation", int)
        if refused:
            raise NotTold("Placement refuses " + "; ".join(refused))

    async def _ask(self, request: Request, query: Mapping[str, str] | None = None) -> httpx.Response:
        """Raises NotTold where it is worth another try as it is."""
        for attempt in (1, 2):
            token, endpoint = await self._find_endpoint()
            reply = await self._send(request, endpoint, token, query)
            if reply.status_code != 401 or attempt == 2:
                break
            self._token = None
        if reply.status_code in (401, 403, 406, 429) or reply.status_code >= 500:
            raise NotTold(f"Placement answers {reply.status_code}: {reply.text[:200]}")
        return reply

    async def _send(
        self, request: Request, endpoint: str, token: str, query: Mapping[str, str] | None
    ) -> httpx.Response:
        headers = {**VERSION, "X-Auth-Token": token, "Accept": "application/json"}
        try:
            return await self._client.request(
                request.method, endpoint + request.path, params=query, json=request.body, headers=headers,
                timeout=self._settings.timeout_s,
            )  # fmt: skip
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise NotTold(f"{endpoint} cannot be reached: {error!r}") from None

    async def _find_endpoint(self) -> tuple[str, str]:
        """A token, and where Placement is."""
        login = self._settings.login
        if login is None:
            return "admin", self._settings.url
        if self._token is None:
            self._token = await self._log_in(login)
        return self._token

    async def _log_in(self, login: NovaSettings) -> tuple[str, str]:
        request = Request("POST", "/auth/tokens", render_login(login))
        reply = await self._send(request, login.v3, "", None)
        if reply.status_code != 201:
            raise NotTold(f"Keystone refuses {login.username} ({reply.status_code})")
        endpoint = login.endpoint or find_service("placement", read_catalog(reply), login)
        return reply.headers.get("x-subject-token", ""), endpoint.rstrip("/")


def read_provider(found: Mapping[str, Any]) -> Held:
    return Held(found["name"], found.get("parent_provider_uuid") or "", found["generation"])


def read_json(reply: httpx.Response) -> Any:
    if reply.status_code >= 400:
        raise NotTold(f"Placement answers {reply.status_code}: {reply.text[:200]}")
    try:
        return reply.json()
    except ValueError:
        raise NotTold(f"Placement's answer is no JSON: {reply.text[:200]}") from None


def pick(found: Any, key: str, type: type[Any]) -> Any:
    value = found.get(key) if isinstance(found, dict) else None
    if not isinstance(value, type):
        raise NotTold(f"Placement's answer has no {key}")
    return value


def is_outdated(reply: httpx.Response) -> bool:
    """Placement API reference, "Errors": placement.concurrent_update."""
    if reply.status_code != 409:
        return False
    try:
        return any(one.get("code") == "placement.concurrent_update" for one in reply.json()["errors"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False

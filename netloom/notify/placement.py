"""Placement, told what hosts have (Placement API 1.37): a tree is read, planned and asked for.

Law: what another has changed meanwhile is read again and not written over; a request that is refused keeps no other
from being made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import httpx

from netloom.notify.nova import NovaSettings
from netloom.notify.outbox import NotTold
from netloom.notify.placement_plan import Actual, Held, Request, plan
from netloom.notify.placement_wanted import Inventory, Tree
from netloom.notify.session import Session, pick, read_json

PROVIDERS = "/resource_providers"
VERSION = "placement 1.37"
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
        self._session = make_session(settings, client)

    async def tell(self, tree: Tree) -> None:
        """Placement holds the tree when this returns. Raises NotTold."""
        for _ in range(TRIES):
            actual = await read_tree(self._session, tree)
            if tree.wanted and not actual.root:
                raise NotTold(f"Placement has no provider {tree.hypervisor}: Nova has not told of that hypervisor")
            try:
                return await apply(self._session, plan(tree, actual), actual.providers)
            except Outdated:
                continue
        raise NotTold(f"providers of {tree.agent_name} change all the time")


def make_session(settings: PlacementSettings, client: httpx.AsyncClient) -> Session:
    return Session("placement", "Placement", VERSION, client, settings.login, settings.url, settings.timeout_s)


# -- what is there -----------------------------------------------------------------------------------------------------


async def read_tree(session: Session, tree: Tree) -> Actual:
    roots = await list_found(session, PROVIDERS, "resource_providers", name=tree.hypervisor)
    found = await list_found(session, PROVIDERS, "resource_providers", in_tree=tree.agent_id)
    known = {one["uuid"] for one in found}
    for one in tree.wanted:
        if one.id not in known:
            found += await list_found(session, PROVIDERS, "resource_providers", uuid=one.id)
    providers = {one["uuid"]: read_provider(one) for one in found}
    for one in tree.wanted:
        if one.id in providers:
            providers[one.id] = await look(session, one.id, providers[one.id])
    names = sorted({trait for one in tree.wanted for trait in one.traits})
    there = await list_found(session, "/traits", "traits", name=f"in:{','.join(names)}") if names else []
    return Actual(roots[0]["uuid"] if roots else "", providers, frozenset(there))


async def look(session: Session, id: str, held: Held) -> Held:
    """What the provider has. It is of the generation that was read before, so nothing newer is taken for it."""
    traits = await list_found(session, f"{PROVIDERS}/{id}/traits", "traits")
    return replace(held, traits=frozenset(traits), inventories=await read_inventories(session, id))


async def read_inventories(session: Session, id: str) -> dict[str, Inventory]:
    reply = await session.ask("GET", f"{PROVIDERS}/{id}/inventories")
    found: dict[str, Inventory] = pick(read_json(reply), "inventories", dict)
    return found


async def list_found(session: Session, path: str, key: str, **query: str) -> list[Any]:
    reply = await session.ask("GET", path, query=query)
    if reply.status_code == 404:
        return []
    found: list[Any] = pick(read_json(reply), key, list)
    return found


# -- what is asked for -------------------------------------------------------------------------------------------------


async def apply(session: Session, requests: Sequence[Request], held: Mapping[str, Held]) -> None:
    """Ask for each, with the generation of what is held. Raises Outdated, and NotTold for what is refused."""
    generations = {id: one.generation for id, one in held.items()}
    refused = []
    for request in requests:
        body = request.body
        if request.of:
            body = {**(body or {}), "resource_provider_generation": generations.get(request.of, 0)}
        reply = await session.ask(request.method, request.path, body)
        if is_outdated(reply):
            raise Outdated
        if reply.status_code >= 400:
            refused.append(f"{request.method} {request.path}: {reply.status_code} {reply.text[:300]}")
        elif request.of:
            generations[request.of] = pick(read_json(reply), "resource_provider_generation", int)
    if refused:
        raise NotTold("Placement refuses " + "; ".join(refused))


def read_provider(found: Mapping[str, Any]) -> Held:
    return Held(found["name"], found.get("parent_provider_uuid") or "", found["generation"])


def is_outdated(reply: httpx.Response) -> bool:
    """Placement API reference, "Errors": placement.concurrent_update."""
    if reply.status_code != 409:
        return False
    try:
        return any(one.get("code") == "placement.concurrent_update" for one in reply.json()["errors"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return False

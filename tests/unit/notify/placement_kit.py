"""Placement as far as it is asked, in memory: what it holds, what it refuses, and an agent that tells of its host."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from netloom.intent.l2.binding import OVS_AGENT
from netloom.notify.placement_plan import Actual, Held, Request
from netloom.notify.placement_wanted import Tree

ROOT = "11111111-1111-4111-8111-111111111111"
INVENTORY = {"allocation_ratio": 1.0, "min_unit": 1, "step_size": 1, "reserved": 0}
FILLED = {"max_unit": 2**31 - 1, **INVENTORY}


def make_agent(host: str = "h1", type: str = OVS_AGENT, **told: Any) -> dict[str, Any]:
    configurations = {
        "bridge_mappings": {"physnet0": "br-ex"}, "resource_provider_bandwidths": {},
        "resource_provider_inventory_defaults": INVENTORY, **told,
    }  # fmt: skip
    return {
        "id": f"agent-{host}", "agent_type": type, "host": host, "configurations": configurations, "alive": True,
        "resources_synced": None, "created_at": "2026-01-01 00:00:00",
    }  # fmt: skip


@dataclass
class Provider:
    name: str
    parent: str
    generation: int = 0
    traits: set[str] = field(default_factory=set)
    inventories: dict[str, Any] = field(default_factory=dict)
    aggregates: set[str] = field(default_factory=set)


@dataclass
class FakePlacement:
    """`in_use`: providers with allocations. `meddle`: called before each change, as others who change things."""

    providers: dict[str, Provider] = field(default_factory=lambda: {ROOT: Provider("h1", "")})
    traits: set[str] = field(default_factory=set)
    in_use: set[str] = field(default_factory=set)
    log: list[str] = field(default_factory=list)
    away: list[int] = field(default_factory=list)
    outdated: int = 0

    # -- pure: what a plan is made from, and what becomes of it --------------------------------------------------------

    def look(self, tree: Tree) -> Actual:
        root = next((id for id, one in self.providers.items() if one.name == tree.hypervisor and not one.parent), "")
        held = {
            id: Held(one.name, one.parent, one.generation, frozenset(one.traits), one.inventories)
            for id, one in self.providers.items()
        }
        return Actual(root, held, frozenset(self.traits))

    def serve(self, requests: Sequence[Request]) -> None:
        for request in requests:
            body = dict(request.body or {})
            if request.of:
                body["resource_provider_generation"] = self.providers[request.of].generation
            status, _ = self.change(request.method, request.path, body)
            assert status < 300, request

    def change(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        _, kind, *rest = path.split("/")
        if kind == "traits":
            self.traits.add(rest[0])
            return 201, {}
        if method == "POST":
            parent = body.get("parent_provider_uuid", "")
            assert not parent or parent in self.providers, "parents first"
            self.providers[body["uuid"]] = Provider(body["name"], parent)
            return 200, {}
        one = self.providers[rest[0]]
        if method == "DELETE":
            below = any(other.parent == rest[0] for other in self.providers.values())
            if below or rest[0] in self.in_use:
                return 409, {"errors": [{"code": "placement.resource_provider.cannot_delete_parent"}]}
            del self.providers[rest[0]]
            return 204, None
        if rest[1:]:
            return self.change_part(one, rest[1], body)
        one.name, one.parent = body["name"], body["parent_provider_uuid"]
        return 200, {}

    def change_part(self, one: Provider, part: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if self.outdated or body["resource_provider_generation"] != one.generation:
            self.outdated = max(self.outdated - 1, 0)
            return 409, {"errors": [{"code": "placement.concurrent_update"}]}
        if part == "traits":
            assert set(body["traits"]) <= self.traits, "traits are made before they are used"
            one.traits = set(body["traits"])
        elif part == "aggregates":
            one.aggregates = set(body["aggregates"])
        else:
            one.inventories = {name: {**FILLED, **given} for name, given in body["inventories"].items()}
        one.generation += 1
        return 200, {"resource_provider_generation": one.generation}

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["openstack-api-version"] == "placement 1.37"
        if request.url.host == "keystone":
            endpoint = {"interface": "public", "region_id": "one", "url": "http://placement/"}
            catalog = [{"type": "placement", "endpoints": [endpoint]}]
            return httpx.Response(201, json={"token": {"catalog": catalog}}, headers={"X-Subject-Token": "t"})
        if self.away:
            return httpx.Response(self.away.pop(0), text="not now")
        if request.method == "GET":
            return httpx.Response(200, json=self.read(request.url.path, dict(request.url.params)))
        self.log.append(f"{request.method} {request.url.path}")
        status, body = self.change(request.method, request.url.path, json.loads(request.content or b"{}"))
        return httpx.Response(status, json=body)

    def read(self, path: str, query: Mapping[str, str]) -> Any:
        _, kind, *rest = path.split("/")
        if kind == "traits":
            return {"traits": sorted(self.traits & set(query["name"].removeprefix("in:").split(",")))}
        if rest:
            one = self.providers[rest[0]]
            lists = {"traits": one.traits, "aggregates": one.aggregates}
            return {rest[1]: sorted(lists[rest[1]])} if rest[1] in lists else {"inventories": one.inventories}
        return {"resource_providers": [self.show(id) for id in self.providers if self.fits(id, query)]}

    def show(self, id: str) -> dict[str, Any]:
        one = self.providers[id]
        return {
            "uuid": id, "name": one.name, "generation": one.generation, "parent_provider_uuid": one.parent or None,
            "root_provider_uuid": self.root(id),
        }  # fmt: skip

    def fits(self, id: str, query: Mapping[str, str]) -> bool:
        if "in_tree" in query:
            return query["in_tree"] in self.providers and self.root(id) == self.root(query["in_tree"])
        return query.get("name", self.providers[id].name) == self.providers[id].name and query.get("uuid", id) == id

    def root(self, id: str) -> str:
        parent = self.providers[id].parent
        return self.root(parent) if parent else id


@dataclass
class FakeNova:
    """Aggregates by name: (id, hosts). `hosts`: those that it knows. `away`: answers that come before all others."""

    hosts: set[str] = field(default_factory=set)
    aggregates: dict[str, tuple[int, set[str]]] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    away: list[int] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.host == "keystone":
            endpoint = {"interface": "public", "region_id": "one", "url": "http://nova/v2.1"}
            catalog = [{"type": "compute", "endpoints": [endpoint]}]
            return httpx.Response(201, json={"token": {"catalog": catalog}}, headers={"X-Subject-Token": "t"})
        assert request.headers["openstack-api-version"] == "compute 2.41"
        if self.away:
            return httpx.Response(self.away.pop(0), text="not now")
        path = request.url.path.removeprefix("/v2.1")
        if request.method == "GET":
            return httpx.Response(200, json={"aggregates": [self.show(name) for name in self.aggregates]})
        body = json.loads(request.content or b"{}")
        self.log.append(f"{request.method} {path} {json.dumps(body)}")
        status, found = self.change(request.method, path.split("/")[2:], body)
        return httpx.Response(status, json=found)

    def show(self, name: str) -> dict[str, Any]:
        id, hosts = self.aggregates[name]
        return {"id": id, "uuid": f"uuid-{id}", "name": name, "hosts": sorted(hosts)}

    def change(self, method: str, rest: Sequence[str], body: Mapping[str, Any]) -> tuple[int, Any]:
        if not rest:
            name = body["aggregate"]["name"]
            self.aggregates[name] = (1 + len(self.log), set())
            return 200, {"aggregate": {key: value for key, value in self.show(name).items() if key != "hosts"}}
        name = next(name for name, (id, _) in self.aggregates.items() if str(id) == rest[0])
        hosts = self.aggregates[name][1]
        if method == "DELETE":
            assert not hosts, "an aggregate with hosts in it stays"
            del self.aggregates[name]
            return 200, None
        ((action, given),) = body.items()
        if given["host"] not in self.hosts:
            return 404, {}
        (hosts.add if action == "add_host" else hosts.discard)(given["host"])
        return 200, {"aggregate": self.show(name)}

"""`make bench`: each collection of the API with 10,000 objects, listed and shown; grants; one subnet in a rush.

Lists and shows are asked of the application in this process, as a member or an administrator, after a first request;
creates go over HTTP to a server of their own.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Settings
from netloom.intent.snapshot import Change
from tests.faults.server import Server
from tests.unit.api.api_client import ADMIN, Client, Memory, make_client

Figures = dict[str, Any]
Body = dict[str, Any]

COUNT, BATCH, RUNS = 10_000, 500, 5
UNLIMITED = dict.fromkeys((*CATALOG, "router_route"), -1)
GRANTS, PROJECTS, SHARED = 2_500, 1_000, 10
RUSH = 250


class Cloud:
    """An API in memory that is filled through its own requests."""

    def __init__(self) -> None:
        self.memory = Memory(options=Settings(quotas=UNLIMITED, max_l3_agents_per_router=1))
        self.client = make_client(ADMIN, memory=self.memory)

    def make(self, path: str, name: str, collection: str, bodies: list[Body]) -> list[str]:
        """The ids of what was made, in batches."""
        ids: list[str] = []
        for start in range(0, len(bodies), BATCH):
            reply = self.client.post(f"/v2.0/{path}", {collection: bodies[start : start + BATCH]})
            assert reply.status == 201, (path, reply.body[:500])
            ids += [one["id"] for one in reply.json[collection]]
        return ids

    def one(self, path: str, kind: str, /, **body: Any) -> str:
        reply = self.client.post(f"/v2.0/{path}", {kind: body})
        assert reply.status == 201, (path, reply.body[:500])
        made: str = reply.json[kind]["id"]
        return made


Fill = Callable[[Cloud], tuple[str, str]]
"""Fills one collection; gives the paths of the list and of one object."""


def fill_plain(path: str, name: str, collection: str, make: Callable[[int], Body]) -> Fill:
    def fill(cloud: Cloud) -> tuple[str, str]:
        ids = cloud.make(path, name, collection, [make(n) for n in range(COUNT)])
        return path, f"{path}/{ids[0]}"

    return fill


def fill_ports(cloud: Cloud) -> tuple[str, str]:
    network = cloud.one("networks", "network", name="n")
    cloud.one("subnets", "subnet", network_id=network, cidr="10.0.0.0/8", ip_version=4)
    ids = cloud.make("ports", "port", "ports", [{"network_id": network} for _ in range(COUNT)])
    return "ports", f"ports/{ids[0]}"


def fill_subnets(cloud: Cloud) -> tuple[str, str]:
    networks = cloud.make("networks", "network", "networks", [{} for _ in range(COUNT)])
    bodies = [{"network_id": id, "cidr": "10.0.0.0/24", "ip_version": 4} for id in networks]
    ids = cloud.make("subnets", "subnet", "subnets", bodies)
    return "subnets", f"subnets/{ids[0]}"


def fill_availability(cloud: Cloud) -> tuple[str, str]:
    fill_subnets(cloud)
    return (
        "network-ip-availabilities",
        f"network-ip-availabilities/{next(iter(cloud.memory.snapshot.records('network')))}",
    )


def fill_rules(cloud: Cloud) -> tuple[str, str]:
    """A hundred groups of a hundred rules."""
    path, ids = "security-group-rules", []
    for group in cloud.make("security-groups", "security_group", "security_groups", [{"name": "g"}] * (COUNT // 100)):
        bodies = [
            {"security_group_id": group, "direction": "ingress", "protocol": "tcp", "port_range_min": n + 1,
             "port_range_max": n + 1} for n in range(98)
        ]  # fmt: skip
        ids += cloud.make(path, "security_group_rule", "security_group_rules", bodies)
    return path, f"{path}/{ids[0]}"


def fill_floating(cloud: Cloud) -> tuple[str, str]:
    network = cloud.one("networks", "network", **{"router:external": True})
    cloud.one("subnets", "subnet", network_id=network, cidr="100.64.0.0/10", ip_version=4)
    ids = cloud.make("floatingips", "floatingip", "floatingips", [{"floating_network_id": network}] * COUNT)
    return "floatingips", f"floatingips/{ids[0]}"


def fill_trunks(cloud: Cloud) -> tuple[str, str]:
    network = cloud.one("networks", "network", name="n")
    ports = cloud.make("ports", "port", "ports", [{"network_id": network} for _ in range(COUNT)])
    ids = cloud.make("trunks", "trunk", "trunks", [{"port_id": port} for port in ports])
    return "trunks", f"trunks/{ids[0]}"


COLLECTIONS: dict[str, Fill] = {
    "networks": fill_plain("networks", "network", "networks", lambda n: {"name": f"n{n}"}),
    "subnets": fill_subnets,
    "ports": fill_ports,
    "routers": fill_plain("routers", "router", "routers", lambda n: {"name": f"r{n}"}),
    "floatingips": fill_floating,
    "security_groups": fill_plain("security-groups", "security_group", "security_groups", lambda n: {"name": f"g{n}"}),
    "security_group_rules": fill_rules,
    "address_groups": fill_plain("address-groups", "address_group", "address_groups", lambda n: {"addresses": []}),
    "address_scopes": fill_plain("address-scopes", "address_scope", "address_scopes",
                                 lambda n: {"name": f"s{n}", "ip_version": 4}),
    "subnetpools": fill_plain("subnetpools", "subnetpool", "subnetpools",
                              lambda n: {"name": f"p{n}", "prefixes": ["10.0.0.0/8"]}),
    "trunks": fill_trunks,
    "policies": fill_plain("qos/policies", "policy", "policies", lambda n: {"name": f"q{n}"}),
    "metering_labels": fill_plain("metering/metering-labels", "metering_label", "metering_labels",
                                  lambda n: {"name": f"m{n}"}),
    "network_ip_availabilities": fill_availability,
}  # fmt: skip


def measure(work: Callable[[], object]) -> float:
    """The median of some runs, in ms, after one that is not counted."""
    work()
    took = []
    for _ in range(RUNS):
        began = time.perf_counter()
        work()
        took.append((time.perf_counter() - began) * 1000)
    return round(statistics.median(took), 2)


def ask(client: Client, path: str) -> Callable[[], object]:
    def work() -> None:
        reply = client.get(f"/v2.0/{path}")
        assert reply.status == 200, reply.body[:300]

    return work


def bench_collections() -> Figures:
    return dict(bench_each())


def bench_each() -> Iterator[tuple[str, Figures]]:
    for name, fill in COLLECTIONS.items():
        cloud = Cloud()
        listed, shown = fill(cloud)
        yield name, {"list_ms": measure(ask(cloud.client, listed)), "show_ms": measure(ask(cloud.client, shown))}


def bench_group_of_rules() -> Figures:
    cloud = Cloud()
    group = cloud.one("security-groups", "security_group", name="g")
    bodies = [
        {
            "security_group_id": group,
            "direction": "ingress",
            "protocol": "udp",
            "port_range_min": n,
            "port_range_max": n,
        }
        for n in range(1, 99)
    ]
    cloud.make("security-group-rules", "security_group_rule", "security_group_rules", bodies)
    return {"show_group_of_100_rules_ms": measure(ask(cloud.client, f"security-groups/{group}"))}


def bench_grants() -> Figures:
    """2,500 grants on ten networks to a thousand projects, each with a network of its own; listed as a member."""
    cloud = Cloud()
    shared = cloud.make("networks", "network", "networks", [{"project_id": "owner"}] * SHARED)
    projects = [f"{n:032x}" for n in range(PROJECTS)]
    cloud.make("networks", "network", "networks", [{"project_id": project} for project in projects])
    pairs = [(shared[n % SHARED], projects[(n * 7 + n // PROJECTS) % PROJECTS]) for n in range(GRANTS)]
    grants = [
        {"id": f"g{n}", "project_id": "owner", "object_type": "network", "object_id": network,
         "action": "access_as_shared", "target_tenant": project}
        for n, (network, project) in enumerate(dict.fromkeys(pairs))
    ]  # fmt: skip
    changes = [Change("rbac_policy", grant["id"], grant) for grant in grants]
    cloud.memory.snapshot = cloud.memory.snapshot.apply(changes, cloud.memory.snapshot.revision + 1)
    member = cloud.client.as_user({"X-Project-Id": projects[7], "X-User-Id": "u", "X-Roles": "member,reader"})
    seen = len(json.loads(member.get("/v2.0/networks").body)["networks"])
    return {"grants": len(grants), "networks_seen": seen, "list_as_member_ms": measure(ask(member, "networks"))}


def bench_rush(state: Path) -> Figures:
    """250 creates at once on one subnet of 254 addresses less three, over HTTP."""
    server = Server(state)
    server.start()
    try:
        return asyncio.run(rush(server.url))
    finally:
        server.stop()


async def rush(url: str) -> Figures:
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as session:
        async with session.post("/v2.0/networks", json={"network": {}}) as reply:
            network = (await reply.json())["network"]["id"]
        body = {"subnet": {"network_id": network, "cidr": "10.0.0.0/24", "ip_version": 4}}
        async with session.post("/v2.0/subnets", json=body) as reply:
            assert reply.status == 201

        async def create() -> tuple[int, str]:
            async with session.post("/v2.0/ports", json={"port": {"network_id": network}}) as reply:
                port = (await reply.json()).get("port")
                return reply.status, port["fixed_ips"][0]["ip_address"] if port else ""

        began = time.perf_counter()
        answers = await asyncio.gather(*(create() for _ in range(RUSH)))
        took = time.perf_counter() - began
    good = {address for status, address in answers if status == 201}
    return {"at_once": RUSH, "made": len(good), "per_s": round(RUSH / took)}

"""What a running swarm is asked to do, and how long that takes: one port, all hosts, a restart.

Counts come first: how many hosts woke, what they were sent, what their devices were asked. Times are of this machine,
which bears the hosts as well: `hosts_cpu_ms` is what a thousand machines would share among them.
"""

from __future__ import annotations

import asyncio
import os
import platform
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from netloom.lab.shell import LabError
from netloom.lab.swarm import Figures, Swarm
from netloom.lab.swarm_fill import COMMON, name_network
from netloom.lab.swarm_plan import ProjectPlan, find_concerned

DEADLINE_S = 60.0


def open_http(swarm: Swarm) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{swarm.server.url}/v2.0", trust_env=False, timeout=60)


async def ask(http: httpx.AsyncClient, method: str, path: str, **given: Any) -> Any:
    """The answer's JSON. Raises LabError."""
    reply = await http.request(method, path, **given)
    if reply.status_code >= 400:
        raise LabError(f"{method} {path}: {reply.status_code} {reply.text[:300]}")
    return reply.json() if reply.content else None


def rank(took: Sequence[float]) -> Figures:
    """Seconds in, milliseconds out."""
    ranked = sorted(took)
    return {
        "p50_ms": round(statistics.median(ranked) * 1000, 1),
        "p99_ms": round(ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))] * 1000, 1),
        "max_ms": round(ranked[-1] * 1000, 1),
    }


async def find_network(http: httpx.AsyncClient, project: ProjectPlan, chance: random.Random) -> str:
    name = name_network(chance.choice(project.networks))
    found = (await ask(http, "GET", "networks", params={"name": name, "fields": "id"}))["networks"]
    return str(found[0]["id"])


class Costs:
    """What a stretch of work has cost everybody: made at its beginning, read at its end."""

    def __init__(self, swarm: Swarm, hosts: Figures) -> None:
        self._swarm, self._hosts, self._others = swarm, hosts, swarm.measure()

    @classmethod
    async def begin(cls, swarm: Swarm) -> Costs:
        return cls(swarm, await swarm.count())

    async def read(self, changes: int) -> Figures:
        """For each of so many changes."""
        hosts, others = await self._swarm.count(), self._swarm.measure()
        each = {name: (hosts[name] - self._hosts[name]) / changes for name in ("turns", "received", "ops", "cpu_s")}
        return {
            "hosts_that_heard": round(each["turns"], 1), "bytes": round(each["received"]), "ops": round(each["ops"], 1),
            "hosts_cpu_ms": round(each["cpu_s"] * 1000, 1),
            **{
                name.replace("cpu_s", "cpu_ms"): round((used - self._others[name]) * 1000 / changes, 1)
                for name, used in others.items()
                if name.endswith("cpu_s")
            },
        }  # fmt: skip


async def measure_ports(swarm: Swarm, count: int) -> Figures:
    """Ports bound one by one, each on a host of its project: until every host concerned has it in its devices."""
    chance = random.Random(swarm.wanted.shape.seed)
    asked, answered, concerned, active = [], [], [], []
    async with open_http(swarm) as http:
        projects = [chance.choice(swarm.plan.projects) for _ in range(count)]
        networks = [await find_network(http, project, chance) for project in projects]
        await swarm.wait_idle()
        costs = await Costs.begin(swarm)
        for project, network in zip(projects, networks, strict=True):
            hosts = sorted(find_concerned(project))
            body = {"network_id": network, "project_id": project.id, "binding:host_id": chance.choice(hosts),
                    "device_owner": "compute:nova"}  # fmt: skip
            began = time.monotonic()
            port = (await ask(http, "POST", "ports", json={"port": body}))["port"]
            done = time.monotonic()
            moments = await swarm.wait(began, hosts, DEADLINE_S)
            asked.append(max(at for _, at in moments) - began)
            answered.append(max(0.0, max(at for _, at in moments) - done))
            concerned.append(len(hosts))
            active.append(await wait_active(http, port["id"], began))
        each = await costs.read(count)
    return {
        "ports": count, "hosts_concerned": round(statistics.mean(concerned), 1), **each,
        "asked_to_all_acknowledged": rank(asked), "answered_to_all_acknowledged": rank(answered),
        "asked_to_active_in_the_api": rank(active),
    }  # fmt: skip


async def wait_active(http: httpx.AsyncClient, port: str, began: float) -> float:
    """Seconds from `began` until the API calls the port ACTIVE."""
    while time.monotonic() - began < DEADLINE_S:
        if (await ask(http, "GET", f"ports/{port}", params={"fields": "status"}))["port"]["status"] == "ACTIVE":
            return time.monotonic() - began
        await asyncio.sleep(0.005)
    raise LabError(f"port {port} is not ACTIVE after {DEADLINE_S:g} s")


async def measure_everywhere(swarm: Swarm, count: int) -> Figures:
    """One address more in a set that every host lets in: until all of them have it in their devices."""
    heard, acknowledged = [], []
    async with open_http(swarm) as http:
        costs = await Costs.begin(swarm)
        for number in range(count):
            began = time.monotonic()
            await add_address(http, f"198.51.{number >> 8}.{number & 255}/32")
            moments = await swarm.wait(began, None, DEADLINE_S)
            heard.append(max(at for at, _ in moments) - began)
            acknowledged.append(max(at for _, at in moments) - began)
            await swarm.wait_idle()
        each = await costs.read(count)
    return {
        "changes": count, "hosts": len(swarm.plan.hosts), **each,
        "asked_to_all_heard": rank(heard), "asked_to_all_acknowledged": rank(acknowledged),
    }  # fmt: skip


async def measure_restart(swarm: Swarm, deadline_s: float = 300.0) -> Figures:
    """The server killed and started anew: its first answer, and every host verified current, from the start on."""
    before = await swarm.count()
    swarm.server.end(kill=True)
    began = time.monotonic()
    swarm.server.start()
    ready = await swarm.server.wait_ready(deadline_s)
    moments = await (confirm(swarm) if swarm.relays else swarm.settle(began, deadline_s))
    after = await swarm.count()
    received = after["received"] - before["received"]
    return {
        "hosts": len(moments), "ports": swarm.wanted.shape.ports, "slices": after["slices"], "rows": after["rows"],
        "first_answer_s": round(ready - began, 2), "all_current_s": round(max(moments) - began, 2),
        "half_current_s": round(statistics.median(moments) - began, 2),
        "bytes": received, "bytes_per_slice": round(received / max(1, after["slices"])),
        "ops": after["ops"] - before["ops"], **swarm.measure(),
    }  # fmt: skip


async def confirm(swarm: Swarm) -> list[float]:
    """Hosts behind relays stay connected, so they are asked: one change for all, and when each had heard of it."""
    began = time.monotonic()
    async with open_http(swarm) as http:
        await add_address(http, "203.0.113.1/32")
    return [heard for heard, _ in await swarm.wait(began, None, DEADLINE_S)]


async def add_address(http: httpx.AsyncClient, address: str) -> None:
    """To the set that every host lets in."""
    group = (await ask(http, "GET", "address-groups", params={"name": COMMON}))["address_groups"][0]
    await ask(http, "PUT", f"address-groups/{group['id']}/add_addresses", json={"addresses": [address]})


async def measure_memory(swarm: Swarm) -> Figures:
    """What is held for each port on the server, and for each thing and row on hosts."""
    hosts, others, shape = await swarm.count(), swarm.measure(), swarm.wanted.shape
    held = {name: value for name, value in others.items() if name.endswith("rss_mib")}
    return {
        **held, "server_kib_per_port": round(held["server_rss_mib"] * 1024 / shape.ports, 1),
        "hosts_rss_mib": hosts["rss_mib"], "host_mib": round(hosts["rss_mib"] / shape.hosts, 2),
        "host_kib_per_port": round(hosts["rss_mib"] * 1024 / shape.ports, 1),
        "things_per_host": round(hosts["things"] / shape.hosts), "rows_per_host": round(hosts["rows"] / shape.hosts),
        "slices_per_host": round(hosts["slices"] / shape.hosts, 1),
    }  # fmt: skip


async def check(swarm: Swarm) -> list[str]:
    """What hosts hold otherwise than the store says, in words."""
    await swarm.wait_idle()
    return [words for one in await swarm.ask(do="check", store=swarm.store) for words in one["differences"]]


def describe_machine() -> Figures:
    return {
        "cpus": os.cpu_count(), "model": read_model(), "memory_gib": read_memory_gib(),
        "kernel": platform.release(), "python": platform.python_version(),
        "load": [round(x, 2) for x in os.getloadavg()],
    }  # fmt: skip


def read_model() -> str:
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "")


def read_memory_gib() -> float:
    return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30), 1)

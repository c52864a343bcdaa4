"""What a running swarm is asked to do, and how long that takes: one port, all hosts, a restart.

Counts come first: how many hosts woke, what they were sent, what their devices were asked. Times are of this machine,
which bears the hosts as well: `hosts_cpu_ms` is what a thousand machines would share among them.
"""

from __future__ import annotations

import asyncio
import math
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
from netloom.lab.swarm import Figures, Server, Swarm
from netloom.lab.swarm_fill import COMMON, name_network
from netloom.lab.swarm_plan import ProjectPlan, find_concerned

DEADLINE_S = 60.0


def open_http(swarm: Swarm) -> httpx.AsyncClient:
    server = swarm.server
    return httpx.AsyncClient(base_url=f"{server.url}/v2.0", headers=server.headers, trust_env=False, timeout=60)


async def ask(http: httpx.AsyncClient, method: str, path: str, gone: bool = False, **given: Any) -> Any:
    """The answer's JSON. `gone`: that it is not there is as good. Raises LabError."""
    try:
        reply = await http.request(method, path, **given)
    except httpx.HTTPError as error:
        raise LabError(f"{method} {path}: no answer ({error!r})") from None
    if reply.status_code >= 400 and not (gone and reply.status_code == 404):
        raise LabError(f"{method} {path}: {reply.status_code} {reply.text[:300]}")
    return reply.json() if reply.content and reply.status_code < 400 else None


SAID = {
    "netloom_resolve_rows_total": "rows", "netloom_resolve_slices_total": "slices",
    "netloom_feed_sent_frames_total": "frames", "process_cpu_seconds_total": "cpu_s",
}  # fmt: skip
"""What a server says of its own work at /metrics, and our words for it."""


def parse_said(text: str) -> Figures:
    """
    >>> parse_said("# HELP x y\\nnetloom_resolve_rows_total 14.0\\nother 1.0\\n")
    {'rows': 14.0}
    """
    lines = (line.split() for line in text.splitlines())
    return {SAID[line[0]]: float(line[1]) for line in lines if len(line) == 2 and line[0] in SAID}


async def read_said(swarm: Swarm) -> Figures:
    """What the server (the process of it that answers) has done since it started."""
    async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
        return parse_said((await http.get(f"{swarm.server.url}/metrics")).text)


def rank(took: Sequence[float]) -> Figures:
    """Seconds in, milliseconds out; of a hundred, the p99 is the second longest.

    >>> rank([number / 1000 for number in range(100)])
    {'p50_ms': 49.5, 'p99_ms': 98.0, 'max_ms': 99.0}
    """
    ranked = sorted(took)
    return {
        "p50_ms": round(statistics.median(ranked) * 1000, 1),
        "p99_ms": round(ranked[math.ceil(len(ranked) * 0.99) - 1] * 1000, 1),
        "max_ms": round(ranked[-1] * 1000, 1),
    }


async def find_network(http: httpx.AsyncClient, project: ProjectPlan, chance: random.Random) -> str:
    name = name_network(chance.choice(project.networks))
    found = (await ask(http, "GET", "networks", params={"name": name, "fields": "id"}))["networks"]
    return str(found[0]["id"])


COUNTED = {
    "turns": "hosts_that_heard", "received": "bytes", "ops": "ops", "hosts_cpu_s": "hosts_cpu_ms",
    "server_cpu_s": "server_cpu_ms", "relays_cpu_s": "relays_cpu_ms", "rows": "rows", "slices": "slices",
    "frames": "frames",
}  # fmt: skip
"""What is counted, and how a cost is called. Of seconds, milliseconds are told."""
IN_WHOLE = ("bytes",)


async def read_all(swarm: Swarm) -> Figures:
    """What everybody has done so far. The server's CPU: as seen here where it is here, else as it says itself."""
    hosts, others, said = await swarm.count(), swarm.measure(), await read_said(swarm)
    found = {"server_cpu_s": said.pop("cpu_s", 0.0), **said, **others, "hosts_cpu_s": hosts["cpu_s"]}
    return {
        name: value for name, value in {**found, **pick(hosts, "turns", "received", "ops")}.items() if name in COUNTED
    }


def pick(figures: Figures, *names: str) -> Figures:
    return {name: figures[name] for name in names}


class Costs:
    """What a stretch of work has cost everybody: made at its beginning, read at its end.

    `idle_s`: so long it is watched first what goes on anyway (hosts are asked whether they are there), which is then
    no part of the cost. Without it, it is.
    """

    def __init__(self, swarm: Swarm, before: Figures, idle: Figures) -> None:
        self._swarm, self._before, self.idle = swarm, before, idle
        self._began = time.monotonic()

    @classmethod
    async def begin(cls, swarm: Swarm, idle_s: float = 0.0) -> Costs:
        first, began = await read_all(swarm), time.monotonic()
        await asyncio.sleep(idle_s)
        before, took = await read_all(swarm), time.monotonic() - began
        idle = {name: (before[name] - first[name]) / took for name in before} if idle_s else dict.fromkeys(before, 0.0)
        return cls(swarm, before, idle)

    async def read(self, changes: int) -> Figures:
        """For each of so many changes."""
        now, took = await read_all(self._swarm), time.monotonic() - self._began
        each = {name: (now[name] - self._before[name] - self.idle[name] * took) / changes for name in now}
        return tell_counted(each)


def tell_counted(each: Figures) -> Figures:
    """
    >>> tell_counted({"turns": 8.04, "received": 670.4, "server_cpu_s": 0.0061})
    {'hosts_that_heard': 8.0, 'bytes': 670, 'server_cpu_ms': 6.1}
    """
    scaled = {
        COUNTED[name]: value * (1000 if name.endswith("_cpu_s") else 1) for name, value in each.items()
    }  # fmt: skip
    return {name: round(value) if name in IN_WHOLE else round(value, 1) for name, value in scaled.items()}


async def measure_ports(swarm: Swarm, count: int, idle_s: float = 0.0) -> Figures:
    """Ports bound one by one, each on a host of its project: until every host concerned has it in its devices.

    `idle_s`: see `Costs`; what goes on anyway is then told as well, for each second.
    """
    chance = random.Random(swarm.wanted.shape.seed)
    asked, answered, concerned, active = [], [], [], []
    async with open_http(swarm) as http:
        projects = [chance.choice(swarm.plan.projects) for _ in range(count)]
        networks = [await find_network(http, project, chance) for project in projects]
        await swarm.wait_idle()
        costs = await Costs.begin(swarm, idle_s)
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
        **({"idle_each_second": tell_counted(costs.idle)} if idle_s else {}),
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
    server = swarm.server
    if not isinstance(server, Server):
        raise LabError(f"{server.url} is not this swarm's to kill")
    before = await swarm.count()
    server.end(kill=True)
    began = time.monotonic()
    server.start()
    ready = await server.wait_ready(deadline_s)
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
    server = held.get("server_rss_mib")
    return {
        **held, **({"server_kib_per_port": round(server * 1024 / shape.ports, 1)} if server else {}),
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

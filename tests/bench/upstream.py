"""The same client at two Networking APIs in one run: upstream Neutron, or whatever is at a URL, and this server.

    python tests/bench/scale.py --only upstream --upstream http://127.0.0.1:9696

starts servers of ours beside it; each phase asks one after the other, so that what else the machine does falls on all.
A connection for each request, as most clients of OpenStack have it. CPU is that of the processes below the pids that
are given: on a busy machine it is the figure to compare. What was made at the other one is removed.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.bench.run import describe, say
from tests.bench.stores import find_database, find_url
from tests.bench.usage import read_cpu
from tests.faults.server import Server
from tests.faults.several import NO_QUOTA

Figures = dict[str, Any]
Job = Callable[[int], Awaitable[None]]

NETWORKS = 10
BULK = 100
CLEAN_S = 300.0
OURS = (("sqlite", 1), ("mariadb", 2))
"""Our servers that are compared: as one starts, and on the database and processes that upstream has most often."""


@dataclass(frozen=True, slots=True)
class Effort:
    """`seconds` of each phase; `lists`: how many ports are listed. `fill_s`: how long is spent on making so many."""

    seconds: float = 5.0
    clients: tuple[int, ...] = (1, 8, 64)
    lists: tuple[int, ...] = (1000, 10_000)
    list_times: int = 3
    fill_s: float = 300.0


@dataclass(slots=True)
class Target:
    """One API. `pids`: whose CPU is counted, with all below them."""

    name: str
    url: str
    headers: dict[str, str]
    pids: tuple[int, ...] = ()
    project: str = field(default_factory=lambda: uuid.uuid4().hex)
    networks: list[str] = field(default_factory=list)
    ports: list[str] = field(default_factory=list)
    found: Figures = field(default_factory=dict)
    session: Any = None

    async def read(self, method: str, path: str, body: Any = None, want: Sequence[int] = (200, 201, 204)) -> bytes:
        async with self.session.request(method, f"{self.url}/v2.0/{path}", json=body, headers=self.headers) as reply:
            text: bytes = await reply.read()
            assert reply.status in want, (self.name, method, path, reply.status, text[:500])
            return text

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        text = await self.read(method, path, body)
        return json.loads(text) if text else None

    async def create_ports(self, number: int, count: int) -> None:
        """One by itself, several in one request."""
        network = self.networks[number % len(self.networks)]
        body = {"network_id": network, "project_id": self.project}
        if count == 1:
            self.ports.append((await self.ask("POST", "ports", {"port": body}))["port"]["id"])
        else:
            made = await self.ask("POST", "ports", {"ports": [body] * count})
            self.ports += [port["id"] for port in made["ports"]]


# -- phases ------------------------------------------------------------------------------------------------------------


async def run_phase(target: Target, name: str, job: Job, clients: int, ends: Callable[[int, float], bool]) -> None:
    """The job by so many clients until `ends(runs begun, seconds)`; what that took."""
    took: list[float] = []
    numbers, cpu, began = itertools.count(), read_cpu(target.pids), time.perf_counter()

    async def work() -> None:
        while not ends(number := next(numbers), time.perf_counter() - began):
            start = time.perf_counter()
            await job(number)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(work() for _ in range(clients)))
    seconds = time.perf_counter() - began
    found: Figures = {**describe(took, seconds), "n": len(took), "rate": round(len(took) / seconds, 2)}
    if target.pids:
        found["cpu_ms"] = round((read_cpu(target.pids) - cpu) * 1000 / len(took), 2)
    target.found[name] = found
    say("·", target.name, name, found)


async def prepare(target: Target) -> None:
    quota = dict.fromkeys(("network", "subnet", "port"), -1)
    await target.ask("PUT", f"quotas/{target.project}", {"quota": quota})
    for number in range(NETWORKS):
        body = {"network": {"name": f"bench-{number}", "project_id": target.project}}
        network = (await target.ask("POST", "networks", body))["network"]["id"]
        subnet = {"network_id": network, "cidr": f"10.{number}.0.0/16", "ip_version": 4, "project_id": target.project}
        await target.ask("POST", "subnets", {"subnet": subnet})
        target.networks.append(network)
    await target.create_ports(0, 1)


async def count_ports(target: Target) -> int:
    return len((await target.ask("GET", "ports?fields=id"))["ports"])


async def fill(target: Target, count: int, seconds: float) -> bool:
    """Until there are so many ports, whosever; whether that could be done in time."""
    missing, ends = count - await count_ports(target), time.monotonic() + seconds
    for number in itertools.count():
        if missing <= 0:
            return True
        if time.monotonic() > ends:
            return False
        await target.create_ports(number, max(2, min(BULK, missing)))
        missing -= BULK
    return False


def make_phases(target: Target, effort: Effort) -> Iterator[Callable[[], Awaitable[None]]]:
    """In the order in which they are run; each measures one thing."""

    def timed(number: int, seconds: float) -> bool:
        return seconds > effort.seconds

    async def create(number: int) -> None:
        await target.create_ports(number, 1)

    async def bulk(number: int) -> None:
        await target.create_ports(number, BULK)

    async def show(number: int) -> None:
        await target.read("GET", f"ports/{target.ports[number % len(target.ports)]}")

    for clients in effort.clients:
        yield lambda clients=clients: run_phase(target, f"create_at_{clients}", create, clients, timed)  # type: ignore[misc]
    yield lambda: run_phase(target, f"bulk_of_{BULK}", bulk, 1, timed)
    for clients in effort.clients[:2]:
        yield lambda clients=clients: run_phase(target, f"show_at_{clients}", show, clients, timed)  # type: ignore[misc]
    for count in effort.lists:
        yield lambda count=count: bench_list(target, effort, count)  # type: ignore[misc]


async def bench_list(target: Target, effort: Effort, count: int) -> None:
    if not await fill(target, count, effort.fill_s):
        target.found[f"list_of_{count}"] = {"not measured": f"so many could not be made in {effort.fill_s:g} s"}
        return

    async def ask_some(number: int) -> None:
        text = await target.read("GET", f"ports?limit={count}")  # not parsed: that would be the client's time
        assert text.count(b'"mac_address"') >= count

    await run_phase(target, f"list_of_{count}", ask_some, 1, lambda number, seconds: number >= effort.list_times)


async def clean(target: Target) -> None:
    waiting = iter(target.ports)

    async def work() -> None:
        for id in waiting:
            await target.read("DELETE", f"ports/{id}", want=(204, 404))

    await asyncio.gather(*(work() for _ in range(8)))
    for network in target.networks:
        await target.read("DELETE", f"networks/{network}", want=(204, 404))
    await target.read("DELETE", f"quotas/{target.project}", want=(204, 404))


# -- all of it ---------------------------------------------------------------------------------------------------------


@contextmanager
def start_ours(folder: Path, effort: Effort) -> Iterator[list[Target]]:
    servers: list[Server] = []
    targets: list[Target] = []
    try:
        for engine, processes in OURS:
            place = folder / f"{engine}{processes}"
            place.mkdir()
            store = ("--set", f"database.connection={find_url(engine, place)}", "--set", f"api_workers={processes}")
            server = Server(place, extra=(*NO_QUOTA, *store))
            servers.append(server)
            server.start()
            assert server.process is not None
            name = f"{engine}_{processes}_process" + ("es" if processes > 1 else "")
            targets.append(Target(name, server.url, {}, (server.process.pid, *find_database(engine))))
        yield targets
    finally:
        for server in servers:
            server.stop()


async def bench(theirs: Target, effort: Effort, folder: Path) -> Figures:
    """Every phase at each, and how many times as fast ours is: `times`, of requests a second."""
    with start_ours(folder, effort) as ours:
        targets = [theirs, *ours]
        async with aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True), timeout=aiohttp.ClientTimeout(total=600)
        ) as session:
            for target in targets:
                target.session = session
                await prepare(target)
                await fill(target, await count_ports(theirs), effort.fill_s)  # all begin with as many
            for phases in zip(*(make_phases(target, effort) for target in targets), strict=True):
                for phase in phases:
                    await phase()
            try:
                async with asyncio.timeout(CLEAN_S):
                    await clean(theirs)
            except TimeoutError:  # no reason to lose the figures
                say("·", f"not all of project {theirs.project} at {theirs.url} is removed after {CLEAN_S:g} s")
        return {
            **{target.name: target.found for target in targets},
            "times": {target.name: compare(theirs.found, target.found) for target in ours},
        }


def compare(theirs: Figures, ours: Figures) -> Figures:
    """How many times as many a second, and how much less CPU where it is known."""
    found: Figures = {}
    for name, figures in ours.items():
        other = theirs[name]
        if "rate" not in figures or "rate" not in other:
            continue
        found[name] = {
            "per_s": round(figures["rate"] / other["rate"], 1),
            "p50": round(other["p50_ms"] / figures["p50_ms"], 1),
        }
        if "cpu_ms" in other and "cpu_ms" in figures and figures["cpu_ms"]:
            found[name]["cpu"] = round(other["cpu_ms"] / figures["cpu_ms"], 1)
    return found

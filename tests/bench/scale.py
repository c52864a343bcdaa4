"""`make bench-scale`: a thousand hosts and more, measured, as JSON on stdout, each part with the machine described.

    --only hosts growth restart failover creates million upstream    parts, else all of them
    --quick                                          everything small, in a few minutes
    --upstream URL                                   another Networking API, for the part of that name
    --upstream-header 'X-Auth-Token: T'              what its requests bear; --upstream-pid N: whose CPU is counted
    --keep FILE                                      where figures are kept (build/bench-scale.json): a part that is
                                                     measured anew takes the place of the last one

Hosts, server and database share this machine. Counts (hosts that heard, rows, bytes, ops) do not depend on it; times
do.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from netloom.lab.swarm import Wanted, run_swarm
from netloom.lab.swarm_measure import (
    check,
    describe_machine,
    measure_everywhere,
    measure_memory,
    measure_ports,
    measure_restart,
)
from netloom.lab.swarm_plan import Shape
from tests.bench import stores, upstream
from tests.bench.run import describe, make_network, read_memory, repeat, say, spin
from tests.bench.upstream import Effort
from tests.bench.usage import read_cpu
from tests.faults.server import Server
from tests.faults.several import NO_QUOTA, find_children, find_writer, loaded, make_servers, read_names, stop_all

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything a run takes."""

    hosts: int = 1000
    ports: int = 50_000
    changes: int = 200
    growth: tuple[int, ...] = (10, 100, 1000, 5000)
    growth_ports: int = 20  # for each host
    restart_ports: int = 150_000
    failovers: int = 3
    engines: tuple[str, ...] = ("sqlite", "postgresql", "mariadb")
    create_s: float = 4.0
    million: int = 1_000_000
    effort: Effort = field(default_factory=Effort)
    idle_s: float = 15.0  # as often as hosts are pinged


QUICK = Size(20, 1000, 5, (10, 20), 20, 2000, 1, ("sqlite",), 0.5, 5000, Effort(0.5, (1, 4), (100,), 1), 1.0)


@dataclass(frozen=True, slots=True)
class Other:
    """The API that the part `upstream` compares with."""

    url: str = ""
    headers: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()


def tell(text: str) -> None:
    say("·", text)


async def bench_hosts(size: Size, folder: Path) -> Figures:
    """One port bound, and a change that all hosts need; every host renders, and is compared in the end."""
    async with run_swarm(Wanted(Shape(size.hosts, size.ports)), folder, tell) as swarm:
        memory = await measure_memory(swarm)
        tell("ports, one after the other")
        one = await measure_ports(swarm, size.changes, size.idle_s)
        tell("changes that all hosts need")
        every = await measure_everywhere(swarm, max(1, size.changes // 5))
        tell("every host is compared")
        began = time.monotonic()
        differences = await check(swarm)
        assert not differences, differences
        checked = round(time.monotonic() - began, 1)
        return {
            "bring_up": swarm.bring_up, "memory": memory, "one_port": one, "every_host": every, "checked_in_s": checked,
        }  # fmt: skip


async def bench_growth(size: Size, folder: Path) -> Figures:
    """The same scoped change as hosts grow. They follow and have no devices: what those cost does not depend on it."""
    found = {}
    for hosts in size.growth:
        place = folder / f"{hosts}"
        place.mkdir()
        wanted = Wanted(Shape(hosts, hosts * size.growth_ports), rendering=0)
        async with run_swarm(wanted, place, tell) as swarm:
            tell(f"one port, {hosts} hosts")
            ports = await measure_ports(swarm, size.changes, size.idle_s)
            found[f"{hosts}_hosts"] = {"bring_up": swarm.bring_up, **await measure_memory(swarm), **ports}
            tell(json.dumps(found))
    return found


async def bench_restart(size: Size, folder: Path) -> Figures:
    """The server killed and started on a full store. Hosts follow; what they render does not change."""
    async with run_swarm(Wanted(Shape(size.hosts, size.restart_ports), rendering=0), folder, tell) as swarm:
        tell("the server is killed and started")
        found = await measure_restart(swarm)
        # What hosts had is only named, by its digest.
        assert found["bytes_per_slice"] < 400 and not found["ops"], found
        return found


async def bench_failover(size: Size, folder: Path) -> Figures:
    """kill -9 of the writer of two servers on PostgreSQL under load; what was answered must be there."""
    gaps, failed, lost, answered = [], 0, 0, 0
    for number in range(size.failovers):
        servers = make_servers(folder / f"{number}", "postgresql", 2)
        for server in servers:
            server.start()
        try:
            writer = await find_writer(servers)
            async with loaded(servers) as load:
                await load.wait_for_more(50)
                load.away.add(writer)
                killed = servers[writer].process
                assert killed is not None
                for child in find_children(killed.pid):
                    os.kill(child, signal.SIGKILL)
                servers[writer].kill()
                at = time.monotonic()
                await load.wait_for_more(50)
                gaps.append(find_gap(load.at, at))
            names = await read_names(servers[1 - writer])
            lost += sum(id not in names for id in load.answered)
            failed += len(load.failed)
            answered += len(load.answered)
        finally:
            stop_all(servers)
    assert not lost
    return {
        "seconds_to_the_next_accepted_write": [round(gap, 2) for gap in gaps],
        "answered": answered, "failed": failed, "lost": lost,
    }  # fmt: skip


def find_gap(moments: list[float], since: float) -> float:
    """The longest time without an accepted write, of those that end after a moment: some answers were on their way."""
    ranked = sorted(moments)
    return max(after - before for before, after in itertools.pairwise(ranked) if after > since)


async def bench_creates(size: Size, folder: Path) -> Figures:
    stores.SECONDS = size.create_s
    found: Figures = {}
    for engine in size.engines:
        for processes in (1, 2):
            tell(f"port creates, {engine}, {processes} processes")
            place = folder / f"{engine}{processes}"
            place.mkdir()
            found[f"{engine}_{processes}_processes"] = await stores.bench_http(engine, processes, place)
    return found


FILL = """
import asyncio, json, resource, sys, time
from netloom.lab.swarm_fill import fill_store
from netloom.lab.swarm_plan import Shape, plan_cloud
from netloom.lab.swarm_plan import Shape
began = time.perf_counter()
asyncio.run(fill_store(sys.argv[1], plan_cloud(Shape(int(sys.argv[2]), int(sys.argv[3])))))
print(json.dumps({"filled_s": round(time.perf_counter() - began, 1), "filled_cpu_s": round(time.process_time(), 1),
                  "filler_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10}))
"""
"""In a process of its own, whose memory is gone when the server starts."""
ASKED = 200


async def bench_million(size: Size, folder: Path) -> Figures:
    """A store of so many ports, filled through the writer; a server started on it, and what one request takes then."""
    url = f"sqlite:///{folder}/netloom.db"
    hosts = min(max(20, size.million // 50), 5000)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", FILL, url, str(hosts), str(size.million), stdout=-1
    )
    filled: Figures = json.loads((await process.communicate())[0])
    tell(f"{size.million} ports are stored: {filled}")
    server = Server(folder, extra=(*NO_QUOTA, "--set", f"database.connection={url}"))
    answered = await asyncio.to_thread(server.start, 600)
    assert server.process is not None
    try:
        pid = server.process.pid
        started: Figures = {
            "ports": size.million, **filled, "stored_gib": round((folder / "netloom.db").stat().st_size / (1 << 30), 2),
            "first_answer_s": round(answered, 1), "start_cpu_s": round(read_cpu((pid,)), 1),
            "gib": round(read_memory(pid) / 1024, 2), "kib_per_port": round(read_memory(pid) * 1024 / size.million, 2),
        }  # fmt: skip
        async with aiohttp.ClientSession(server.url) as session:
            return {**started, **await ask_full_server(session), "gib_in_the_end": round(read_memory(pid) / 1024, 2)}
    finally:
        server.stop()


async def ask_full_server(session: aiohttp.ClientSession) -> Figures:
    """One request after the other: creates, shows, lists by id and of a network."""
    network, ids = await make_network(session), []

    async def create(number: int) -> None:
        async with session.post("/v2.0/ports", json={"port": {"network_id": network}}) as reply:
            assert reply.status == 201
            ids.append((await reply.json())["port"]["id"])

    async def get(path: str) -> None:
        async with session.get(f"/v2.0/{path}") as reply:
            assert reply.status == 200
            await reply.read()

    jobs: dict[str, Callable[[int], Awaitable[None]]] = {
        "create_port": create, "show_port": lambda number: get(f"ports/{ids[number]}"),
        "list_by_id": lambda number: get(f"ports?id={ids[number]}"),
        "list_of_a_network": lambda number: get(f"ports?network_id={network}"),
        "list_of_1000": lambda number: get("ports?limit=1000"),
    }  # fmt: skip
    found: Figures = {}
    for name, job in jobs.items():
        began = time.perf_counter()
        found[name] = describe(await repeat(ASKED, 1, job), time.perf_counter() - began)
    return found


async def bench_upstream(size: Size, folder: Path, other: Other) -> Figures:
    """The same client at another API and at ours, in turns."""
    if not other.url:
        return {"not measured": "--upstream URL names the API to compare with"}
    headers = {name.strip(): value.strip() for name, _, value in (text.partition(":") for text in other.headers)}
    theirs = upstream.Target("upstream", other.url.rstrip("/").removesuffix("/v2.0"), headers, other.pids)
    return await upstream.bench(theirs, size.effort, folder)


PARTS: dict[str, Callable[[Size, Path, Other], Any]] = {
    "hosts": lambda size, folder, other: bench_hosts(size, folder),
    "growth": lambda size, folder, other: bench_growth(size, folder),
    "restart": lambda size, folder, other: bench_restart(size, folder),
    "failover": lambda size, folder, other: bench_failover(size, folder),
    "creates": lambda size, folder, other: bench_creates(size, folder),
    "million": lambda size, folder, other: bench_million(size, folder),
    "upstream": bench_upstream,
}


def measure_part(name: str, size: Size, other: Other) -> Figures:
    """With the machine as it was meanwhile, and how long it took."""
    spins, began = [spin() for _ in range(5)], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="netloom-scale-") as folder:
        found = asyncio.run(PARTS[name](size, Path(folder), other))
    took = time.monotonic() - began
    spins += [spin() for _ in range(5)]
    noise = {"spin_ms": {"min": round(min(spins), 1), "max": round(max(spins), 1)}}
    return {"machine": {**describe_machine(), **noise}, "took_s": round(took), **found}


def keep(path: Path, name: str, found: Figures) -> None:
    """Beside what other parts found before. A figure of a small run takes no other's place: give it another file."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**kept, name: found}, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--upstream", default="")
    parser.add_argument("--upstream-header", action="append", default=[])
    parser.add_argument("--upstream-pid", action="append", default=[], type=int)
    parser.add_argument("--keep", type=Path)
    given = parser.parse_args()
    size, other = QUICK if given.quick else Size(), Other(given.upstream, given.upstream_header, given.upstream_pid)
    place = given.keep or Path("build/bench-scale-quick.json" if given.quick else "build/bench-scale.json")
    found: Figures = {}
    for name in given.only:
        tell(f"== {name}")
        found[name] = measure_part(name, size, other)
        tell(json.dumps(found[name]))
        keep(place, name, found[name])
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()

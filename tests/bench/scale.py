"""`make bench-scale`: a thousand hosts and more, measured, as JSON on stdout with the machine described.

    --only hosts growth restart failover creates million    parts, else all of them
    --quick                                                  everything at 20 hosts, in about a minute

Hosts, server and database share this machine. Counts (hosts that heard, bytes, ops) do not depend on it; times do.
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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.lab.swarm import Wanted, run_swarm
from netloom.lab.swarm_fill import fill_store
from netloom.lab.swarm_measure import (
    check,
    describe_machine,
    measure_everywhere,
    measure_memory,
    measure_ports,
    measure_restart,
)
from netloom.lab.swarm_plan import Shape, plan_cloud
from tests.bench import stores
from tests.bench.run import read_memory, say, spin
from tests.faults.several import find_children, find_writer, loaded, make_servers, read_names, stop_all

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How much of everything a run takes."""

    hosts: int = 1000
    ports: int = 50_000
    changes: int = 100
    growth: tuple[int, ...] = (10, 100, 1000, 5000)
    growth_ports: int = 20  # for each host
    restart_ports: int = 150_000
    failovers: int = 3
    engines: tuple[str, ...] = ("sqlite", "postgresql")
    create_s: float = 4.0
    million: int = 1_000_000


QUICK = Size(20, 1000, 5, (10, 20), 20, 2000, 1, ("sqlite",), 0.5, 5000)


def tell(text: str) -> None:
    say("·", text)


async def bench_hosts(size: Size, folder: Path) -> Figures:
    """One port bound, and a change that all hosts need; every host renders, and is compared in the end."""
    async with run_swarm(Wanted(Shape(size.hosts, size.ports)), folder, tell) as swarm:
        memory = await measure_memory(swarm)
        tell("ports, one after the other")
        one = await measure_ports(swarm, size.changes)
        tell("changes that all hosts need")
        every = await measure_everywhere(swarm, max(1, size.changes // 5))
        tell("every host is compared")
        differences = await check(swarm)
        assert not differences, differences
        return {"bring_up": swarm.bring_up, "memory": memory, "one_port": one, "every_host": every}


async def bench_growth(size: Size, folder: Path) -> Figures:
    """The same scoped change as hosts grow. They follow and have no devices: what those cost does not depend on it."""
    found = {}
    for hosts in size.growth:
        place = folder / f"{hosts}"
        place.mkdir()
        wanted = Wanted(Shape(hosts, hosts * size.growth_ports), rendering=0)
        async with run_swarm(wanted, place, tell) as swarm:
            tell(f"one port, {hosts} hosts")
            found[f"{hosts}_hosts"] = await measure_ports(swarm, size.changes)
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


LOAD = """
import json, sys, time
from netloom.intent.catalog import CATALOG
from netloom.store.engine import open_reader
from netloom.store.load import load_snapshot
def read_mib():
    status = open("/proc/self/status").read().split()
    return int(status[status.index("VmRSS:") + 1]) >> 10
before, began = read_mib(), time.perf_counter()
snapshot = load_snapshot(open_reader(sys.argv[1]), CATALOG)
took = time.perf_counter() - began
print(json.dumps({"s": round(took, 1), "cpu_s": round(time.process_time(), 1), "mib": read_mib(),
                  "grew_mib": read_mib() - before, "ports": snapshot.count("port")}))
"""


async def bench_million(size: Size, folder: Path) -> Figures:
    """Everything in memory once, in a process that does nothing else."""
    url = f"sqlite:///{folder}/netloom.db"
    began = time.perf_counter()
    hosts = max(20, size.million // 50)
    await fill_store(url, plan_cloud(Shape(min(hosts, 5000), size.million)), lambda ports: None)
    filled = time.perf_counter() - began
    tell(f"{size.million} ports are loaded")
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", LOAD, url, stdout=-1)
    out, _ = await process.communicate()
    found = json.loads(out)
    return {
        "ports": found["ports"], "load_s": found["s"], "load_cpu_s": found["cpu_s"],
        "gib": round(found["mib"] / 1024, 2),
        "kib_per_port": round(found["grew_mib"] * 1024 / found["ports"], 2), "filled_s": round(filled, 1),
        "filler_mib": read_memory(os.getpid()),
    }  # fmt: skip


PARTS: dict[str, Callable[[Size, Path], Any]] = {
    "hosts": bench_hosts, "growth": bench_growth, "restart": bench_restart, "failover": bench_failover,
    "creates": bench_creates, "million": bench_million,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    size = QUICK if given.quick else Size()
    spins = [spin() for _ in range(5)]
    found: Figures = {}
    for name in given.only:
        tell(f"== {name}")
        with tempfile.TemporaryDirectory(prefix="netloom-scale-") as folder:
            found[name] = asyncio.run(PARTS[name](size, Path(folder)))
        tell(json.dumps(found[name]))
    spins += [spin() for _ in range(5)]
    machine = {**describe_machine(), "spin_ms": {"min": round(min(spins), 1), "max": round(max(spins), 1)}}
    print(json.dumps({"machine": machine, **found}, indent=2))


if __name__ == "__main__":
    main()

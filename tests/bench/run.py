"""`make bench`: the figures, measured on the real server and on a host with real Open vSwitch, as JSON on stdout.

Counts come first. Client and server share this machine; what the machine is stands in the answer, with its noise.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import event

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester, Settings
from netloom.intent.operations import make_create
from netloom.intent.schema import parse_create
from netloom.main.hosts.agent import join, make_feed
from netloom.main.options.host import HostOptions
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from netloom.store.context import make_contexts
from netloom.store.engine import open_store
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer
from tests.bench.collections import bench_collections, bench_grants, bench_group_of_rules, bench_rush
from tests.bench.depth import find_deepest
from tests.bench.groups import bench_groups, bench_renderer
from tests.bench.switch import bench_switch
from tests.dataplane.conftest import why_not
from tests.faults.server import Server

Figures = dict[str, Any]
ADMIN = Requester(project_id="bench", roles=("admin",), is_admin=True)
NO_QUOTA = ("--set", "quotas.quota_port=-1", "--set", "quotas.quota_network=-1")
STORED = int(os.environ.get("NETLOOM_BENCH_PORTS", "150000"))


def say(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


def spin() -> float:
    """Milliseconds of a fixed piece of work: how fast this machine is just now."""
    began = time.perf_counter()
    sum(n * n for n in range(300_000))
    return (time.perf_counter() - began) * 1000


def read_memory(pid: int) -> int:
    """Resident MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) >> 10
    return 0


async def make_network(session: aiohttp.ClientSession, cidr: str = "10.0.0.0/8") -> str:
    async with session.post("/v2.0/networks", json={"network": {"name": "bench"}}) as reply:
        network: str = (await reply.json())["network"]["id"]
    body = {"subnet": {"network_id": network, "cidr": cidr, "ip_version": 4}}
    async with session.post("/v2.0/subnets", json=body) as reply:
        assert reply.status == 201, await reply.text()
    return network


async def repeat(count: int, workers: int, job: Callable[[int], Awaitable[None]]) -> list[float]:
    """Run a job `count` times, `workers` at once; seconds of each."""
    took: list[float] = []
    numbers = iter(range(count))

    async def work() -> None:
        for n in numbers:
            began = time.perf_counter()
            await job(n)
            took.append(time.perf_counter() - began)

    await asyncio.gather(*(work() for _ in range(workers)))
    return took


def describe(took: list[float], seconds: float, each: int = 1) -> Figures:
    ranked = sorted(took)
    return {
        "per_s": round(len(took) * each / seconds),
        "p50_ms": round(statistics.median(ranked) * 1000, 2),
        "p99_ms": round(ranked[int(len(ranked) * 0.99)] * 1000, 2),
    }


async def bench_create(session: aiohttp.ClientSession, network: str) -> Figures:
    async def create(n: int) -> None:
        async with session.post("/v2.0/ports", json={"port": {"network_id": network, "name": f"p{n}"}}) as reply:
            assert reply.status == 201, await reply.text()
            await reply.read()

    async def bulk(n: int) -> None:
        body = {"ports": [{"network_id": network} for _ in range(100)]}
        async with session.post("/v2.0/ports", json=body) as reply:
            assert reply.status == 201
            await reply.read()

    figures: Figures = {}
    await repeat(200, 8, create)
    for workers, count in ((1, 300), (8, 2000), (32, 5000)):
        began = time.perf_counter()
        took = await repeat(count, workers, create)
        figures[f"create_port_at_{workers}"] = describe(took, time.perf_counter() - began)
    began = time.perf_counter()
    took = await repeat(40, 2, bulk)
    figures["bulk_of_100_ports"] = describe(took, time.perf_counter() - began, 100)
    return figures


async def bench_list(session: aiohttp.ClientSession, network: str, pid: int) -> Figures:
    async def get(path: str) -> bytes:
        async with session.get(path) as reply:
            assert reply.status == 200
            return await reply.read()

    figures: Figures = {}
    before = read_memory(pid)
    for name, path, times in (
        ("list_10000_full", "/v2.0/ports?limit=10000", 5),
        ("filter_on_an_index", "/v2.0/ports?fixed_ips=ip_address%3D10.0.0.77", 50),
    ):
        body = await get(path)
        took = await repeat(times, 1, lambda n, path=path: get(path))  # type: ignore[misc, arg-type]
        figures[name] = {"p50_ms": round(statistics.median(took) * 1000, 2), "bytes": len(body)}
    figures["memory_grew_mib"] = read_memory(pid) - before
    return figures


READ = """
import sys, urllib.request
size = 0
with urllib.request.urlopen(sys.argv[1] + "/v2.0/ports") as reply:
    while part := reply.read(1 << 20):
        size += len(part)
print(size)
"""
"""A client in a process of its own, so that its work is not taken for the server's."""


async def bench_long_list(session: aiohttp.ClientSession, pid: int) -> Figures:
    """Every port in one answer, read as it comes; meanwhile others ask something small, and wait so long."""
    waits: list[float] = []

    async def ask() -> None:
        while True:
            began = time.perf_counter()
            async with session.get("/healthcheck") as reply:
                await reply.read()
            waits.append(time.perf_counter() - began)
            await asyncio.sleep(0.001)

    before, most = read_memory(pid), 0
    asking = asyncio.create_task(ask())
    began = time.perf_counter()
    reader = await asyncio.create_subprocess_exec(
        sys.executable, "-c", READ, str(session._base_url).rstrip("/"), stdout=-1
    )
    ended = asyncio.create_task(reader.communicate())
    while not ended.done():
        most = max(most, read_memory(pid))
        await asyncio.sleep(0.01)
    asking.cancel()
    ranked = sorted(waits)
    return {
        "seconds": round(time.perf_counter() - began, 2), "mib": int((await ended)[0]) >> 20,
        "memory_grew_mib": most - before,
        "others_waited_p99_ms": round(ranked[int(len(ranked) * 0.99)] * 1000, 1),
        "others_waited_max_ms": round(ranked[-1] * 1000, 1),
    }  # fmt: skip


async def use_server(state: Path) -> Figures:
    server = Server(state, extra=NO_QUOTA)
    figures: Figures = {"start_empty_s": round(server.start(), 2)}
    assert server.process is not None
    try:
        async with aiohttp.ClientSession(server.url) as session:
            network = await make_network(session)
            figures |= await bench_create(session, network)
            figures |= await bench_list(session, network, server.process.pid)
    finally:
        server.stop()
    return figures


async def bench_wire(state: Path) -> Figures:
    """From the answer of `POST /ports` (bound) to a host that has the port and has said so; no data plane."""
    server = Server(state, extra=NO_QUOTA)
    server.start()
    options = load_server_options((), {"state_path": str(state), "auth_strategy": "noauth"})
    host = HostOptions("h1", state / "h1", f"unix:{state}/feed.sock", state, local_ip="192.0.2.1")
    token = await asyncio.to_thread(make_join_token, options, "h1")
    await asyncio.to_thread(join, host, token)
    feed = make_feed(replace(host, tunnel_types=("vxlan",)))
    following = asyncio.create_task(feed.run())
    took: list[float] = []
    try:
        await feed.wait_changed()
        async with aiohttp.ClientSession(server.url) as session:
            network = await make_network(session)
            for _ in range(100):
                body = {"port": {"network_id": network, "binding:host_id": "h1"}}
                async with session.post("/v2.0/ports", json=body) as reply:
                    id = (await reply.json())["port"]["id"]
                began = time.perf_counter()
                while f"port/{id}" not in feed.slices["host/h1"].rows:
                    await feed.wait_changed()
                await feed.send_ack(feed.revision, [id], {})
                took.append(time.perf_counter() - began)
            async with session.get(f"/v2.0/ports/{id}") as reply:
                await reply.read()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        server.stop()
    return {"post_answered_to_host_acknowledged": describe(took, sum(took))}


async def fill_store(state: Path) -> Figures:
    """A store with very many ports, written through the writer; the SQL statements of one more create."""
    store = open_store(f"sqlite:///{state}/netloom.db")
    settings = Settings(quotas={"port": -1, "network": -1, "subnet": -1})
    writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(settings))

    async def create(name: str, *bodies: dict[str, Any]) -> Any:
        resource = CATALOG[name]
        operation = make_create(resource, [parse_create(resource, body) for body in bodies])
        return (await writer.submit(operation, ADMIN)).outcome.answer

    network = (await create("network", {"name": "n"}))[0]["id"]
    await create("subnet", {"network_id": network, "cidr": "10.0.0.0/8", "ip_version": 4})
    began = time.perf_counter()
    for _ in range(STORED // 500):
        await create("port", *({"network_id": network} for _ in range(500)))
    took = time.perf_counter() - began
    statements: list[str] = []
    event.listen(store.engine, "before_cursor_execute", lambda c, cur, sql, *rest: statements.append(sql))
    await create("port", {"network_id": network})
    await writer.close()
    store.close()
    return {"stored_ports": STORED, "fill_ports_per_s": round(STORED / took),
            "sql_statements_of_one_create": len(statements) + 1}  # fmt: skip


async def use_full_server(state: Path) -> Figures:
    figures = await fill_store(state)
    server = Server(state, extra=NO_QUOTA)
    figures["start_s"] = round(server.start(120), 2)
    assert server.process is not None
    try:
        figures["memory_mib"] = read_memory(server.process.pid)
        async with aiohttp.ClientSession(server.url) as session:
            figures |= await bench_list(session, "", server.process.pid)
            await make_network(session)  # so that the order of the ports is not what was last remembered
            figures["list_of_all"] = await bench_long_list(session, server.process.pid)
            figures["list_of_all_again"] = await bench_long_list(session, server.process.pid)
    finally:
        server.stop()
    return figures


def main() -> None:
    spins = [spin() for _ in range(5)]
    with tempfile.TemporaryDirectory(prefix="netloom-bench-") as folder:
        say("a server with an empty store")
        empty = asyncio.run(use_server(Path(folder) / "empty"))
        say("a server and a host without devices")
        wire = asyncio.run(bench_wire(Path(folder) / "wire"))
        say(f"a server with {STORED} ports")
        (Path(folder) / "full").mkdir()
        full = asyncio.run(use_full_server(Path(folder) / "full"))
        say("collections of 10,000 objects")
        collections = {
            "collections": bench_collections(), **bench_group_of_rules(), "grants": bench_grants(),
            "one_subnet_in_a_rush": bench_rush(Path(folder) / "rush"),
        }  # fmt: skip
    say("a host with Open vSwitch and 200 ports")
    reason = why_not()
    switch = {"not measured": reason} if reason else bench_switch()
    say("security groups")
    groups = {**bench_renderer(), **({} if reason else bench_groups())}
    spins += [spin() for _ in range(5)]
    machine = {
        "cpus": os.cpu_count(), "python": platform.python_version(),
        "spin_ms": {"min": round(min(spins), 1), "max": round(max(spins), 1)},
    }  # fmt: skip
    print(
        json.dumps(
            {
                "machine": machine,
                "create_port_functions_deep": len(find_deepest()),
                "empty": empty,
                "wire": wire,
                "full": full,
                **collections,
                "switch": switch,
                "security_groups": groups,
            },
            indent=2,
        )
    )


if __name__ == "__main__":
    main()

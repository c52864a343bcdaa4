"""`make bench-stores`: the engines and the number of processes compared, as JSON on stdout.

Port creates over HTTP with one, eight and sixty-four clients, and in bulk, on SQLite, PostgreSQL and MariaDB with one
and two processes; the group commit of each engine without HTTP; the start with many ports; the time without a writer
after a kill -9. Clients, servers and databases share this machine, which is described.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester, Settings
from netloom.intent.operations import make_create
from netloom.intent.schema import parse_create
from netloom.store.context import make_contexts
from netloom.store.engine import open_shared
from netloom.store.journal import SqlJournal
from netloom.store.load import load_snapshot
from netloom.store.writer import Writer
from tests.bench.run import describe, make_network, read_memory, repeat, say, spin
from tests.bench.usage import Usage
from tests.databases import database_server
from tests.faults.server import Server
from tests.faults.several import NO_QUOTA, find_children, find_writer, make_servers, stop_all

Figures = dict[str, Any]
ENGINES = ("sqlite", "postgresql", "mariadb")
STORED = int(os.environ.get("NETLOOM_BENCH_PORTS", "150000"))
SECONDS = float(os.environ.get("NETLOOM_BENCH_SECONDS", "4"))
ADMIN = Requester(project_id="bench", roles=("admin",), is_admin=True)


def find_url(engine: str, folder: Path) -> str:
    return f"sqlite:///{folder}/netloom.db" if engine == "sqlite" else database_server(engine).make_database()


def find_database(engine: str) -> tuple[int, ...]:
    """The process of the engine's server, where it has one."""
    process = None if engine == "sqlite" else database_server(engine).process
    return (process.pid,) if process is not None else ()


async def create_for_a_while(
    session: aiohttp.ClientSession, network: str, clients: int, parties: Mapping[str, Sequence[int]]
) -> Figures:
    took: list[float] = []
    usage = Usage(parties)
    ends = time.perf_counter() + SECONDS

    async def work() -> None:
        while time.perf_counter() < ends:
            began = time.perf_counter()
            async with session.post("/v2.0/ports", json={"port": {"network_id": network}}) as reply:
                assert reply.status == 201, await reply.text()
                await reply.read()
            took.append(time.perf_counter() - began)

    began = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return {**describe(took, time.perf_counter() - began), **usage.read(len(took))}


async def bench_http(engine: str, processes: int, folder: Path) -> Figures:
    extra = (*NO_QUOTA, "--set", f"api_workers={processes}", "--set", f"database.connection={find_url(engine, folder)}")
    server = Server(folder, extra=extra)
    server.start()
    figures: Figures = {}
    try:
        connector = aiohttp.TCPConnector(limit=64)
        async with aiohttp.ClientSession(server.url, connector=connector) as session:
            network = await make_network(session)
            assert server.process is not None
            parties = {"server": (server.process.pid,), "database": find_database(engine)}
            await create_for_a_while(session, network, 8, parties)
            for clients in (1, 8, 64):
                figures[f"create_port_at_{clients}"] = await create_for_a_while(session, network, clients, parties)

            async def bulk(n: int) -> None:
                body = {"ports": [{"network_id": network} for _ in range(100)]}
                async with session.post("/v2.0/ports", json=body) as reply:
                    assert reply.status == 201
                    await reply.read()

            usage, began = Usage(parties), time.perf_counter()
            took = await repeat(40, 2, bulk)
            figures["bulk_of_100_ports"] = {
                **describe(took, time.perf_counter() - began, 100), **usage.read(len(took) * 100),
            }  # fmt: skip
    finally:
        server.stop()
    return figures


async def fill(url: str, ports: int) -> Figures:
    """Through the writer, without HTTP: the group commit of the engine."""
    store = open_shared(url)
    settings = Settings(quotas={"port": -1, "network": -1, "subnet": -1})
    writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(settings))

    async def create(name: str, bodies: Sequence[dict[str, Any]]) -> Any:
        resource = CATALOG[name]
        operation = make_create(resource, [parse_create(resource, body) for body in bodies])
        return (await writer.submit(operation, ADMIN)).outcome.answer

    network = (await create("network", [{"name": "n"}]))[0]["id"]
    await create("subnet", [{"network_id": network, "cidr": "10.0.0.0/8", "ip_version": 4}])
    figures: Figures = {}
    for together in (1, 8, 64):
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < SECONDS / 2:
            await asyncio.gather(*(create("port", [{"network_id": network}]) for _ in range(together)))
            count += together
        figures[f"commits_of_{together}_ports_per_s"] = round(count / (time.perf_counter() - began))
    began = time.perf_counter()
    for _ in range(ports // 500):
        await create("port", [{"network_id": network}] * 500)
    figures["ports_per_s_in_500s"] = round(ports / (time.perf_counter() - began))
    await writer.close()
    store.close()
    return figures


async def bench_start(engine: str, folder: Path) -> Figures:
    url = find_url(engine, folder)
    figures = await fill(url, STORED)
    server = Server(folder, extra=(*NO_QUOTA, "--set", f"database.connection={url}"))
    figures["stored_ports"] = STORED
    figures["start_s"] = round(server.start(300), 2)
    try:
        assert server.process is not None
        figures["memory_mib"] = read_memory(server.process.pid)
    finally:
        server.stop()
    return figures


async def bench_failover(engine: str, folder: Path) -> Figures:
    """kill -9 of the writer of two servers while a client writes: seconds without an accepted write."""
    gaps = []
    for number in range(3):
        servers = make_servers(folder / f"{number}", engine, 2)
        for server in servers:
            server.start()
        try:
            writer = await find_writer(servers)
            gaps.append(await measure_gap(servers[1 - writer], servers[writer]))
        finally:
            stop_all(servers)
    return {"seconds_to_the_next_accepted_write": [round(gap, 2) for gap in gaps]}


async def measure_gap(alive: Server, writer: Server) -> float:
    async with aiohttp.ClientSession(alive.url) as session:

        async def create() -> bool:
            async with session.post("/v2.0/networks", json={"network": {}}) as reply:
                return reply.status == 201

        for _ in range(20):
            assert await create()
        assert writer.process is not None
        for child in find_children(writer.process.pid):
            os.kill(child, signal.SIGKILL)
        writer.kill()
        began = time.perf_counter()
        while not await create():
            await asyncio.sleep(0.01)
        return time.perf_counter() - began


def main() -> None:
    wanted = sys.argv[1:] or ENGINES
    spins = [spin() for _ in range(5)]
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="netloom-bench-") as text:
        folder = Path(text)
        for engine in wanted:
            found[engine] = {}
            for processes in (1, 2):
                say(f"{engine}, {processes} processes")
                name = f"{processes}_processes" if processes > 1 else "1_process"
                (folder / f"{engine}{processes}").mkdir()
                found[engine][name] = asyncio.run(bench_http(engine, processes, folder / f"{engine}{processes}"))
            say(f"{engine}, {STORED} ports")
            (folder / f"{engine}-full").mkdir()
            found[engine]["full"] = asyncio.run(bench_start(engine, folder / f"{engine}-full"))
            if engine != "sqlite":
                say(f"{engine}, a killed writer")
                found[engine]["killed"] = asyncio.run(bench_failover(engine, folder / f"{engine}-killed"))
    spins += [spin() for _ in range(5)]
    machine = {
        "cpus": os.cpu_count(), "python": platform.python_version(),
        "spin_ms": {"min": round(min(spins), 1), "max": round(max(spins), 1)}, "load": os.getloadavg(),
    }  # fmt: skip
    print(json.dumps({"machine": machine, **found}, indent=2))


if __name__ == "__main__":
    main()

"""Several real servers on one store, and clients that never stop writing: what each was answered is kept."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.databases import database_server
from tests.faults.server import Server

NETLOOM = (sys.executable, "-m", "netloom.main.cli")

NO_QUOTA = ("--set", "quotas.quota_network=-1", "--set", "quotas.quota_port=-1")


def make_servers(folder: Path, engine: str, count: int, url: str = "") -> list[Server]:
    """Servers of one database that share a state folder, as machines share certificates and keys."""
    url = url or database_server(engine).make_database()
    return [
        Server(folder / "state", extra=(*NO_QUOTA, "--set", f"database.connection={url}",
                                        "--set", f"netloom.feed_listen=unix:{folder}/feed{n}"))
        for n in range(count)
    ]  # fmt: skip


def find_url(server: Server) -> str:
    return next(text.partition("=")[2] for text in server.extra if text.startswith("database.connection="))


@dataclass
class Load:
    """Clients in a loop: each creates a network on one of the servers, then reads it from another."""

    servers: list[Server]
    answered: dict[str, str] = field(default_factory=dict)  # id → name
    at: list[float] = field(default_factory=list)  # when each was answered
    failed: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    numbers: Any = field(default_factory=itertools.count)
    away: set[int] = field(default_factory=set)  # servers that no client may ask now
    longest_s: float = 0.0
    stopping: bool = False

    async def client(self, session: aiohttp.ClientSession, number: int) -> None:
        while not self.stopping:
            n = next(self.numbers)
            near, far = self.choose(n), self.choose(n + 1)
            began = time.monotonic()
            id = await self.create(session, near, f"n{n}")
            self.longest_s = max(self.longest_s, time.monotonic() - began)
            if id:
                await self.look(session, far, id)

    def choose(self, n: int) -> Server:
        free = [server for i, server in enumerate(self.servers) if i not in self.away]
        return free[n % len(free)]

    async def create(self, session: aiohttp.ClientSession, server: Server, name: str) -> str:
        try:
            async with session.post(f"{server.url}/v2.0/networks", json={"network": {"name": name}}) as reply:
                body = await reply.json()
                if reply.status == 201:
                    self.answered[body["network"]["id"]] = name
                    self.at.append(time.monotonic())
                    return str(body["network"]["id"])
                self.failed.append(f"{name}: {reply.status} {body}")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.failed.append(f"{name}: {error!r}")
        await asyncio.sleep(0.01)
        return ""

    async def look(self, session: aiohttp.ClientSession, server: Server, id: str) -> None:
        try:
            async with session.get(f"{server.url}/v2.0/networks/{id}") as reply:
                if reply.status == 404:
                    self.unseen.append(id)
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # a server that was killed

    async def wait_for_more(self, count: int, deadline_s: float = 60.0) -> None:
        wanted = len(self.answered) + count
        async with asyncio.timeout(deadline_s):
            while len(self.answered) < wanted:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def loaded(servers: list[Server], clients: int = 6) -> AsyncIterator[Load]:
    load = Load(servers)
    # A new connection for each request: one that is kept may be closed by a server that ends just as it is used.
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=8), connector=connector) as session:
        tasks = [asyncio.ensure_future(load.client(session, n)) for n in range(clients)]
        try:
            yield load
        finally:
            load.stopping = True
            await asyncio.gather(*tasks)


async def find_writer(servers: list[Server], deadline_s: float = 30.0) -> int:
    """Which of them writes."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session, asyncio.timeout(deadline_s):
        while True:
            for number, server in enumerate(servers):
                try:
                    async with session.get(f"{server.url}/healthcheck") as reply:
                        if (await reply.json()).get("writes"):
                            return number
                except (aiohttp.ClientError, OSError, TimeoutError):
                    continue
            await asyncio.sleep(0.02)


async def read_names(server: Server) -> dict[str, str]:
    async with aiohttp.ClientSession() as session, session.get(f"{server.url}/v2.0/networks") as reply:
        return {doc["id"]: doc["name"] for doc in (await reply.json())["networks"]}


def send(server: Server, number: int) -> None:
    assert server.process is not None
    server.process.send_signal(number)


def stop_all(servers: list[Server]) -> None:
    for server in servers:
        if server.process is not None and server.process.poll() is None:
            send(server, signal.SIGCONT)
            server.stop()


def find_children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def order(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    return done.stdout

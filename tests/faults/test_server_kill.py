"""kill -9 of the real server under load: nothing that was answered is lost, nothing shows that was not written.

A client keeps, for each object, what it knows: the last acknowledged document, and the one request that may be under
way. After each kill the server is started on the same files and everything known is compared with what it says.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from netloom.store.check import check_store
from tests.faults.server import Server

KILLS = int(os.environ.get("NETLOOM_KILLS", "40"))
WORKERS = 8
Doc = dict[str, Any]


@dataclass
class Known:
    """What clients were told. `open`: ids whose fate a request in flight at the kill may have changed."""

    ports: dict[str, Doc] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    open: dict[str, Doc | None] = field(default_factory=dict)
    open_names: set[str] = field(default_factory=set)
    answers: int = 0


class Lost(Exception):
    """The server went away in the middle of a request."""


async def ask(session: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    try:
        async with session.request(method, path, json=body) as reply:
            return reply.status, (await reply.json(content_type=None) if reply.status != 204 else None)
    except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
        raise Lost from error


async def create(session: aiohttp.ClientSession, known: Known, network: str, dice: random.Random) -> None:
    name = f"p-{dice.getrandbits(64):x}"
    size = dice.choice((1, 1, 1, 5))
    bodies = [{"network_id": network, "name": name} for _ in range(size)]
    known.open_names.add(name)
    status, answer = await ask(session, "POST", "/v2.0/ports", {"ports": bodies} if size > 1 else {"port": bodies[0]})
    assert status == 201, answer
    known.open_names.discard(name)
    for doc in answer["ports"] if size > 1 else [answer["port"]]:
        known.ports[doc["id"]] = doc
    known.answers += 1


async def update(session: aiohttp.ClientSession, known: Known, network: str, dice: random.Random) -> None:
    id = pick(known, dice)
    if id is None:
        return
    name = f"u-{dice.getrandbits(64):x}"
    known.open[id] = {**known.ports[id], "name": name}
    status, answer = await ask(session, "PUT", f"/v2.0/ports/{id}", {"port": {"name": name}})
    assert status == 200, answer
    known.ports[id] = answer["port"]
    del known.open[id]
    known.answers += 1


async def delete(session: aiohttp.ClientSession, known: Known, network: str, dice: random.Random) -> None:
    id = pick(known, dice)
    if id is None:
        return
    known.open[id] = None
    status, answer = await ask(session, "DELETE", f"/v2.0/ports/{id}")
    assert status == 204, answer
    known.ports.pop(id)
    known.deleted.add(id)
    del known.open[id]
    known.answers += 1


async def look(session: aiohttp.ClientSession, known: Known, network: str, dice: random.Random) -> None:
    """What a reader has seen may never be taken back: it joins what is known."""
    status, answer = await ask(session, "GET", "/v2.0/ports?limit=20&sort_key=created_at&sort_dir=desc")
    assert status == 200, answer
    for doc in answer["ports"]:
        if doc["id"] not in known.deleted:
            known.ports.setdefault(doc["id"], doc)


def pick(known: Known, dice: random.Random) -> str | None:
    free = [id for id in list(known.ports)[-50:] if id not in known.open]
    return dice.choice(free) if free else None


Step = Callable[[aiohttp.ClientSession, Known, str, random.Random], Awaitable[None]]
STEPS: tuple[Step, ...] = (create, create, create, update, delete, look)


async def work(session: aiohttp.ClientSession, known: Known, network: str, dice: random.Random) -> None:
    while True:
        try:
            await dice.choice(STEPS)(session, known, network, dice)
        except Lost:
            return


async def load_until_killed(server: Server, known: Known, network: str, dice: random.Random) -> None:
    timeout = aiohttp.ClientTimeout(total=20)
    async with aiohttp.ClientSession(server.url, timeout=timeout) as session:
        workers = [asyncio.create_task(work(session, known, network, dice)) for _ in range(WORKERS)]
        await asyncio.sleep(dice.uniform(0.01, 0.25))
        server.kill()
        await asyncio.gather(*workers)


async def compare(server: Server, known: Known) -> list[str]:
    """What is wrong after a restart; what the kill left open is settled by what is there now."""
    async with aiohttp.ClientSession(server.url) as session:
        _, answer = await ask(session, "GET", "/v2.0/ports")
    there = {doc["id"]: doc for doc in answer["ports"]}
    wrong: list[str] = []
    for id, doc in list(known.ports.items()):
        if id in known.open:
            settle(known, id, there.get(id), wrong)
        elif comparable(there.get(id)) != comparable(doc):
            wrong.append(f"{id} was answered as {doc}, is {there.get(id)}")
    wrong += [f"{id} was deleted and is back" for id in known.deleted if id in there]
    for id, doc in there.items():
        if id not in known.ports:
            if doc["name"] not in known.open_names:
                wrong.append(f"{id} is there and nobody asked for it: {doc}")
            known.ports[id] = doc
    wrong += [f"{name}: half of a bulk" for name, n in bulk_sizes(there, known).items() if n not in (1, 5)]
    known.open.clear()
    known.open_names.clear()
    return wrong


def bulk_sizes(there: dict[str, Doc], known: Known) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for doc in there.values():
        if doc["name"] in known.open_names:
            sizes[doc["name"]] = sizes.get(doc["name"], 0) + 1
    return sizes


def settle(known: Known, id: str, now: Doc | None, wrong: list[str]) -> None:
    hoped = known.open[id]
    before = known.ports[id]
    if now is None:
        if hoped is not None:
            wrong.append(f"{id} was never asked to go")
        known.ports.pop(id)
        known.deleted.add(id)
        return
    allowed = [before["name"]] if hoped is None else [before["name"], hoped["name"]]
    if now["name"] not in allowed:
        wrong.append(f"{id} is {now['name']}, may only be one of {allowed}")
    known.ports[id] = now


def comparable(doc: Doc | None) -> Doc | None:
    return doc and {k: v for k, v in doc.items() if k not in ("revision_number", "updated_at")}


async def make_network(server: Server) -> str:
    async with aiohttp.ClientSession(server.url) as session:
        _, network = await ask(session, "POST", "/v2.0/networks", {"network": {"name": "kill"}})
        body = {"network_id": network["network"]["id"], "cidr": "10.0.0.0/12", "ip_version": 4}
        status, answer = await ask(session, "POST", "/v2.0/subnets", {"subnet": body})
        assert status == 201, answer
    return str(network["network"]["id"])


def test_nothing_answered_is_lost_and_nothing_unanswered_shows(tmp_path: Path) -> None:
    """However often the server is killed, what it said stays so."""
    dice = random.Random(14207)
    server = Server(tmp_path / "state", extra=("--set", "quotas.quota_port=-1"))
    known = Known()
    server.start()
    network = asyncio.run(make_network(server))
    slowest = 0.0
    for kill in range(KILLS):
        asyncio.run(load_until_killed(server, known, network, dice))
        slowest = max(slowest, server.start())
        wrong = asyncio.run(compare(server, known))
        assert not wrong, f"after kill {kill}: {wrong[:5]}"
    assert server.stop() == 0
    assert known.answers > KILLS
    assert check_store(f"sqlite:///{server.state / 'netloom.db'}") == []
    print(f"{KILLS} kills, {known.answers} answers kept, slowest start {slowest:.2f} s")

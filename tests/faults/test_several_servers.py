"""Several servers on one database, and several processes of one: whatever becomes of any of them, no answer is lost,
none is shown late, and what is done by order fails no request."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from netloom.store.check import check_store
from tests.databases import Missing
from tests.faults.host import attached
from tests.faults.server import Server
from tests.faults.several import (
    NO_QUOTA,
    Load,
    find_children,
    find_url,
    find_writer,
    loaded,
    make_servers,
    order,
    read_names,
    send,
    stop_all,
)

ENGINES = ("postgresql", "mariadb")
MEMBER = {"X-Project-Id": "demo", "X-User-Id": "u1", "X-Roles": "member,reader"}


@pytest.fixture(params=ENGINES)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[Server]]:
    """Two servers of one database."""
    try:
        servers = make_servers(tmp_path, request.param, 2)
    except Missing as missing:
        pytest.skip(str(missing))
    for server in servers:
        server.start()
    yield servers
    stop_all(servers)


async def compare(servers: list[Server], load: Load) -> None:
    """Each server shows every answer, and all the same; the store agrees with itself."""
    shown = [await read_names(server) for server in servers]
    for names in shown:
        assert names == shown[0] and load.answered.items() <= names.items()
    assert check_store(find_url(servers[0])) == []


def test_any_server_takes_writes_and_shows_them_at_once(pair: list[Server]) -> None:
    """A client may ask any of them: what one has answered the other shows in the very next read."""

    async def run() -> None:
        await find_writer(pair)
        async with loaded(pair) as load:
            await load.wait_for_more(150)
        assert not load.failed and not load.unseen
        await compare(pair, load)

    asyncio.run(run())


def test_stepping_down_by_order_fails_no_request(pair: list[Server]) -> None:
    """`netloom server step-down` under load, there and back: the other one writes, and no client notices."""

    async def run() -> None:
        async with loaded(pair) as load:
            for _ in range(2):
                before = await find_writer(pair)
                await load.wait_for_more(20)
                command = [sys.executable, "-m", "netloom.main.cli", "server", "step-down"]
                options = ["--set", f"state_path={pair[0].state}", "--set", f"database.connection={find_url(pair[0])}"]
                assert "has stepped down" in await asyncio.to_thread(order, [*command, *options])
                await load.wait_for_more(20)
                assert await find_writer(pair) != before
        print(f"the longest request took {load.longest_s:.1f} s")
        assert not load.failed and not load.unseen, load.failed
        await compare(pair, load)

    asyncio.run(run())


def test_a_killed_writer_is_replaced_and_loses_nothing(pair: list[Server]) -> None:
    """kill -9 of the writer under load: the other one writes within seconds, and every answer is there."""

    async def run() -> None:
        writer = await find_writer(pair)
        async with loaded(pair) as load:
            await load.wait_for_more(30)
            load.away.add(writer)
            pair[writer].kill()
            killed = time.monotonic()
            await load.wait_for_more(30)
            after = next(at for at in load.at if at > killed + 0.05)
            print(f"the other one wrote after {after - killed:.1f} s")
        # Requests that the dead one had are not known to have been carried out, and are told so; or wait in vain.
        assert all("not known" in why or is_broken(why) or "TimeoutError" in why for why in load.failed), load.failed
        assert not load.unseen
        await compare([pair[1 - writer]], load)
        pair[writer].start()
        await compare(pair, load)

    asyncio.run(run())


def test_two_that_both_believe_to_write_lose_nothing(pair: list[Server]) -> None:
    """The writer is paused (SIGSTOP) until another has taken over, then woken: for a moment both believe. Clients ask
    the woken one at once; nothing is lost, nothing comes twice, and one writer remains."""

    async def run() -> None:
        old = await find_writer(pair)
        async with loaded(pair) as load:
            for _ in range(2):
                await load.wait_for_more(20)
                load.away.add(old)
                send(pair[old], signal.SIGSTOP)
                new = await find_writer([pair[1 - old]]) + 1 - old
                await load.wait_for_more(20)
                load.away.clear()
                send(pair[old], signal.SIGCONT)
                await load.wait_for_more(60)
                old = new if new != old else 1 - old
        assert not load.unseen
        # Who asked the paused one waited in vain, or was told that nobody knows.
        assert all("not known" in why or "TimeoutError" in why for why in load.failed), load.failed
        names = list((await read_names(pair[0])).values())
        assert len(names) == len(set(names)), "a request was carried out twice"
        await compare(pair, load)
        async with asyncio.timeout(60):
            while sum([await writes(server) for server in pair]) != 1:
                await asyncio.sleep(0.1)

    asyncio.run(run())


def is_broken(why: str) -> bool:
    """Whether the client's own connection to a dead server is what failed."""
    return any(
        word in why
        for word in ("Disconnected", "ClientOSError", "ConnectorError", "ConnectionReset", "ContentLengthError")
    )


def test_a_host_may_be_on_any_server(pair: list[Server]) -> None:
    """A host that is connected to the server that does not write gets its ports at once, and what it says of them is
    written: both servers show the port ACTIVE and the agent alive."""

    async def ask(server: Server, method: str, path: str, body: Any = None) -> Any:
        async with aiohttp.ClientSession(server.url) as session, session.request(method, path, json=body) as reply:
            assert reply.status in (200, 201), await reply.text()
            return await reply.json()

    async def run() -> str:
        network = (await ask(pair[writer], "POST", "/v2.0/networks", {"network": {}}))["network"]["id"]
        body = {"port": {"network_id": network, "binding:host_id": "h1"}}
        port: str = (await ask(pair[writer], "POST", "/v2.0/ports", body))["port"]["id"]
        async with asyncio.timeout(60):
            for server in pair:
                while (await ask(server, "GET", f"/v2.0/ports/{port}"))["port"]["status"] != "ACTIVE":
                    await asyncio.sleep(0.02)
                agents = (await ask(server, "GET", "/v2.0/agents?host=h1"))["agents"]
                assert agents and all(agent["alive"] for agent in agents)
        return port

    writer = asyncio.run(find_writer(pair))
    with attached(pair[1 - writer], "h1", wires=True) as feed:
        assert f"port/{asyncio.run(run())}" in feed.slices["host/h1"].rows


async def writes(server: Server) -> bool:
    try:
        return await find_writer([server], 1.0) == 0
    except TimeoutError:
        return False


def test_a_rolling_restart_fails_no_request(pair: list[Server]) -> None:
    """Each server in turn is stopped and started again, as for an upgrade, with the balancer told before: no request
    fails."""

    async def run() -> None:
        async with loaded(pair) as load:
            for number, server in enumerate(pair):
                await load.wait_for_more(20)
                load.away.add(number)
                await asyncio.sleep(0.3)  # the balancer drains it; what it still has is answered
                assert await asyncio.to_thread(server.stop) == 0
                await load.wait_for_more(20)
                await asyncio.to_thread(server.start)
                load.away.clear()
            await load.wait_for_more(20)
        assert not load.failed and not load.unseen, load.failed
        await compare(pair, load)

    asyncio.run(run())


def test_processes_of_one_server_count_requests_together(tmp_path: Path) -> None:
    """A project has its rate once, whichever of two processes takes a connection."""
    rates = ("api_workers=2", "netloom.project_rate=0.002", "netloom.rate_burst=2500")
    server = Server(tmp_path / "state", extra=tuple(word for one in rates for word in ("--set", one)))

    async def ask() -> list[int]:
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector, headers=MEMBER) as session:
            return [(await session.get(f"{server.url}/v2.0/networks")).status for _ in range(30)]

    server.start()
    try:
        answers = asyncio.run(ask())
        assert answers == [200] * 5 + [429] * 25
    finally:
        server.stop()


def test_processes_of_one_server_share_its_port_and_outlive_each_other(tmp_path: Path) -> None:
    """`api_workers = 3` on a file: all answer on one port, one that is killed is replaced, all stop together."""
    server = Server(tmp_path / "state", extra=(*NO_QUOTA, "--set", "api_workers=3"))
    server.start()
    assert server.process is not None

    async def run() -> None:
        async with loaded([server]) as load:
            await load.wait_for_more(50)
            children = find_children(server.process.pid)  # type: ignore[union-attr]
            assert len(children) == 3
            os.kill(children[0], signal.SIGKILL)
            await load.wait_for_more(50)
            async with asyncio.timeout(60):
                while len(find_children(server.process.pid)) != 3:  # type: ignore[union-attr]
                    await asyncio.sleep(0.05)
            os.kill(children[1], signal.SIGKILL)
            await load.wait_for_more(50)
        assert not load.unseen
        assert all("not known" in why or is_broken(why) for why in load.failed), load.failed
        names = await read_names(server)
        assert load.answered.items() <= names.items() and len(names) == len(set(names.values()))

    try:
        asyncio.run(run())
    finally:
        assert server.stop() == 0
    assert check_store(f"sqlite:///{tmp_path}/state/netloom.db") == []

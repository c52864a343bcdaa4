"""From a version to the next, part by part, while clients write: two servers, a relay, and hosts of the old version."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.databases import Missing
from tests.faults.host import find_store
from tests.faults.server import Server
from tests.faults.several import NETLOOM, Load, find_writer, loaded, make_servers, order, stop_all
from tests.faults.test_relay import RelayProcess, ask, following, is_active, make_host, make_port, wait_until

NEWER = "tests.faults.newer"


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[list[Server]]:
    try:
        servers = make_servers(tmp_path, "postgresql", 2)
    except Missing as missing:
        pytest.skip(str(missing))
    try:
        for server in servers:
            server.start()
        yield servers
    finally:
        stop_all(servers)


def make_room(server: Server) -> None:
    """`netloom server step-down`: another one writes from now on."""
    options = [word for name, value in find_store(server).items() for word in ("--set", f"{name}={value}")]
    assert "has stepped down" in order([*NETLOOM, "server", "step-down", *options])


async def upgrade(servers: list[Server], number: int, load: Load) -> None:
    """One server: it does not write, the balancer sends nobody to it, it ends, and the next version begins."""
    if await find_writer(servers) == number:
        await asyncio.to_thread(make_room, servers[number])
    load.away.add(number)
    await asyncio.sleep(0.3)  # what it still has is answered
    assert await asyncio.to_thread(servers[number].stop) == 0
    servers[number].program = NEWER
    await asyncio.to_thread(servers[number].start)
    load.away.clear()
    await load.wait_for_more(20)


def test_an_upgrade_part_by_part_fails_no_request_and_loses_no_host(pair: list[Server]) -> None:
    """Servers first, then the relay; at each step the old version and the new one hand requests to one another, and a
    port on each host becomes ACTIVE, at last on one behind the new relay."""
    relay = RelayProcess(pair[0], "r1")
    relay.start()
    try:
        wait_until(lambda: (relay.state / "feed.sock").exists())
        direct = make_host(pair[0], "h1", *(server.feed for server in pair))
        behind = make_host(pair[0], "h2", relay.address, *(server.feed for server in pair))
        with following(direct) as first, following(behind) as second:
            wait_until(lambda: first.connected and second.connected)
            network = ask(pair[0], "POST", "networks", {"network": {"name": "n"}})["network"]["id"]

            def reach_hosts() -> None:
                ports = [make_port(server, network, host) for server in pair for host in ("h1", "h2")]
                wait_until(lambda: all(is_active(pair[0], port) for port in ports))

            def reach_another() -> None:
                wait_until(lambda: "netloom 99.0 is relay/r1" in (relay.state / "out").read_text())
                with following(make_host(pair[0], "h3", relay.address)) as third:
                    wait_until(lambda: third.connected)
                    port = make_port(pair[0], network, "h3")
                    wait_until(lambda: is_active(pair[0], port))

            async def run() -> None:
                async with loaded(pair, clients=3) as load:
                    for number in range(2):
                        await load.wait_for_more(10)
                        await upgrade(pair, number, load)
                        await asyncio.to_thread(reach_hosts)
                    await asyncio.to_thread(relay.end)
                    relay.program = NEWER
                    await asyncio.to_thread(relay.start)
                    await asyncio.to_thread(reach_another)
                assert not load.failed and not load.unseen, load.failed

            reach_hosts()
            asyncio.run(run())
        said = "".join((pair[0].log.read_text(), (relay.state / "out").read_text()))
        assert "netloom 99.0 serves" in said and "Traceback" not in said
    finally:
        relay.end(signal.SIGKILL)

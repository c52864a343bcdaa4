"""What hosts acknowledge: said whole once, again in a few bytes, and by a relay of many hosts at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest.mock import patch

import pytest

from netloom.feed import messages as m
from netloom.feed.client import Feed, open_stream
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.hub import Hub
from netloom.model.slices import NetworkRow
from tests.unit.feed.relay_bench import RelayBench, give, run
from tests.unit.feed.test_feed_wire import until


def listen(hub: Hub) -> list[m.FromHost]:
    """What a hub is told from now on."""
    heard: list[m.FromHost] = []
    take = hub._take

    async def looked_at(connection: object, message: m.FromHost) -> None:
        heard.append(message)
        await take(connection, message)  # type: ignore[arg-type]

    hub._take = looked_at  # type: ignore[method-assign]
    return heard


def pick(heard: list[m.FromHost]) -> list[m.FromHost]:
    """Of it, what is of acknowledgements."""
    return [one for one in heard if isinstance(one, m.Ack | m.Same | m.Said)]


async def change(bench: RelayBench, mtu: int, *feeds: Feed) -> int:
    bench.change("network/shared", {"network/shared": NetworkRow("shared", 1, mtu=mtu)})
    await until(lambda: all(feed.revision == bench.source.revision for feed in feeds))
    return bench.source.revision


async def follow(bench: RelayBench, address: str, *hosts: str) -> list[Feed]:
    for host in hosts:
        give(bench.source, host, f"p-{host}", "shared")
    feeds = [bench.feed(host, address) for host in hosts]
    for feed in feeds:
        bench.start(feed)
    await until(lambda: all(feed.complete and feed.connected for feed in feeds))
    return feeds


@pytest.mark.parametrize(("version", "kinds"), [(3, [m.Ack, m.Same, m.Ack, m.Same]), (2, [m.Ack] * 4)])
def test_a_host_that_says_the_same_again_says_so_in_a_few_bytes(
    tmp_path: Path, version: int, kinds: list[type]
) -> None:
    """Only the revision is another; what differs is said whole. A server of the version before hears all in full."""

    async def test(bench: RelayBench) -> None:
        feed = (await follow(bench, bench.server, "h1"))[0]
        heard = listen(bench.hub)
        said: list[tuple[str, int, list[str], dict[str, str]]] = []
        for mtu, pending in ((1400, {}), (1300, {}), (1200, {"p-h1": "a cable"}), (1100, {"p-h1": "a cable"})):
            revision = await change(bench, mtu, feed)
            wired = [] if pending else ["p-h1"]
            await feed.send_ack(revision, wired, pending)
            said.append(("h1", revision, wired, pending))
            await until(lambda: bench.told.acks == said)
        assert [type(one) for one in pick(heard)] == kinds

    with patch.object(m, "VERSION", version):
        run(tmp_path, test)


def test_a_host_that_comes_back_says_all_again(tmp_path: Path) -> None:
    """The server that it finds may be another one, which has not heard what it said before."""

    async def test(bench: RelayBench) -> None:
        feed = (await follow(bench, bench.server, "h1"))[0]
        await feed.send_ack(feed.revision, ["p-h1"], {})
        await until(lambda: len(bench.told.acks) == 1)
        bench.hub = bench.new_hub()
        heard, writer = listen(bench.hub), feed._writer
        assert writer is not None
        writer.transport.abort()
        await until(lambda: len(bench.told.acks) == 2)
        assert [type(one) for one in pick(heard)] == [m.Ack] and bench.told.acks[0] == bench.told.acks[1]

    run(tmp_path, test)


def test_who_says_nothing_cannot_say_it_again(tmp_path: Path) -> None:
    """It is refused, and nothing is passed on."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "shared")
        reader, writer = await open_stream(bench.server, bench.papers("h1").context())
        writer.write(make_frame(m.Hello("h1")) + make_frame(m.Same(1)))
        async with asyncio.timeout(30):
            while not isinstance(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)), m.Refuse):
                pass
        writer.transport.abort()
        assert bench.told.acks == []

    run(tmp_path, test)


def test_law_9_what_is_said_again_is_of_the_ports_that_are_here_now(tmp_path: Path) -> None:
    """A port that went to another host is not wired by what its old host says again."""

    async def test(bench: RelayBench) -> None:
        feed = (await follow(bench, bench.server, "h1"))[0]
        await feed.send_ack(feed.revision, ["p-h1"], {})
        await until(lambda: len(bench.told.acks) == 1)
        bench.change("host/h1", {}, drop=("port/p-h1",))
        await until(lambda: feed.revision == bench.source.revision)
        heard = listen(bench.hub)
        await feed.send_ack(feed.revision, ["p-h1"], {})
        await until(lambda: len(bench.told.acks) == 2)
        assert [type(one) for one in pick(heard)] == [m.Same]
        assert bench.told.acks[1] == ("h1", bench.source.revision, [], {})

    run(tmp_path, test)


@pytest.mark.parametrize("version", [3, 2])
def test_a_relay_says_of_many_hosts_in_one_message_that_all_is_as_before(tmp_path: Path, version: int) -> None:
    """A change that all take goes up as their names and a revision; a server of the version before hears it in full."""
    hosts = [f"h{n}" for n in range(8)]

    async def test(bench: RelayBench) -> None:
        await bench.relay("r1")
        feeds = await follow(bench, bench.address("r1"), *hosts)
        for feed in feeds:
            await feed.send_ack(feed.revision, [f"p-{feed.host}"], {})
        await until(lambda: {ack[0] for ack in bench.told.acks} == set(hosts))
        heard = listen(bench.hub)
        bench.told.acks.clear()
        revision = await change(bench, 1400, *feeds)
        for feed in feeds:
            await feed.send_ack(revision, [f"p-{feed.host}"], {})
        await until(lambda: {ack[0] for ack in bench.told.acks} == set(hosts))
        assert sorted(bench.told.acks) == [(host, revision, [f"p-{host}"], {}) for host in hosts]
        said = [one for one in heard if isinstance(one, m.Said)]
        assert {host for one in said for host in (one.same if version == 3 else one.acks)} == set(hosts)
        assert not any(one.acks if version == 3 else one.same for one in said)

    with patch.object(m, "VERSION", version):
        run(tmp_path, test)


def test_what_a_relay_says_of_a_host_that_is_being_let_in_waits(tmp_path: Path) -> None:
    """After its connection broke, hosts and their words come at the same time; none of them is lost."""
    hosts = [f"h{n}" for n in range(8)]

    async def test(bench: RelayBench) -> None:
        relay = await bench.relay("r1")
        feeds = await follow(bench, bench.address("r1"), *hosts)
        for feed in feeds:
            await feed.send_ack(feed.revision, [f"p-{feed.host}"], {})
        await until(lambda: {ack[0] for ack in bench.told.acks} == set(hosts))
        bench.told.acks.clear()
        admit = bench.told.admit

        async def hesitate(host: str, issued_s: float) -> None:
            await asyncio.sleep(0.05)
            await admit(host, issued_s)

        bench.told.admit = hesitate  # type: ignore[method-assign]
        bench.hub = bench.new_hub()
        writer, doors = relay.relay._writer, [feed._writer for feed in feeds]
        assert writer is not None
        writer.transport.abort()
        await until(lambda: {ack[0] for ack in bench.told.acks} == set(hosts))
        assert [feed._writer for feed in feeds] == doors, "no host had to come again"
        revision = await change(bench, 1400, *feeds)
        for feed in feeds:
            await feed.send_ack(revision, [f"p-{feed.host}"], {})
        await until(lambda: {ack[:2] for ack in bench.told.acks} >= {(host, revision) for host in hosts})

    run(tmp_path, test)

"""A real NATS server between a server's hub and its relays: whatever becomes of it, hosts have what is."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nats
import pytest

from netloom.feed import nats_bus
from netloom.feed.bus import Offers, seal
from netloom.feed.client import Feed
from netloom.feed.hearing import BUS_S
from netloom.feed.nats_bus import NatsListener, NatsPublisher
from netloom.feed.relay import Relay
from tests.faults.broker import Broker
from tests.faults.server import Server
from tests.faults.test_relay import RelayProcess, ask, following, is_active, make_host, make_port, wait_until
from tests.unit.feed.relay_bench import RelayBench, give, make_place, run
from tests.unit.feed.test_feed_wire import until

SUBJECT = "netloom.frames.test"
ROWS = 40


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    made = Broker(tmp_path / "nats")
    made.start()
    yield made
    made.stop()


@dataclass
class Cloud:
    """A server, two relays that hear the broker, and a host behind each."""

    bench: RelayBench
    offers: Offers
    publisher: NatsPublisher
    relays: list[Relay]
    feeds: list[Feed]

    def change(self, number: int) -> None:
        row = make_place(number + 500, self.bench.source.revision + 1)
        self.bench.change("network/n1", {f"place/{number % ROWS}": row})

    async def settle(self) -> None:
        """Until both hosts are where the server is, and have what it has."""
        source = self.bench.source
        await until(lambda: all(feed.revision == source.revision for feed in self.feeds))
        for feed in self.feeds:
            assert dict(feed.slices["network/n1"].rows) == dict(source.slices["network/n1"].rows)

    async def hear(self) -> None:
        """Until both relays hear the broker, and the server publishes."""
        await until(lambda: self.publisher.ready and len(self.find_listening()) == 2)

    def find_listening(self) -> list[str]:
        return [name for name, one in self.bench.hub.relays.here.items() if one.on_bus]


def play(tmp_path: Path, broker: Broker, test: Callable[[Cloud], Awaitable[None]], bus_s: float = 10.0) -> None:
    """`bus_s`: how long a frame may take by the broker; long where it comes, however slow the machine is."""

    async def main(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=ROWS)
        give(bench.source, "h2", "p2", "n1")
        publisher = NatsPublisher([broker.url], SUBJECT)
        bench.hub.frames.offers = Offers(publisher, SUBJECT, min_bytes=0, min_readers=1)
        bench.tasks.append(asyncio.create_task(publisher.run()))
        relays = []
        for name in ("r1", "r2"):
            running = await bench.relay(name, make_listener=lambda relay: listen(bench, broker, relay))
            hearing = running.relay.hearing
            hearing.deaf_s, hearing.bus_s = 1.0, bus_s
            relays.append(running.relay)
        feeds = [bench.feed(host, bench.address(name)) for host, name in (("h1", "r1"), ("h2", "r2"))]
        for feed in feeds:
            bench.start(feed)
        cloud = Cloud(bench, bench.hub.frames.offers, publisher, relays, feeds)
        await until(lambda: all("network/n1" in feed.slices for feed in feeds))
        await cloud.hear()
        await test(cloud)

    run(tmp_path, main, within_s=120.0)


def listen(bench: RelayBench, broker: Broker, relay: Relay) -> NatsListener:
    listener = NatsListener([broker.url], relay.hearing.shelf.put)
    bench.tasks.append(asyncio.create_task(listener.run()))
    return listener


def test_a_change_is_published_once_for_all_relays(tmp_path: Path, broker: Broker) -> None:
    """Each of twenty changes goes by the broker, once for both relays, and none of them by their connections."""

    async def test(cloud: Cloud) -> None:
        before = cloud.offers.published
        for number in range(20):
            cloud.change(number)
            await cloud.settle()
        assert cloud.offers.published - before == 20 and len(cloud.find_listening()) == 2

    play(tmp_path, broker, test)


def test_servers_of_one_broker_say_nothing_to_each_others_relays(tmp_path: Path, broker: Broker) -> None:
    """Two servers publish the same change: each relay is brought that of its own server, once."""

    async def play_both() -> int:
        subjects = [f"netloom.frames.{name}" for name in "ab"]
        publishers = [NatsPublisher([broker.url], subject) for subject in subjects]
        brought: list[list[bytes]] = [[], []]
        listeners = [NatsListener([broker.url], found.append) for found in brought]
        parts: list[NatsPublisher | NatsListener] = [*publishers, *listeners]
        tasks = [asyncio.create_task(one.run()) for one in parts]
        for listener, subject in zip(listeners, subjects, strict=True):
            listener.listen(subject)
        try:
            async with asyncio.timeout(60):
                await until(lambda: all(one.ready for one in parts))
                sealed = [seal(b"the same frame " * 99)[1] for _ in publishers]
                for publisher, blob in zip(publishers, sealed, strict=True):
                    assert publisher.publish(blob)
                await until(lambda: all(brought))
                for publisher, blob in zip(publishers, (b"last a", b"last b"), strict=True):
                    assert publisher.publish(blob)
                await until(lambda: all(found[-1].startswith(b"last") for found in brought))
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert brought == [[sealed[0], b"last a"], [sealed[1], b"last b"]]
        return await count_messages(broker)

    assert asyncio.run(play_both()) == 4


def test_who_reads_the_broker_learns_nothing(tmp_path: Path, broker: Broker) -> None:
    """Law 9: what is on it are blobs; each has a key of its own, which goes to who follows the slice alone."""

    async def test(cloud: Cloud) -> None:
        client = await nats.connect(broker.url)
        seen: list[bytes] = []

        async def take(message: Any) -> None:
            seen.append(message.data)

        await client.subscribe("netloom.>", cb=take)
        await client.flush()
        cloud.change(1)
        await cloud.settle()
        await until(lambda: bool(seen))
        await client.close()
        assert not any(word in blob for blob in seen for word in (b"place", b"network/n1", b"fa:16"))

    play(tmp_path, broker, test)


def test_a_broker_that_says_things_twice_and_what_is_none(tmp_path: Path, broker: Broker) -> None:
    """Every blob again, and rubbish between: nothing changes by it."""

    async def test(cloud: Cloud) -> None:
        puts = [relay.hearing.shelf.put for relay in cloud.relays]
        client = await nats.connect(broker.url)

        async def again(message: Any) -> None:
            for put in puts:
                put(message.data)
                put(b"x" * 40)
                put(message.data[:-1])
                put(message.data)

        await client.subscribe(SUBJECT, cb=again)
        await client.flush()
        for number in range(10):
            cloud.change(number)
            await cloud.settle()
        await client.close()

    play(tmp_path, broker, test)


def test_nothing_is_lost_with_a_broker_that_is_killed(tmp_path: Path, broker: Broker) -> None:
    """Changes go on while it is away; it comes back with an empty store, and is used again."""

    async def test(cloud: Cloud) -> None:
        cloud.change(1)
        broker.kill()
        for number in range(2, 6):
            cloud.change(number)
        await cloud.settle()
        await asyncio.to_thread(broker.start)
        await cloud.hear()
        before = cloud.offers.published
        cloud.change(7)
        await cloud.settle()
        assert cloud.offers.published == before + 1

    play(tmp_path, broker, test, BUS_S)


def test_nothing_is_lost_with_a_broker_that_is_paused(tmp_path: Path, broker: Broker) -> None:
    """SIGSTOP: it takes what is published and says nothing. What is due is asked for; then it is left alone."""

    async def test(cloud: Cloud) -> None:
        broker.send(signal.SIGSTOP)
        for number in range(4):
            cloud.change(number)
            await cloud.settle()
        await until(lambda: not cloud.find_listening())
        cloud.change(9)
        await cloud.settle()
        broker.send(signal.SIGCONT)
        await cloud.hear()
        cloud.change(10)
        await cloud.settle()

    play(tmp_path, broker, test, BUS_S)


def test_a_broker_without_its_stream_gets_it_again(tmp_path: Path, broker: Broker) -> None:
    """Somebody deletes the stream while all are connected: relays ask for what is due, and the stream is made anew."""

    async def test(cloud: Cloud) -> None:
        client = await nats.connect(broker.url)
        await client.jetstream().delete_stream(nats_bus.STREAM)
        for number in range(5):
            cloud.change(number)
            await cloud.settle()
        with suppress(nats.errors.Error):
            await client.close()
        await cloud.hear()
        before = cloud.offers.published
        cloud.change(9)
        await cloud.settle()
        assert cloud.offers.published == before + 1

    play(tmp_path, broker, test, BUS_S)


def test_a_real_server_and_real_relays_share_what_is_long(tmp_path: Path, broker: Broker) -> None:
    """`nats_servers` of a server and its relays: many ports at once go by the broker, and each becomes ACTIVE."""
    option = ("--set", f"netloom.nats_servers={broker.url}")
    server = Server(tmp_path / "s", extra=(*option, "--set", "quotas.quota_port=-1"))
    server.start()
    relays = [RelayProcess(server, name, option) for name in ("r1", "r2")]
    for relay in relays:
        relay.start()
    try:
        wait_until(lambda: all((relay.state / "feed.sock").exists() for relay in relays))
        hosts = [make_host(server, f"h{n}", relay.address) for n, relay in enumerate(relays, 1)]
        with following(hosts[0]) as first, following(hosts[1]) as second:
            wait_until(lambda: first.connected and second.connected)
            network = ask(server, "POST", "networks", {"network": {"name": "n"}})["network"]["id"]
            one = [make_port(server, network, host) for host in ("h1", "h2")]
            wait_until(lambda: all(is_active(server, port) for port in one))
            held = 0
            while not held:  # the broker may still be on its way to be heard
                body = {"network_id": network, "binding:host_id": "h1", "device_owner": "compute:x"}
                made = ask(server, "POST", "ports", {"ports": [body] * 20})["ports"]
                wait_until(lambda: all(is_active(server, port["id"]) for port in made))  # noqa: B023
                held = asyncio.run(count_messages(broker))
        for relay in relays:
            assert "Traceback" not in (relay.state / "out").read_text()
    finally:
        for relay in relays:
            relay.end(signal.SIGKILL)
        server.stop()


async def count_messages(broker: Broker) -> int:
    """What the stream was given, ever."""
    client = await nats.connect(broker.url)
    try:
        return int((await client.jetstream().stream_info(nats_bus.STREAM)).state.last_seq)
    finally:
        await client.close()

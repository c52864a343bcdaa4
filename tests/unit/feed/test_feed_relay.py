"""Relays: to a host a server, to a server one connection; whatever dies, hosts go on from what they have."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pytest import MonkeyPatch

from netloom.feed import messages as m
from netloom.feed.client import Feed, open_stream
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.connection import Connection
from netloom.feed.grants import GRANT_LIFE_S
from netloom.feed.pace import Pace
from netloom.model.slices import NetworkRow
from tests.unit.feed.relay_bench import RelayBench, give, run
from tests.unit.feed.test_feed_wire import until


def count_slices(feed: Feed) -> list[str]:
    """Names of slices that come whole from now on."""
    whole: list[str] = []
    take = feed._take

    def looked_at(message: m.FromServer) -> None:
        if isinstance(message, m.Whole | m.Since):
            whole.append(message.name)
        take(message)

    feed._take = looked_at  # type: ignore[method-assign]
    return whole


def test_a_host_follows_through_a_relay_and_its_word_arrives(tmp_path: Path) -> None:
    """Slices down, changes down, the acknowledgement up at the server's own revision: a port becomes ACTIVE by it."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        give(bench.source, "h2", "p2", "n2")
        await bench.relay("r1")
        feed = bench.feed("h1", bench.address("r1"))
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        assert set(feed.slices) == {"host/h1", "network/n1"} and bench.hub.hosts == {"h1"}
        assert bench.told.here == {"h1": True} and bench.told.reports["h1"] == {"tunneling_ip": "192.0.2.1"}
        bench.change("network/n1", {"network/n1": NetworkRow("n1", 1, mtu=1400)})
        await until(lambda: feed.revision == bench.source.revision)
        assert feed.slices["network/n1"].rows["network/n1"] == NetworkRow("n1", 1, mtu=1400)
        await feed.send_ack(feed.revision, ["p1", "p2"], {"p9": "no"})
        await until(lambda: bool(bench.told.acks))
        assert bench.told.acks == [("h1", bench.source.revision, ["p1"], {})]
        await feed.send_report({"tunneling_ip": "192.0.2.7"})
        await until(lambda: bench.told.reports["h1"] == {"tunneling_ip": "192.0.2.7"})

    run(tmp_path, test)


def test_a_tree_of_relays_serves_as_one(tmp_path: Path) -> None:
    """A relay behind a relay: the same slices, the same words, and a host that goes is gone at the server."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        await bench.relay("top")
        await bench.relay("low", bench.address("top"))
        feed = bench.feed("h1", bench.address("low"))
        task = bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: bench.told.acks == [("h1", bench.source.revision, ["p1"], {})])
        task.cancel()
        await until(lambda: bench.told.here == {"h1": False} and not bench.hub.hosts)

    run(tmp_path, test)


def test_one_frame_goes_to_a_relay_however_many_hosts_it_has(tmp_path: Path) -> None:
    """Counted: a change that all hosts of a relay follow leaves the server once, is made once by the relay, and
    nothing goes to a relay or host that it does not concern."""

    async def test(bench: RelayBench) -> None:
        hosts = [f"h{n}" for n in range(12)]
        for host in hosts:
            give(bench.source, host, f"p-{host}", "shared")
        give(bench.source, "far", "p-far", "other")
        near, away = await bench.relay("r1"), await bench.relay("r2")
        feeds = [bench.feed(host, bench.address("r1")) for host in hosts]
        far, direct = bench.feed("far", bench.address("r2")), bench.feed("alone", bench.server)
        for feed in (*feeds, far, direct):
            bench.start(feed)
        await until(lambda: all("network/shared" in feed.slices for feed in feeds) and "network/other" in far.slices)
        await until(lambda: direct.complete)
        before = bench.hub.frames.sent, near.relay.hub.frames.sent, near.relay.hub.frames.encoded
        quiet = far.received_bytes, direct.received_bytes, away.relay.hub.frames.sent
        bench.change("network/shared", {"network/shared": NetworkRow("shared", 1, mtu=1400)})
        await until(lambda: all(feed.revision == bench.source.revision for feed in feeds))
        after = bench.hub.frames.sent, near.relay.hub.frames.sent, near.relay.hub.frames.encoded
        assert [new - old for old, new in zip(before, after, strict=True)] == [1, len(hosts), 1]
        assert (far.received_bytes, direct.received_bytes, away.relay.hub.frames.sent) == quiet

    run(tmp_path, test)


def test_a_relay_that_dies_costs_its_hosts_a_connection(tmp_path: Path) -> None:
    """They go to the next address and go on: no slice is sent again, and none of them was ever taken for gone."""

    async def test(bench: RelayBench) -> None:
        hosts = [f"h{n}" for n in range(5)]
        for host in hosts:
            give(bench.source, host, f"p-{host}", "shared", rows=40)
        bench.hub.relays.grace_s = 30.0
        first = await bench.relay("r1")
        await bench.relay("r2")
        feeds = [bench.feed(host, f"{bench.address('r1')}, {bench.address('r2')},{bench.server}") for host in hosts]
        for feed in feeds:
            bench.start(feed)
        await until(lambda: all("network/shared" in feed.slices for feed in feeds))
        whole = [count_slices(feed) for feed in feeds]
        await first.die()
        await until(lambda: set(bench.running[1].relay.hub.hosts) == set(hosts))
        bench.change("network/shared", {"network/shared": NetworkRow("shared", 1, mtu=1400)})
        await until(lambda: all(feed.revision == bench.source.revision for feed in feeds))
        assert whole == [[] for _ in feeds] and bench.told.here == dict.fromkeys(hosts, True)

    run(tmp_path, test)


def test_a_relay_whose_server_comes_back_goes_on(tmp_path: Path) -> None:
    """Its hosts notice nothing; what the server has forgotten they say again; no slice crosses the wire."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=40)
        relay = (await bench.relay("r1")).relay
        feed = bench.feed("h1", bench.address("r1"))
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        await feed.send_ack(feed.revision, ["p1"], {})
        await until(lambda: len(bench.told.acks) == 1)
        old, bench.hub = bench.hub, bench.new_hub()
        await old.stop()
        await until(lambda: bench.hub.hosts == {"h1"} and len(bench.told.acks) == 2)
        assert bench.told.acks[1] == bench.told.acks[0] and bench.hub.frames.sent == 0
        assert relay.hub.hosts == {"h1"} and feed.connected

    run(tmp_path, test)


def test_a_relay_that_starts_anew_is_sent_what_is_newer_alone(tmp_path: Path) -> None:
    """It kept its slices on the disk: what agrees by digest does not cross the wire."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1", rows=40)
        first = await bench.relay("r1")
        feed = bench.feed("h1", bench.address("r1"))
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        first.relay.keep()
        await first.die()
        sent = bench.hub.frames.sent
        await bench.relay("r1")
        await until(lambda: feed.connected and bench.hub.hosts == {"h1"})
        await until(lambda: bench.running[1].relay.hub.hosts == {"h1"})
        assert bench.hub.frames.sent == sent

    run(tmp_path, test)


def test_a_relay_without_a_server_sends_its_hosts_elsewhere(tmp_path: Path) -> None:
    """Nobody upstream for a while: the hosts are told, and find the server by their next address."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        top = await bench.relay("top")
        await bench.relay("low", bench.address("top"), orphan_s=0.2)
        feed = bench.feed("h1", f"{bench.address('low')},{bench.server}")
        bench.start(feed)
        await until(lambda: "network/n1" in feed.slices)
        await top.die()
        await until(lambda: "h1" in bench.hub._hosts and bench.hub._hosts["h1"].host == "h1")
        await until(lambda: feed.connected)

    run(tmp_path, test)


def test_a_revoked_host_is_out_of_its_relay_too(tmp_path: Path) -> None:
    """The server lets go of it through the relay, and it is not let in again; the relay's other hosts stay."""

    async def test(bench: RelayBench) -> None:
        for host in ("h1", "h2"):
            give(bench.source, host, f"p-{host}", "n1")
        relay = (await bench.relay("r1")).relay
        feeds = {host: bench.feed(host, bench.address("r1")) for host in ("h1", "h2")}
        for feed in feeds.values():
            bench.start(feed)
        await until(lambda: bench.hub.hosts == {"h1", "h2"} and relay.hub.hosts == {"h1", "h2"})
        now_s = 2e9
        bench.told.hosts = bench.told.hosts.revoke("h1", now_s)
        bench.hub.expel(bench.told.hosts.why_void, 0.0)
        await until(lambda: relay.hub.hosts == {"h2"} and bench.hub.hosts == {"h2"})
        await until(lambda: not feeds["h1"].connected)
        assert feeds["h2"].connected and bench.told.here == {"h1": False, "h2": True}

    run(tmp_path, test)


def test_a_host_renews_its_certificate_through_a_relay(tmp_path: Path) -> None:
    """The request goes up and the certificate comes down, signed by the same authority."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        await bench.relay("r1")
        papers = bench.papers("h1")
        joined: list[m.Joined] = []
        from netloom.feed import pki

        feed = bench.feed("h1", bench.address("r1"))
        feed._upper.on_joined = joined.append
        feed.renewal.csr = lambda: pki.make_request(pki.load_key(papers.key.read_bytes()), "h1") if not joined else None
        bench.start(feed)
        await until(lambda: bool(joined))
        assert pki.read_life(joined[0].certificate.encode()) and feed.connected

    run(tmp_path, test)


@pytest.mark.parametrize("names", [("h1", "relay/r2"), ("h2", "relay/r1"), ()])
def test_law_9_a_relay_follows_by_its_hosts_words_alone(tmp_path: Path, names: tuple[str, ...]) -> None:
    """A stolen certificate of a relay, with the word of a host for another relay, of another host, or of none: it
    reads nothing."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        thief = bench.papers("relay/r1")
        grants = [bench.papers(names[0]).grant(names[1])] if names else []
        reader, writer = await open_stream(bench.server, thief.context())
        writer.write(make_frame(m.Hello("relay/r1")) + make_frame(m.Attach("h1", grants)))
        writer.write(make_frame(m.Ask("host/h1")) + make_frame(m.Said({"h1": m.Ack(0, ["p1"])})))
        seen: list[m.FromServer] = []
        while not any(isinstance(one, m.Dismissed) for one in seen):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        writer.write(make_frame(m.Ping()))
        while not isinstance(seen[-1], m.Pong):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        assert not any(isinstance(one, m.Whole | m.Delta | m.Since | m.Keep | m.Admitted) for one in seen)
        assert bench.told.acks == [] and bench.told.here == {} and bench.hub.hosts == frozenset()
        writer.transport.abort()

    run(tmp_path, test)


def test_law_9_a_relay_with_a_hosts_word_has_that_host_alone(tmp_path: Path) -> None:
    """It reads what h1 leads to and speaks for h1's ports: not for others that h1 might name, nor for other hosts."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        give(bench.source, "h2", "p2", "n2")
        reader, writer = await open_stream(bench.server, bench.papers("relay/r1").context())
        seen: list[m.FromServer] = []

        async def read_until(kind: type[m.Message]) -> None:
            while not (seen and isinstance(seen[-1], kind)):
                seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))

        attach = m.Attach("h1", [bench.papers("h1").grant("relay/r1")])
        writer.write(make_frame(m.Hello("relay/r1")) + make_frame(attach))
        await read_until(m.Admitted)
        for name in ("host/h2", "network/n2"):
            writer.write(make_frame(m.Ask(name)) + make_frame(m.Ask(name, 1)))
        revision = bench.source.revision
        lies = {"h1": m.Ack(revision, ["p1", "p2"], {"p2": "no"}), "h2": m.Ack(revision, ["p2"])}
        writer.write(make_frame(m.Said(lies, {"h2": m.Report({"tunneling_ip": "192.0.2.9"})})))
        writer.write(make_frame(m.RenewFor("h2", "")) + make_frame(m.Ping()))
        await read_until(m.JoinedFor)
        writer.write(make_frame(m.Ping()))
        await read_until(m.Pong)
        told = {one.name for one in seen if isinstance(one, m.Whole | m.Delta | m.Since | m.Keep)}
        assert told == {"host/h1", "network/n1"}
        assert bench.told.acks == [("h1", revision, ["p1"], {})] and "h2" not in bench.told.reports
        assert all(not one.certificate for one in seen if isinstance(one, m.JoinedFor))
        writer.transport.abort()

    run(tmp_path, test)


def test_a_word_that_ends_lets_go_of_the_host_until_its_next(tmp_path: Path) -> None:
    """An agent that stopped giving its word: out of the relay when the hour is over, and in again with a new one."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        relay = (await bench.relay("r1")).relay
        feed = bench.feed("h1", bench.address("r1"))
        bench.start(feed)
        await until(lambda: bench.hub.hosts == relay.hub.hosts == {"h1"})
        writer = feed._writer
        bench.hub.expel(lambda host, issued_s: "", time.time() + GRANT_LIFE_S + 1)
        await until(lambda: feed._writer is not writer and feed.connected)
        await until(lambda: bench.hub.hosts == relay.hub.hosts == {"h1"})

    run(tmp_path, test)


def test_words_are_given_anew_on_the_connections_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host's for the lower relay, and that one's for the upper: the server knows of both, and nobody reconnects."""
    monkeypatch.setattr("netloom.feed.papers.WORD_S", 0.05)

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        await bench.relay("top")
        await bench.relay("low", bench.address("top"))
        feed = bench.feed("h1", bench.address("low"))
        bench.start(feed)
        await until(lambda: bench.hub.hosts == {"h1"} and feed.complete)
        writer, upper = feed._writer, bench.hub.relays.here["relay/top"]
        before = [link.ends_s for link in upper.attached["h1"]]
        assert len(before) == 2
        await until(lambda: all(link.ends_s > old for link, old in zip(upper.attached["h1"], before, strict=True)))
        assert feed._writer is writer and bench.hub.relays.here["relay/top"] is upper

    run(tmp_path, test)


def test_law_9_a_host_is_no_relay(tmp_path: Path) -> None:
    """What relays say is not for a host to say, whoever's word it shows."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        reader, writer = await open_stream(bench.server, bench.papers("h2").context())
        attach = m.Attach("h1", [bench.papers("h1").grant("h2")])
        writer.write(make_frame(m.Hello("h2")) + make_frame(attach))
        seen: list[m.FromServer] = []
        while not any(isinstance(one, m.Refuse) for one in seen):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        assert not any(isinstance(one, m.Whole) and one.name != "host/h2" for one in seen)
        writer.transport.abort()

    run(tmp_path, test)


def test_a_host_without_its_word_is_refused_by_a_relay(tmp_path: Path) -> None:
    """An agent of an older version: it is told so, and what it has stays as it is."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        relay = (await bench.relay("r1")).relay
        reader, writer = await open_stream(bench.address("r1"), bench.papers("h1").context())
        writer.write(make_frame(m.Hello("h1", 1)))
        answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
        assert isinstance(answer, m.Refuse) and "relay" in answer.reason and relay.hub.hosts == frozenset()
        writer.transport.abort()

    run(tmp_path, test)


def test_a_relay_that_asks_and_never_reads_costs_no_memory(tmp_path: Path) -> None:
    """Host after host that nobody let it speak for, and no reading: the server stops listening to it."""

    async def test(bench: RelayBench) -> None:
        _, writer = await open_stream(bench.server, bench.papers("relay/r1").context(), limit=1 << 10)
        writer.write(make_frame(m.Hello("relay/r1")))
        await until(lambda: "relay/r1" in bench.hub.relays.here)
        held = bench.hub.relays.here["relay/r1"]
        held.attaching = Pace(1e9, 1e9)
        taken: list[str] = []
        take = bench.hub.relays._attach

        async def count(connection: Connection, attach: m.Attach) -> None:
            taken.append(attach.host)
            await take(connection, attach)

        bench.hub.relays._attach = count  # type: ignore[method-assign]
        writer.write(b"".join(make_frame(m.Attach(f"host-{n}-{'x' * 200}")) for n in range(20_000)))
        await until(lambda: bool(taken))
        before = -1
        while before != len(taken):  # it stalls, or has taken all of it
            before = len(taken)
            await asyncio.sleep(0.2)
        assert 0 < len(taken) < 15_000 and len(held.after) < 5_000
        writer.transport.abort()

    run(tmp_path, test)


def test_hosts_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    """A host that breaks off and comes back at once, again and again: at the end server and relay agree who is here."""

    async def test(bench: RelayBench) -> None:
        give(bench.source, "h1", "p1", "n1")
        relay = (await bench.relay("r1")).relay
        feed = bench.feed("h1", bench.address("r1"))
        task = bench.start(feed)
        for _ in range(6):
            await until(lambda: feed.connected and feed._writer is not None)
            assert feed._writer is not None
            feed._writer.transport.abort()
            await asyncio.sleep(0)
            await until(lambda: not feed.connected)
        await until(lambda: feed.connected and bench.hub.hosts == relay.hub.hosts == {"h1"})
        bench.change("network/n1", {"network/n1": NetworkRow("n1", 1, mtu=1400)})
        await until(lambda: feed.revision == bench.source.revision)
        task.cancel()
        await until(lambda: not bench.hub.hosts and not relay.hub.hosts and not relay._attached and not relay.slices)
        assert bench.hub._followers == {} and relay.hub._followers == {}

    run(tmp_path, test)


@dataclass
class Seen:
    """What a host was shown, in order: revision, and of each network what its MTU was then."""

    feed: Feed
    views: list[tuple[int, dict[str, int]]] = field(default_factory=list)

    async def look(self) -> None:
        while True:
            await self.feed.wait_changed()
            rows = {name: found.rows.get(name) for name, found in self.feed.slices.items()}
            mtus = {name: row.mtu for name, row in rows.items() if isinstance(row, NetworkRow)}
            self.views.append((self.feed.revision, mtus))


class Door:
    """Stands before the fleet: hosts named in `shut` wait until they are not any more."""

    def __init__(self, bench: RelayBench) -> None:
        self.shut: set[str] = set()
        self.waiting: set[str] = set()
        self._admit = bench.told.admit
        bench.told.admit = self.admit  # type: ignore[method-assign]

    async def admit(self, host: str, issued_s: float) -> None:
        self.waiting.add(host)
        await until(lambda: host not in self.shut)
        self.waiting.discard(host)
        await self._admit(host, issued_s)


async def see(bench: RelayBench, *hosts: str) -> list[Seen]:
    """Hosts behind a relay, that have all that is theirs; what they are shown from then on is kept."""
    await bench.relay("r1")
    seen = [Seen(bench.feed(host, bench.address("r1"))) for host in hosts]
    for one in seen:
        bench.start(one.feed)
    await until(lambda: all({"network/both", f"network/of-{one.feed.host}"} <= one.feed.slices.keys() for one in seen))
    for one in seen:
        bench.tasks.append(asyncio.create_task(one.look()))
    return seen


def follow(bench: RelayBench, host: str) -> None:
    """A port on a network of its own, and one on a network that all share."""
    for network in ("both", f"of-{host}"):
        give(bench.source, host, f"p-{host}-{network}", network)


def test_a_relay_that_comes_back_shows_nothing_until_all_hosts_are_answered_for(tmp_path: Path) -> None:
    """What changed meanwhile is shown at its revision, whole, to each: no host sees one network changed, and another
    that changed before it not."""

    async def test(bench: RelayBench) -> None:
        for host in ("h1", "h2"):
            follow(bench, host)
        seen = await see(bench, "h1", "h2")
        door, relay = Door(bench), bench.running[0].relay
        door.shut.add("h2")
        assert relay._writer is not None
        relay._writer.transport.abort()
        await until(lambda: not relay.connected)
        for network in ("of-h1", "of-h2", "both"):
            bench.change(f"network/{network}", {f"network/{network}": NetworkRow(network, 1, mtu=1400)})
        await until(lambda: relay.connected and "h2" in door.waiting and "h1" in bench.hub.hosts)
        follow(bench, "h3")
        late = bench.feed("h3", bench.address("r1"))
        bench.start(late)
        await until(lambda: "h3" in bench.hub.hosts)
        assert not late.slices
        door.shut.clear()
        await until(lambda: all(one.feed.slices["network/both"].rows for one in seen) and bool(late.slices))
        await until(lambda: all(one.views and one.views[-1][0] == bench.source.revision for one in seen[:1]))
        await until(lambda: all(one.views and set(one.views[-1][1].values()) == {1400} for one in seen))
        for one in seen:
            assert all(set(mtus.values()) == {1400} for _, mtus in one.views if mtus["network/both"] == 1400), one.views

    run(tmp_path, test)


def test_a_relay_waits_for_an_answer_so_long_and_lets_that_host_go(tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    """One host that the server says nothing of keeps the others for that while from what changes, and no longer."""
    monkeypatch.setattr("netloom.feed.relay.ADMIT_S", 0.5)

    async def test(bench: RelayBench) -> None:
        for host in ("h1", "h2"):
            follow(bench, host)
        first, second = await see(bench, "h1", "h2")
        door, relay = Door(bench), bench.running[0].relay
        door.shut.add("h2")
        assert relay._writer is not None
        relay._writer.transport.abort()
        await until(lambda: not relay.connected)
        bench.change("network/both", {"network/both": NetworkRow("both", 1, mtu=1400)})
        await until(lambda: bool(first.views) and first.views[-1][1]["network/both"] == 1400)
        assert "h2" in door.waiting and not relay.hub.has("h2")
        door.shut.clear()
        await until(lambda: bool(second.views) and second.views[-1][1]["network/both"] == 1400)

    run(tmp_path, test)


def test_what_a_host_has_is_reached_before_it_is_told_anything(tmp_path: Path) -> None:
    """At the server as behind relays: who serves it goes to where the host is first, or sends it on."""

    async def test(bench: RelayBench) -> None:
        for host in ("h1", "h2"):
            follow(bench, host)
        await bench.relay("r1")
        for host, address in (("h1", bench.server), ("h2", bench.address("r1"))):
            feed = bench.feed(host, address)
            task = bench.start(feed)
            await until(lambda feed=feed: "network/both" in feed.slices)  # type: ignore[misc]
            newest = max(found.revision for found in feed.slices.values())
            task.cancel()
            await until(lambda host=host: host not in bench.hub.hosts)  # type: ignore[misc]
            bench.told.reached.clear()
            again = bench.feed(host, address)
            bench.start(again)
            await until(lambda host=host: host in bench.hub.hosts)  # type: ignore[misc]
            assert bench.told.reached == [newest]

    run(tmp_path, test)


def test_a_host_that_the_server_fails_on_keeps_nobody_else_waiting(tmp_path: Path) -> None:
    """It is sent away with a reason at once, however unexpected the failure; the others go on, and it comes again."""

    async def test(bench: RelayBench) -> None:
        for host in ("h1", "h2"):
            follow(bench, host)
        first, second = await see(bench, "h1", "h2")
        relay, admit, failures = bench.running[0].relay, bench.told.admit, [RuntimeError("a fault of ours")]

        async def fail_once(host: str, issued_s: float) -> None:
            if host == "h2" and failures:
                raise failures.pop()
            await admit(host, issued_s)

        bench.told.admit = fail_once  # type: ignore[method-assign]
        assert relay._writer is not None
        relay._writer.transport.abort()
        await until(lambda: not relay.connected)
        bench.change("network/both", {"network/both": NetworkRow("both", 1, mtu=1400)})
        for one in (first, second):
            await until(lambda one=one: bool(one.views) and one.views[-1][1]["network/both"] == 1400)  # type: ignore[misc]
        assert not failures and bench.hub.hosts == {"h1", "h2"}

    run(tmp_path, test, within_s=15.0)

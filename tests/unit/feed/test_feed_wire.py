"""Both ends of the feed over real TLS on a socket file, with slices that the test holds."""

from __future__ import annotations

import asyncio
import random
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from netloom.feed import messages as m
from netloom.feed import pki, pulse
from netloom.feed.cache import Cache
from netloom.feed.client import Feed, open_stream, request_join
from netloom.feed.codec import MAX_FROM_SERVER, make_frame, receive_frame
from netloom.feed.hub import Hub
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.slices import FloatingRow, FollowRow, NetworkRow, PortRow, Row, Slice, find_leads

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@dataclass
class Source:
    """Slices that a test sets, in place of a snapshot's."""

    slices: dict[str, Slice] = field(default_factory=dict)
    revision: int = 1

    def follow(self, name: str) -> Slice | None:
        return self.slices.get(name)

    def unfollow(self, name: str) -> None:
        pass

    def slice(self, name: str) -> Slice | None:
        return self.slices.get(name)

    def leads(self, name: str) -> frozenset[str]:
        found = self.slices.get(name)
        return find_leads(found.rows) if found else frozenset()

    def put(self, name: str, rows: Mapping[str, Row], drop: tuple[str, ...] = ()) -> SliceDelta:
        self.revision += 1
        old = self.slices.get(name)
        delta = SliceDelta(name, old.revision if old else 0, self.revision, rows, drop, whole=old is None)
        after = apply_delta(old, delta)
        assert after is not None
        self.slices[name] = after
        return delta


@dataclass
class Told:
    """What the hub passes on."""

    authority: pki.Pair
    acks: list[tuple[str, int, list[str], dict[str, str]]] = field(default_factory=list)
    here: dict[str, bool] = field(default_factory=dict)
    copies: dict[str, dict[str, str]] = field(default_factory=dict)
    reports: dict[str, dict[str, Any]] = field(default_factory=dict)
    reached: list[int] = field(default_factory=list)
    book: pki.TokenBook = field(default_factory=pki.TokenBook)
    hosts: pki.HostBook = field(default_factory=pki.HostBook)

    async def admit(self, host: str, issued_s: float) -> None:
        self.hosts.check(host, issued_s)

    async def reach(self, revision: int) -> None:
        self.reached.append(revision)

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        self.reports[host] = dict(configurations)

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        self.acks.append((host, revision, wired, dict(pending)))

    async def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        self.copies[host] = dict(copies)

    async def present(self, host: str, here: bool) -> None:
        self.here[host] = here

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        self.book = self.book.use(host, token, NOW.timestamp())
        return await self.renew(host, csr)

    async def renew(self, host: str, csr: str) -> m.Joined:
        now = datetime.now(UTC)
        return m.Joined(pki.sign_request(self.authority, host, csr, now), self.authority.certificate.decode())


@dataclass
class Bench:
    """A hub that listens, and hosts that may come."""

    folder: Path
    source: Source
    told: Told
    hub: Hub
    server: pki.Pair

    @property
    def address(self) -> str:
        return f"unix:{self.folder}/s"

    def context(self, host: str) -> ssl.SSLContext:
        key = pki.make_key()
        csr = pki.make_request(key, host)
        save(self.folder / f"{host}.pem", pki.sign_request(self.told.authority, host, csr, datetime.now(UTC)).encode())
        save(self.folder / f"{host}.key", pki.encode_key(key))
        return pki.make_host_context(self.folder / f"{host}.pem", self.folder / f"{host}.key", self.folder / "ca.pem")

    def feed(self, host: str, name: str = "") -> Feed:
        context = self.context(host)
        told = {"tunneling_ip": "192.0.2.1"}
        return Feed(name or host, self.address, lambda: context, Cache(self.folder / f"{host}.d"), configurations=told)


def save(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def give(source: Source, host: str, port: str, network: str) -> None:
    """A port bound to the host, on a network."""
    source.put(f"network/{network}", {f"network/{network}": NetworkRow(network, 1)})
    rows: dict[str, Row] = {
        f"port/{port}": PortRow(port, network, "fa:16:3e:00:00:01"),
        f"follow/network/{network}": FollowRow(f"network/{network}"),
    }
    source.put(f"host/{host}", rows)


def run(tmp_path: Path, test: Callable[[Bench], Awaitable[None]]) -> None:
    async def main() -> None:
        now = datetime.now(UTC)
        authority = pki.make_authority(now)
        server = pki.make_server_pair(authority, now)
        for name, data in (("ca.pem", authority.certificate), ("s.pem", server.certificate), ("s.key", server.key)):
            save(tmp_path / name, data)
        source, told = Source(), Told(authority)
        hub = Hub(source, told, lambda: source.revision)
        context = pki.make_server_context(tmp_path / "s.pem", tmp_path / "s.key", tmp_path / "ca.pem")
        listener = await asyncio.start_unix_server(hub.serve, tmp_path / "s", ssl=context)
        hub.start()
        try:
            async with asyncio.timeout(20):
                await test(Bench(tmp_path, source, told, hub, server))
        finally:
            listener.close()
            await hub.stop()

    asyncio.run(main())


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.005)


async def stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_host_is_told_what_its_ports_lead_to_and_acknowledges_it(tmp_path: Path) -> None:
    """Whole slices first, then what changes; what the host says of its ports reaches the server."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        assert set(feed.slices) == {"host/h1", "network/n1"} and bench.told.reports["h1"]
        bench.hub.notify({"network/n1": bench.source.put("network/n1", {"network/n1": NetworkRow("n1", 1, mtu=1400)})})
        await until(lambda: feed.revision == bench.source.revision)
        row = feed.slices["network/n1"].rows["network/n1"]
        assert isinstance(row, NetworkRow) and row.mtu == 1400
        await feed.send_ack(feed.revision, ["p1", "p-of-another"], {"p9": "no"})
        await until(lambda: bool(bench.told.acks))
        assert bench.told.acks == [("h1", bench.source.revision, ["p1"], {})]
        await stop(task)
        await until(lambda: bench.told.here == {"h1": False})

    run(tmp_path, test)


def test_a_host_speaks_of_routers_that_it_follows(tmp_path: Path) -> None:
    """Of floating IPs of those that it is led to, and of copies of those that it carries; of no others."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        for router in ("mine", "other"):
            row = FloatingRow(f"fip-{router}", "ext", "203.0.113.9", "fa:16:3e:00:00:09")
            bench.source.put(f"router/{router}", {f"floating/{row.id}": row})
        bench.source.put("host/h1", {"follow/router/mine": FollowRow("router/mine")})
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "router/mine" in feed.slices)
        await feed.send_ack(
            feed.revision, ["p1", "fip-mine", "fip-other"], {}, {"mine": "active", "other": "active"}
        )  # fmt: skip
        await until(lambda: bool(bench.told.copies))
        assert bench.told.acks == [("h1", bench.source.revision, ["fip-mine", "p1"], {})]
        assert bench.told.copies == {"h1": {"mine": "active"}}
        await stop(task)

    run(tmp_path, test)


def test_a_host_that_comes_back_is_sent_nothing_it_has(tmp_path: Path) -> None:
    """What agrees by digest is kept; no slice crosses the wire again."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        await stop(task)
        again = bench.feed("h1")
        assert again.complete and set(again.slices) == {"host/h1", "network/n1"}
        whole = []
        take = again._copies.put
        again._copies.put = lambda *found: (whole.append(found[0].name), take(*found))  # type: ignore
        task = asyncio.create_task(again.run())
        await until(lambda: again.connected and again.revision == bench.source.revision)
        assert whole == []
        await stop(task)

    run(tmp_path, test)


def test_a_slice_that_the_ports_no_longer_lead_to_is_taken_back(tmp_path: Path) -> None:
    """Law 9: with its last port of a network gone, a host neither gets nor keeps that network."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        bench.hub.notify({"host/h1": bench.source.put("host/h1", {}, ("port/p1", "follow/network/n1"))})
        await until(lambda: "network/n1" not in feed.slices)
        await stop(task)
        assert set(Cache(tmp_path / "h1.d").load()) == {"host/h1"}

    run(tmp_path, test)


def test_a_slice_leads_to_others_and_they_go_with_it(tmp_path: Path) -> None:
    """A network leads to its router, a router to another network: followed while the first is, in whatever order."""

    async def test(bench: Bench) -> None:
        source = bench.source
        give(source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        source.put("network/n2", {"network/n2": NetworkRow("n2", 2), "follow/router/r": FollowRow("router/r")})
        router = source.put("router/r", {"follow/network/n2": FollowRow("network/n2")})
        lead = source.put("network/n1", {"follow/router/r": FollowRow("router/r")})
        bench.hub.notify({"router/r": router, "network/n1": lead})
        await until(lambda: set(feed.slices) == {"host/h1", "network/n1", "router/r", "network/n2"})
        bench.hub.notify({"router/r": source.put("router/r", {}, ("follow/network/n2",))})
        await until(lambda: set(feed.slices) == {"host/h1", "network/n1", "router/r"})
        bench.hub.notify({"host/h1": source.put("host/h1", {}, ("port/p1", "follow/network/n1"))})
        await until(lambda: set(feed.slices) == {"host/h1"})
        await stop(task)

    run(tmp_path, test)


def test_law_9_a_host_is_its_certificate_whatever_it_says(tmp_path: Path) -> None:
    """A host that says it is another one is refused, and learns nothing of that other's ports."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        reader, writer = await open_stream(bench.address, bench.context("h2"))
        writer.write(make_frame(m.Hello("h1")))
        answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
        assert isinstance(answer, m.Refuse) and "certificate" in answer.reason
        writer.transport.abort()
        assert bench.told.here == {}

    run(tmp_path, test)


def test_law_9_asking_for_a_foreign_slice_gives_nothing(tmp_path: Path) -> None:
    """A host may ask anew for what it follows; of anything else it hears nothing."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        bench.source.put("network/secret", {"network/secret": NetworkRow("secret", 2)})
        reader, writer = await open_stream(bench.address, bench.context("h1"))
        writer.write(make_frame(m.Hello("h1")) + make_frame(m.Ask("network/secret")) + make_frame(m.Ask("host/h2")))
        writer.write(make_frame(m.Ping()))
        seen: list[m.FromServer] = []
        while not any(isinstance(message, m.Pong) for message in seen):
            seen.append(m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER)))
        names = {message.name for message in seen if isinstance(message, m.Whole | m.Delta)}
        assert names <= {"host/h1", "network/n1"}
        writer.transport.abort()

    run(tmp_path, test)


def test_a_copy_that_differs_is_asked_for_anew(tmp_path: Path) -> None:
    """A digest that does not fit heals that slice, and that one alone."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        held = feed._copies.coming["network/n1"]
        feed._copies.coming["network/n1"] = Slice(
            held.name, held.revision, {**held.rows, "subnet/x": NetworkRow("x", 9)}
        )
        bench.hub.notify({"network/n1": bench.source.put("network/n1", {"network/n1": NetworkRow("n1", 1, mtu=1300)})})
        await until(lambda: feed.revision == bench.source.revision and "network/n1" in feed.slices)
        await until(lambda: dict(feed.slices["network/n1"].rows) == dict(bench.source.slices["network/n1"].rows))
        await stop(task)

    run(tmp_path, test)


def make_hostile(dice: random.Random) -> list[bytes]:
    good = make_frame(m.Hello("h2"))
    frames = [
        struct.pack("!I", 0xFFFFFFFF) + b"x" * 100,
        struct.pack("!I", 50) + b"short",
        struct.pack("!I", 3) + b"\xc1\xc1\xc1",
        make_frame(m.Ack(1)),
        good + make_frame(m.Ack(10**9)),
        good + make_frame(m.Hello("h2")),
        good + struct.pack("!I", 9) + b"\x81\xa4type\x93",
        good[:7],
        b"",
    ]
    frames += [dice.randbytes(dice.randrange(1, 200)) for _ in range(30)]
    for _ in range(30):
        mangled = bytearray(good + make_frame(m.Report({"a": 1})))
        mangled[dice.randrange(len(mangled))] ^= 1 << dice.randrange(8)
        frames.append(bytes(mangled))
    return frames


def test_a_hostile_frame_closes_its_connection_and_nothing_else(tmp_path: Path) -> None:
    """Mangled, truncated, endless or out of turn: the other hosts do not notice."""

    async def test(bench: Bench) -> None:
        give(bench.source, "h1", "p1", "n1")
        feed = bench.feed("h1")
        task = asyncio.create_task(feed.run())
        await until(lambda: "network/n1" in feed.slices)
        context = bench.context("h2")
        for frame in make_hostile(random.Random(7)):
            _, writer = await open_stream(bench.address, context)
            writer.write(frame)
            if writer.can_write_eof():
                writer.write_eof()
            writer.close()
        bench.hub.notify({"network/n1": bench.source.put("network/n1", {"network/n1": NetworkRow("n1", 1, mtu=1200)})})
        await until(lambda: feed.revision == bench.source.revision)
        await until(lambda: bench.hub.hosts == {"h1"})
        await stop(task)

    run(tmp_path, test)


def test_a_token_is_good_once_for_one_host(tmp_path: Path) -> None:
    """With a token a host gets its certificate; a second time, for another host or with another server it does not."""

    async def test(bench: Bench) -> None:
        bench.told.book = bench.told.book.add("h5", "secret", NOW.timestamp() - 1)
        token = pki.parse_token(pki.make_token("h5", "secret", bench.server.certificate))
        csr = pki.make_request(pki.make_key(), "h5")
        with pytest.raises(pki.JoinError, match="fingerprint"):
            await request_join(bench.address, pki.Token("h5", "secret", "0" * 64), csr)
        with pytest.raises(pki.JoinError, match="not good"):
            await request_join(bench.address, pki.Token("h6", "secret", token.fingerprint), csr)
        joined = await request_join(bench.address, token, csr)
        assert "BEGIN CERTIFICATE" in joined.certificate
        with pytest.raises(pki.JoinError, match="not good"):
            await request_join(bench.address, token, csr)

    run(tmp_path, test)


def test_without_a_certificate_one_may_only_join(tmp_path: Path) -> None:
    """Whoever has no certificate hears nothing but a refusal."""

    async def test(bench: Bench) -> None:
        reader, writer = await open_stream(bench.address, pki.make_join_context())
        writer.write(make_frame(m.Hello("h1")))
        answer = m.parse_from_server(await receive_frame(reader, MAX_FROM_SERVER))
        assert isinstance(answer, m.Refuse) and "only join" in answer.reason
        writer.transport.abort()

    run(tmp_path, test)


def test_every_host_is_pinged_again_and_again_and_few_at_once(tmp_path: Path) -> None:
    """All of them in each round; between two turns of a round others are served."""

    async def test(bench: Bench) -> None:
        pinged: list[str] = []
        turns: list[int] = []
        with (
            patch.object(pulse, "PING_S", 0.2),
            patch.object(pulse, "PING_PARTS", 4),
            patch.object(bench.hub.pulse, "look_over", lambda connection: pinged.append(connection.host)),
        ):
            await bench.hub.stop()
            bench.hub.start()
            hosts = [f"h{number}" for number in range(1, 9)]
            tasks = [asyncio.create_task(bench.feed(host).run()) for host in hosts]
            await until(lambda: bench.hub.hosts == frozenset(hosts))
            pinged.clear()
            while len(pinged) < 40:
                before = len(pinged)
                await asyncio.sleep(0)
                turns.append(len(pinged) - before)
        assert set(pinged) == set(hosts) and max(turns) <= 2
        for task in tasks:
            await stop(task)

    run(tmp_path, test)

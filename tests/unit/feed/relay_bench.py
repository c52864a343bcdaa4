"""A hub, relays and hosts in one process, over real TLS on socket files: what tests of relays start with."""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

from netloom.feed import pki
from netloom.feed.bus import Listener
from netloom.feed.cache import Cache
from netloom.feed.client import Feed
from netloom.feed.grants import Grant, make_grant
from netloom.feed.hub import Hub
from netloom.feed.relay import Relay
from netloom.model.slices import FollowRow, NetworkRow, PortRow, Row
from tests.unit.feed.test_feed_wire import Source, Told, until

CHANCE = 7


@dataclass
class Papers:
    """Key and certificate of one name, as files."""

    folder: Path
    name: str

    @property
    def stem(self) -> Path:
        return self.folder / self.name.replace("/", "-")

    @property
    def key(self) -> Path:
        return self.stem.with_suffix(".key")

    @property
    def certificate(self) -> Path:
        return self.stem.with_suffix(".pem")

    def make(self, authority: pki.Pair) -> Papers:
        key = pki.make_key()
        csr = pki.make_request(key, self.name)
        self.key.write_bytes(pki.encode_key(key))
        self.certificate.write_text(pki.sign_request(authority, self.name, csr, datetime.now(UTC)))
        return self

    def context(self) -> ssl.SSLContext:
        return pki.make_host_context(self.certificate, self.key, self.folder / "ca.pem")

    def grant(self, to: str) -> Grant:
        return make_grant(self.key.read_bytes(), self.certificate.read_bytes(), self.name, to, time.time())


@dataclass
class Running:
    """A relay that listens and follows."""

    relay: Relay
    task: asyncio.Task[None]
    listener: asyncio.Server
    papers: Papers

    async def die(self) -> None:
        """As by kill -9: connections break, nothing is said."""
        self.listener.close()
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class RelayBench:
    """A server's hub at `server`; relays and hosts that the test makes."""

    folder: Path
    source: Source
    told: Told
    hub: Hub
    running: list[Running] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def server(self) -> str:
        return f"unix:{self.folder}/server.sock"

    def address(self, relay: str) -> str:
        return f"unix:{self.folder}/{relay}.sock"

    def papers(self, name: str) -> Papers:
        papers = Papers(self.folder, name)
        return papers if papers.certificate.exists() else papers.make(self.told.authority)

    async def relay(
        self,
        name: str,
        upstream: str = "",
        orphan_s: float = 60.0,
        make_listener: Callable[[Relay], Listener] | None = None,
    ) -> Running:
        papers = self.papers(f"relay/{name}")
        relay = Relay(
            papers.name, tuple((upstream or self.server).split(",")), papers.context,
            lambda: self.told.authority.certificate, Cache(self.folder / f"{name}.slices"), papers.grant,
            chance=random.Random(CHANCE), orphan_s=orphan_s,
        )  # fmt: skip
        relay.hub.relays.grace_s = 0.2
        relay.hearing.listener = make_listener(relay) if make_listener else None
        context = pki.make_server_context(papers.certificate, papers.key, self.folder / "ca.pem")
        (self.folder / f"{name}.sock").unlink(missing_ok=True)
        listener = await asyncio.start_unix_server(relay.hub.serve, self.folder / f"{name}.sock", ssl=context)
        made = Running(relay, asyncio.create_task(relay.run()), listener, papers)
        self.running.append(made)
        await until(lambda: relay.connected)
        return made

    def feed(self, host: str, address: str) -> Feed:
        papers = self.papers(host)
        return Feed(
            host, address, papers.context, Cache(self.folder / f"{host}.slices"), grant=papers.grant,
            configurations={"tunneling_ip": "192.0.2.1"}, chance=random.Random(CHANCE),
        )  # fmt: skip

    def start(self, feed: Feed) -> asyncio.Task[None]:
        task = asyncio.create_task(feed.run())
        self.tasks.append(task)
        return task

    def change(self, name: str, rows: Mapping[str, Row], drop: tuple[str, ...] = ()) -> None:
        self.hub.notify({name: self.source.put(name, rows, drop)})

    def new_hub(self) -> Hub:
        """As a server that was started anew has it: nothing is remembered."""
        hub = Hub(
            self.source, self.told, lambda: self.source.revision, authority=lambda: self.told.authority.certificate
        )
        hub.relays.grace_s = 0.2
        return hub


def give(source: Source, host: str, port: str, network: str, rows: int = 0) -> None:
    """A port bound to the host, on a network with so many places."""
    if f"network/{network}" not in source.slices:
        places: dict[str, Row] = {f"place/{n}": make_place(n) for n in range(rows)}
        source.put(f"network/{network}", {f"network/{network}": NetworkRow(network, 1), **places})
    put: dict[str, Row] = {
        f"port/{port}": PortRow(port, network, "fa:16:3e:00:00:01"),
        f"follow/network/{network}": FollowRow(f"network/{network}"),
    }
    source.put(f"host/{host}", put)


def make_place(number: int, revision: int = 1) -> Row:
    from netloom.model.slices import Address, PlaceRow

    mac = f"fa:16:3e:00:{number // 256:02x}:{number % 256:02x}"
    address = (Address(f"10.0.{number // 256}.{number % 256}"),)
    return PlaceRow(str(number), mac, f"h{number}", address, revision=revision)


def run(tmp_path: Path, test: Callable[[RelayBench], Awaitable[None]], within_s: float = 60.0) -> None:
    async def main() -> None:
        now = datetime.now(UTC)
        authority = pki.make_authority(now)
        server = pki.make_server_pair(authority, now)
        for name, data in (("ca.pem", authority.certificate), ("s.pem", server.certificate), ("s.key", server.key)):
            (tmp_path / name).write_bytes(data)
        source, told = Source(), Told(authority)
        bench = RelayBench(tmp_path, source, told, Hub(source, told, lambda: source.revision))
        bench.hub = bench.new_hub()
        context = pki.make_server_context(tmp_path / "s.pem", tmp_path / "s.key", tmp_path / "ca.pem")
        serve = lambda reader, writer: bench.hub.serve(reader, writer)  # noqa: E731
        listener = await asyncio.start_unix_server(serve, tmp_path / "server.sock", ssl=context)
        bench.hub.start()
        try:
            async with asyncio.timeout(within_s):
                await test(bench)
        finally:
            listener.close()
            for running in bench.running:
                await running.die()
            for task in bench.tasks:
                task.cancel()
            await asyncio.gather(*bench.tasks, return_exceptions=True)
            await bench.hub.stop()

    # A ping in the middle of what a test counts would be counted too.
    with patch("netloom.feed.pulse.PING_S", 3600.0):
        asyncio.run(main())

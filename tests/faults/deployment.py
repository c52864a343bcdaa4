"""A deployment whose every part can fail: two servers, their database, a RabbitMQ and a NATS where they are installed,
two relays, hosts, and the links between them. One host follows the servers, one a relay, and one the other relay or
whoever takes its connection."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netloom.main.hosts.agent import join
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from netloom.testing.faults import KEEPER, LINK, PROCESS, Part
from tests.databases import DatabaseServer, start_own
from tests.faults.broker import Broker, is_installed
from tests.faults.host import find_store
from tests.faults.link import Link
from tests.faults.memory_host import load_options
from tests.faults.server import Server
from tests.peer.rabbit import Rabbit
from tests.peer.rabbit import is_installed as is_rabbit_installed

START_S = 90.0
HOSTS = ("h1", "h2", "h3")
SERVERS = ("server-a", "server-b")
RELAYS = ("relay-a", "relay-b")
DATABASE, RABBIT, NATS = "database", "rabbit", "nats"
KEPT = {"relay": "relay/slices", "host": "slices"}
"""Where a relay and a host keep copies of what others have."""
PORTS = itertools.count(20_000 + os.getpid() % 100 * 100)
SETTINGS = (
    "quotas.quota_network=-1", "quotas.quota_port=-1", "quotas.quota_subnet=-1",
    "oslo_messaging_rabbit.amqp_durable_queues=true",
)  # fmt: skip


@dataclass
class Host:
    """The process of one host's agent."""

    name: str
    state: Path
    feed: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.faults.memory_host", str(self.state), self.feed, self.name]
        with (self.state / f"{self.name}.out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def empty(self) -> None:
        shutil.rmtree(self.state / self.name / KEPT["host"], ignore_errors=True)


@dataclass
class Relay:
    """The process of a relay. `upstream`: where it finds a server; `extra`: options."""

    name: str
    folder: Path
    server: Server
    upstream: str
    extra: tuple[str, ...] = ()
    port: int = field(default_factory=lambda: take_port())
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [
            sys.executable, "-m", "netloom.main.cli", "server", "--role", "relay", "--upstream", self.upstream,
            "--set", f"state_path={self.folder}", "--set", f"netloom.feed_listen=127.0.0.1:{self.port}", *self.extra,
        ]  # fmt: skip
        if not (self.folder / "relay" / "joined").exists():
            command += ["--token", make_token(self.server, f"relay/{self.name}")]
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        end = time.monotonic() + START_S
        while not self.listens():
            if self.process.poll() is not None:
                raise RuntimeError((self.folder / "out").read_text()[-2000:])  # it could not join, for one
            if time.monotonic() > end:
                raise TimeoutError("the relay does not listen")
            time.sleep(0.05)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def empty(self) -> None:
        shutil.rmtree(self.folder / KEPT["relay"], ignore_errors=True)


@dataclass
class Deployment:
    """The parts by name."""

    folder: Path
    database: DatabaseServer
    url: str
    servers: dict[str, Server]
    hosts: dict[str, Host]
    links: dict[str, Link]
    relays: dict[str, Relay]
    rabbit: Rabbit | None = None
    nats: Broker | None = None
    asleep: dict[str, list[int]] = field(default_factory=dict)
    claims: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def claim(self, name: str) -> asyncio.Lock:
        """Whoever does something to a part holds this: one that starts slowly is not killed half-way by a plan that
        takes it to be up."""
        return self.claims[name]

    # -- what is done to a part ----------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        if name == RABBIT and self.rabbit:
            self.rabbit.stop()
        else:
            self.find(name).kill()

    def empty(self, name: str) -> None:
        """Killed, and what it had on disk is gone."""
        self.kill(name)
        part = self.find(name)
        if isinstance(part, (Host, Relay)):
            part.empty()

    def start(self, name: str) -> None:
        """Whatever was killed, as it was; tried again as systemd does: a server that finds no store ends. Takes as long
        as the part does."""
        end = time.monotonic() + START_S
        while True:
            try:
                self.start_once(name)
                return
            except (RuntimeError, TimeoutError):
                if time.monotonic() > end:
                    raise
                if is_alive(self.find(name).process):
                    self.kill(name)
                time.sleep(0.2)

    def start_once(self, name: str) -> None:
        if name == RABBIT and self.rabbit:
            self.rabbit.stop()
        self.find(name).start()

    def pause(self, name: str) -> None:
        for pid in find_tree(self.find_pid(name)):
            try:
                os.kill(pid, signal.SIGSTOP)
                self.asleep.setdefault(name, []).append(pid)
            except ProcessLookupError:
                pass  # a short-lived child

    def wake(self, name: str) -> None:
        for pid in self.asleep.pop(name, []):
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass

    def find(self, name: str) -> Any:
        own = {DATABASE: self.database, RABBIT: self.rabbit, NATS: self.nats}
        return {**own, **self.relays, **self.servers, **self.hosts}[name]

    def find_pid(self, name: str) -> int:
        process = self.find(name).process
        assert isinstance(process, subprocess.Popen)
        return process.pid


def is_alive(process: subprocess.Popen[bytes] | None) -> bool:
    return process is not None and process.poll() is None


@dataclass(frozen=True, slots=True)
class Shape:
    """Which parts there are: the engine of the store, and the brokers."""

    engine: str = "postgresql"
    rabbit: bool = True
    nats: bool = True


def find_shape(engine: str = "postgresql", brokers: bool = True) -> Shape:
    """With the brokers that are installed."""
    return Shape(engine, brokers and is_rabbit_installed(), brokers and is_installed())


def list_parts(shape: Shape) -> tuple[Part, ...]:
    """What can fail. NATS keeps what it has in memory: to be killed is to be emptied."""
    brokers = [name for name, there in ((RABBIT, shape.rabbit), (NATS, shape.nats)) if there]
    processes, keepers = [*SERVERS, DATABASE, *brokers], [*RELAYS, *HOSTS]
    links = [f"{name}/{DATABASE}" for name in SERVERS] + [f"clients/{name}" for name in SERVERS]
    links += [f"{name}/{broker}" for name in SERVERS for broker in brokers]
    links += [f"{name}/{NATS}" for name in RELAYS if shape.nats] + [f"{name}/feed" for name in (*RELAYS, *HOSTS)]
    kinds = ((processes, PROCESS), (keepers, KEEPER), (links, LINK))
    return tuple(Part(name, kind) for names, kind in kinds for name in names)


def find_tree(pid: int) -> list[int]:
    """A process and all that come of it: those of PostgreSQL are in groups of their own."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        found = []
    return [pid, *(one for child in found for one in find_tree(int(child)))]


@asynccontextmanager
async def deployed(folder: Path, shape: Shape) -> AsyncIterator[Deployment]:
    """All of it, running and joined. Raises Missing."""
    async with AsyncExitStack() as stack:
        database = start_own(shape.engine)
        stack.callback(shutil.rmtree, database.folder, True)
        stack.callback(database.stop)
        url = database.make_database()
        rabbit = Rabbit(folder / "rabbit", take_port(), take_port(), take_port()) if shape.rabbit else None
        nats = Broker(folder / "nats", take_port()) if shape.nats else None
        for broker, stop in ((rabbit, rabbit and rabbit.stop), (nats, nats and nats.stop)):
            if broker and stop:
                stack.callback(stop)
                await asyncio.to_thread(broker.start)
        deployment = make_deployment(folder, database, url, rabbit, nats)
        for link in deployment.links.values():
            await link.open()
            stack.push_async_callback(link.close)
        stack.callback(stop_all, deployment)
        for name in (*SERVERS, *RELAYS):
            await asyncio.to_thread(deployment.start, name)
        for host in deployment.hosts.values():
            await asyncio.to_thread(join_host, deployment, host)
            host.start()
        yield deployment


def make_deployment(
    folder: Path, database: DatabaseServer, url: str, rabbit: Rabbit | None, nats: Broker | None
) -> Deployment:
    state = folder / "state"
    state.mkdir(parents=True)
    links: dict[str, Link] = {}
    feeds = {name: take_port() for name in SERVERS}
    servers = {
        name: make_server(name, state, links, [
            *SETTINGS, f"netloom.feed_listen=127.0.0.1:{feeds[name]}", *tell_store(name, links, database, url),
            *tell_rabbit(name, links, rabbit), *tell_nats(name, links, nats),
        ]) for name in SERVERS
    }  # fmt: skip
    relays = {}
    for name in RELAYS:
        above = links[f"{name}/feed"] = make_link(f"{name}/feed", *feeds.values())
        extra = set_all(tell_nats(name, links, nats))
        relays[name] = Relay(name, folder / name, servers[SERVERS[0]], f"127.0.0.1:{above.port}", extra)
    first, second = (relays[name].port for name in RELAYS)
    hosts = {}
    for name, ports in zip(HOSTS, ([*feeds.values()], [first], [second, first, *feeds.values()]), strict=True):
        link = links[f"{name}/feed"] = make_link(f"{name}/feed", *ports)
        hosts[name] = Host(name, state, f"127.0.0.1:{link.port}")
    return Deployment(folder, database, url, servers, hosts, links, relays, rabbit, nats)


def make_server(name: str, state: Path, links: dict[str, Link], options: list[str]) -> Server:
    server = Server(state, extra=set_all(options), port=take_port())
    links[f"clients/{name}"] = make_link(f"clients/{name}", server.port)
    return server


def set_all(options: Iterable[str]) -> tuple[str, ...]:
    return tuple(word for one in options for word in ("--set", one))


def tell_store(name: str, links: dict[str, Link], database: DatabaseServer, url: str) -> list[str]:
    link = links[f"{name}/{DATABASE}"] = make_link(f"{name}/{DATABASE}", database.port)
    return [f"database.connection={url.replace(f':{database.port}/', f':{link.port}/')}"]


def tell_rabbit(name: str, links: dict[str, Link], rabbit: Rabbit | None) -> list[str]:
    if rabbit is None:
        return []
    link = links[f"{name}/{RABBIT}"] = make_link(f"{name}/{RABBIT}", rabbit.port)
    url = rabbit.url.replace(str(rabbit.port), str(link.port))
    return ["oslo_messaging_notifications.driver=messagingv2", f"transport_url={url}"]


def tell_nats(name: str, links: dict[str, Link], nats: Broker | None) -> list[str]:
    if nats is None:
        return []
    link = links[f"{name}/{NATS}"] = make_link(f"{name}/{NATS}", nats.port)
    return [f"netloom.nats_servers=nats://127.0.0.1:{link.port}"]


def make_link(name: str, *ports: int) -> Link:
    return Link(name, [("127.0.0.1", port) for port in ports], take_port())


def join_host(deployment: Deployment, host: Host) -> None:
    """At a server: a relay lets nobody join."""
    token = make_token(deployment.servers[SERVERS[0]], host.name)
    server = f"127.0.0.1:{deployment.links[f'{HOSTS[0]}/feed'].port}"
    join(load_options(host.state, server, host.name), token)


def make_token(server: Server, name: str) -> str:
    """As `netloom agent token` makes one beside the server."""
    return make_join_token(load_server_options((), find_store(server)), name)


def take_port() -> int:
    """A port that no connection gets as its own meanwhile: those are given from 32,768 on."""
    while True:
        port = next(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def stop_all(deployment: Deployment) -> None:
    for name in list(deployment.asleep):
        deployment.wake(name)
    for host in deployment.hosts.values():
        if host.process is not None:
            host.kill()
    for relay in deployment.relays.values():
        if relay.process is not None:
            relay.kill()
    for server in deployment.servers.values():
        if server.process is not None and server.process.poll() is None:
            server.kill()

"""A deployment whose every part can fail: two servers, a PostgreSQL, a RabbitMQ where there is one, a relay, hosts, and
the links between them. One host follows the servers, one the relay, and one whoever takes its connection."""

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
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from netloom.main.hosts.agent import join
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from netloom.testing.faults import LINK, PROCESS, Part
from tests.databases import DatabaseServer, start_own
from tests.faults.host import find_store
from tests.faults.link import Link
from tests.faults.memory_host import load_options
from tests.faults.server import Server
from tests.peer.rabbit import Rabbit

START_S = 90.0
HOSTS = ("h1", "h2", "h3")
SERVERS = ("server-a", "server-b")
RELAY = "relay"
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


@dataclass
class Relay:
    """The process of the relay. `upstream`: where it finds a server."""

    folder: Path
    server: Server
    upstream: str
    port: int = field(default_factory=lambda: take_port())
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(exist_ok=True)
        command = [
            sys.executable, "-m", "netloom.main.cli", "server", "--role", "relay", "--upstream", self.upstream,
            "--set", f"state_path={self.folder}", "--set", f"netloom.feed_listen=127.0.0.1:{self.port}",
        ]  # fmt: skip
        if not (self.folder / "relay" / "joined").exists():
            command += ["--token", make_token(self.server, "relay/r1")]
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


@dataclass
class Deployment:
    """The parts by name."""

    folder: Path
    database: DatabaseServer
    url: str
    servers: dict[str, Server]
    hosts: dict[str, Host]
    links: dict[str, Link]
    relay: Relay
    rabbit: Rabbit | None = None
    asleep: dict[str, list[int]] = field(default_factory=dict)
    claims: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    def claim(self, name: str) -> asyncio.Lock:
        """Whoever does something to a part holds this: one that starts slowly is not killed half-way by a plan that
        takes it to be up."""
        return self.claims[name]

    # -- what is done to a part ----------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        if name == "database":
            self.database.kill()
        elif name == "broker" and self.rabbit:
            self.rabbit.stop()
        elif name == RELAY:
            self.relay.kill()
        elif name in self.servers:
            self.servers[name].kill()
        else:
            self.hosts[name].kill()

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
                if is_alive(getattr(self.find(name), "process", None)):
                    self.kill(name)
                time.sleep(0.2)

    def start_once(self, name: str) -> None:
        if name == "database":
            self.database.start()
        elif name == "broker" and self.rabbit:
            self.rabbit.stop()
            self.rabbit.start()
        elif name == RELAY:
            self.relay.start()
        elif name in self.servers:
            self.servers[name].start()
        else:
            self.hosts[name].start()

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

    def find(self, name: str) -> object:
        own = {"database": self.database, "broker": self.rabbit, RELAY: self.relay}
        return {**own, **self.servers, **self.hosts}[name]

    def find_pid(self, name: str) -> int:
        process = getattr(self.find(name), "process", None)
        assert isinstance(process, subprocess.Popen)
        return process.pid


def is_alive(process: subprocess.Popen[bytes] | None) -> bool:
    return process is not None and process.poll() is None


def list_parts(broker: bool) -> tuple[Part, ...]:
    """What can fail."""
    processes = [*SERVERS, RELAY, "database", *(["broker"] if broker else []), *HOSTS]
    links = [f"{name}/database" for name in SERVERS] + [f"clients/{name}" for name in SERVERS]
    links += [f"{name}/broker" for name in SERVERS if broker] + [f"{name}/feed" for name in (RELAY, *HOSTS)]
    return (*(Part(name, PROCESS) for name in processes), *(Part(name, LINK) for name in links))


def find_tree(pid: int) -> list[int]:
    """A process and all that come of it: those of PostgreSQL are in groups of their own."""
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        found = []
    return [pid, *(one for child in found for one in find_tree(int(child)))]


@asynccontextmanager
async def deployed(folder: Path, broker: bool = True) -> AsyncIterator[Deployment]:
    """All of it, running and joined."""
    async with AsyncExitStack() as stack:
        database = start_own("postgresql")
        stack.callback(shutil.rmtree, database.folder, True)
        stack.callback(database.stop)
        url = database.make_database()
        rabbit = Rabbit(folder / "rabbit", take_port(), take_port(), take_port()) if broker else None
        if rabbit:
            await asyncio.to_thread(rabbit.start)
            stack.callback(rabbit.stop)
        deployment = make_deployment(folder, database, url, rabbit)
        for link in deployment.links.values():
            await link.open()
            stack.push_async_callback(link.close)
        stack.callback(stop_all, deployment)
        for server in deployment.servers.values():
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(deployment.start, RELAY)
        for host in deployment.hosts.values():
            await asyncio.to_thread(join_host, deployment, host)
            host.start()
        yield deployment


def make_deployment(folder: Path, database: DatabaseServer, url: str, rabbit: Rabbit | None) -> Deployment:
    state = folder / "state"
    state.mkdir(parents=True)
    links, servers, feeds = {}, {}, []
    for name in SERVERS:
        store = links[f"{name}/database"] = make_link(f"{name}/database", database.port)
        told = ["--set", f"database.connection={url.replace(f':{database.port}/', f':{store.port}/')}"]
        if rabbit:
            link = links[f"{name}/broker"] = make_link(f"{name}/broker", rabbit.port)
            told += ["--set", "oslo_messaging_notifications.driver=messagingv2",
                     "--set", f"transport_url={rabbit.url.replace(str(rabbit.port), str(link.port))}"]  # fmt: skip
        feeds.append(take_port())
        told += ["--set", f"netloom.feed_listen=127.0.0.1:{feeds[-1]}"]
        servers[name] = Server(
            state, extra=(*(word for one in SETTINGS for word in ("--set", one)), *told), port=take_port()
        )
        links[f"clients/{name}"] = make_link(f"clients/{name}", servers[name].port)
    above = links[f"{RELAY}/feed"] = make_link(f"{RELAY}/feed", *feeds)
    relay = Relay(folder / RELAY, servers[SERVERS[0]], f"127.0.0.1:{above.port}")
    hosts = {}
    for name, ports in zip(HOSTS, (feeds, [relay.port], [relay.port, *feeds]), strict=True):
        link = links[f"{name}/feed"] = make_link(f"{name}/feed", *ports)
        hosts[name] = Host(name, state, f"127.0.0.1:{link.port}")
    return Deployment(folder, database, url, servers, hosts, links, relay, rabbit)


def make_link(name: str, *ports: int) -> Link:
    return Link(name, [("127.0.0.1", port) for port in ports], take_port())


def join_host(deployment: Deployment, host: Host) -> None:
    """At a server: a relay lets nobody join."""
    token = make_token(deployment.relay.server, host.name)
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
    if deployment.relay.process is not None:
        deployment.relay.kill()
    for server in deployment.servers.values():
        if server.process is not None and server.process.poll() is None:
            server.kill()

"""A swarm: a server, and a thousand hosts in a few processes, for measuring; `netloom lab swarm` runs it.

Hosts run the agents' own feed, render, plan and loop; their devices are dicts. Server and hosts speak TLS over TCP,
each host by a connection and a certificate of its own. Law: a swarm leaves no process behind, and touches nothing but
its folder and its database.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import httpx

from netloom.lab import processes
from netloom.lab.shell import LabError, Say, run
from netloom.lab.swarm_fill import fill_store
from netloom.lab.swarm_plan import CloudPlan, Shape, make_tunnel_ip, plan_cloud

NETLOOM = (sys.executable, "-m", "netloom.main.cli")
WORKER = (sys.executable, "-m", "netloom.main.hosts.swarm")
NO_QUOTAS = ("network", "port", "subnet")
START_S = 120.0
PATIENCE_S = 3600
"""Seconds until what was on a host that is away moves: a thousand hosts on a slow machine take long to come back."""
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A swarm as it is asked for. `processes`: of hosts. `rendering`: hosts that have devices, the others only follow.

    `database`: a URL; empty: a file in the folder.
    """

    shape: Shape = field(default_factory=Shape)
    rendering: int = -1
    processes: int = 2
    relays: int = 0
    database: str = ""


def find_port() -> int:
    """A TCP port that is free just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Serving(Protocol):
    """The server of a swarm: its own, or one that runs already."""

    @property
    def folder(self) -> Path:
        """Where everything of the swarm is kept."""
        ...

    @property
    def url(self) -> str: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Of requests to its API."""
        ...

    def find_papers(self, hosts: Sequence[str]) -> Figures:
        """What a process of hosts is told, so that each gets its certificate."""
        ...

    def measure(self) -> Figures: ...


class Program:
    """A child of the swarm in a folder of its own: `netloom server`, as a server or as a relay."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name, self.state = folder, name, folder / name
        self.feed_port = find_port()
        self._process: Any = None

    @property
    def feed(self) -> str:
        return f"127.0.0.1:{self.feed_port}"

    def _start(self, words: Sequence[str], options: Mapping[str, str], env: Mapping[str, str] | None = None) -> None:
        given = {"state_path": str(self.state), "netloom.feed_listen": self.feed, **options}
        command = [*NETLOOM, "server", *words, *render_options(given)]
        self.state.mkdir(parents=True, exist_ok=True)
        self._process = processes.start(command, self.folder, self.folder / f"{self.name}.log", env=env)

    async def _wait(self, ready: Callable[[], Awaitable[bool]], deadline_s: float) -> float:
        """The second of the monotonic clock at which it was ready. Raises LabError."""
        ends = time.monotonic() + deadline_s
        while time.monotonic() < ends:
            if self._process.poll() is not None:
                raise LabError(f"{self.name} ended ({self._process.returncode}): see {self.folder}/{self.name}.log")
            if await ready():
                return time.monotonic()
            await asyncio.sleep(0.02)
        raise LabError(f"no answer of {self.name} in {deadline_s:g} s: see {self.folder}/{self.name}.log")

    def end(self, kill: bool = False) -> None:
        """Stop it in order, or at once."""
        if self._process is not None and self._process.poll() is None:
            if not kill:
                self._process.terminate()
            else:
                self._process.kill()
            self._process.wait(timeout=60)

    def measure(self) -> Figures:
        """CPU seconds since it started, and MiB that it holds."""
        pid = self._process.pid
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return {"cpu_s": round(cpu, 2), "rss_mib": pages * os.sysconf("SC_PAGE_SIZE") >> 20}


def render_options(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("--set", f"{name}={value}")]


class Server(Program):
    """The server, on a database."""

    def __init__(self, folder: Path, database: str) -> None:
        super().__init__(folder, "server")
        self._database = database
        self.port = find_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> Mapping[str, str]:
        return {}

    def find_papers(self, hosts: Sequence[str]) -> Figures:
        """The authority itself: a thousand join tokens would be a thousand writes of its book."""
        return {"authority": str(self.state / "feed")}

    def start(self) -> None:
        options = {
            "bind_host": "127.0.0.1", "bind_port": str(self.port), "auth_strategy": "noauth",
            "database.connection": self._database, "agent_down_time": str(PATIENCE_S),
            **{f"quotas.quota_{name}": "-1" for name in NO_QUOTAS},
        }  # fmt: skip
        self._start((), options)

    async def wait_ready(self, deadline_s: float = START_S) -> float:
        async with httpx.AsyncClient(trust_env=False, timeout=2) as http:

            async def ready() -> bool:
                try:
                    return (await http.get(f"{self.url}/healthcheck")).status_code == 200
                except httpx.HTTPError:
                    return False

            return await self._wait(ready, deadline_s)


class Relay(Program):
    """A relay between the server and hosts; it joins with a token, as an operator would have it."""

    def __init__(self, folder: Path, number: int, upstream: Server) -> None:
        super().__init__(folder, f"relay-{number}")
        self._upstream = upstream

    def start(self) -> None:
        name = f"relay/{self.name}"
        token = run(*NETLOOM, "agent", "token", name, *render_options({"state_path": str(self._upstream.state)}))
        self._start(("--role", "relay", "--upstream", self._upstream.feed), {}, {"NETLOOM_JOIN_TOKEN": token.strip()})

    async def wait_ready(self, deadline_s: float = START_S) -> float:
        async def ready() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.feed_port)
            except OSError:
                return False
            writer.close()
            return True

        return await self._wait(ready, deadline_s)


class Worker:
    """One process of hosts: asked by lines of JSON, one question at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._turn = asyncio.Lock()

    async def tell(self, message: Mapping[str, Any]) -> Figures:
        assert self._process.stdin is not None and self._process.stdout is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            await self._process.stdin.drain()
            line = await self._process.stdout.readline()
        if not line:
            raise LabError("a process of hosts ended; its log says why")
        found: Figures = json.loads(line)
        if "error" in found:
            raise LabError(str(found["error"]))
        return found

    async def end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(30):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()


class Swarm:
    """All of it, running. Times are seconds of the monotonic clock, which is the same in all processes."""

    def __init__(self, wanted: Wanted, plan: CloudPlan, server: Serving) -> None:
        self.wanted, self.plan, self.server = wanted, plan, server
        self.workers: list[Worker] = []
        self.relays: list[Relay] = []
        self.bring_up: Figures = {}

    @property
    def store(self) -> str:
        return find_store(self.wanted, self.server.folder)

    async def ask(self, **question: Any) -> list[Figures]:
        """The same question to every process of hosts."""
        return list(await asyncio.gather(*(worker.tell(question) for worker in self.workers)))

    async def start_relays(self, upstream: Server) -> None:
        self.relays = [Relay(self.server.folder, number, upstream) for number in range(self.wanted.relays)]
        for relay in self.relays:
            relay.start()
        for relay in self.relays:
            await relay.wait_ready()

    async def start_hosts(self, addresses: Sequence[str]) -> None:
        count = max(1, min(self.wanted.processes, len(self.plan.hosts)))
        await asyncio.gather(*(self._start_worker(at, count, addresses) for at in range(count)))

    async def bring_hosts(self, addresses: Sequence[str]) -> None:
        """Start them, and wait until each has all that is meant for it. Raises LabError."""
        since = time.monotonic()
        await self.start_hosts(addresses)
        await self.settle(since, 60 + len(self.plan.hosts))

    async def _start_worker(self, at: int, count: int, addresses: Sequence[str]) -> None:
        numbers = range(at + 1, len(self.plan.hosts) + 1, count)
        rendering = self.wanted.rendering if self.wanted.rendering >= 0 else len(self.plan.hosts)
        folder = self.server.folder
        with (folder / f"hosts-{at}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *WORKER, stdin=-1, stdout=-1, stderr=log, env=processes.marked(folder), limit=1 << 26
            )
        worker = Worker(process)
        self.workers.append(worker)
        await worker.tell({
            "folder": str(folder), "addresses": list(addresses),
            "hosts": [(self.plan.hosts[number - 1], make_tunnel_ip(number), number) for number in numbers],
            "rendering": sum(number <= rendering for number in numbers),
            **self.server.find_papers([self.plan.hosts[number - 1] for number in numbers]),
        })  # fmt: skip

    async def stop_hosts(self) -> None:
        await asyncio.gather(*(worker.end() for worker in self.workers))
        self.workers.clear()

    async def count(self) -> Figures:
        """What all hosts hold and have done, in sum."""
        found = await self.ask(do="count")
        return {name: round(sum(one[name] for one in found), 3) for name in found[0]}

    def measure(self) -> Figures:
        """What the server and the relays have used and hold."""
        relays = [relay.measure() for relay in self.relays]
        found = {f"server_{name}": value for name, value in self.server.measure().items()}
        return (
            found | {f"relays_{name}": round(sum(one[name] for one in relays), 2) for name in relays[0]}
            if relays
            else found
        )

    async def settle(self, since: float, deadline_s: float) -> list[float]:
        """When each host had all that is meant for it by the connection that it has. Raises LabError."""
        found = await self.ask(do="settle", since=since, deadline_s=deadline_s)
        moments = [at for one in found for at in one["moments"]]
        if not all(moments):
            raise LabError(f"{moments.count(0.0)} of {len(moments)} hosts are not current after {deadline_s:g} s")
        return moments

    async def wait(self, since: float, hosts: Sequence[str] | None, deadline_s: float) -> list[tuple[float, float]]:
        """When each host heard of what happened after `since`, and when it had acknowledged that. Raises LabError."""
        found = await self.ask(do="wait", since=since, hosts=hosts, deadline_s=deadline_s)
        moments = [(heard, done) for one in found for heard, done in one["moments"]]
        if late := sum(not done for _, done in moments):
            raise LabError(f"{late} of {len(moments)} hosts did not acknowledge in {deadline_s:g} s")
        return moments

    async def wait_idle(self, deadline_s: float = 600.0) -> None:
        """Until no host has anything left to say. Raises LabError."""
        ends, before = time.monotonic() + deadline_s, -1
        while time.monotonic() < ends:
            found = await self.count()
            if found["acknowledgements"] == before:
                return
            before = found["acknowledgements"]
            await asyncio.sleep(0.5)
        raise LabError(f"the hosts are not quiet after {deadline_s:g} s")

    async def finish_bring_up(self, watch: Watch) -> None:
        """Wait until nobody has anything to say, and keep how long each step took. Raises LabError."""
        await self.wait_idle()
        watch.note("quiet_s")
        await self.ask(do="freeze")
        self.bring_up = watch.noted


def find_store(wanted: Wanted, folder: Path) -> str:
    return wanted.database or f"sqlite:///{folder}/netloom.db"


@asynccontextmanager
async def run_swarm(wanted: Wanted, folder: Path, say: Say) -> AsyncIterator[Swarm]:
    """Fill a store in `folder`, start a server on it, and all hosts; they are current when the context begins."""
    plan, shape, watch = plan_cloud(wanted.shape), wanted.shape, Watch()
    say(f"{shape.ports} ports of {len(plan.projects)} projects in {len(plan.networks)} networks on {shape.hosts} hosts")
    await fill_store(find_store(wanted, folder), plan)
    watch.note("filled_s")
    server = Server(folder, find_store(wanted, folder))
    swarm = Swarm(wanted, plan, server)
    try:
        say("the server")
        server.start()
        await server.wait_ready()
        await swarm.start_relays(server)
        watch.note("server_s")
        say(f"{shape.hosts} hosts connect, follow and render")
        await swarm.bring_hosts([relay.feed for relay in swarm.relays] or [server.feed])
        watch.note("all_current_s")
        say("what they hold is acknowledged")
        await swarm.finish_bring_up(watch)
        yield swarm
    finally:
        await swarm.stop_hosts()
        for program in (*swarm.relays, server):
            program.end()


class Watch:
    """How long each step took."""

    def __init__(self) -> None:
        self.noted: Figures = {}
        self._since = time.monotonic()

    def note(self, name: str) -> None:
        now = time.monotonic()
        self.noted[name], self._since = round(now - self._since, 1), now

"""A real relay between a real server and its hosts: killed, paused, started again; a stolen certificate of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.feed.client import Feed
from netloom.main.hosts.agent import make_feed
from netloom.main.options.host import HostOptions, load_host_options
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from tests.faults.host import find_store, join_host, wire
from tests.faults.server import Server

WITHIN_S = 60.0


@dataclass
class RelayProcess:
    """`netloom server --role relay`, as an operator starts it."""

    server: Server
    name: str
    extra: tuple[str, ...] = ()
    program: str = "netloom.main.cli"
    process: subprocess.Popen[bytes] | None = None

    @property
    def state(self) -> Path:
        return self.server.state / self.name

    @property
    def address(self) -> str:
        return f"unix:{self.state}/feed.sock"

    def start(self) -> None:
        self.state.mkdir(exist_ok=True)
        options = load_server_options((), find_store(self.server))
        token = [] if (self.state / "relay" / "joined").exists() else ["--token", self.token(options)]
        command = [
            sys.executable, "-m", self.program, "server", "--role", "relay", "--upstream", self.server.feed,
            *token, "--set", f"state_path={self.state}", "--set", f"netloom.feed_listen={self.address}", *self.extra,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with (self.state / "out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)

    def token(self, options: Any) -> str:
        return make_join_token(options, f"relay/{self.name}")

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.send(signal.SIGCONT)
        self.send(number)
        assert self.process is not None
        return self.process.wait(30)


@contextlib.contextmanager
def following(options: HostOptions) -> Iterator[Feed]:
    """The host's feed, in a thread of its own; it says of every port that it carries traffic."""
    feed = make_feed(options)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(one) for one in (feed.run(), wire(feed))]
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait(tasks)), daemon=True)
    thread.start()
    try:
        yield feed
    finally:
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


def make_host(server: Server, host: str, *ways: str) -> HostOptions:
    """A host that joined the server, and follows by these ways."""
    joined = join_host(server, host)
    given = {
        "host": host, "state_path": str(joined.state_path), "netloom.feed_server": ",".join(ways),
        "ovs.local_ip": joined.local_ip,
    }  # fmt: skip
    return load_host_options((), given)


def ask(server: Server, method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{server.url}/v2.0/{path}", json.dumps(body).encode() if body else None, {"Content-Type": "application/json"},
        method=method,
    )  # fmt: skip
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read() or b"{}")


def wait_until(true: Callable[[], Any], within_s: float = WITHIN_S) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it does not come"
        time.sleep(0.02)


def make_port(server: Server, network: str, host: str) -> str:
    body = {"port": {"network_id": network, "binding:host_id": host, "device_owner": "compute:x"}}
    return str(ask(server, "POST", "ports", body)["port"]["id"])


def is_active(server: Server, port: str) -> bool:
    return bool(ask(server, "GET", f"ports/{port}")["port"]["status"] == "ACTIVE")


def count_alive(server: Server) -> int:
    agents = ask(server, "GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
    return sum(agent["alive"] for agent in agents)


def test_a_port_becomes_active_through_a_relay_whatever_dies(tmp_path: Path) -> None:
    """Through the relay; with the relay killed, by the server; with it back, and the server killed and back, again."""
    server = Server(tmp_path)
    server.start()
    relay = RelayProcess(server, "r1")
    relay.start()
    try:
        wait_until(lambda: (relay.state / "feed.sock").exists())
        through = make_host(server, "h1", relay.address, server.feed)
        only = make_host(server, "h2", relay.address)
        with following(through) as first, following(only) as second:
            wait_until(lambda: first.connected and second.connected and count_alive(server) == 2)
            network = ask(server, "POST", "networks", {"network": {"name": "n"}})["network"]["id"]
            port = make_port(server, network, "h1")
            wait_until(lambda: is_active(server, port))
            relay.end(signal.SIGKILL)
            wait_until(lambda: first.connected and not second.connected)
            port = make_port(server, network, "h1")
            wait_until(lambda: is_active(server, port))
            relay.start()
            wait_until(lambda: second.connected)
            port = make_port(server, network, "h2")
            wait_until(lambda: is_active(server, port))
            server.kill()
            server.start()
            port = make_port(server, network, "h2")
            wait_until(lambda: is_active(server, port))
            wait_until(lambda: count_alive(server) == 2)
        assert relay.end() == 0
        assert "Traceback" not in (relay.state / "out").read_text()
    finally:
        if relay.process is not None and relay.process.poll() is None:
            relay.end(signal.SIGKILL)
        server.stop()

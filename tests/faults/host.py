"""A host without a data plane: it joins a real server and follows it over TLS, with the agent's own code."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from netloom.agent.view import find_ports
from netloom.feed.client import Feed
from netloom.main.hosts.agent import join, make_feed
from netloom.main.options.host import HostOptions, load_host_options
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from tests.faults.server import Server


def make_options(server: Server, host: str) -> HostOptions:
    given = {
        "host": host, "state_path": str(server.state / host), "netloom.feed_server": server.feed,
        "ovs.local_ip": f"192.0.2.{int(host[1:])}",
    }  # fmt: skip
    return load_host_options((), given)


def find_store(server: Server) -> dict[str, str]:
    """The options that lead to the state of a server, for commands beside it."""
    given = [text.partition("=") for text in server.extra if text.startswith("database.connection=")]
    return {"state_path": str(server.state), **{name: value for name, _, value in given}}


def join_host(server: Server, host: str, token: str = "") -> HostOptions:
    """The host's options, after it has got its certificate. Raises JoinError."""
    options = make_options(server, host)
    made = token or make_join_token(load_server_options((), find_store(server)), host)
    join(options, made)
    return options


@contextmanager
def attached(
    server: Server, host: str, join: bool = True, within_s: float = 60.0, wires: bool = False,
    told: Mapping[str, Any] | None = None,
) -> Iterator[Feed]:  # fmt: skip
    """The host follows the server meanwhile, in a thread of its own; gives its feed, to look at.

    `join`: with a new token, else with the certificate that it has. `wires`: it says of every port of its own that it
    carries traffic. `told`: more of its agent's configuration. Raises TimeoutError when it is not let in.
    """
    options = join_host(server, host) if join else make_options(server, host)
    feed = make_feed(options, told=told)
    loop = asyncio.new_event_loop()
    tasks = [loop.create_task(one) for one in (feed.run(), *([wire(feed)] if wires else ()))]
    thread = threading.Thread(target=lambda: loop.run_until_complete(asyncio.wait(tasks)), daemon=True)
    thread.start()
    try:
        wait_connected(feed, within_s)
        yield feed
    finally:
        for task in tasks:
            loop.call_soon_threadsafe(task.cancel)
        thread.join(10)
        loop.close()


async def wire(feed: Feed) -> None:
    """Acknowledge whatever the host is told, at once."""
    while True:
        await feed.wait_changed()
        await feed.send_ack(feed.revision, [port.id for port in find_ports(feed.slices, feed.host)], {})


def wait_connected(feed: Feed, within_s: float) -> None:
    end = time.monotonic() + within_s
    while not feed.connected:
        if time.monotonic() > end:
            raise TimeoutError(f"{feed.host} is not let in")
        time.sleep(0.02)

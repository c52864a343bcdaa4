"""A host in a process of its own: the agent as it is, with devices that are dicts; it writes down all that it held.

`python -m tests.faults.memory_host STATE FEED HOST`. In its state folder: views.jsonl, one line for each moment at
which its slices changed, and now.json, what it holds now and whether its devices are what follows from that.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from netloom.agent.loop import Agent
from netloom.agent.parts import Parts, Routed, Tuning
from netloom.agent.view import find_ports
from netloom.drivers.memory import MemoryDriver
from netloom.feed.client import Feed
from netloom.main.hosts.agent import describe_host, make_facts, make_feed, make_settings
from netloom.main.options.host import HostOptions, load_host_options
from netloom.model.digest import digest_rows
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Action
from netloom.model.slices import Slice, Slices
from netloom.reconcile.desired import merge_groups
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_floating, find_pending

LOOK_S = 0.2
KINDS = frozenset(
    {
        "bridge", "switch_port", "flow", "guard", "link", "meter", "group", "mirror", "export", "bond", "netns",
        "ruleset", "element", "veth", "address", "alias", "proxy", "route", "rule", "keeper", "dhcp_server", "qdisc",
        "tc_class", "tc_filter", "queue", "qos", "metadata", "shape",
    }
)  # fmt: skip
PORTS = (("br-int", "patch-tun"), ("br-tun", "patch-int"), ("br-tun", "nl-vxlan"), ("br-tun", "nl-geneve"))


def load_options(state: Path, feed: str, host: str) -> HostOptions:
    given = {
        "host": host, "state_path": str(state / host), "netloom.feed_server": feed,
        "ovs.local_ip": f"192.0.2.{int(host[1:])}", "netloom.metadata_path": "off",
    }  # fmt: skip
    return load_host_options((), given)


class Recorded:
    """The feed, with a line in a file for each moment that the agent could see. A SliceFeed."""

    def __init__(self, feed: Feed, path: Path) -> None:
        self._feed = feed
        self._path = path
        self._digests: dict[str, tuple[Slice, str]] = {}

    @property
    def slices(self) -> Slices:
        return self._feed.slices

    @property
    def revision(self) -> int:
        return self._feed.revision

    @property
    def complete(self) -> bool:
        return self._feed.complete

    async def wait_changed(self) -> None:
        await self._feed.wait_changed()
        view = {"revision": self.revision, "slices": self.show(), "current": self._feed.connected}
        with self._path.open("a") as file:
            # The line before may have been cut off by a kill.
            file.write(f"\n{json.dumps(view)}")

    async def send_ack(
        self,
        revision: int,
        wired: Collection[str],
        pending: Mapping[str, str],
        copies: Mapping[str, str] | None = None,
    ) -> None:
        await self._feed.send_ack(revision, wired, pending, copies)

    async def send_report(self, configurations: Mapping[str, Any]) -> None:
        await self._feed.send_report(configurations)

    def show(self) -> dict[str, str]:
        """The digest of each slice; counted once for each that there ever is."""
        for name, found in self.slices.items():
            kept = self._digests.get(name)
            if kept is None or kept[0] is not found:
                self._digests[name] = (found, f"{digest_rows(found.rows):032x}")
        return {name: self._digests[name][1] for name in sorted(self.slices)}


@dataclass
class Switch:
    """Facts and packets of a switch where every port that is bound here is plugged at once."""

    feed: Recorded
    facts: HostFacts
    numbers: dict[str, int] = field(default_factory=dict)
    epoch: int = 0

    async def read_facts(self) -> HostFacts:
        return self.look(self.feed.slices)

    def look(self, slices: Slices) -> HostFacts:
        ids = [port.id for port in find_ports(slices, self.facts.host)]
        for id in ids:
            self.numbers.setdefault(id, len(self.numbers) + 100)
        plugged = {id: Interface(f"tap{self.numbers[id]}", self.numbers[id]) for id in ids}
        return replace(self.facts, interfaces=plugged, ofports={port: n for n, port in enumerate(PORTS, 1)})

    async def wait_change(self, seen: int) -> int:
        await asyncio.Event().wait()
        return seen

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None: ...

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None: ...

    async def send_packet(self, ofport: int, frame: bytes) -> None: ...

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None: ...

    async def inject_packet(self, ofport: int, frame: bytes) -> None: ...


def make_memory_agent(options: HostOptions, feed: Recorded, switch: Switch, device: MemoryDriver) -> Agent:
    parts = Parts(
        feed=feed, facts=switch, packets=switch, drivers={"memory": device},
        render=Renderer(make_settings(options)).render, find_pending=find_pending, clock=time.monotonic,
        chance=random.random, find_floating=find_floating,
    )  # fmt: skip
    return Agent(parts, Tuning(), make_settings(options), describe_host(options))


def is_level(slices: Slices, switch: Switch, device: MemoryDriver, settings: Settings) -> bool:
    """Whether the devices hold what render makes of these slices at once, and nothing else."""
    wanted, clashes = merge_groups(Renderer(settings).render(slices, switch.look(slices)))
    held = {key: thing.value for key, thing in device.device.items()}
    return not clashes and held == {key: thing.value for key, thing in wanted.items()}


async def tell_often(path: Path, feed: Recorded, switch: Switch, device: MemoryDriver, settings: Settings) -> None:
    told: dict[str, Any] = {}
    while True:
        held = {"revision": feed.revision, "slices": feed.show()}
        if told != {**held, "level": True}:
            told = {**held, "level": is_level(feed.slices, switch, device, settings)}
            new = path.with_suffix(".new")
            new.write_text(json.dumps(told))
            new.replace(path)
        await asyncio.sleep(LOOK_S)


async def run(options: HostOptions) -> None:
    feed = make_feed(options)
    recorded = Recorded(feed, options.state_path / "views.jsonl")
    switch, device = Switch(recorded, make_facts(options)), MemoryDriver(kinds=KINDS)
    agent = make_memory_agent(options, recorded, switch, device)
    telling = tell_often(options.state_path / "now.json", recorded, switch, device, make_settings(options))
    await asyncio.gather(feed.run(), agent.run(), telling)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    state, feed, host = sys.argv[1:]
    asyncio.run(run(load_options(Path(state), feed, host)))


if __name__ == "__main__":
    main()

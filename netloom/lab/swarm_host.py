"""One simulated host: whatever is bound to it is plugged at once, its devices are dicts, and what it heard is kept.

Law: what a simulated host holds in the end depends on its slices alone, as a real one's does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from time import monotonic
from typing import Any

from netloom.drivers.memory import NEEDS
from netloom.feed.client import Feed
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Failure, Key, Op, Put, State, Thing
from netloom.model.slices import PortRow, Slice, Slices

KINDS = frozenset(
    {
        "bridge", "switch_port", "flow", "meter", "guard", "link", "mirror", "export", "bond", "shape", "dhcp_server",
        "netns", "ruleset", "element", "veth", "address", "alias", "proxy", "route", "rule", "keeper",
    }
)  # fmt: skip
"""All that a host with Open vSwitch may be asked to hold."""
OFPORTS: Mapping[tuple[str, str], int] = {
    ("br-int", "patch-tun"): 1, ("br-tun", "patch-int"): 1, ("br-tun", "nl-vxlan"): 2,
}  # fmt: skip
FIRST_PORT = 10
Moments = Collection[tuple[int, float]]
KEPT = 64
"""How many of the latest moments of a host are kept."""


class Device:
    """All devices of a host as one dict. `count`: the ops that it was asked; millions of them are not kept."""

    kinds = KINDS
    needs = NEEDS

    def __init__(self) -> None:
        self.held: dict[Key, Thing] = {}
        self.count = 0

    async def read(self) -> State:
        return dict(self.held)

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        self.count += len(ops)
        for op in ops:
            if isinstance(op, Put):
                self.held[op.thing.key] = op.thing
            else:
                self.held.pop(op.thing.key, None)
        return ()


def find_bound(slices: Slices, host: str) -> list[str]:
    """The ports that are bound to the host, by id."""
    own = slices.get(f"host/{host}")
    return sorted(row.id for row in own.rows.values() if isinstance(row, PortRow)) if own else []


class Plugs:
    """The devices of one host's instances: each port that is bound here has one, with a number that it keeps.

    It is the host's `FactsSource`.
    """

    epoch = 1

    def __init__(self, host: str, tunnel_ip: str, feed: Feed | None = None) -> None:
        self._host, self._tunnel_ip, self._feed = host, tunnel_ip, feed
        self._held: dict[str, Interface] = {}
        self._next = FIRST_PORT
        self._own: Slice | None = None
        self._facts = self._make_facts()

    def plug(self, slices: Slices) -> HostFacts:
        """The facts of the host when all that is bound to it is plugged; as a switch's, they change with it alone."""
        own = slices.get(f"host/{self._host}")
        if own is not self._own:
            self._own, bound = own, find_bound(slices, self._host)
            if len(bound) != len(self._held) or any(id not in self._held for id in bound):
                self._held = {id: self._held.get(id) or self._make(id) for id in bound}
                self._facts = self._make_facts()
        return self._facts

    def _make_facts(self) -> HostFacts:
        return HostFacts(
            host=self._host, tunnel_ip=self._tunnel_ip, tunnel_types=("vxlan",), interfaces=self._held,
            ofports=OFPORTS, metadata=True,
        )  # fmt: skip

    def _make(self, id: str) -> Interface:
        self._next += 1
        return Interface(f"tap{id[:11]}", self._next)

    async def read_facts(self) -> HostFacts:
        return self.plug(self._feed.slices if self._feed else {})

    async def wait_change(self, seen: int) -> int:
        await asyncio.Event().wait()
        return seen


class Quiet:
    """The `PacketIo` of a host whose instances say nothing."""

    async def follow_packets(self, on_packet: Any) -> None:
        pass

    async def follow_routed(self, on_packet: Any) -> None:
        pass

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        pass

    async def send_through(self, frame: bytes, actions: Any, in_port: int) -> None:
        pass

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        pass


class Ear:
    """A feed between an agent and its connection that remembers when what was heard and what was acknowledged.

    Moments are (revision, seconds of the monotonic clock, which all processes of a machine share).
    """

    def __init__(self, feed: Feed) -> None:
        self.feed = feed
        self.heard: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self.acknowledged: deque[tuple[int, float]] = deque(maxlen=KEPT)
        self.count = self.said = 0

    @property
    def slices(self) -> Slices:
        return self.feed.slices

    @property
    def revision(self) -> int:
        return self.feed.revision

    @property
    def complete(self) -> bool:
        return self.feed.complete

    async def wait_changed(self) -> None:
        await self.feed.wait_changed()
        self.count += 1
        self.heard.append((self.feed.revision, monotonic()))

    async def send_ack(
        self, revision: int, wired: Collection[str], pending: Mapping[str, str], copies: Mapping[str, str] | None = None
    ) -> None:
        await self.feed.send_ack(revision, wired, pending, copies)
        self.said += 1
        self.acknowledged.append((revision, monotonic()))

    def find_moments(self, since: float) -> tuple[float, float]:
        return find_moments(self.heard, self.acknowledged, since)

    async def send_report(self, configurations: Mapping[str, Any]) -> None:
        await self.feed.send_report(configurations)


def find_moments(said: Moments, done: Moments, since: float) -> tuple[float, float]:
    """When the host first heard something after a moment, and when it had acknowledged that; 0: not yet."""
    heard = next(((revision, at) for revision, at in said if at >= since), None)
    if heard is None:
        return 0.0, 0.0
    told = (at for revision, at in done if revision >= heard[0] and at >= since)
    return heard[1], next(told, 0.0)


async def follow(ear: Ear) -> None:
    """A host that takes slices and acknowledges them, and has no device: what it costs is the feed's share alone."""
    while True:
        await ear.wait_changed()
        await ear.send_ack(ear.revision, find_bound(ear.slices, ear.feed.host), {})

"""A host made of values: a feed that is told what it has, devices that are dicts, and a clock that is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from netloom.agent.loop import Agent
from netloom.agent.parts import Parts, Routed, Tuning
from netloom.model.device import Bridge, FlowBody
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Action, Output, make_match
from netloom.model.plan import Failure, Key, Op, Put, Thing
from netloom.model.slices import Address, FollowRow, NetworkRow, PortRow, Row, Slice, Slices, SubnetRow
from netloom.model.why import Why
from netloom.reconcile.backoff import Backoff
from netloom.render.answers import Settings

BRIDGE = Thing(("bridge", "br-int"), Bridge())


class Device:
    """A driver over a dict, with switches for what can go wrong. `ops` is everything it was ever asked."""

    def __init__(self) -> None:
        self.kinds = frozenset({"bridge", "flow"})
        self.needs: Mapping[str, frozenset[str]] = {"flow": frozenset({"bridge"})}
        self.held: dict[Key, Thing] = {}
        self.ops: list[Op] = []
        self.refuse: dict[Key, str] = {}
        self.forget: set[Key] = set()
        self.down = ""
        self.reads = 0

    async def read(self) -> dict[Key, Thing]:
        self.check()
        self.reads += 1
        return dict(self.held)

    async def apply(self, ops: Sequence[Op]) -> list[Failure]:
        self.check()
        self.ops += ops
        for op in ops:
            if isinstance(op, Put) and op.thing.key not in self.refuse and op.thing.key not in self.forget:
                self.held[op.thing.key] = op.thing
            elif not isinstance(op, Put):
                self.held.pop(op.thing.key, None)
        return [Failure(op, self.refuse[op.thing.key]) for op in ops if op.thing.key in self.refuse]

    def check(self) -> None:
        if self.down:
            raise ConnectionError(self.down)

    def take_ops(self) -> list[Op]:
        ops, self.ops = self.ops, []
        return ops


@dataclass
class FakeFeed:
    """What the server said so far, and what it was told."""

    slices: Slices = field(default_factory=dict)
    revision: int = 0
    acks: list[tuple[int, frozenset[str], dict[str, str]]] = field(default_factory=list)
    reports: list[Mapping[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False

    @property
    def complete(self) -> bool:
        own = self.slices.get("host/h1")
        return own is not None and all(r.slice in self.slices for r in own.rows.values() if isinstance(r, FollowRow))

    async def wait_changed(self) -> None:
        await self.news.wait()
        self.news.clear()

    async def send_ack(
        self,
        revision: int,
        wired: Collection[str],
        pending: Mapping[str, str],
        copies: Mapping[str, str] | None = None,
    ) -> None:
        if self.down:
            raise ConnectionError("no server")
        self.acks.append((revision, frozenset(wired), dict(pending)))

    async def send_report(self, configurations: Mapping[str, Any]) -> None:
        self.reports.append(configurations)

    def say(self, *slices: Slice) -> None:
        self.slices = {**self.slices, **{part.name: part for part in slices}}
        self.revision = max([self.revision, *(part.revision for part in slices)])
        self.news.set()


@dataclass
class FakeSwitch:
    """Facts and packets."""

    facts: HostFacts = field(default_factory=lambda: HostFacts("h1"))
    epoch: int = 0
    turn: int = 0
    news: asyncio.Event = field(default_factory=asyncio.Event)
    down: bool = False
    on_packet: Callable[[int, bytes], None] | None = None
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    injected: list[tuple[int, bytes]] = field(default_factory=list)
    on_routed: Callable[[Routed], None] | None = None
    through: list[tuple[bytes, tuple[Action, ...]]] = field(default_factory=list)

    async def read_facts(self) -> HostFacts:
        if self.down:
            raise ConnectionError("no switch")
        return self.facts

    async def wait_change(self, seen: int) -> int:
        while self.turn <= seen:
            self.news.clear()
            await self.news.wait()
        return self.turn

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        self.on_packet = on_packet

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        if self.down:
            raise ConnectionError("no switch")
        self.sent.append((ofport, frame))

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None:
        self.on_routed = on_packet

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None:
        if self.down:
            raise ConnectionError("no switch")
        self.through.append((frame, tuple(actions)))

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        if self.down:
            raise ConnectionError("no switch")
        self.injected.append((ofport, frame))

    def plug(self, port_id: str, ofport: int) -> None:
        held = {**self.facts.interfaces, port_id: Interface(f"tap{port_id}", ofport)}
        self.facts = replace(self.facts, interfaces=held)
        self.note()

    def note(self) -> None:
        self.turn += 1
        self.news.set()


@dataclass
class Host:
    """A whole host; `now` is its clock."""

    feed: FakeFeed = field(default_factory=FakeFeed)
    switch: FakeSwitch = field(default_factory=FakeSwitch)
    device: Device = field(default_factory=Device)
    now: float = 1000.0
    tuning: Tuning = field(default_factory=lambda: Tuning(backoff=Backoff(1.0, 8.0, 2.0, 0.0)))
    foreign: tuple[str, ...] = ()
    meddlings: int = 0
    described: Mapping[str, Any] = field(default_factory=dict)

    def make_agent(self) -> Agent:
        """A fresh agent, with no memory of any before it."""
        parts = Parts(
            self.feed,
            self.switch,
            self.switch,
            {"device": self.device},
            render,
            find_pending,
            lambda: self.now,
            lambda: 0.5,
            lambda: self.foreign,
            count_meddlings=lambda: self.meddlings,
            describe=lambda: self.described,
        )
        return Agent(parts, self.tuning, Settings(), {"tunneling_ip": "10.99.0.1"})


def render(slices: Slices, facts: HostFacts) -> dict[str, tuple[Thing, ...]]:
    """A small renderer: a bridge, a flow for each plugged port, and one for each network that is followed."""
    out: dict[str, tuple[Thing, ...]] = {"base": (BRIDGE,)}
    for name, part in slices.items():
        out[name] = tuple(render_row(row, facts) for row in part.rows.values() if is_rendered(row, facts))
    return out


def is_rendered(row: Row, facts: HostFacts) -> bool:
    return isinstance(row, NetworkRow) or (isinstance(row, PortRow) and row.id in facts.interfaces)


def render_row(row: Row, facts: HostFacts) -> Thing:
    if isinstance(row, PortRow):
        return port_flow(row.id, facts.interfaces[row.id].ofport)
    assert isinstance(row, NetworkRow)
    return network_flow(row.id, row.number)


def port_flow(port_id: str, ofport: int) -> Thing:
    key = ("flow", "br-int", 0, 100, make_match(in_port=ofport))
    return Thing(key, FlowBody(1, (Output(1),)), Why(1, (f"port/{port_id}", "network/n1"), "test"))


def network_flow(network_id: str, number: int) -> Thing:
    key = ("flow", "br-int", 60, 10, make_match(reg1=number))
    return Thing(key, FlowBody(2, (Output(2),)), Why(1, (f"network/{network_id}",), "test"))


def find_pending(slices: Slices, facts: HostFacts) -> dict[str, str]:
    ports = (row for part in slices.values() for row in part.rows.values() if isinstance(row, PortRow))
    return {port.id: "waits for its device" for port in ports if port.id not in facts.interfaces}


def port_row(port_id: str, n: int) -> PortRow:
    return PortRow(port_id, "n1", f"fa:16:3e:00:00:{n:02x}", addresses=(Address(f"10.0.0.{n}", "s1"),))


def host_slice(*port_ids: str, revision: int = 5) -> Slice:
    rows: dict[str, Row] = {f"port/{port_id}": port_row(port_id, n + 5) for n, port_id in enumerate(port_ids)}
    return Slice("host/h1", revision, {**rows, "follow/network/n1": FollowRow("network/n1")})


def network_slice(revision: int = 4) -> Slice:
    subnet = SubnetRow("s1", "n1", "10.0.0.0/24", 4, gateway_ip="10.0.0.1")
    return Slice("network/n1", revision, {"network/n1": NetworkRow("n1", 7, mtu=1450), "subnet/s1": subnet})


async def settle(agent: Agent) -> float:
    """Turns until there is nothing to do at once; the wait that the last one asked for."""
    for _ in range(5):
        wait_s = await agent.turn()
        if wait_s > 0:
            return wait_s
    raise AssertionError("the loop does not come to rest")

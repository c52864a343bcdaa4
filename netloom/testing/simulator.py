"""A packet walked through the flows of several hosts, with no switch: where it arrives, and every step with its reason.

Bridges, patch ports, tunnels and physical networks are as Open vSwitch has them, with the two traps that cost days: a
patch port clears registers and keeps pkt_mark, and a tunnel loses a packet whose pkt_mark is not 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netloom.model.address import ip_int, ip_version
from netloom.model.device import FlowBody, SwitchPort
from netloom.model.facts import HostFacts
from netloom.model.flow import (
    IN_PORT,
    WIDTH,
    Action,
    Goto,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    ToController,
    format_match,
)
from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.model.why import Why
from netloom.render.host import render_host
from netloom.render.pipeline import BY_NUMBER

Packet = dict[str, int]
"""Fields by name. One that is not there is 0 where every packet has it (registers, marks, tags), else untestable."""

MOST_STEPS = 400
_ALWAYS = frozenset(
    name for name in WIDTH if name.startswith(("reg", "tun_", "ct_", "pkt_", "vlan_", "nd_", "metadata", "icmp"))
)


class SimulationError(Exception):
    """The flows do something that no switch would take, such as to go round in circles."""


@dataclass(frozen=True, slots=True)
class Step:
    """One table's word on the packet; `why` None: no flow matched."""

    host: str
    bridge: str
    table: str
    match: str
    why: Why | None


@dataclass(slots=True)
class Walk:
    """What became of a packet."""

    arrived: list[tuple[str, str, Packet]] = field(default_factory=list)  # host, device, packet
    to_agent: list[tuple[str, int]] = field(default_factory=list)  # host, reason
    steps: list[Step] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    @property
    def devices(self) -> frozenset[str]:
        return frozenset(device for _, device, _ in self.arrived)

    @property
    def last_table(self) -> str:
        """Where a packet that arrived nowhere ended."""
        return self.steps[-1].table if self.steps else ""

    def describe(self) -> str:
        lines = [f"{s.host} {s.bridge} {s.table}: {s.match} ({s.why or 'no flow: dropped'})" for s in self.steps]
        return "\n".join([*lines, *self.lost, f"arrived: {sorted(self.devices)}"])


@dataclass(frozen=True, slots=True)
class SimHost:
    """One host: its facts and the things it holds."""

    facts: HostFacts
    tables: Mapping[tuple[str, int], list[tuple[int, Match, FlowBody, Why]]]
    ports: Mapping[tuple[str, int], tuple[str, SwitchPort]]  # (bridge, ofport) → the switch's own port there


def make_host(facts: HostFacts, things: Iterable[Thing]) -> SimHost:
    """A host that holds `things`; what a switch would refuse is refused here."""
    tables: dict[tuple[str, int], list[tuple[int, Match, FlowBody, Why]]] = {}
    ports: dict[tuple[str, int], tuple[str, SwitchPort]] = {}
    for thing in things:
        if thing.kind == "flow":
            _, bridge, table, priority, match = thing.key
            tables.setdefault((bridge, table), []).append((priority, match, thing.value, thing.why))
        elif thing.kind == "switch_port":
            ofport = facts.ofports.get((thing.key[1], thing.key[2]))
            if ofport is not None:
                ports[thing.key[1], ofport] = (thing.key[2], thing.value)
    for flows in tables.values():
        flows.sort(key=lambda flow: -flow[0])
    return SimHost(facts, tables, ports)


def render_sim_host(slices: Slices, facts: HostFacts) -> SimHost:
    return make_host(facts, (thing for things in render_host(slices, facts).values() for thing in things))


def send(hosts: Mapping[str, SimHost], host: str, device: str, packet: Packet) -> Walk:
    """Walk a packet that the instance behind `device` sends."""
    held = hosts[host].facts
    interface = next(found for found in held.interfaces.values() if found.name == device)
    walk = Walk()
    run = _Run(hosts, walk)
    run.enter(hosts[host], held.integration_bridge, {**packet, "in_port": interface.ofport})
    return walk


@dataclass(slots=True)
class _Run:
    hosts: Mapping[str, SimHost]
    walk: Walk
    left: int = MOST_STEPS

    def enter(self, host: SimHost, bridge: str, packet: Packet) -> None:
        self.look_up(host, bridge, 0, dict(packet))

    def look_up(self, host: SimHost, bridge: str, table: int, packet: Packet) -> None:
        self.left -= 1
        if self.left < 0:
            raise SimulationError("the packet goes round in circles")
        name = self.table_name(host, bridge, table)
        for _, match, body, why in host.tables.get((bridge, table), ()):
            if matches(match, packet):
                self.walk.steps.append(Step(host.facts.host, bridge, name, format_match(match), why))
                self.act(host, bridge, body.actions, packet)
                return
        self.walk.steps.append(Step(host.facts.host, bridge, name, "", None))

    def table_name(self, host: SimHost, bridge: str, table: int) -> str:
        side = "tun" if bridge == host.facts.tunnel_bridge else "int"
        found = BY_NUMBER.get((side, table))
        return found.name if found else str(table)

    def act(self, host: SimHost, bridge: str, actions: Iterable[Action], packet: Packet) -> None:
        for action in actions:
            match action:
                case SetField():
                    write(packet, action)
                case Move():
                    copy(packet, action)
                case PushVlan():
                    packet["vlan_vid"] = 0x1000
                case PopVlan():
                    packet["vlan_vid"] = 0
                case Resubmit() | Goto():
                    self.look_up(host, bridge, action.table, packet)
                case Output():
                    self.output(host, bridge, action.port, dict(packet))
                case ToController():
                    self.walk.to_agent.append((host.facts.host, action.reason))
                case _:
                    raise SimulationError(f"{action} is not simulated")

    def output(self, host: SimHost, bridge: str, port: int, packet: Packet) -> None:
        """Out of a port. OpenFlow never sends a packet back where it came from, unless told IN_PORT."""
        if port == packet["in_port"]:
            return
        port = packet["in_port"] if port == IN_PORT else port
        known = host.ports.get((bridge, port))
        if known is None:
            self.deliver(host, port, packet)
        elif known[1].type == "patch":
            self.cross(host, bridge, known[0], dict(known[1].options)["peer"], packet)
        else:
            self.tunnel(host, known[0], known[1], packet)

    def deliver(self, host: SimHost, port: int, packet: Packet) -> None:
        device = next((i.name for i in host.facts.interfaces.values() if i.ofport == port), f"port {port}")
        self.walk.arrived.append((host.facts.host, device, packet))

    def cross(self, host: SimHost, bridge: str, name: str, peer: str, packet: Packet) -> None:
        """A patch port: registers and tunnel fields are cleared, pkt_mark stays."""
        facts = host.facts
        clean = {k: v for k, v in packet.items() if not k.startswith(("reg", "tun_", "metadata"))}
        for other in (facts.integration_bridge, facts.tunnel_bridge):
            if (other, peer) in facts.ofports and other != bridge:
                self.enter(host, other, {**clean, "in_port": facts.ofports[other, peer]})
                return
        for physical, mapped in facts.bridge_mappings.items():
            if (mapped, peer) in facts.ofports:
                self.wire(host, physical, clean)

    def wire(self, sender: SimHost, physical: str, packet: Packet) -> None:
        """A physical network: every other host with a bridge on it sees the frame."""
        if packet.get("pkt_mark", 0):
            self.walk.lost.append("a marked packet left for a physical network")
            return
        for host in self.hosts.values():
            bridge = host.facts.bridge_mappings.get(physical)
            port = host.facts.ofports.get((host.facts.integration_bridge, f"int-{bridge}"[:15]))
            if host is not sender and port is not None:
                self.enter(host, host.facts.integration_bridge, {**packet, "in_port": port})

    def tunnel(self, sender: SimHost, name: str, port: SwitchPort, packet: Packet) -> None:
        """Through a tunnel to whoever has the address; the packet arrives without marks, with its tunnel's fields."""
        if packet.get("pkt_mark", 0):
            self.walk.lost.append("native tunnel routing failed: pkt_mark is not 0")
            return
        version = ip_version(sender.facts.tunnel_ip)
        there, source = ("tun_dst", "tun_src") if version == 4 else ("tun_ipv6_dst", "tun_ipv6_src")
        clean = {k: v for k, v in packet.items() if not k.startswith(("reg", "tun_", "pkt_"))}
        for host in self.hosts.values():
            facts = host.facts
            if facts.tunnel_ip and ip_int(facts.tunnel_ip) == packet.get(there) and host is not sender:
                ofport = facts.ofports.get((facts.tunnel_bridge, name))
                if ofport is not None:
                    told = {"tun_id": packet.get("tun_id", 0), source: ip_int(sender.facts.tunnel_ip)}
                    self.enter(host, facts.tunnel_bridge, {**clean, **told, "in_port": ofport})


def matches(match: Match, packet: Packet) -> bool:
    for name, value, mask in match:
        held = packet.get(name, 0 if name in _ALWAYS else None)
        if held is None or (held if mask is None else held & mask) != value:
            return False
    return True


def write(packet: Packet, action: SetField) -> None:
    mask = (1 << WIDTH[action.field]) - 1 if action.mask is None else action.mask
    packet[action.field] = packet.get(action.field, 0) & ~mask | action.value & mask


def copy(packet: Packet, action: Move) -> None:
    window = (1 << action.bits) - 1
    bits = packet.get(action.src, 0) >> action.src_from & window
    packet[action.dst] = packet.get(action.dst, 0) & ~(window << action.dst_from) | bits << action.dst_from

"""A packet walked through the flows of several hosts, with no switch: where it arrives, and every step with its reason.

Bridges, patch ports, tunnels and physical networks are as Open vSwitch has them, with the two traps that cost days: a
patch port clears registers and keeps pkt_mark, and a tunnel loses a packet whose pkt_mark is not 0. Connections are
tracked by host and zone, and last as long as the host's `connections` do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from netloom.model.address import ip_int, ip_version
from netloom.model.device import FlowBody, SwitchPort
from netloom.model.facts import HostFacts
from netloom.model.flow import (
    CT_DNAT,
    CT_SNAT,
    IN_PORT,
    IPV4,
    IPV6,
    WIDTH,
    Action,
    CheckLarger,
    Conjunction,
    Ct,
    CtClear,
    DecTtl,
    Goto,
    Match,
    Move,
    Multipath,
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
from netloom.render.pipeline import BY_NUMBER, REASON_ACCEPTED, REASON_DROPPED
from netloom.render.registers import OUT, SENDER
from netloom.testing.connections import Connections

BELOW = "vlan_below"
"""Of a packet with two tags: the inner one, as vlan_vid; tables see the outer one."""

Packet = dict[str, int]
"""Fields by name. One that is not there is 0 where every packet has it (registers, marks, tags), else untestable."""

MOST_STEPS = 400
ETHERNET = 14
"""Bytes of a frame before its packet, whose length is `size`."""
LOGGED = {REASON_ACCEPTED: "ACCEPT", REASON_DROPPED: "DROP"}
_ALWAYS = frozenset(
    name
    for name in WIDTH
    if name.startswith(("reg", "tun_", "ct_", "pkt_", "vlan_", "nd_", "metadata", "icmp", "ip_frag"))
)

_VERSIONS = frozenset({("eth_type", IPV4, None), ("eth_type", IPV6, None)})


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
    logged: list[tuple[str, str]] = field(default_factory=list)  # "ACCEPT" or "DROP", at which device
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


Held = tuple[int, Match, FlowBody, Why]
"""A flow of a table: its priority, what it matches, what it does, and why."""


@dataclass(frozen=True, slots=True)
class SimHost:
    """One host: its facts, the things it holds, and the connections that it knows."""

    facts: HostFacts
    tables: Mapping[tuple[str, int], list[Held]]
    ports: Mapping[tuple[str, int], tuple[str, SwitchPort]]  # (bridge, ofport) → the switch's own port there
    connections: Connections = field(default_factory=Connections)


def make_host(facts: HostFacts, things: Iterable[Thing], connections: Connections | None = None) -> SimHost:
    """A host that holds `things`; what a switch would refuse is refused here."""
    tables: dict[tuple[str, int], list[Held]] = {}
    ports: dict[tuple[str, int], tuple[str, SwitchPort]] = {}
    for thing in things:
        if thing.kind == "flow":
            _, bridge, table, priority, match = thing.key
            check_tracking(match, thing.value)
            tables.setdefault((bridge, table), []).append((priority, match, thing.value, thing.why))
        elif thing.kind == "switch_port":
            ofport = facts.ofports.get((thing.key[1], thing.key[2]))
            if ofport is not None:
                ports[thing.key[1], ofport] = (thing.key[2], thing.value)
    for flows in tables.values():
        flows.sort(key=lambda flow: -flow[0])
    return SimHost(facts, tables, ports, Connections() if connections is None else connections)


def check_tracking(match: Match, body: FlowBody) -> None:
    """Open vSwitch takes a ct action only where the flow says which IP it is."""
    if any(isinstance(action, Ct) for action in body.actions) and _VERSIONS.isdisjoint(match):
        raise SimulationError(f"{format_match(match)}: ct in a flow that does not match an IP ethertype")


def render_sim_host(slices: Slices, facts: HostFacts, connections: Connections | None = None) -> SimHost:
    things = (thing for things in render_host(slices, facts).values() for thing in things)
    return make_host(facts, things, connections)


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
        found, halves = find_flow(host.tables.get((bridge, table), ()), packet)
        for _, match, _, why in (*halves, *([found] if found else [])):
            self.walk.steps.append(Step(host.facts.host, bridge, name, format_match(match), why))
        if found:
            self.act(host, bridge, found[2].actions, packet)
        else:
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
                    packet[BELOW], packet["vlan_vid"] = packet.get("vlan_vid", 0), 0x1000
                case PopVlan():
                    packet["vlan_vid"] = packet.pop(BELOW, 0)
                case Resubmit() | Goto():
                    self.look_up(host, bridge, action.table, packet)
                case Ct():
                    self.track(host, bridge, action, packet)
                case Multipath():
                    packet[action.field] = find_path(packet) % action.links
                case CheckLarger():
                    packet[action.field] = packet.get("size", 0) + ETHERNET > action.size
                case CtClear():
                    forget(packet)
                case DecTtl():
                    packet["nw_ttl"] = packet.get("nw_ttl", 64) - 1
                case Output():
                    self.output(host, bridge, action.port, dict(packet))
                case ToController():
                    self.tell(host, action.reason, packet)
                case _:
                    raise SimulationError(f"{action} is not simulated")

    def track(self, host: SimHost, bridge: str, action: Ct, packet: Packet) -> None:
        """A copy goes on in the table with what is known of the connection; the packet itself is as before."""
        if action.force:
            raise SimulationError(f"{action} is not simulated")
        zone = packet.get(action.zone, 0) & 0xFFFF if isinstance(action.zone, str) else action.zone
        if action.commit:
            host.connections.commit(zone, packet, action.actions, action.nat)
        if action.table is not None:
            told = host.connections.track(zone, packet)
            changed = host.connections.translate(zone, packet) if action.nat is not None else {}
            told["ct_state"] |= find_translated(packet, changed)
            self.look_up(host, bridge, action.table, {**packet, **told, **changed})
        forget(packet)

    def tell(self, host: SimHost, reason: int, packet: Packet) -> None:
        """The agent gets a copy: to answer it, or to write down what became of it."""
        if reason in LOGGED:
            number = packet.get(OUT, 0) or packet.get(SENDER, 0)
            device = next((i.name for i in host.facts.interfaces.values() if i.ofport == number), f"port {number}")
            self.walk.logged.append((LOGGED[reason], device))
        else:
            self.walk.to_agent.append((host.facts.host, reason))

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
        clean = {k: v for k, v in packet.items() if not k.startswith(("reg", "tun_", "ct_", "metadata"))}
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
        clean = {k: v for k, v in packet.items() if not k.startswith(("reg", "tun_", "ct_", "pkt_"))}
        for host in self.hosts.values():
            facts = host.facts
            if facts.tunnel_ip and ip_int(facts.tunnel_ip) == packet.get(there) and host is not sender:
                ofport = facts.ofports.get((facts.tunnel_bridge, name))
                if ofport is not None:
                    told = {"tun_id": packet.get("tun_id", 0), source: ip_int(sender.facts.tunnel_ip)}
                    self.enter(host, facts.tunnel_bridge, {**clean, **told, "in_port": ofport})


def find_translated(packet: Packet, changed: Packet) -> int:
    """The bits that say which of its addresses were translated."""
    return sum(
        bit
        for bit, name in ((CT_SNAT, "ip_src"), (CT_DNAT, "ip_dst"), (CT_SNAT, "ipv6_src"), (CT_DNAT, "ipv6_dst"))
        if changed.get(name, packet.get(name)) != packet.get(name)
    )


def find_flow(flows: Sequence[Held], packet: Packet) -> tuple[Held | None, list[Held]]:
    """The flow that has its way, of those in the order of their priority; and what halves of a conjunction led to it.

    As ovs-actions(7) has it: when each clause of a conjunction is met by a flow of one priority, above that of every
    other flow that matches, the packet is looked up once more with the conjunction's number in conj_id.
    """
    found, halves = None, []
    for flow in flows:
        if matches(flow[1], packet):
            if not is_half(flow[2]):
                found = flow
                break
            halves.append(flow)
    for priority in sorted({flow[0] for flow in halves if found is None or flow[0] > found[0]}, reverse=True):
        level = [flow for flow in halves if flow[0] == priority]
        for number in find_met(level):
            joint, _ = find_flow([flow for flow in flows if not is_half(flow[2])], {**packet, "conj_id": number})
            if joint:
                return joint, [flow for flow in level if number in {action.id for action in find_halves(flow[2])}]
    return found, []


def is_half(body: FlowBody) -> bool:
    return bool(body.actions) and isinstance(body.actions[0], Conjunction)


def find_halves(body: FlowBody) -> Iterator[Conjunction]:
    return (action for action in body.actions if isinstance(action, Conjunction))


def find_met(flows: Iterable[Held]) -> list[int]:
    """The conjunctions of which every clause is met."""
    clauses: dict[tuple[int, int], set[int]] = {}
    for flow in flows:
        for half in find_halves(flow[2]):
            clauses.setdefault((half.id, half.of), set()).add(half.clause)
    return sorted(number for (number, of), met in clauses.items() if len(met) == of)


def find_path(packet: Packet) -> int:
    """A number that is the same for both directions of a connection."""
    ends = (
        "ip_src",
        "ip_dst",
        "ipv6_src",
        "ipv6_dst",
        "tcp_src",
        "tcp_dst",
        "udp_src",
        "udp_dst",
        "sctp_src",
        "sctp_dst",
    )
    return sum(packet.get(name, 0) for name in ends)


def forget(packet: Packet) -> None:
    """What was known of its connection."""
    for name in [name for name in packet if name.startswith("ct_")]:
        del packet[name]


def matches(match: Match, packet: Packet) -> bool:
    for name, value, mask in match:
        held = packet.get(name, 0 if name in _ALWAYS else None)
        if held is None or (held if mask is None else held & mask) != value:
            return False
    return True


def write(packet: Packet, action: SetField) -> None:
    mask = (1 << WIDTH[action.field]) - 1 if action.mask is None else action.mask
    name = "in_port" if action.field == "nx_in_port" else action.field
    packet[name] = packet.get(name, 0) & ~mask | action.value & mask
    if name == "vlan_tci":
        packet["vlan_vid"] = packet.pop(name) & 0x1FFF


def copy(packet: Packet, action: Move) -> None:
    window = (1 << action.bits) - 1
    bits = packet.get(action.src, 0) >> action.src_from & window
    packet[action.dst] = packet.get(action.dst, 0) & ~(window << action.dst_from) | bits << action.dst_from

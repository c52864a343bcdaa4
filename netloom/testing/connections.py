"""Connection tracking as Open vSwitch has it, small: what a packet is to a connection that was committed in its zone.

A connection is new until its other end has answered, also while it is committed. What cannot begin a connection (an
answer to nothing, an error about nothing, ICMP that is no request) is invalid.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from netloom.model.address import ip_int
from netloom.model.flow import CT_EST, CT_INV, CT_NEW, CT_REL, CT_RPL, CT_TRK, ICMP, ICMPV6, TCP, Nat, SetField

Packet = dict[str, int]
End = tuple[int, int]  # address, port
Key = tuple[int, int, int, End, End]  # zone, ethertype, protocol, who began it, with whom

REQUESTS = {ICMP: {8: 0, 13: 14, 15: 16}, ICMPV6: {128: 129}}
"""By protocol: a request's type, and its answer's."""
ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMPV6: (1, 2, 3, 4)}
TYPE = {ICMP: "icmp_type", ICMPV6: "icmpv6_type"}
PORTS = ("tcp", "udp", "sctp")
SYN_ACK, RST = 0x12, 0x04
INNER = "inner_"
"""What an error is about is in fields of this prefix."""


@dataclass(slots=True)
class Connection:
    """`back`: of one that is translated, what its answers are when they come; else they are just turned round."""

    answered: bool = False
    mark: int = 0
    back: Key | None = None


@dataclass(slots=True)
class Connections:
    """Those of one host."""

    held: dict[Key, Connection] = field(default_factory=dict)
    answers: dict[Key, Key] = field(default_factory=dict)  # of translated connections, by `back`

    def track(self, zone: int, packet: Packet) -> Packet:
        """The ct_ fields that the packet gets; an answer makes its connection established."""
        state, found = self._find_state(zone, packet)
        key = read_key(zone, packet)
        _, _, protocol, _, (_, port) = turn(key) if state & CT_RPL else key
        known = {"ct_nw_proto": protocol, "ct_tp_dst": port} if not state & CT_INV else {}
        return {"ct_state": state | CT_TRK, "ct_zone": zone, "ct_mark": found.mark if found else 0, **known}

    def commit(self, zone: int, packet: Packet, writes: Iterable[SetField], nat: Nat | None = None) -> None:
        """Remember the packet's connection; one that is known gets the writes alone."""
        state, found = self._find_state(zone, packet)
        if state & (CT_INV | CT_REL):
            return
        if found is None:
            found = self._begin(read_key(zone, packet), nat)
        for write in writes:
            if write.field == "ct_mark":
                found.mark = write.value

    def _begin(self, key: Key, nat: Nat | None) -> Connection:
        found = self.held[key] = Connection()
        if nat is not None and nat.kind:
            found.back = make_back(key, nat, self.answers)
            self.answers[found.back] = key
        return found

    def translate(self, zone: int, packet: Packet) -> Packet:
        """The fields that change when a packet of a translated connection passes, in either direction."""
        key = read_key(zone, packet)
        if is_error(packet):
            about = read_key(zone, find_inner(packet))
            began = self.answers.get(turn(about))
            if began is None:
                return {}
            inner = write_ends(find_inner(packet), began)
            return {**write_end(packet, "dst", began[3]), **{INNER + name: value for name, value in inner.items()}}
        if found := self.held.get(key):
            return write_ends(packet, turn(found.back)) if found.back else {}
        return write_ends(packet, turn(self.answers[key])) if key in self.answers else {}

    def _find_state(self, zone: int, packet: Packet) -> tuple[int, Connection | None]:
        if is_error(packet):
            key = read_key(zone, find_inner(packet))
            found = self.held.get(key) or self._find_answered(key) or self.held.get(self.answers.get(turn(key), key))
            return (CT_REL, found) if found else (CT_INV, None)
        key = read_key(zone, packet)
        if found := self.held.get(key):
            return (CT_EST if found.answered else CT_NEW), found
        if found := self._find_answered(key):
            found.answered = True
            return CT_EST | CT_RPL, found
        return (CT_NEW if may_begin(packet) else CT_INV), None

    def _find_answered(self, key: Key) -> Connection | None:
        """The connection that a packet is an answer of."""
        if key in self.answers:
            return self.held[self.answers[key]]
        found = self.held.get(turn(key))
        return found if found and found.back is None else None


def find_inner(packet: Packet) -> Packet:
    """What an error is about."""
    return {name.removeprefix(INNER): value for name, value in packet.items() if name.startswith(INNER)}


def make_back(key: Key, nat: Nat, taken: Container[Key]) -> Key:
    """What answers will be: from and to the addresses that translation gives; a port that is taken is stepped over."""
    zone, ethertype, protocol, source, target = key
    first = ip_int(nat.first)
    if nat.kind == "dst":
        return zone, ethertype, protocol, (first, nat.port_first or target[1]), source
    port = source[1]
    while port and (zone, ethertype, protocol, target, (first, port)) in taken:
        port = port + 1 if port < 0xFFFF else 1024
    return zone, ethertype, protocol, target, (first, port)


def write_ends(packet: Packet, key: Key) -> Packet:
    return {**write_end(packet, "src", key[3]), **write_end(packet, "dst", key[4])}


def write_end(packet: Packet, side: str, end: End) -> Packet:
    address = f"ip_{side}" if f"ip_{side}" in packet else f"ipv6_{side}"
    port = next((f"{name}_{side}" for name in PORTS if f"{name}_{side}" in packet), "")
    return {address: end[0], **({port: end[1]} if port else {})}


def read_key(zone: int, packet: Packet) -> Key:
    protocol = packet.get("ip_proto", 0)
    source = packet.get("ip_src", packet.get("ipv6_src", 0))
    target = packet.get("ip_dst", packet.get("ipv6_dst", 0))
    first = next((packet[f"{name}_src"] for name in PORTS if f"{name}_src" in packet), 0)
    last = next((packet[f"{name}_dst"] for name in PORTS if f"{name}_dst" in packet), 0)
    return zone, packet.get("eth_type", 0), protocol, (source, first), (target, last)


def turn(key: Key) -> Key:
    zone, ethertype, protocol, source, target = key
    return zone, ethertype, protocol, target, source


def is_error(packet: Packet) -> bool:
    protocol = packet.get("ip_proto", 0)
    return protocol in TYPE and packet.get(TYPE[protocol]) in ERRORS[protocol]


def may_begin(packet: Packet) -> bool:
    """Whether a packet of no known connection can be the first of one."""
    protocol = packet.get("ip_proto", 0)
    if protocol == TCP:
        flags = packet.get("tcp_flags", 0)
        return flags & SYN_ACK != SYN_ACK and not flags & RST
    if protocol not in TYPE:
        return True
    code = packet.get(TYPE[protocol].replace("type", "code"), 0)
    return code == 0 and packet.get(TYPE[protocol], -1) in REQUESTS[protocol]

"""A packet walked through the iptables chains of a port on a bridge of its own, with no kernel: does it pass?

It reads the very rules that iptables is given, as far as `render.filters` writes them; what it does not know is an
error.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from netloom.model.address import mac_int
from netloom.model.flow import CT_EST, CT_INV, CT_NEW, CT_REL, CT_RPL, ICMP, ICMPV6, IPV4, IPV6, SetField
from netloom.model.plan import Thing
from netloom.testing.connections import Connections
from netloom.testing.nft_simulator import UnknownRule, fits

Packet = Mapping[str, int]
STATES = {"NEW": CT_NEW, "ESTABLISHED": CT_EST, "RELATED": CT_REL, "INVALID": CT_INV}
SOURCES = {IPV4: "ip_src", IPV6: "ipv6_src"}
TARGETS = {IPV4: "ip_dst", IPV6: "ipv6_dst"}
NAMES = {6: "tcp", 17: "udp", 132: "sctp"}


@dataclass(slots=True)
class Chains:
    """What a host's iptables and ipset hold, and the connections that it knows."""

    rules: dict[tuple[int, str, str], tuple[str, ...]] = field(default_factory=dict)
    sets: dict[str, set[str]] = field(default_factory=dict)
    connections: Connections = field(default_factory=Connections)


def make_chains(things: Iterable[Thing], connections: Connections | None = None) -> Chains:
    """Of all things of a host."""
    held = Chains(connections=connections or Connections())
    for thing in things:
        if thing.kind == "iptables":
            held.rules[thing.key[1], thing.key[2], thing.key[3]] = thing.value.rules
        elif thing.kind == "ipset_member":
            held.sets.setdefault(thing.key[1], set()).add(thing.key[2])
    return held


def passes(held: Chains, source: str, target: str, packet: Packet) -> bool:
    """Whether a frame goes through the port's own bridge, from one of its devices to the other. Not IP: always."""
    if packet["eth_type"] not in SOURCES:
        return True
    walk = Walk(held, dict(packet), source, target, 4 if packet["eth_type"] == IPV4 else 6)
    return walk.run()


@dataclass(slots=True)
class Walk:
    held: Chains
    packet: dict[str, int]
    source: str
    target: str
    version: int
    zone: int = 0
    untracked: bool = False

    def run(self) -> bool:
        self.look("raw", "PREROUTING")
        if not self.untracked:
            self.packet.update(self.held.connections.track(self.zone, self.packet))
        if self.look("filter", "FORWARD") == "DROP":
            return False
        if not self.untracked:
            self.held.connections.commit(self.zone, self.packet, ())
        return True

    def look(self, table: str, chain: str) -> str:
        """ACCEPT, DROP, or RETURN where nothing is decided."""
        for rule in self.held.rules.get((self.version, table, chain), ()):
            target, options = self.match(rule.split())
            if not target:
                continue
            if target in ("ACCEPT", "DROP", "RETURN"):
                return target
            if target == "CT":
                if options == ["--notrack"]:
                    self.untracked = True
                else:
                    self.zone = int(options[1])
                return "RETURN"  # what is set first stays
            if target == "NFLOG":
                continue
            if target == "CONNMARK":
                self.set_mark(options[1])
                continue
            verdict = self.look(table, target)
            if verdict != "RETURN":
                return verdict
        return "RETURN"

    def match(self, words: list[str]) -> tuple[str, list[str]]:
        """(the target and what follows it); no target: the rule does not match."""
        while words:
            word = words.pop(0)
            if word == "-j":
                return words[0], words[1:]
            if word == "-m" or word == "--physdev-is-bridged":
                words[:1] = words[:1] if word != "-m" else []
                continue
            if not self.test(word, words):
                return "", []
        return "", []

    def test(self, word: str, words: list[str]) -> bool:
        given, packet, state = words.pop(0), self.packet, self.packet.get("ct_state", 0)
        match word:
            case "-s" | "-d":
                fields = SOURCES if word == "-s" else TARGETS
                return fits(packet.get(fields[packet["eth_type"]], 0), given)
            case "-p":
                return packet.get("ip_proto") == int(given)
            case "--sport" | "--dport":
                name = NAMES.get(packet.get("ip_proto", 0), "")
                value = packet.get(f"{name}_{'src' if word == '--sport' else 'dst'}")
                return value is not None and fits(value, given.replace(":", "-"))
            case "--icmp-type" | "--icmpv6-type":
                return self.test_icmp("icmp" if word == "--icmp-type" else "icmpv6", given)
            case "--mac-source":
                return packet["eth_src"] == mac_int(given)
            case "--physdev-in":
                return self.source == given
            case "--physdev-out":
                return self.target == given
            case "--ctstate":
                names = given.split(",")
                return (self.untracked and "UNTRACKED" in names) or any(state & STATES.get(name, 0) for name in names)
            case "--ctdir":
                return bool(state & CT_RPL) == (given == "REPLY")
            case "--mark":
                mark, _, mask = given.partition("/")
                return packet.get("ct_mark", 0) & int(mask, 0) == int(mark, 0)
            case "--match-set":
                fields = SOURCES if words.pop(0) == "src" else TARGETS
                found = packet.get(fields[packet["eth_type"]], 0)
                return any(fits(found, text) for text in self.held.sets.get(given, ()))
        raise UnknownRule(f"{word} {given}")

    def test_icmp(self, name: str, given: str) -> bool:
        if self.packet.get("ip_proto") != (ICMP if name == "icmp" else ICMPV6):
            return False
        kind, _, code = given.partition("/")
        right = self.packet.get(f"{name}_type") == int(kind)
        return right and (not code or self.packet.get(f"{name}_code", 0) == int(code))

    def set_mark(self, given: str) -> None:
        """--set-xmark value/mask: the bits of the mask are cleared, those of the value are turned."""
        value, _, mask = given.partition("/")
        mark = self.packet.get("ct_mark", 0) & ~int(mask, 0) ^ int(value, 0)
        self.packet["ct_mark"] = mark
        if self.packet.get("ct_state", 0) & (CT_EST | CT_NEW):
            self.held.connections.commit(self.zone, self.packet, (SetField("ct_mark", mark),))

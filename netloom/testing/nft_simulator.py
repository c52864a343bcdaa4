"""A packet walked through the nft tables of a host with Linux bridges, with no kernel: does it pass?

It reads the very text that nft is given, as far as `render.filters` writes it; what it does not know is an error.
A walk goes as in the kernel: arrive in the bridge, rules of the sender, forward in it, rules of the receiver.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from netloom.model.address import ip_int, ip_width, mac_int, parse_net
from netloom.model.flow import ARP, CT_EST, CT_INV, CT_NEW, CT_REL, CT_RPL, ICMP, ICMPV6, IPV4, IPV6, SetField
from netloom.model.plan import Key, Thing
from netloom.testing.connections import Connections

Packet = Mapping[str, int]
STATES = {"new": CT_NEW, "established": CT_EST, "related": CT_REL, "invalid": CT_INV}
ETHERTYPES = {"ip": IPV4, "ip6": IPV6, "arp": ARP}
VERSIONS = {"ip": 4, "ip6": 6}
RAW = {"@th,64,128": "nd_target", "@th,192,8": "nd_options_type"}
FIELDS = {(4, "saddr"): "ip_src", (4, "daddr"): "ip_dst", (6, "saddr"): "ipv6_src", (6, "daddr"): "ipv6_dst"}


class UnknownRule(Exception):
    """A rule that the simulator cannot read."""


@dataclass(slots=True)
class Filter:
    """What a host's nft holds, and the connections that it knows."""

    chains: dict[tuple[str, str], list[list[str]]] = field(default_factory=dict)
    maps: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    connections: Connections = field(default_factory=Connections)


def make_filter(things: Iterable[Thing], connections: Connections | None = None) -> Filter:
    """Of all things of a host."""
    held = Filter(connections=connections or Connections())
    for thing in things:
        kind, family, *rest = (thing.key[0], *map(str, thing.key[1:]))
        if kind == "filter_table":
            for name, rules in read_table(thing.value.text).items():
                held.chains[family, name] = rules
        elif kind == "filter_chain":
            held.chains[family, rest[0]] = [split(rule) for rule in thing.value.rules]
        elif kind in ("filter_way", "filter_member"):
            held.maps.setdefault((family, rest[0]), {})[rest[1]] = thing.value.to if kind == "filter_way" else ""
    return held


def read_table(text: str) -> dict[str, list[list[str]]]:
    """The rules of the chains in a table's text, by chain."""
    found: dict[str, list[list[str]]] = {}
    name = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("chain "):
            name = line.split()[1]
            found[name] = []
        elif line == "}":
            name = ""
        elif name and not line.startswith("type "):
            found[name].append(split(line))
    return found


def split(rule: str) -> list[str]:
    """Words; a set in braces is one."""
    return [re.sub(r"\s", "", word) for word in re.findall(r"\{[^}]*\}|\S+", rule)]


# -- a walk ------------------------------------------------------------------------------------------------------------


def passes(held: Filter, bridge: str, source: str, target: str, packet: Packet) -> bool:
    """Whether a frame that comes in by the device `source` of a bridge leaves by `target`."""
    walk = Walk(held, dict(packet), bridge, source, target)
    return walk.run()


@dataclass(slots=True)
class Walk:
    """One packet on its way. `mark` and the connection's state go along with it."""

    held: Filter
    packet: dict[str, int]
    bridge: str
    source: str
    target: str
    mark: int = 0
    zone: int = 0
    family: str = "bridge"
    untracked: bool = False

    def run(self) -> bool:
        is_ip = self.packet["eth_type"] in (IPV4, IPV6)
        steps = [("bridge", "base_arrive"), ("inet", "base_zone"), ("track", ""), ("inet", "base_egress")]
        steps += [("bridge", "base_forward"), ("inet", "base_ingress")]
        for family, chain in steps:
            if family != "bridge" and not is_ip:
                continue  # only IP is shown to the rules of IP
            if family == "track":
                self.track()
            elif self.enter(family, chain) == "drop":
                return False
        if is_ip and not self.untracked:
            self.held.connections.commit(self.zone, self.packet, ())
        return True

    def track(self) -> None:
        if not self.untracked:
            self.packet.update(self.held.connections.track(self.zone, self.packet))

    def enter(self, family: str, chain: str) -> str:
        self.family = family
        return self.look(chain) or "accept"

    def look(self, chain: str) -> str:
        """What a chain says: "accept", "drop", or nothing."""
        for rule in self.held.chains.get((self.family, chain), ()):
            if verdict := self.judge(rule):
                return verdict
        return ""

    def judge(self, rule: Sequence[str]) -> str:
        words = list(rule)
        while words:
            found = self.take(words)
            if isinstance(found, str):
                return found
            if not found:
                return ""
        return ""

    def take(self, words: list[str]) -> bool | str:
        """One statement off the front of `words`: whether it holds, or the verdict."""
        word = words.pop(0)
        match word:
            case "accept" | "drop":
                return word
            case "log":
                del words[: words.index("snaplen") + 2]
                return True
            case "notrack":
                self.untracked = True
                return True
            case "jump":
                return self.look(words.pop(0)) or True
            case "iifname" | "oifname":
                return self.take_device(self.name_device(word), words)
            case "meta":
                return self.take_meta(words.pop(0), words)
            case "ct":
                return self.take_ct(words.pop(0), words)
            case "@th,208,48":
                return self.take_number(self.find_option_mac(), words)
            case _ if word in RAW:
                return self.take_number(self.find_nd(RAW[word]), words)
            case _:
                return self.take_number(self.find_field(word, words), words, word)

    def name_device(self, word: str) -> str:
        if self.family == "inet":
            return self.bridge
        return self.source if word == "iifname" else self.target

    def take_device(self, device: str, words: list[str]) -> bool | str:
        word = words.pop(0)
        if word == "vmap":
            return self.follow(self.get_map(words.pop(0)).get(device))
        negated = word == "!="
        given = words.pop(0) if negated else word
        if given.startswith("@"):
            holds = device in self.get_map(given)
        else:
            text = given.strip('"')
            holds = device.startswith(text[:-1]) if text.endswith("*") else device == text
        return holds is not negated

    def get_map(self, name: str) -> dict[str, str]:
        return self.held.maps.get((self.family, name.removeprefix("@")), {})

    def follow(self, way: str | None) -> bool | str:
        if way is None:
            return True  # a look-up that finds nothing says nothing
        verdict, _, chain = way.partition(" ")
        return verdict if verdict in ("accept", "drop") else self.look(chain) or True

    def take_meta(self, what: str, words: list[str]) -> bool | str:
        if what == "nfproto":
            return self.packet["eth_type"] == (IPV4 if words.pop(0) == "ipv4" else IPV6)
        if what == "l4proto":
            return self.packet.get("ip_proto") == int(words.pop(0))
        word = words.pop(0)
        if word == "vmap":
            return self.follow(self.get_map(words.pop(0)).get(str(self.mark)))
        if word != "set":
            given = words.pop(0) if word == "!=" else word
            return (str(self.mark) in given.strip("{}").split(",")) is not (word == "!=")
        given = words.pop(0)
        if given in ("iifname", "oifname"):
            del words[:1]
            found = self.get_map(words.pop(0)).get(self.name_device(given))
            self.mark = self.mark if found is None else int(found)
            return found is not None
        self.mark = int(given)
        return True

    def take_ct(self, what: str, words: list[str]) -> bool:
        if what == "zone":
            del words[:3]
            self.zone = int(self.get_map(words.pop(0)).get(self.bridge, "0"))
            return True
        state = self.packet.get("ct_state", 0)
        if what == "state":
            given = words.pop(0).split(",")
            return (self.untracked and "untracked" in given) or any(state & STATES.get(name, 0) for name in given)
        if what == "direction":
            return bool(state & CT_RPL) == (words.pop(0) == "reply")
        if words[0] == "set":
            self.set_mark(words[3], int(words[4], 0))
            del words[:5]
            return True
        _, mask, _, value = words[:4]
        del words[:4]
        return self.packet.get("ct_mark", 0) & int(mask, 0) == int(value, 0)

    def set_mark(self, operation: str, number: int) -> None:
        mark = self.packet.get("ct_mark", 0)
        mark = mark & number if operation == "&" else mark | number
        self.packet["ct_mark"] = mark
        if self.packet.get("ct_state", 0) & (CT_EST | CT_NEW):
            self.held.connections.commit(self.zone, self.packet, (SetField("ct_mark", mark),))

    def find_nd(self, name: str) -> int | None:
        return self.packet.get(name) if self.packet.get("ip_proto") == ICMPV6 else None

    def find_option_mac(self) -> int | None:
        return self.packet.get("nd_sll", self.packet.get("nd_tll"))

    def find_field(self, word: str, words: list[str]) -> int | None:
        """The value of a field of the packet; None: it has none such."""
        name = words.pop(0)
        packet, proto = self.packet, self.packet.get("ip_proto")
        if word == "ether":
            return packet[{"type": "eth_type", "saddr": "eth_src", "daddr": "eth_dst"}[name]]
        if word in VERSIONS:
            return packet.get(FIELDS[VERSIONS[word], name])
        if word == "arp":
            if packet["eth_type"] != ARP:
                return None
            kind = name if name == "operation" else f"{name} {words.pop(0)}"
            return packet.get({"operation": "arp_op", "saddr ether": "arp_sha", "saddr ip": "arp_spa"}[kind])
        if word in ("tcp", "udp", "sctp"):
            return packet.get(f"{word}_{'dst' if name == 'dport' else 'src'}")
        if word in ("icmp", "icmpv6"):
            wanted = ICMP if word == "icmp" else ICMPV6
            return packet.get(f"{word}_{name}", 0 if name == "code" else None) if proto == wanted else None
        raise UnknownRule(f"{word} {name}")

    def take_number(self, value: int | None, words: list[str], word: str = "") -> bool:
        test = words.pop(0)
        negated = test == "!="
        if test == "&":
            mask, _, wanted = words[:3]
            del words[:3]
            return value is not None and value & int(mask, 0) == int(wanted, 0)
        given = words.pop(0) if negated else test
        if value is None:
            return False
        if given.startswith("@"):
            return any(fits(value, text) for text in self.get_map(given)) is not negated
        texts = given.strip("{}").split(",") if given.startswith("{") else [given]
        return any(fits(value, text) for text in texts) is not negated


def fits(value: int, text: str) -> bool:
    """Whether a value is what a rule says: a number, a range, a MAC, an address or a prefix, an ethertype."""
    if text in ETHERTYPES:
        return value == ETHERTYPES[text]
    if re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", text):
        return value == mac_int(text)
    if "/" in text:
        net = parse_net(text)
        shift = ip_width(net.version) - net.prefixlen
        return value >> shift == int(net.network_address) >> shift
    if "." in text or ":" in text:
        return value == ip_int(text)
    if "-" in text:
        first, _, last = text.partition("-")
        return int(first) <= value <= int(last)
    return value == int(text, 0)


def find_devices(things: Mapping[Key, Thing], bridge: str) -> set[str]:
    """The devices in a bridge, of all things of a host."""
    return {key[1] for key, thing in things.items() if key[0] == "bridge_port" and thing.value.bridge == bridge}

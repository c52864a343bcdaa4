"""The packets of a story: what an instance sends, by the words that follow `sends` (`find_packet` has them all)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from netloom.model.address import ip_int, ip_version, link_local, mac_int, parse_mac
from netloom.model.flow import ARP, ICMPV6, IPV4, IPV6, UDP
from netloom.model.slices import PortRow
from netloom.testing.simulator import Packet
from netloom.testing.story_traffic import make_traffic

BROADCAST = 0xFFFFFFFFFFFF


class StoryError(Exception):
    """A story that does not come true, or cannot be read; says which line."""


class Ports(Protocol):
    """Whatever knows the story's ports by name."""

    def port(self, name: str) -> PortRow:
        """Raises StoryError for a port that the story did not tell of."""
        ...


Maker = Callable[[Ports, PortRow, list[str]], Packet]


def make_packet(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """What `port` sends. Raises StoryError where the words say nothing that can be sent."""
    try:
        return find_packet(stage, port, words)
    except (ValueError, IndexError, StopIteration) as error:
        raise StoryError(f"nobody knows how to send {' '.join(words)} ({error or 'a word is missing'})") from None


def find_packet(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    kind, *rest = words
    makers: dict[str, Maker] = {
        "arp": make_arp, "probe": make_arp, "solicit": make_solicit, "ip": make_ip, "as": make_forged,
        "ethertype": make_other, **dict.fromkeys(("tcp", "udp", "sctp", "ping", "icmp", "protocol"), make_spoken),
    }  # fmt: skip
    if kind in makers:
        return makers[kind](stage, port, words)
    ethernet = {"eth_src": mac_int(port.mac), "eth_dst": BROADCAST}
    v4, v6 = find_source(port, 4), find_source(port, 6)
    plain: dict[str, Packet] = {
        "broadcast": {**ethernet, "eth_type": IPV4, "ip_src": v4, "ip_dst": 0xFFFFFFFF, "ip_proto": UDP},
        "unknown": {**ethernet, "eth_dst": 0x020000000099, "eth_type": IPV4, "ip_src": v4, "ip_proto": 6},
        "dhcp": {**ethernet, "eth_type": IPV4, "ip_src": 0, "ip_proto": UDP, "udp_src": 68, "udp_dst": 67},
        "dhcp6": {**ethernet, "eth_dst": 0x333300010002, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": UDP,
                  "udp_src": 546, "udp_dst": 547},
        "rs": {**ethernet, "eth_dst": 0x333300000002, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": ICMPV6,
               "icmpv6_type": 133},
        "advert": {**ethernet, "eth_dst": 0x333300000001, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": ICMPV6,
                   "icmpv6_type": 134},
    }  # fmt: skip
    if kind not in plain or rest:
        raise StoryError(f"nobody knows how to send {' '.join(words)}")
    return plain[kind]


def find_source(port: PortRow, version: int) -> int:
    if version == 6:
        return ip_int(link_local(port.mac))
    return next((ip_int(a.ip) for a in port.addresses if ip_version(a.ip) == 4), 0)


def make_arp(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """`arp ADDRESS [as ADDRESS]`, or `probe ADDRESS`, which asks in nobody's name."""
    source = ip_int(words[3]) if len(words) > 3 else find_source(port, 4)
    return {
        "eth_src": mac_int(port.mac), "eth_dst": BROADCAST, "eth_type": ARP, "arp_op": 1,
        "arp_sha": mac_int(port.mac), "arp_spa": 0 if words[0] == "probe" else source,
        "arp_tha": 0, "arp_tpa": ip_int(words[1]),
    }  # fmt: skip


def make_solicit(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    source = next((ip_int(a.ip) for a in port.addresses if ip_version(a.ip) == 6), find_source(port, 6))
    return {
        "eth_src": mac_int(port.mac), "eth_dst": 0x3333FF000000, "eth_type": IPV6, "ipv6_src": source,
        "ip_proto": ICMPV6, "icmpv6_type": 135, "icmpv6_code": 0, "nd_target": ip_int(words[1]),
        "nd_sll": mac_int(port.mac), "nd_options_type": 1,
    }  # fmt: skip


def make_ip(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """`ip [SOURCE] to NAME`."""
    target = stage.port(words[-1])
    given = words[1] if words[1] != "to" else first_address(port)
    version = ip_version(given)
    source, there = ("ip_src", "ip_dst") if version == 4 else ("ipv6_src", "ipv6_dst")
    to = next((ip_int(a.ip) for a in target.addresses if ip_version(a.ip) == version), 0)
    return {
        "eth_src": mac_int(port.mac), "eth_dst": mac_int(target.mac), "eth_type": IPV4 if version == 4 else IPV6,
        source: ip_int(given), there: to, "ip_proto": 6,
    }  # fmt: skip


def first_address(port: PortRow) -> str:
    if not port.addresses:
        raise ValueError("the port has no address; say one: ip ADDRESS to NAME")
    return port.addresses[0].ip


def make_forged(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """`as MAC to NAME`."""
    packet = make_ip(stage, port, ["ip", "to", words[-1]])
    return {**packet, "eth_src": mac_int(parse_mac(words[1]))}


def make_other(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """`ethertype 0x8847 [as MAC] to NAME`: a frame that is no IP packet."""
    mac = words[words.index("as") + 1] if "as" in words else port.mac
    target = stage.port(words[words.index("to") + 1])
    return {"eth_src": mac_int(parse_mac(mac)), "eth_dst": mac_int(target.mac), "eth_type": int(words[1], 16)}


def make_spoken(stage: Ports, port: PortRow, words: list[str]) -> Packet:
    """Of a protocol, to a port by name (see story_traffic)."""
    return make_traffic(port, stage.port(words[words.index("to") + 1]), words)

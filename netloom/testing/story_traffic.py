"""What instances say to one another in a story: protocols and ports, answers, errors, and more of the same.

    a sends tcp 80 to b            a sends udp 53 from 53 to b      a sends sctp 5060 to b over ipv6
    a sends ping to b              a sends icmp 3 1 to b            a sends protocol 47 to b at 10.1.0.9
    b answers                      a sends more                     b refuses

An answer is of the last thing that was sent, turned round; more is the same again, of a connection that is under way.
"""

from __future__ import annotations

from netloom.model.address import ip_int, ip_version, mac_int
from netloom.model.flow import ICMP, ICMPV6, IPV4, IPV6, SCTP, TCP, UDP
from netloom.model.slices import PortRow
from netloom.testing.connections import INNER, REQUESTS, TYPE

Packet = dict[str, int]
NUMBERS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
CLIENT_PORT = 40000
SYN, ACK = 0x02, 0x10
PAIRS = (("eth_src", "eth_dst"), ("ip_src", "ip_dst"), ("ipv6_src", "ipv6_dst"),
         *((f"{name}_src", f"{name}_dst") for name in NUMBERS))  # fmt: skip


def make_traffic(port: PortRow, target: PortRow, words: list[str]) -> Packet:
    """Of the words from the protocol on. ValueError or IndexError where they say nothing that can be sent."""
    place = words.index("to")
    said, rest = words[:place], words[place + 1 :]
    packet = make_frame(port, target, rest[1:])
    return {**packet, **make_protocol(said, packet["eth_type"] == IPV6)}


def make_frame(port: PortRow, target: PortRow, rest: list[str]) -> Packet:
    """`[over ipv6] [at ADDRESS]`: without either, the first address of the target that the sender has a like of."""
    to = find_target(port, target, rest)
    version = ip_version(to)
    source = next((a.ip for a in port.addresses if ip_version(a.ip) == version), None)
    if source is None:
        raise ValueError(f"the sender has no IPv{version} address")
    names = ("ip_src", "ip_dst") if version == 4 else ("ipv6_src", "ipv6_dst")
    return {
        "eth_src": mac_int(port.mac), "eth_dst": mac_int(target.mac), "eth_type": IPV4 if version == 4 else IPV6,
        names[0]: ip_int(source), names[1]: ip_int(to),
    }  # fmt: skip


def find_target(port: PortRow, target: PortRow, rest: list[str]) -> str:
    match rest:
        case []:
            mine = {ip_version(a.ip) for a in port.addresses}
            return next(a.ip for a in target.addresses if ip_version(a.ip) in mine)
        case ["over", "ipv6"]:
            return next(a.ip for a in target.addresses if ip_version(a.ip) == 6)
        case ["at", address]:
            return address
    raise ValueError(" ".join(rest))


def make_protocol(words: list[str], is_v6: bool) -> Packet:
    icmp = ICMPV6 if is_v6 else ICMP
    match words:
        case ["tcp" | "udp" | "sctp" as name, to]:
            return make_ports(name, CLIENT_PORT, int(to))
        case ["tcp" | "udp" | "sctp" as name, to, "from", source]:
            return make_ports(name, int(source), int(to))
        case ["ping"]:
            return make_icmp(icmp, next(iter(REQUESTS[icmp])), 0)
        case ["icmp", kind, *code]:
            return make_icmp(icmp, int(kind), int(code[0]) if code else 0)
        case ["protocol", number]:
            return {"ip_proto": int(number)}
    raise ValueError(" ".join(words))


def make_ports(name: str, source: int, target: int) -> Packet:
    flags = {"tcp_flags": SYN} if name == "tcp" else {}
    return {"ip_proto": NUMBERS[name], f"{name}_src": source, f"{name}_dst": target, **flags}


def make_icmp(protocol: int, kind: int, code: int) -> Packet:
    return {"ip_proto": protocol, TYPE[protocol]: kind, TYPE[protocol].replace("type", "code"): code}


def make_answer(packet: Packet) -> Packet:
    """What whoever got it says to it."""
    back = turn(packet)
    protocol = packet.get("ip_proto", 0)
    if protocol in TYPE:
        back[TYPE[protocol]] = REQUESTS[protocol].get(packet[TYPE[protocol]], packet[TYPE[protocol]])
    if "tcp_flags" in packet:
        back["tcp_flags"] = SYN | ACK if packet["tcp_flags"] == SYN else ACK
    return back


def make_more(packet: Packet) -> Packet:
    return {**packet, "tcp_flags": ACK} if "tcp_flags" in packet else dict(packet)


def make_error(packet: Packet) -> Packet:
    """Destination unreachable, port unreachable (RFC 792; RFC 4443, 3.1), about the packet."""
    is_v6 = packet["eth_type"] == IPV6
    back = turn({name: value for name, value in packet.items() if name.startswith(("eth_", "ip_", "ipv6_"))})
    kind = make_icmp(ICMPV6, 1, 4) if is_v6 else make_icmp(ICMP, 3, 3)
    return {**back, **kind, **{INNER + name: value for name, value in packet.items()}}


def turn(packet: Packet) -> Packet:
    back = dict(packet)
    for one, other in PAIRS:
        if one in packet and other in packet:
            back[one], back[other] = packet[other], packet[one]
    return back

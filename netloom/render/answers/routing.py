"""What the agent says for distributed routers: who has this address, and what became of a packet that
went on for too long or is too long itself.

v4 and v6 are told apart by the address. Reading raises Malformed for whatever is not what it should be.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address

from netloom.model.address import Ip, Mac, ip_version, mac_text
from netloom.model.flow import ARP, ICMP, ICMPV6, IPV6
from netloom.render.answers.frames import (
    BROADCAST_MAC,
    BY_ETHERTYPE,
    FAMILIES,
    Malformed,
    Packet,
    checksum,
    pack_ip,
    pack_mac,
    parse_ethernet,
    pseudo_header,
    read_ip,
    render_frame,
    take,
    take_int,
)

SOLICITATION, ADVERTISEMENT = 135, 136
EXPIRED = {4: (11, 0), 6: (3, 0)}
"""ICMP type and code: time exceeded in transit (RFC 792; RFC 4443, 3.3)."""
LARGE = {4: (3, 4), 6: (2, 0)}
"""Fragmentation needed (RFC 1191, 4), packet too big (RFC 4443, 3.2): with the MTU of the next hop."""
ERRORS = {ICMP: (3, 4, 5, 11, 12), ICMPV6: tuple(range(128))}
QUOTED = {4: 548, 6: 1232}
"""Bytes of the packet that an error has: with its own headers 576 at most, or 1,280 (RFC 1812, 4.3.2.3; RFC 4443)."""
TTL = 65
"""One more than is seen: the router's own table takes one off."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Somebody outside said that he has an address."""

    ip: Ip
    mac: Mac


def ask_frame(ip: str, mac: str, source: str) -> bytes:
    """Who has `ip`? Asked by `mac`, which has `source`, to all (RFC 826), or to those who may (RFC 4861, 7.2.2)."""
    return (ask_arp if ip_version(ip) == 4 else ask_nd)(ip, mac, source)


def ask_arp(ip: str, mac: str, source: str) -> bytes:
    head = pack_mac(BROADCAST_MAC) + pack_mac(mac) + struct.pack(">HHHBBH", ARP, 1, 0x0800, 6, 4, 1)
    return head + pack_mac(mac) + pack_ip(source) + bytes(6) + pack_ip(ip)


def ask_nd(ip: str, mac: str, source: str) -> bytes:
    low = pack_ip(ip)[-3:]
    group = Ip(str(IPv6Address(b"\xff\x02" + bytes(9) + b"\x01\xff" + low)))
    message = struct.pack(">BBHI", SOLICITATION, 0, 0, 0) + pack_ip(ip) + b"\1\1" + pack_mac(mac)
    to = Mac(mac_text(int.from_bytes(b"\x33\x33\xff" + low, "big")))
    return render_frame(Packet(Mac(mac), to, Ip(source), group, ICMPV6, message, hop_limit=255))


def parse_heard(frame: bytes) -> Heard:
    """Of an ARP reply or a neighbour advertisement."""
    ethertype, _, start = parse_ethernet(frame)
    if ethertype == ARP:
        if take_int(frame, start + 6, 2) != 2:
            raise Malformed("not a reply")
        mac, ip = take(frame, start + 8, 6), take(frame, start + 14, 4)
        return make_heard(read_ip(ip), mac)
    if ethertype != IPV6 or take_int(frame, start + 6, 1) != ICMPV6 or take_int(frame, start + 40, 1) != ADVERTISEMENT:
        raise Malformed("neither ARP nor a neighbour advertisement")
    if take_int(frame, start + 7, 1) != 255:
        raise Malformed("a neighbour advertisement that was forwarded")
    option = frame[start + 64 : start + 72]
    mac = option[2:] if option[:2] == b"\2\1" and len(option) == 8 else take(frame, 6, 6)
    return make_heard(read_ip(take(frame, start + 48, 16)), mac)


def make_heard(ip: Ip, mac: bytes) -> Heard:
    if mac[0] & 1 or not any(mac):
        raise Malformed("an address of a group, or of nobody")
    return Heard(ip, mac_text(int.from_bytes(mac, "big")))


def expired_frame(frame: bytes, source: str) -> bytes | None:
    """It was under way for too long (see error_frame)."""
    return error_frame(frame, source, EXPIRED)


def large_frame(frame: bytes, source: str, mtu: int) -> bytes | None:
    """It is longer than the next network takes, which is `mtu` (see error_frame). Said of an IPv4 packet that might be
    cut up, too: who sends it does that better."""
    return error_frame(frame, source, LARGE, mtu)


def read_target(frame: bytes) -> Ip:
    """Where the packet in `frame` goes. Malformed for what is not IP."""
    _, _, start = parse_ethernet(frame)
    data = frame[start:]
    return read_head(data, 6 if data[:1] and data[0] >> 4 == 6 else 4)[2]


def error_frame(frame: bytes, source: str, kind: Mapping[int, tuple[int, int]], told: int = 0) -> bytes | None:
    """The error about the packet in `frame`, from `source`, with no Ethernet addresses yet; None where none is due: no
    error answers an error, or what was sent to or by more than one (RFC 1812, 4.3.2.7). `told`: the word after the
    checksum."""
    ethertype, _, start = parse_ethernet(frame)
    family = BY_ETHERTYPE.get(ethertype)
    if family is None:
        raise Malformed("not IP")
    data = frame[start:]
    version = ip_version(source)
    proto, src, dst, body = read_head(data, version)
    inner = take_int(data, body, 1) if proto in ERRORS else -1
    if inner in ERRORS.get(proto, ()) or is_many(src) or is_many(dst):
        return None
    number = ICMP if version == 4 else ICMPV6
    message = struct.pack(">BBHI", *kind[version], 0, told) + data[: QUOTED[version]]
    cover = b"" if version == 4 else pseudo_header(source, src, number, len(message))
    message = message[:2] + checksum(cover + message).to_bytes(2, "big") + message[4:]
    packet = Packet(BROADCAST_MAC, BROADCAST_MAC, Ip(source), src, number, b"", hop_limit=TTL)
    return bytes(12) + ethertype.to_bytes(2, "big") + FAMILIES[version].render(packet, len(message)) + message


def read_head(data: bytes, version: int) -> tuple[int, Ip, Ip, int]:
    """Protocol, source, destination, and where the payload begins. Malformed for a fragment that is not the first."""
    if version == 4:
        if take_int(data, 0, 1) >> 4 != 4 or take_int(data, 6, 2) & 0x1FFF:
            raise Malformed("not the beginning of an IPv4 packet")
        return data[9], read_ip(take(data, 12, 4)), read_ip(take(data, 16, 4)), (data[0] & 15) * 4
    if take_int(data, 0, 1) >> 4 != 6:
        raise Malformed("not an IPv6 packet")
    return take_int(data, 6, 1), read_ip(take(data, 8, 16)), read_ip(take(data, 24, 16)), 40


def is_many(ip: str) -> bool:
    """Whether an address is nobody's, or that of more than one."""
    data = pack_ip(ip)
    return not any(data) or data[0] >= (0xE0 if len(data) == 4 else 0xFF)

"""Ethernet, IP, UDP and ICMPv6 as far as the local services need them: bytes to a Packet and back.

Reading raises Malformed for whatever is cut short, fragmented or not one of these; nothing else is ever raised.
v4 and v6 share every function and differ in the table FAMILIES.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from netloom.model.address import Ip, Mac, ip_version, mac_int, mac_text
from netloom.model.flow import ICMPV6, IPV4, IPV6, UDP

VLAN_TYPES = (0x8100, 0x88A8)
BROADCAST_MAC = Mac("ff:ff:ff:ff:ff:ff")


class Malformed(ValueError):
    """These bytes are not what they should be; the frame gets no answer."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One UDP datagram or ICMPv6 message. Ports are 0 for ICMPv6, whose payload starts with the type."""

    eth_src: Mac
    eth_dst: Mac
    ip_src: Ip
    ip_dst: Ip
    proto: int
    payload: bytes
    sport: int = 0
    dport: int = 0
    hop_limit: int = 64
    vlans: tuple[int, ...] = ()  # the 16 bits of each tag, outermost first

    @property
    def version(self) -> int:
        return ip_version(self.ip_dst)


def take(data: bytes, start: int, size: int) -> bytes:
    """`size` bytes from `start`, or Malformed when they are not all there."""
    part = data[start : start + size]
    if start < 0 or size < 0 or len(part) != size:
        raise Malformed(f"{size} bytes wanted at {start} of {len(data)}")
    return part


def take_int(data: bytes, start: int, size: int) -> int:
    return int.from_bytes(take(data, start, size), "big")


def pack_ip(ip: str) -> bytes:
    """Its 4 or 16 bytes. Not by `parse_ip`, whose cache is no place for what instances make up."""
    return (IPv4Address(ip) if ip_version(ip) == 4 else IPv6Address(ip)).packed


def pack_mac(mac: str) -> bytes:
    return mac_int(mac).to_bytes(6, "big")


def read_ip(data: bytes) -> Ip:
    """The address that 4 or 16 bytes are."""
    return Ip(str(IPv4Address(data) if len(data) == 4 else IPv6Address(data)))


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071); 0 over data that holds a right one."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(src: str, dst: str, proto: int, size: int) -> bytes:
    """What a UDP or ICMPv6 checksum covers besides the message (RFC 768; RFC 8200, 8.1)."""
    form = ">HH" if ip_version(dst) == 4 else ">II"
    return pack_ip(src) + pack_ip(dst) + struct.pack(form, *((proto, size) if form == ">HH" else (size, proto)))


@dataclass(frozen=True, slots=True)
class IpHeader:
    """What an IP header says: addresses, protocol, hop limit, and where its payload lies."""

    src: Ip
    dst: Ip
    proto: int
    hop_limit: int
    start: int
    end: int


def parse_ipv4(data: bytes) -> IpHeader:
    size = (take_int(data, 0, 1) & 15) * 4
    end = take_int(data, 2, 2)
    if data[0] >> 4 != 4 or size < 20 or not size <= end <= len(data) or take_int(data, 6, 2) & 0x3FFF:
        raise Malformed("not a whole IPv4 packet")
    return IpHeader(read_ip(take(data, 12, 4)), read_ip(take(data, 16, 4)), data[9], data[8], size, end)


def parse_ipv6(data: bytes) -> IpHeader:
    """Extension headers are not followed: no DHCP or ND client sends them (RFC 6980 forbids fragments for ND)."""
    end = 40 + take_int(data, 4, 2)
    if data[0] >> 4 != 6 or end > len(data):
        raise Malformed("not a whole IPv6 packet")
    return IpHeader(read_ip(take(data, 8, 16)), read_ip(take(data, 24, 16)), data[6], data[7], 40, end)


def render_ipv4(packet: Packet, size: int) -> bytes:
    head = struct.pack(">BBHHHBBH", 0x45, 0, 20 + size, 0, 0x4000, packet.hop_limit, packet.proto, 0)
    head += pack_ip(packet.ip_src) + pack_ip(packet.ip_dst)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:]


def render_ipv6(packet: Packet, size: int) -> bytes:
    head = struct.pack(">IHBB", 6 << 28, size, packet.proto, packet.hop_limit)
    return head + pack_ip(packet.ip_src) + pack_ip(packet.ip_dst)


@dataclass(frozen=True, slots=True)
class Family:
    """One IP version's header, both ways."""

    ethertype: int
    parse: Callable[[bytes], IpHeader]
    render: Callable[[Packet, int], bytes]


FAMILIES = {4: Family(IPV4, parse_ipv4, render_ipv4), 6: Family(IPV6, parse_ipv6, render_ipv6)}
BY_ETHERTYPE = {family.ethertype: family for family in FAMILIES.values()}


def parse_ethernet(frame: bytes) -> tuple[int, tuple[int, ...], int]:
    """The ethertype, the VLAN tags and where the payload starts. At most two tags are looked behind."""
    ethertype, start = take_int(frame, 12, 2), 14
    tags: list[int] = []
    while ethertype in VLAN_TYPES and len(tags) < 2:
        tags.append(take_int(frame, start, 2))
        ethertype, start = take_int(frame, start + 2, 2), start + 4
    return ethertype, tuple(tags), start


def parse_frame(frame: bytes) -> Packet:
    """The packet in an Ethernet frame, trailing padding dropped. Raises Malformed.

    UDP checksums are not checked: an instance with offloads hands over half-made ones, and the frame never
    crossed a wire. ICMPv6 ones are (RFC 4861, 6.1.1).
    """
    ethertype, tags, start = parse_ethernet(frame)
    family = BY_ETHERTYPE.get(ethertype)
    if family is None:
        raise Malformed("not IP")
    data = frame[start:]
    head = family.parse(data)
    body = data[head.start : head.end]
    sport, dport, payload = parse_transport(head, body)
    macs = mac_text(int.from_bytes(frame[6:12], "big")), mac_text(int.from_bytes(frame[0:6], "big"))
    return Packet(*macs, head.src, head.dst, head.proto, payload, sport, dport, head.hop_limit, tags)


def parse_transport(head: IpHeader, body: bytes) -> tuple[int, int, bytes]:
    """Source port, destination port and payload."""
    if head.proto == UDP:
        size = take_int(body, 4, 2)
        return take_int(body, 0, 2), take_int(body, 2, 2), take(body, 8, size - 8)
    if head.proto == ICMPV6 and ip_version(head.dst) == 6:
        if len(body) < 4 or checksum(pseudo_header(head.src, head.dst, ICMPV6, len(body)) + body):
            raise Malformed("bad ICMPv6 checksum")
        return 0, 0, body
    raise Malformed("neither UDP nor ICMPv6")


def render_transport(packet: Packet) -> bytes:
    """The UDP datagram or ICMPv6 message with its checksum filled in; the payload's own checksum field is ignored."""
    if packet.proto == UDP:
        body = struct.pack(">HHHH", packet.sport, packet.dport, 8 + len(packet.payload), 0) + packet.payload
        at = 6
    else:
        body = packet.payload[:2] + b"\0\0" + packet.payload[4:]
        at = 2
    total = checksum(pseudo_header(packet.ip_src, packet.ip_dst, packet.proto, len(body)) + body)
    # RFC 768: a UDP checksum that comes to zero is sent as all ones.
    return body[:at] + (total or (0xFFFF if packet.proto == UDP else 0)).to_bytes(2, "big") + body[at + 2 :]


def render_frame(packet: Packet) -> bytes:
    """The Ethernet frame of `packet`, with every length and checksum right."""
    body = render_transport(packet)
    family = FAMILIES[packet.version]
    tags = b"".join(struct.pack(">HH", 0x8100, tag) for tag in packet.vlans)
    head = pack_mac(packet.eth_dst) + pack_mac(packet.eth_src) + tags + family.ethertype.to_bytes(2, "big")
    return head + family.render(packet, len(body)) + body

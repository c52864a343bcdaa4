"""A network to answer in, and clients' messages made by hand, byte by byte, apart from the code under test."""

from __future__ import annotations

import struct
from ipaddress import IPv6Address

from netloom.model.address import Ip, Mac
from netloom.model.slices import Address, NetworkRow, PlaceRow, PortRow, SubnetRow
from netloom.render.answers import Scope, Settings, make_scope
from netloom.render.answers.frames import BROADCAST_MAC, Packet, parse_frame, render_frame

MAC = Mac("fa:16:3e:00:00:05")
SETTINGS = Settings()
NET = NetworkRow("net-1", 7, mtu=1450)
SUBNET = SubnetRow("s4", "net-1", "10.0.0.0/24", 4, gateway_ip="10.0.0.1", dns_nameservers=("9.9.9.9", "1.1.1.1"))
SUBNET6 = SubnetRow(
    "s6", "net-1", "2001:db8::/64", 6, gateway_ip="2001:db8::1", dns_nameservers=("2001:db8::53",),
    ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful",
)  # fmt: skip
PORT = PortRow("port-1", "net-1", MAC, addresses=(Address("10.0.0.5", "s4"), Address("2001:db8::5", "s6")))


def scope_of(*subnets: SubnetRow, places: tuple[PlaceRow, ...] = (), network: NetworkRow = NET) -> Scope:
    return make_scope(network, subnets or (SUBNET, SUBNET6), places)


def option(code: int, data: bytes) -> bytes:
    return bytes((code, len(data))) + data


def dhcp4(
    kind: int,
    *options: bytes,
    ciaddr: str = "0.0.0.0",
    flags: int = 0,
    mac: str = MAC,
    src: str = "0.0.0.0",
    dst: str = "255.255.255.255",
    giaddr: bytes = bytes(4),
) -> bytes:
    """A client's frame; kind 0 has no message type (BOOTP)."""
    chaddr = bytes.fromhex(mac.replace(":", "")) + bytes(10)
    address = bytes(int(part) for part in ciaddr.split("."))
    fixed = struct.pack(">BBBBIHH", 1, 1, 6, 0, 0xDEADBEEF, 3, flags) + address + bytes(8) + giaddr + chaddr
    body = fixed + bytes(192) + bytes((99, 130, 83, 99))
    body += (option(53, bytes((kind,))) if kind else b"") + b"".join(options) + b"\xff"
    return render_frame(Packet(Mac(mac), BROADCAST_MAC, Ip(src), Ip(dst), 17, body, 68, 67))


def read4(frame: bytes) -> tuple[Packet, dict[int, bytes]]:
    """The packet and its options by code, read by a loop of its own."""
    packet = parse_frame(frame)
    data, at = packet.payload, 240
    out: dict[int, bytes] = {}
    while data[at] != 255:
        out[data[at]] = out.get(data[at], b"") + data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]
    return packet, out


def option6(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


CLIENT_ID = option6(1, b"\0\3\0\1" + bytes.fromhex(MAC.replace(":", "")))
LINK_LOCAL = Ip("fe80::f816:3eff:fe00:5")


def ia_na(*ips: str, iaid: bytes = b"\0\0\0\1") -> bytes:
    addresses = b"".join(option6(5, IPv6Address(ip).packed + bytes(8)) for ip in ips)
    return option6(3, iaid + bytes(8) + addresses)


def dhcp6(kind: int, *options: bytes, src: str = LINK_LOCAL, dst: str = "ff02::1:2", mac: str = MAC) -> bytes:
    body = bytes((kind,)) + b"\1\2\3" + b"".join(options)
    return render_frame(Packet(Mac(mac), Mac("33:33:00:01:00:02"), Ip(src), Ip(dst), 17, body, 546, 547))


def split6(data: bytes) -> list[tuple[int, bytes]]:
    out, at = [], 0
    while at < len(data):
        code, size = struct.unpack_from(">HH", data, at)
        out.append((code, data[at + 4 : at + 4 + size]))
        at += 4 + size
    return out


def read6(frame: bytes) -> tuple[int, dict[int, bytes]]:
    """The message type and the options by code."""
    payload = parse_frame(frame).payload
    assert payload[1:4] == b"\1\2\3"
    return payload[0], dict(split6(payload[4:]))


def solicit_router(src: str = LINK_LOCAL, hop_limit: int = 255, body: bytes = b"") -> bytes:
    message = bytes((133, 0)) + bytes(6) + body
    packet = Packet(MAC, Mac("33:33:00:00:00:02"), Ip(src), Ip("ff02::2"), 58, message, hop_limit=hop_limit)
    return render_frame(packet)

"""Packets as stories say them, as the bytes of frames; and what arrives on devices, as bytes that can be told apart."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address

from netloom.model.flow import ICMP, ICMPV6, IPV4, SCTP, TCP, UDP
from netloom.testing.connections import INNER
from tests.dataplane.wire import add_checksum

Packet = Mapping[str, int]


def encode_packet(packet: Packet, mark: bytes = b"netloom-") -> bytes:
    """The frame; `mark`, of an even length, is its payload."""
    ethernet = packet["eth_dst"].to_bytes(6, "big") + packet["eth_src"].to_bytes(6, "big")
    return ethernet + packet["eth_type"].to_bytes(2, "big") + encode_ip(packet, mark)


def encode_ip(packet: Packet, mark: bytes) -> bytes:
    protocol = packet["ip_proto"]
    if packet["eth_type"] == IPV4:
        source, target = IPv4Address(packet["ip_src"]).packed, IPv4Address(packet["ip_dst"]).packed
        body = encode_body(packet, source + target, mark)
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + source + target
        return head[:10] + struct.pack("!H", add_checksum(head)) + head[12:] + body
    source, target = IPv6Address(packet["ipv6_src"]).packed, IPv6Address(packet["ipv6_dst"]).packed
    body = encode_body(packet, source + target, mark)
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + source + target + body


def encode_body(packet: Packet, ends: bytes, mark: bytes) -> bytes:
    """The message with its checksum, over the addresses where the protocol wants that."""
    protocol = packet["ip_proto"]
    pseudo = ends + struct.pack("!II", 0, protocol)  # the length follows
    if protocol == TCP:
        head = struct.pack(
            "!HHIIBBHHH", packet["tcp_src"], packet["tcp_dst"], 1, 1, 5 << 4, packet["tcp_flags"], 999, 0, 0
        )
        return put_checksum(head + mark, 16, pseudo)
    if protocol == UDP:
        head = struct.pack("!HHHH", packet["udp_src"], packet["udp_dst"], 8 + len(mark), 0)
        return put_checksum(head + mark, 6, pseudo)
    if protocol == SCTP:
        head = struct.pack("!HHII", packet["sctp_src"], packet["sctp_dst"], 0, 0)
        chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 7, 9999, 1, 1, 1)  # INIT, RFC 9260, 3.3.2
        whole = head + chunk
        return whole[:8] + struct.pack("<I", crc32c(whole)) + whole[12:] + b""
    if protocol in (ICMP, ICMPV6):
        kind = "icmp" if protocol == ICMP else "icmpv6"
        head = struct.pack("!BBHHH", packet[f"{kind}_type"], packet.get(f"{kind}_code", 0), 0, 7, 1)
        about = {name.removeprefix(INNER): value for name, value in packet.items() if name.startswith(INNER)}
        if about:  # an error carries the packet that it is about
            head = head[:4] + bytes(4) + encode_ip(about, b"netloom-")
        return put_checksum(head + mark, 2, pseudo if protocol == ICMPV6 else b"")
    return mark


def put_checksum(body: bytes, at: int, pseudo: bytes) -> bytes:
    over = pseudo[:-8] + struct.pack("!I", len(body)) + pseudo[-4:] if pseudo else b""
    data = over + body
    total = add_checksum(data + bytes(len(data) % 2))
    return body[:at] + struct.pack("!H", total) + body[at + 2 :]


def crc32c(data: bytes) -> int:
    """RFC 9260, appendix A."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def await_frame(wire: socket.socket, frame: bytes, timeout_s: float) -> bool:
    """Whether just this frame comes in time."""
    end = time.monotonic() + timeout_s
    while (left := end - time.monotonic()) > 0:
        if select.select([wire], [], [], left)[0] and wire.recv(4096) == frame:
            return True
    return False


def drain(wire: socket.socket) -> None:
    while select.select([wire], [], [], 0)[0]:
        wire.recv(4096)

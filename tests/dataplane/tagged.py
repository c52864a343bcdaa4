"""Frames with VLAN tags, sent and taken by raw sockets: for kernels that have no VLAN interfaces.

The kernel takes the tag off before a socket sees the frame, and tells it beside (PACKET_AUXDATA, packet(7)).
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable

SOL_PACKET, PACKET_AUXDATA = 263, 8
TP_STATUS_VLAN_VALID = 1 << 4


def listen_tags(wire: socket.socket) -> None:
    """From now on the tags of what comes are told."""
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)


def add_tag(frame: bytes, vlan: int, ethertype: int = 0x8100) -> bytes:
    return frame[:12] + struct.pack("!HH", ethertype, vlan) + frame[12:]


def read_tagged(wire: socket.socket) -> tuple[int, bytes]:
    """(VLAN, 0 for none; the frame without it). BlockingIOError where nothing waits."""
    frame, told, _, _ = wire.recvmsg(4096, 256)
    for level, kind, data in told:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tci, _ = struct.unpack("=IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                return tci & 0xFFF, frame
    if frame[12:14] == b"\x81\x00":
        return struct.unpack("!H", frame[14:16])[0] & 0xFFF, frame[:12] + frame[16:]
    return 0, frame


def read_tags(wire: socket.socket) -> tuple[list[tuple[int, int]], bytes]:
    """((ethertype, VLAN) of each tag, from the outer one; the frame without them). BlockingIOError: nothing waits."""
    frame, told, _, _ = wire.recvmsg(4096, 256)
    tags = []
    for level, kind, data in told:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tci, tpid = struct.unpack("=IIIHHHH", data[:20])
            if status & TP_STATUS_VLAN_VALID:
                tags.append((tpid or 0x8100, tci & 0xFFF))
    while (ethertype := struct.unpack_from("!H", frame, 12)[0]) in (0x8100, 0x88A8):
        tags.append((ethertype, struct.unpack_from("!H", frame, 14)[0] & 0xFFF))
        frame = frame[:12] + frame[16:]
    return tags, frame


def exchange(
    wire: socket.socket, frame: bytes, wanted: Callable[[int, bytes], bool], timeout_s: float = 5.0
) -> tuple[int, bytes] | None:
    """Send `frame` again and again until something comes that is wanted; None when nothing did in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        wire.send(frame)
        until = min(end, time.monotonic() + 0.1)
        while (left := until - time.monotonic()) > 0:
            if not select.select([wire], [], [], left)[0]:
                break
            found = read_tagged(wire)
            if wanted(*found):
                return found
    return None

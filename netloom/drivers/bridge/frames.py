"""Frames that instances send to services of the host, and frames to one instance: by packet sockets, past the bridge.

A packet socket sees a frame before the bridge and its filter do, and what it sends on an instance's device goes to that
instance alone. The kernel picks out the few frames that matter (DHCP, DHCPv6, router solicitations, untagged), so all
other traffic costs a dozen instructions and wakes nobody.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

ETH_P_ALL = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
SO_ATTACH_FILTER = 26
LONGEST = 2048

Step = tuple[str, int, int, int]
"""(operation, operand, steps to skip when it holds, and when it does not)."""

CODES = {"ld": 0x20, "ldh": 0x28, "ldb": 0x30, "ldxb": 0xB1, "ldh_x": 0x48, "jeq": 0x15, "jset": 0x45, "ret": 0x06}
VLAN_PRESENT = 0xFFFFF000 + 48  # SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT
PASS, DROP = ("ret", LONGEST, 0, 0), ("ret", 0, 0, 0)

PROGRAM: Sequence[Step] = (
    ("ld", VLAN_PRESENT, 0, 0),
    ("jeq", 0, 0, 18),
    ("ldh", 12, 0, 0),
    ("jeq", 0x0800, 0, 7),
    ("ldb", 23, 0, 0),
    ("jeq", 17, 0, 14),
    ("ldh", 20, 0, 0),
    ("jset", 0x1FFF, 12, 0),
    ("ldxb", 14, 0, 0),
    ("ldh_x", 16, 0, 0),
    ("jeq", 67, 8, 9),
    ("jeq", 0x86DD, 0, 8),
    ("ldb", 20, 0, 0),
    ("jeq", 17, 0, 2),
    ("ldh", 56, 0, 0),
    ("jeq", 547, 3, 4),
    ("jeq", 58, 0, 3),
    ("ldb", 54, 0, 0),
    ("jeq", 133, 0, 1),
    PASS,
    DROP,
)
"""Classic BPF: UDP to port 67 in IPv4, to 547 in IPv6, or ICMPv6 of type 133; nothing with a VLAN tag."""


def encode_program(program: Sequence[Step]) -> bytes:
    """As struct sock_filter (linux/filter.h), one after the other."""
    return b"".join(struct.pack("=HBBI", CODES[code], yes, no, value) for code, value, yes, no in program)


def match_frame(program: Sequence[Step], frame: bytes) -> int:
    """What the program says of an untagged frame: how many bytes to take. For tests, and who wonders."""
    at, a, x = 0, 0, 0
    while True:
        code, value, yes, no = program[at]
        at += 1
        if code == "ret":
            return value
        if code in ("jeq", "jset"):
            at += yes if (a == value if code == "jeq" else a & value) else no
            continue
        if code == "ld":
            a = 0
            continue
        size, start = (1 if code in ("ldb", "ldxb") else 2), value + (x if code == "ldh_x" else 0)
        if start + size > len(frame):
            return 0
        found = int.from_bytes(frame[start : start + size], "big")
        if code == "ldxb":
            x = (found & 15) * 4
        else:
            a = found


class Frames:
    """One socket over all devices of the namespace. `on_frame` gets the device's number, and the frame."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def follow(self, on_frame: Callable[[int, bytes], None]) -> None:
        """From now on, in the running loop. Raises OSError where that is not allowed."""
        self.close()
        self._socket = open_socket()
        asyncio.get_running_loop().add_reader(self._socket, self._take, self._socket, on_frame)

    def _take(self, wire: socket.socket, on_frame: Callable[[int, bytes], None]) -> None:
        try:
            frame, (name, *_) = wire.recvfrom(LONGEST)
            on_frame(socket.if_nametoindex(name), frame)
        except OSError:
            return  # a device that is going

    def send(self, index: int, frame: bytes) -> None:
        """Out of one device. OSError when there is none of that number."""
        if self._socket is None:
            raise OSError(107, "no packet socket yet")
        self._socket.sendto(frame, (socket.if_indextoname(index), 0))

    def find_neighbours(self, index: int) -> list[int]:
        """The other devices of the bridge that a device is in; OSError when it is in none."""
        name = socket.if_indextoname(index)
        beside = sorted(path.name for path in Path(f"/sys/class/net/{name}/brport/bridge/brif").iterdir())
        return [socket.if_nametoindex(other) for other in beside if other != name]

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None


def open_socket() -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    program = ctypes.create_string_buffer(encode_program(PROGRAM))
    wire.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", len(PROGRAM), ctypes.addressof(program)))
    wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    # The protocol comes last: no frame passes before there is a filter. Protocol 0 with no device sees none.
    listen_all(wire)
    wire.setblocking(False)
    return wire


def listen_all(wire: socket.socket) -> None:
    """bind() to every device, which Python's own bind cannot say (linux/if_packet.h, struct sockaddr_ll)."""
    address = struct.pack("=HHiHBB8s", socket.AF_PACKET, socket.htons(ETH_P_ALL), 0, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(wire.fileno(), address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, "packets of instances cannot be received")

"""A VLAN of an instance's NIC as a device, for kernels that have no VLAN devices: it runs inside of the instance.

    python -m netloom.lab.tagger eth0 101 eth0.101        until it is killed; then the device is gone

Law: a frame goes from one to the other as it is, but for the tag. The kernel takes a tag off before a packet socket
sees the frame, and tells it beside (PACKET_AUXDATA, packet(7)).
"""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
import sys
from contextlib import suppress

SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23
STATUS_VLAN_VALID = 1 << 4
ETH_P_ALL, TPID = 3, 0x8100
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
LONGEST = 65536


def open_tap(name: str) -> int:
    """A new device of that name; it goes with the descriptor (tuntap.rst of the kernel)."""
    tap = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def open_wire(device: str) -> socket.socket:
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    wire.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    wire.bind((device, 0))
    wire.setblocking(False)
    return wire


def add_tag(frame: bytes, vlan: int) -> bytes:
    return frame[:12] + struct.pack("!HH", TPID, vlan) + frame[12:]


def find_tag(told: list[tuple[int, int, bytes]]) -> int:
    """The VLAN that the kernel took off (struct tpacket_auxdata); 0: none."""
    for level, kind, data in told:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, *_, tci, _ = struct.unpack("=IIIHHHH", data[:20])
            return int(tci) & 0xFFF if status & STATUS_VLAN_VALID else 0
    return 0


def copy_in(wire: socket.socket, tap: int, vlan: int) -> None:
    """One frame of the VLAN from the NIC to the device."""
    frame, told, _, _ = wire.recvmsg(LONGEST, 256)
    if find_tag(told) == vlan:
        os.write(tap, frame)


def copy_out(wire: socket.socket, tap: int, vlan: int) -> None:
    """One frame of the device to the NIC."""
    wire.send(add_tag(os.read(tap, LONGEST), vlan))


def run(device: str, vlan: int, name: str) -> None:
    """Copy both ways, for ever. What a device that is down, or full, does not take is lost, as on a wire."""
    tap, wire = open_tap(name), open_wire(device)
    while True:
        ready, _, _ = select.select([tap, wire.fileno()], [], [])
        for one in ready:
            with suppress(OSError):
                (copy_out if one == tap else copy_in)(wire, tap, vlan)


if __name__ == "__main__":
    run(sys.argv[1], int(sys.argv[2]), sys.argv[3])

"""What instances say and hear: pings that go on, frames, and the moment they come."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import struct
import subprocess
import threading
import time

from pyroute2 import netns as spaces

from tests.dataplane.ovs import PATIENCE_S, wait_until
from tests.dataplane.rig import Instance

PING_S = 0.01
"""From one ping to the next, where nobody says otherwise."""


class Pinging:
    """`ping` from one instance to another, a hundred a second, until `stop`; then what was lost. `answered` grows."""

    def __init__(self, source: Instance, address: str, every_s: float = PING_S) -> None:
        command = ["ip", "netns", "exec", source.netns, "ping", "-n", "-i", str(every_s), address]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.answered: set[int] = set()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.answered.update(int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", line))

    def wait_more(self, count: int = 10) -> None:
        """Until so many more were answered."""
        wanted = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= wanted)

    def stop(self) -> tuple[int, list[int]]:
        """(replies, the numbers that were never answered). One that is under way when it ends is not counted."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(PATIENCE_S)
        self._reading.join(PATIENCE_S)
        assert self._process.stdout is not None
        self._process.stdout.close()
        got = self.answered
        assert got, "nothing was ever answered"
        return len(got), sorted(set(range(1, max(got))) - got)


def open_socket(netns: str, device: str) -> socket.socket:
    """A raw socket on a device of another namespace: made by a thread that went there.

    To bind it takes the kernel some ten milliseconds, so whoever measures opens it before.
    """
    made: list[socket.socket] = []

    def work() -> None:
        spaces.setns(netns)
        made.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
        made[0].bind((device, 0))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    made[0].setblocking(False)
    return made[0]


def add_checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def make_echo(one: Instance, mac: str, address: str, mark: bytes) -> bytes:
    """An ICMP echo request from an instance, as a frame; `mark`, of 16 bytes, comes back in the reply."""
    icmp = struct.pack("!BBHHH", 8, 0, 0, 7, 1) + mark
    icmp = icmp[:2] + struct.pack("!H", add_checksum(icmp)) + icmp[4:]
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(icmp), 1, 0, 64, 1, 0)
    head += socket.inet_aton(one.address) + socket.inet_aton(address)
    head = head[:10] + struct.pack("!H", add_checksum(head)) + head[12:]
    return to_bytes(mac) + to_bytes(one.mac) + b"\x08\x00" + head + icmp


def to_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def await_ping(
    wire: socket.socket, one: Instance, other: Instance, every_s: float = 0.001, timeout_s: float = PATIENCE_S
) -> float:
    """Ping `other` from `one`, on whose device `wire` is, until it answers; the moment (time.perf_counter) it did."""
    mark = os.urandom(16)  # so that a late reply to an earlier one is not taken for an answer
    frame = make_echo(one, other.mac, other.address, mark)
    wanted = to_bytes(one.mac) + to_bytes(other.mac) + b"\x08\x00"
    end = time.perf_counter() + timeout_s
    while time.perf_counter() < end:
        wire.send(frame)
        while select.select([wire], [], [], every_s)[0]:
            got = wire.recv(2048)
            if got[:14] == wanted and got[42:58] == mark:
                return time.perf_counter()
    raise AssertionError(f"{other.address} never answered {one.address}")

"""Heads of packets that rules of nft hand over, by the kernel's own log (nfnetlink_log); to the callback, one by one.

Law: a flood costs the kernel what does not fit in the socket's buffer, and the agent a bounded number at a time.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LOG = logging.getLogger(__name__)
NETLINK_NETFILTER = 12
NLM_F_REQUEST = 1
NFNL_SUBSYS_ULOG = 4
PACKET, CONFIG = NFNL_SUBSYS_ULOG << 8, NFNL_SUBSYS_ULOG << 8 | 1
CFG_CMD, CFG_MODE = 1, 2
BIND, COPY_PACKET = 1, 2
PAYLOAD, PREFIX, HARDWARE = 9, 10, 16
AT_ONCE = 256
BUFFER = 1 << 18


@dataclass(frozen=True, slots=True)
class Head:
    """The words of the rule, and the frame as far as it was copied; without a link header where there was none."""

    prefix: str
    frame: bytes


def make_config(group: int, attribute: int, body: bytes) -> bytes:
    """One message of nfnetlink_log.h: nlmsghdr, nfgenmsg, one attribute."""
    value = struct.pack("=HH", 4 + len(body), attribute) + body
    value += bytes(-len(value) % 4)
    head = struct.pack("=IHHII", 20 + len(value), CONFIG, NLM_F_REQUEST, 0, 0)
    return head + struct.pack("=BBH", 0, 0, socket.htons(group)) + value


def parse_messages(data: bytes) -> Iterator[Head]:
    """The packets in what was read at once; what is cut short or no packet is left out."""
    while len(data) >= 20:
        length, kind = struct.unpack_from("=IH", data)
        if length < 20 or length > len(data):
            return
        if kind == PACKET:
            found = dict(parse_attributes(data[20:length]))
            prefix = found.get(PREFIX, b"").rstrip(b"\0").decode(errors="replace")
            yield Head(prefix, found.get(HARDWARE, b"") + found.get(PAYLOAD, b""))
        data = data[length + 3 & ~3 :]


def parse_attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        if length < 4 or length > len(data):
            return
        yield kind & 0x3FFF, data[4:length]
        data = data[length + 3 & ~3 :]


class PacketHeads:
    """One socket of the namespace that the agent runs in."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def follow(self, group: int, head: int, on_head: Callable[[Head], None]) -> None:
        """From now on, in the running loop. OSError where the kernel has no such log."""
        self.close()
        wire = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        wire.bind((0, 0))
        wire.send(make_config(group, CFG_CMD, struct.pack("=B", BIND)))
        wire.send(make_config(group, CFG_MODE, struct.pack("!IBB", head, COPY_PACKET, 0)))
        self._socket = wire
        asyncio.get_running_loop().add_reader(wire, self._take, wire, on_head)

    def _take(self, wire: socket.socket, on_head: Callable[[Head], None]) -> None:
        for _ in range(AT_ONCE):
            try:
                data = wire.recv(1 << 16)
            except BlockingIOError:
                return
            except OSError:
                continue  # more came than there was room for
            for head in parse_messages(data):
                on_head(head)

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

"""That a device, or one of our tables of nft, was changed, as the kernel says it: a wake-up, and no word about what.

Law: what we change ourselves in the tables is no news: the kernel says who made each new generation of rules.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from netloom.drivers.bridge.nflog import parse_attributes

NETLINK_ROUTE, RTMGRP_LINK = 0, 1
NETLINK_NETFILTER, NFNLGRP_NFTABLES = 12, 7
NFNL_SUBSYS_NFTABLES = 10
NEW_GENERATION = NFNL_SUBSYS_NFTABLES << 8 | 15
TABLE, MAKER = 1, 2
"""Attributes: of a change the name of the table, of a new generation the number of the thread that made it."""
NO_TABLE = b"\0"
OWN_THREADS = Path("/proc/self/task")


class LinkWatch:
    """`wait` counts from 1: what is there at the first look is new. `meddled`: how often others changed `table`, where
    there is one to be watched."""

    def __init__(self, table: str = "") -> None:
        self._table = table.encode() + NO_TABLE
        self._sockets: list[socket.socket] = []
        self._count = 1
        self._changed = asyncio.Event()
        self._touched = False
        self.meddled = 0

    @property
    def news(self) -> int:
        """Another number after each change; 0: nobody listens yet, so there may have been any."""
        return self._count if self._sockets else 0

    async def wait(self, seen: int) -> int:
        """Return when something changed since `seen`; the number to give next time."""
        if not self._sockets:
            self._open(NETLINK_ROUTE, RTMGRP_LINK, self._take_links)
        if self._table != NO_TABLE and len(self._sockets) < 2:
            self._open(NETLINK_NETFILTER, 1 << NFNLGRP_NFTABLES - 1, self._take_rules)
        while self._count == seen:
            self._changed.clear()
            await self._changed.wait()
        return self._count

    def _open(self, family: int, groups: int, take: Callable[[socket.socket], None]) -> None:
        wire = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, family)
        wire.bind((0, groups))
        self._sockets.append(wire)
        asyncio.get_running_loop().add_reader(wire, take, wire)

    def _take_links(self, wire: socket.socket) -> None:
        for _ in read_all(wire):
            pass
        self._note()

    def _take_rules(self, wire: socket.socket) -> None:
        for data in read_all(wire):
            count = 1 if data is None else self.count_meddling(data)
            if count:
                self.meddled += count
                self._note()

    def count_meddling(self, data: bytes) -> int:
        """How many changes of our tables by other programs end in these messages."""
        return sum(self._is_meddling(kind, body) for kind, body in parse_messages(data))

    def _is_meddling(self, kind: int, body: bytes) -> bool:
        """Whether that ends a change of our tables that another program made."""
        found = dict(parse_attributes(body))
        if kind != NEW_GENERATION:
            self._touched = self._touched or found.get(TABLE) == self._table
            return False
        touched, self._touched = self._touched, False
        return touched and not is_own(int.from_bytes(found.get(MAKER, b""), "big"))

    def _note(self) -> None:
        self._count += 1
        self._changed.set()

    def close(self) -> None:
        for wire in self._sockets:
            asyncio.get_running_loop().remove_reader(wire)
            wire.close()
        self._sockets = []


def read_all(wire: socket.socket) -> Iterator[bytes | None]:
    """What there is to be read; None: more happened than there was room for, so that some is lost."""
    while True:
        try:
            yield wire.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:
            yield None


def parse_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(type, attributes) of each message of nfnetlink."""
    while len(data) >= 20:
        length, kind = struct.unpack_from("=IH", data)
        if length < 20 or length > len(data):
            return
        yield kind, data[20:length]
        data = data[length + 3 & ~3 :]


def is_own(thread: int) -> bool:
    """Whether a thread of this process has that number."""
    return (OWN_THREADS / str(thread)).exists()

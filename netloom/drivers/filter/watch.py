"""That somebody else changed chains or sets of ours: the kernel tells of chains, and sets are looked at now and then.

Law: what we write ourselves is no news. The kernel says which process made each new generation of rules (iptables-nft;
of iptables-legacy it says nothing); sets are compared with what was read or written last.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable

from netloom.drivers.bridge.nflog import parse_attributes
from netloom.drivers.bridge.watch import (
    MAKER,
    NETLINK_NETFILTER,
    NEW_GENERATION,
    NFNLGRP_NFTABLES,
    parse_messages,
    read_all,
)
from netloom.drivers.filter.iptables import PREFIX, IptablesDriver

LOG = logging.getLogger(__name__)
LOOK_S, SHARE = 2.0, 20
"""Between two looks at the sets, and how many times what a look took at the least: many members are looked at less."""


class FilterWatch:
    """`on_meddling` is called for each change that another program made."""

    def __init__(self, driver: IptablesDriver, on_meddling: Callable[[], None]) -> None:
        self._driver, self._on_meddling = driver, on_meddling
        self._touched = False

    async def run(self) -> None:
        """Watch until cancelled; what cannot be watched is left to the slow clock."""
        loop, wire = asyncio.get_running_loop(), open_socket()
        if wire:
            loop.add_reader(wire, self._take, wire)
        try:
            while True:
                took = await self.look()
                await asyncio.sleep(max(LOOK_S, SHARE * took))
        finally:
            if wire:
                loop.remove_reader(wire)
                wire.close()

    async def look(self) -> float:
        """At the sets, once; the seconds that it took."""
        began = time.monotonic()
        try:
            if await self._driver.is_meddled():
                self._on_meddling()
        except OSError as error:
            LOG.info("the sets of ipset were not looked at: %s", error)
        return time.monotonic() - began

    def _take(self, wire: socket.socket) -> None:
        for data in read_all(wire):
            if data is None or self.count_meddling(data):
                self._on_meddling()

    def count_meddling(self, data: bytes) -> int:
        """How many changes of our chains, or of jumps to them, by other programs end in these messages."""
        return sum(self._is_meddling(kind, body) for kind, body in parse_messages(data))

    def _is_meddling(self, kind: int, body: bytes) -> bool:
        if kind != NEW_GENERATION:
            self._touched = self._touched or PREFIX.encode() in body
            return False
        touched, self._touched = self._touched, False
        maker = int.from_bytes(dict(parse_attributes(body)).get(MAKER, b""), "big")
        return touched and maker not in self._driver.writers


def open_socket() -> socket.socket | None:
    """None where the kernel has no nftables."""
    try:
        wire = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_NETFILTER)
        wire.bind((0, 1 << NFNLGRP_NFTABLES - 1))
    except OSError as error:
        LOG.warning("changes of rules by others are found by the slow clock alone: %s", error)
        return None
    return wire

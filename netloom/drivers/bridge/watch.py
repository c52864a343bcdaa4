"""That a device came, went or changed, as the kernel says it: a wake-up, and no word about which."""

from __future__ import annotations

import asyncio
import socket

NETLINK_ROUTE, RTMGRP_LINK = 0, 1


class LinkWatch:
    """`wait` counts from 1: what is there at the first look is new."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._count = 1
        self._changed = asyncio.Event()

    async def wait(self, seen: int) -> int:
        """Return when something changed since `seen`; the number to give next time."""
        if self._socket is None:
            self._open()
        while self._count == seen:
            self._changed.clear()
            await self._changed.wait()
        return self._count

    def _open(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, NETLINK_ROUTE)
        self._socket.bind((0, RTMGRP_LINK))
        asyncio.get_running_loop().add_reader(self._socket, self._take, self._socket)

    def _take(self, wire: socket.socket) -> None:
        try:
            while wire.recv(1 << 16):
                pass
        except BlockingIOError:
            pass
        except OSError:
            pass  # more happened than there was room for: that is a change too
        self._count += 1
        self._changed.set()

    def close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None

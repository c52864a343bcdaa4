"""What tells that a copy of a router became another, as it happens: its namespace's addresses, and its daemon's end.

Law: an event says only that there is something to look at; what a copy is, is read anew each time.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

RTMGRP_IPV4_IFADDR = 0x10


@dataclass(frozen=True, slots=True)
class Watched:
    """Descriptors that become readable when there is something to look at."""

    addresses: socket.socket
    processes: tuple[int, ...]

    def close(self) -> None:
        self.addresses.close()
        for number in self.processes:
            os.close(number)


def open_watched(pids: Iterable[int]) -> Watched:
    """Of the namespace that the thread is in. Raises OSError."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
    sock.bind((0, RTMGRP_IPV4_IFADDR))
    found = []
    for pid in pids:
        with suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return Watched(sock, tuple(found))


class Watch:
    """`look` is called for a name when something happened there; it notes what it sees."""

    def __init__(self, look: Callable[[str], Awaitable[None]]) -> None:
        self._look = look
        self._held: dict[str, Watched] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._turn = 0
        self._news = asyncio.Event()
        self.states: dict[str, str] = {}

    @property
    def names(self) -> set[str]:
        return set(self._held)

    def follow(self, found: Mapping[str, Watched]) -> None:
        """Watch these, and nothing that was watched before."""
        for held in self._held.values():
            drop_readers(held)
            held.close()
        self._held = dict(found)
        self.states = {name: state for name, state in self.states.items() if name in found}
        for name, held in found.items():
            loop = asyncio.get_running_loop()
            loop.add_reader(held.addresses, self._drain, name, held)
            for number in held.processes:
                loop.add_reader(number, self._end, name, number)

    def _drain(self, name: str, held: Watched) -> None:
        with suppress(OSError):  # also ENOBUFS: more happened than there is room for, which is an event too
            while held.addresses.recv(1 << 16):
                pass
        self._wake(name)

    def _end(self, name: str, number: int) -> None:
        asyncio.get_running_loop().remove_reader(number)
        self._wake(name)

    def _wake(self, name: str) -> None:
        task = asyncio.ensure_future(self._look(name))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def note(self, name: str, state: str) -> None:
        if name in self._held and self.states.get(name) != state:
            self.states[name] = state
            self._turn += 1
            self._news.set()

    async def wait_change(self, seen: int) -> int:
        """Wait until a state changed since `seen`; the number to give next time."""
        while self._turn <= seen:
            self._news.clear()
            await self._news.wait()
        return self._turn


def drop_readers(held: Watched) -> None:
    loop = asyncio.get_running_loop()
    for number in (held.addresses.fileno(), *held.processes):
        loop.remove_reader(number)

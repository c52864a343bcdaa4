"""How often other programs changed what is ours in a namespace.

Law: an event says only that there is something to look at. What is there is compared with what was read or left last,
so neither our own changes nor what the kernel and our daemons do by themselves are somebody's.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from pyroute2.netlink.exceptions import NetlinkError

from netloom.drivers.netns.ear import Ear, hear, name_space, open_ear
from netloom.model.plan import State

LOG = logging.getLogger(__name__)
SETTLE_S, SHARE = 0.3, 20
"""From an event to the look, and how many times what a look took at the least: many changes are looked at less."""


class Others:
    """`read` says what is ours in the namespace of a name (empty: it is not there), and is called by `work`, in the
    worker's thread, which `note_read`, `note_left` and `compare` belong to. The rest is the loop's."""

    def __init__(
        self,
        folder: Path,
        read: Callable[[str], State],
        work: Callable[[Callable[[], bool]], Awaitable[bool]],
        on_meddling: Callable[[], None],
    ) -> None:
        self._folder, self._read, self._work, self._on_meddling = folder, read, work, on_meddling
        self._ear: Ear | None = None
        self._deaf = self._listening = False
        self._left: dict[str, State] = {}
        self._numbers: dict[str, tuple[int, int]] = {}  # by name; the inode before it tells two of one name apart
        self._names: dict[int, str] = {}
        self._dirty: dict[str, bool] = {}
        self._task: asyncio.Task[None] | None = None

    # -- the worker's thread -------------------------------------------------------------------------------------------

    def note_read(self, spaces: Mapping[str, State]) -> None:
        """All that there is; it is followed from now on."""
        self._left = dict(spaces)
        self._numbers = {name: numbered for name, numbered in self._numbers.items() if name in spaces}
        for name in spaces:
            self._follow(name)

    def note_left(self, names: Iterable[str]) -> None:
        """They are changed by us: what is left there is not known until it is looked at."""
        for name in names:
            self._left.pop(name, None)

    def compare(self, name: str, other: bool) -> bool:
        """Whether somebody changed it. Without anything to compare with, the word of the kernel (`other`) counts, but
        where a daemon of ours is at work. What cannot be read is for him to find who reads all."""
        before = self._left.pop(name, None)
        try:
            there = self._read(name)
        except (OSError, NetlinkError):
            return before is not None
        if not there:
            self._numbers.pop(name, None)
            return before is not None
        self._left[name] = there
        self._follow(name)
        return there != before if before is not None else other and ("keeper", name) not in there

    def _follow(self, name: str) -> None:
        """Hear of it. Where that cannot be, nothing is heard."""
        if self._deaf:
            return
        try:
            inode, known = (self._folder / name).stat().st_ino, self._numbers.get(name)
            self._ear = self._ear or open_ear()
            if known is None or known[0] != inode:
                self._numbers[name] = (inode, name_space(self._ear, self._folder / name))
                self._names = {number: name for name, (_, number) in self._numbers.items()}
        except FileNotFoundError:
            self._numbers.pop(name, None)  # it went while we looked
        except OSError as error:
            self._deaf = True
            LOG.warning("changes in namespaces by others are found by the slow clock alone: %s", error)

    # -- the loop ------------------------------------------------------------------------------------------------------

    def listen(self) -> None:
        """From now on events are heard; again costs nothing."""
        if self._ear and not self._listening:
            loop, self._listening = asyncio.get_running_loop(), True
            loop.add_reader(self._ear.links, self._take, self._ear.links, False)
            loop.add_reader(self._ear.rules, self._take, self._ear.rules, True)

    @property
    def is_quiet(self) -> bool:
        """Whether all that was heard of was looked at."""
        return not self._dirty and (self._task is None or self._task.done())

    def mark(self, *names: str) -> None:
        """Look at these when it is quiet."""
        self._dirty = dict.fromkeys(names, False) | self._dirty
        self._look_soon()

    def _take(self, wire: socket.socket, rules: bool) -> None:
        for news in hear(wire, rules):
            if news is None:
                self._dirty = dict.fromkeys(self._names.values(), False) | self._dirty
            elif name := self._names.get(news[0]):
                self._dirty[name] = self._dirty.get(name, False) or news[1]
        self._look_soon()

    def _look_soon(self) -> None:
        if self._dirty and (self._task is None or self._task.done()):
            self._task = asyncio.ensure_future(self._look())

    async def _look(self) -> None:
        rest_s = SETTLE_S
        while self._dirty:
            await asyncio.sleep(rest_s)
            marked, self._dirty, began = self._dirty, {}, time.monotonic()
            for name, other in marked.items():
                if await self._work(partial(self.compare, name, other)):
                    LOG.info("namespace %s was changed by somebody else", name)
                    self._on_meddling()
            self.listen()
            rest_s = max(SETTLE_S, SHARE * (time.monotonic() - began))

    def close(self) -> None:
        if self._task:
            self._task.cancel()
        if not self._ear:
            return
        if self._listening:
            for wire in (self._ear.links, self._ear.rules):
                asyncio.get_running_loop().remove_reader(wire)
        self._ear.close()
        self._ear, self._listening = None, False

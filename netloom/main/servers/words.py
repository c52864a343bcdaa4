"""What hosts say, written down: the newest of each, in as few operations as there are moments.

Law: a word is let go of when it is written, when it is refused for what it says, or when the same host says another in
its place; never because the store was away. What a host says once, such as that it is here, nobody would say again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from netloom.feed.pace import Pace
from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import Word
from netloom.intent.l3.router_copies import find_news
from netloom.intent.snapshot import Snapshot
from netloom.main.servers.shown import Shown

LOG = logging.getLogger("netloom.server")
Say = Callable[..., Awaitable[None]]
"""Writes what a host said: the name of the word, then its values. Raises ApiError."""
SAID_S, SAID_BURST = 20.0, 200.0
"""How often a second the words of one host are written down, and how many at once."""
GATHER_S = 0.002
"""How long what hosts say is gathered before it is written as one operation."""
AGAIN_S = 1.0
"""How long a word waits that could not be written."""
UNKNOWN = 501
"""What a writer answers to a word that it cannot make sense of, such as one that its version does not know."""
AWAY = 503
"""What it answers where the store does not take anything, or where nobody writes."""

ALIVE = "alive"
"""The word that a host is here, or gone."""
Key = tuple[str, str]
"""(name of a word, host)."""


@dataclass(eq=False)
class Owed:
    """A word that is being written, or waits to be; no `values`: it is no word any more. `lock`: of whoever writes it,
    so that the newest comes last. `waiting`: how many would write it."""

    values: tuple[Any, ...] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Words:
    """Of all hosts of a server. `say`: how a word is written; `snapshot`: what is shown now."""

    def __init__(self, say: Say, snapshot: Callable[[], Snapshot], again_s: float = AGAIN_S) -> None:
        self.operations = 0
        """How often the writer was given acknowledgements."""
        self._say, self._snapshot, self.again_s = say, snapshot, again_s
        self._said: dict[str, Word] = {}
        self._due: dict[str, float] = {}  # when what they said may be written
        self._telling: set[str] = set()  # whose words are being written
        self._void: set[str] = set()  # of those, who came or went since
        self._news = asyncio.Event()
        self._shown = Shown()
        self._copies: dict[str, dict[str, str]] = {}
        self._paces: dict[str, Pace] = {}
        self._owed: dict[Key, Owed] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._teller = False

    @property
    def waiting(self) -> int:
        """How many hosts said something that is not written yet."""
        return len(self._said) + len(self._telling) + len(self._owed)

    def start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Work that `finish` waits for."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def finish(self, within_s: float = 5.0) -> None:
        """Let what hosts said last be written; what the store does not take by then is said again when they come."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()

    def forget(self, host: str) -> None:
        """It comes, or has gone: what it said before is no word of it any more."""
        self._copies.pop(host, None)
        self._paces.pop(host, None)
        self._shown.forget(host)
        self._said.pop(host, None)
        self._due.pop(host, None)
        self._void |= self._telling & {host}
        for (name, owing), owed in self._owed.items():
            if owing == host and name != ALIVE:
                owed.values = None

    # -- one word ------------------------------------------------------------------------------------------------------

    async def write(self, name: str, host: str, *values: Any) -> ApiError | None:
        """Gives why it was not written. Where nobody could write it, it is tried again until somebody can."""
        key = (name, host)
        owed = self._owed.setdefault(key, Owed())
        owed.values = values
        owed.waiting += 1
        try:
            error = await self._pay(key, owed)
            if error is not None and error.status == AWAY and owed.waiting == 1:
                owed.waiting += 1
                self.start(self._insist(key, owed))
            return error
        finally:
            self._release(key, owed)

    async def _insist(self, key: Key, owed: Owed) -> None:
        """Until it is written, or somebody else writes a newer one."""
        try:
            while owed.waiting == 1:
                await asyncio.sleep(self.again_s)
                error = await self._pay(key, owed, logging.DEBUG)
                if error is None or error.status != AWAY:
                    break
        finally:
            self._release(key, owed)

    def _release(self, key: Key, owed: Owed) -> None:
        owed.waiting -= 1
        if not owed.waiting:
            del self._owed[key]

    async def _pay(self, key: Key, owed: Owed, level: int = logging.WARNING) -> ApiError | None:
        async with owed.lock:
            return None if owed.values is None else await self.try_once(*key, *owed.values, level=level)

    async def try_once(self, name: str, *values: Any, level: int = logging.WARNING) -> ApiError | None:
        """Gives why it was not written."""
        try:
            await self._say(name, *values)
        except ApiError as error:
            LOG.log(level, "what a host said was not written: %s", error.message)
            return error
        return None

    async def copies(self, host: str, copies: Mapping[str, str]) -> None:
        """What the copies of routers on the host are now. What it said before may be shown no more: a router that
        changed its form begins anew."""
        if self._copies.get(host, {}) != copies or any(find_news(self._snapshot(), host, copies)):
            if wait_s := self._find_pace(host).spend(asyncio.get_running_loop().time()):
                await asyncio.sleep(wait_s)
            self._copies[host] = dict(copies)
            if copies:
                await self.write("copies", host, dict(copies))
            elif owed := self._owed.get(("copies", host)):  # of those that are gone nothing is shown
                owed.values = None

    def _find_pace(self, host: str) -> Pace:
        """A host that never stops saying something new is written down so often, and no more; the last word stands."""
        return self._paces.setdefault(host, Pace(SAID_S, SAID_BURST))

    # -- acknowledgements ----------------------------------------------------------------------------------------------

    def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None:
        """The newest word of a host stands for all before it: each names every port of the host."""
        busy = host in self._said or host in self._telling
        if not busy and self._shown.has(self._snapshot(), host, wired, pending):
            return
        self._said[host] = (host, wired, dict(pending), revision)
        if host not in self._due:
            now_s = asyncio.get_running_loop().time()
            self._due[host] = now_s + self._find_pace(host).spend(now_s)
        self._news.set()
        if not self._teller:
            self._teller = True
            self.start(self._tell())

    async def _tell(self) -> None:
        """Write what hosts said, of each the newest, in one operation for all that said something in a moment; a host
        that never stops is written down so often, and no more."""
        clock = asyncio.get_running_loop().time
        try:
            while self._due:
                await asyncio.sleep(GATHER_S)
                words = self._take(clock())
                if words and await self._is_away(words):
                    self._put_back(words, clock() + self.again_s)
                self._telling, self._void = set(), set()
                if self._due:
                    await self._wait(min(self._due.values()) - clock())
        finally:
            self._teller, self._telling, self._void = False, set(), set()

    def _take(self, now_s: float) -> list[Word]:
        """What may be written by now."""
        self._telling = {host for host, due_s in self._due.items() if due_s <= now_s}
        for host in self._telling:
            del self._due[host]
        return [self._said.pop(host) for host in self._telling]

    async def _wait(self, seconds: float) -> None:
        """Until then, or until somebody says something."""
        self._news.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._news.wait()

    def _put_back(self, words: Sequence[Word], due_s: float) -> None:
        """What was said meanwhile is newer, and what was forgotten meanwhile is no word any more."""
        for word in words:
            if word[0] not in self._void and self._said.setdefault(word[0], word) is word:
                self._due[word[0]] = due_s

    async def _is_away(self, words: Sequence[Word]) -> bool:
        """Write them; whether nobody could. What is not taken all at once is told one by one: by a writer of the
        version before, and where one word is in the way of the others."""
        self.operations += 1
        errors = [await self._tell_one("acknowledge_all", words)]
        if errors[0] is not None and errors[0].status != AWAY:
            self.operations += len(words)
            errors = [await self._tell_one("acknowledge", *word) for word in words]
        return any(error is not None and error.status == AWAY for error in errors)

    async def _tell_one(self, name: str, *values: Any) -> ApiError | None:
        """As `try_once`; a fault of ours ends no more than this."""
        try:
            return await self.try_once(name, *values)
        except Exception as error:
            LOG.exception("what a host said was not written")
            return ApiError(UNKNOWN, "NotImplemented", str(error))

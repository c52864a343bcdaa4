"""Keeps Placement told of all agents: who is due when, and what becomes of it.

Law: an agent is told of when what it says changes, after a failure again and again, and now and then in any case;
`resources_synced` says how the last time went. Nothing is kept between starts: what is held is looked at.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from netloom.intent.errors import ApiError
from netloom.intent.schema import Doc
from netloom.notify.outbox import NotTold
from netloom.notify.placement_wanted import KINDS, Tree, find_claims, find_own, find_refused, render_trees
from netloom.store.errors import StoreError
from netloom.store.writer import NotWriting

LOG = logging.getLogger("netloom.placement")

FIRST_RETRY_S, LAST_RETRY_S = 1.0, 30.0
LOOK_S = 3600.0
"""How often it is looked whether Placement still holds what it was told."""
REST_S = 0.5
"""How often it is looked whether this server tells."""
GATHER_S = 0.05
ALONGSIDE = 8
"""Agents that are told of at the same time."""


@dataclass(slots=True)
class Schedule:
    """When each agent is due, in seconds of a clock that only goes forward; told the time."""

    due: dict[str, float] = field(default_factory=dict)
    delays: dict[str, float] = field(default_factory=dict)

    def note(self, id: str, now_s: float) -> None:
        """Something of it changed: it is due at once, and not punished for what was before."""
        self.due[id] = now_s
        self.delays.pop(id, None)

    def take(self, now_s: float) -> list[str]:
        """Those that are due; they are nothing to anybody until `succeed` or `fail`, or until they change again."""
        found = sorted(id for id, at in self.due.items() if at <= now_s)
        for id in found:
            del self.due[id]
        return found

    def succeed(self, id: str, now_s: float) -> None:
        self.delays.pop(id, None)
        self.due.setdefault(id, now_s + LOOK_S)

    def fail(self, id: str, now_s: float) -> None:
        if id not in self.due:
            delay = self.delays.get(id, FIRST_RETRY_S)
            self.delays[id] = min(delay * 2, LAST_RETRY_S)
            self.due[id] = now_s + delay

    def forget(self, id: str) -> None:
        self.due.pop(id, None)
        self.delays.pop(id, None)

    def clear(self) -> None:
        self.due.clear()
        self.delays.clear()


Agents = Mapping[str, Doc]


class Keeper:
    """`note` never waits; `run` tells until it is cancelled.

    `tell`: makes Placement hold a tree, or raises NotTold. `agents`: all there are now, by id. `mark`: writes whether
    an agent is told of. `tells`: whether it is this server that tells.
    """

    def __init__(
        self,
        tell: Callable[[Tree], Awaitable[None]],
        agents: Callable[[], Agents],
        mark: Callable[[str, bool], Awaitable[None]],
        tunnelled: str,
        tells: Callable[[], bool] = lambda: True,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tell = tell
        self._agents = agents
        self._mark = mark
        self._tunnelled = tunnelled
        self._tells = tells
        self._now = now
        self._schedule = Schedule()
        self._telling = False
        self._wake = asyncio.Event()
        self._waiting = 0

    @property
    def waiting(self) -> int:
        """How many agents Placement is yet to be told of, as far as it is known."""
        return self._waiting + len(self._schedule.delays)

    def note(self, ids: Iterable[str]) -> None:
        """These agents said something else of themselves, came, or went."""
        if self._telling:
            for id in ids:
                self._schedule.note(id, self._now())
                self._wake.set()

    async def run(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_S):
                    await self._wake.wait()
            self._change_hands()
            if self._telling:
                await self._turn()

    def _change_hands(self) -> None:
        """Whoever begins to tell looks at all agents; nothing has to be known of what was told before."""
        if self._tells() != self._telling:
            self._telling = not self._telling
            self._schedule.clear()
            self.note(self._agents() if self._telling else ())

    async def _turn(self) -> None:
        if self._wake.is_set():
            await asyncio.sleep(GATHER_S)  # hosts come together
            self._wake.clear()
        agents, due = self._agents(), self._schedule.take(self._now())
        if not due:
            return
        claims, gate = find_claims(agents.values()), asyncio.Semaphore(ALONGSIDE)
        self._waiting = len(due)
        await asyncio.gather(*(self._serve(id, agents.get(id), claims, gate) for id in due))

    async def _serve(self, id: str, agent: Doc | None, claims: Mapping[str, str], gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                if agent is None or agent["agent_type"] not in KINDS:
                    self._schedule.forget(id)
                elif await self._tell_of(agent, claims):
                    self._schedule.succeed(id, self._now())
                else:
                    self._schedule.fail(id, self._now())
            except (ApiError, StoreError, NotWriting) as error:
                LOG.warning("what Placement knows of %s is not noted: %s", agent and agent["host"], error)
                self._schedule.fail(id, self._now())
            except Exception:
                LOG.exception("Placement is not told of %s", agent and agent["host"])
                self._schedule.fail(id, self._now())
            finally:
                self._waiting -= 1

    async def _tell_of(self, agent: Doc, claims: Mapping[str, str]) -> bool:
        trees = render_trees(agent, self._tunnelled)
        errors = list(find_refused(trees, agent["host"], claims))
        for tree in find_own(trees, agent["host"], claims):
            try:
                await self._tell(tree)
            except NotTold as error:
                errors.append(str(error))
        if errors:
            level = logging.DEBUG if agent["resources_synced"] is False else logging.WARNING  # said once
            words = "; ".join(errors)
            LOG.log(level, "Placement is not told of %s on %s: %s", agent["agent_type"], agent["host"], words)
        if trees and agent["resources_synced"] is not (not errors):
            await self._mark(agent["id"], not errors)
        return not errors

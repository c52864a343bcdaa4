"""One thread of decisions: pull → render → read → plan → apply → report, and what wakes it.

Law: a turn depends on what is wanted and what is there, never on what woke it; so wakes may be lost, doubled or
joined, and a restart is a turn like any other (with nothing changed it sends nothing).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from netloom.agent.announcer import Announcer
from netloom.agent.desk import Desk
from netloom.agent.looks import Looks
from netloom.agent.mirror import Mirror
from netloom.agent.neighbours import Neighbours
from netloom.agent.parts import Parts, Tuning
from netloom.agent.turns import Turn, Watch, name_ports
from netloom.agent.view import (
    Status,
    View,
    device_mark,
    drop_kinds,
    is_replugged,
    keep_additions,
    keep_keys,
    make_status,
)
from netloom.agent.wanted import Wanted
from netloom.model.facts import HostFacts
from netloom.model.plan import Failure, Key, Op, Plan
from netloom.reconcile.backoff import Refusal, Retries, describe_op
from netloom.reconcile.desired import Clash
from netloom.reconcile.plan import plan
from netloom.render.answers import Settings
from netloom.render.memory import Memory

LOG = logging.getLogger(__name__)
LOOK_GAP_S = 1.0
"""Between two readings for what somebody else changed: one who goes on changing costs a reading a second."""
FOREIGN_TOLD = 100
"""How many of the things of others the server is told of; all of them are in the log."""


class Agent:
    """The loop of one host. `configurations` is what the server is told of it."""

    def __init__(
        self, parts: Parts, tuning: Tuning, settings: Settings, configurations: Mapping[str, Any] | None = None
    ) -> None:
        self._parts, self._tuning = parts, tuning
        self._configurations = dict(configurations or {})
        self.desk = Desk(parts, tuning, settings)
        self._announcer = Announcer(parts.packets, lambda: self._facts)
        self._mirror = Mirror(parts.drivers)
        self._retries = Retries()
        self._wake = asyncio.Event()
        self._looks = Looks(self._mirror.differs, parts.clock, self._wake.set)
        self._neighbours = Neighbours(
            parts.packets, parts.clock, self._wake.set, parts.neighbours, parts.save_neighbours
        )
        self._stopping = False
        self._seen = Memory()
        self._status: Status | None = None  # of the last turn, and whether some device was in trouble then
        self._troubled = False
        self._mark: object = None
        self._device_mark: object = None
        self._facts: HostFacts | None = None
        self._drift_due = parts.clock() + tuning.drift_s
        self._wanted = Wanted()
        self._clashes: frozenset[Clash] = frozenset()
        self._level = False  # whether all that is wanted was there, or refused, when the last turn ended
        self._told: Status | None = None
        self._done: dict[Key, Op] = {}  # what the devices took in the last turn that had ops
        self._unowned: frozenset[str] = frozenset()
        self._foreign: tuple[str, ...] = ()
        self._meddlings, self._look_due = 0, 0.0  # what was seen of them, and when the next may be looked into
        self._described = dict(parts.describe())
        self._healed = 0  # changes that put back what somebody else changed, since the start

    async def run(self) -> None:
        """Run until cancelled. The data plane stays as it is."""
        async with asyncio.TaskGroup() as group:
            desk = (self.desk.run, self.desk.run_adverts)
            for watch in (
                self._watch_feed,
                self._watch_facts,
                *desk,
                self._announcer.run,
                self._neighbours.run,
                self._introduce,
                self._look,
            ):
                group.create_task(self._keep(watch))
            group.create_task(self._run_turns())
            try:
                await asyncio.Event().wait()
            finally:
                self._stopping = True  # a device that swallowed the cancellation does not keep us

    async def _run_turns(self) -> None:
        while not self._stopping:
            self._wake.clear()
            try:
                wait_s = await self.turn()
            except Exception:
                LOG.exception("a turn failed; the data plane stays as it is")
                self._mirror.mark_stale()
                self._status = None
                wait_s = self._tuning.backoff.most_s
            await self._rest(0.0 if self._stopping else wait_s)

    async def turn(self) -> float:
        """Bring the devices to what is wanted, as far as they let us; the seconds until the next turn is due."""
        view = await self._pull()
        if view is None:
            return self._tuning.reconnect_s
        requests, watch = self._parts.take_requests(), Watch(self._parts.clock)
        changed = self._render(view)
        drift, render_s = self._note_clock(), watch.lap()
        fresh = await self._mirror.read()
        read_s = watch.lap()
        await self._report_self(fresh)
        drift = drift or (fresh and self._level and not changed)  # nothing else is wanted, and yet it is not there
        ops = self._plan(view, None if fresh or not self._level else changed)
        due = self._find_due(ops)
        plan_s = watch.lap()
        failures = await self._mirror.apply(due, self._retries.held.values())
        apply_s = watch.lap()
        self._note(due, failures, drift, requests)
        refused = {failure.op.thing.key for failure in failures}
        self._announcer.note(op for op in due if op.thing.key not in refused)
        if drift and len(due) > len(failures):
            self._healed += len(due) - len(failures)
            await self._parts.feed.send_report(self._describe())
        await self._report(view)
        self._neighbours.note_done()
        self._level = view.complete and not self._mirror.unreachable
        wired, pending = (len(self._told.wired), len(self._told.pending)) if self._told else (0, 0)
        self._parts.turned(
            Turn(
                watch.began, render_s, read_s, plan_s, apply_s, len(due), len(failures), drift, view.revision,
                wired, pending, len(view.slices), requests, len(self._foreign),
            )
        )  # fmt: skip
        return self._next_wait()

    async def _pull(self) -> View | None:
        """Slices and facts as they are now; None while the switch does not answer."""
        feed = self._parts.feed
        slices, revision, complete = dict(feed.slices), feed.revision, feed.complete
        try:
            facts = await self._parts.facts.read_facts()
        except (OSError, TimeoutError) as error:
            LOG.warning("no facts of this host: %s", error)
            self._mirror.mark_stale()
            return None
        facts = self._neighbours.complete(slices, facts)
        same = self._seen.has(slices, facts)
        if not same:
            self.desk.update(slices, facts)
            self._parts.watch(slices, facts)
            self._seen.note(slices, facts)
            if self._facts and is_replugged(self._facts, facts):
                self._mirror.mark_stale()
            self._device_mark = device_mark(facts)
        self._facts, mark = facts, (self._parts.facts.epoch, self._device_mark)
        if mark != self._mark:  # another switch, as it were: what the last one held or refused says nothing
            self._mark, self._retries = mark, Retries()
            self._mirror.mark_stale()
        return View(slices, revision, complete, facts, same)

    def _render(self, view: View) -> set[Key]:
        """Work out what is wanted; the keys of what is wanted otherwise than before."""
        changed = self._wanted.update(self._parts.render(view.slices, view.facts))
        clashes = self._wanted.find_clashes()
        for clash in clashes - self._clashes:
            LOG.error("%s", clash)
        self._clashes = clashes
        unowned = self._wanted.kinds - self._mirror.owners.keys()
        if unowned != self._unowned:
            self._unowned = unowned
            LOG.error("no driver here holds: %s", ", ".join(sorted(unowned)) or "nothing any more")
        return changed

    def _plan(self, view: View, changed: set[Key] | None) -> Plan:
        """The ops: over everything, or over what changed and what is still refused when all else was level before.

        Until all that is wanted was known once, nothing that is there is changed or swept.
        """
        wanted, actual, out = self._wanted.state, self._mirror.state, self._mirror.missing_kinds() | self._unowned
        if changed is not None:
            keys = changed.union(self._retries.held)
            wanted, actual = keep_keys(wanted, keys), keep_keys(actual, keys)
        ops = plan(drop_kinds(wanted, out), drop_kinds(actual, out), self._mirror.needs)
        return ops if view.complete else keep_additions(ops)

    def _note_clock(self) -> bool:
        """Whether this turn is the slow clock's, or comes of what somebody else changed: it reads everything."""
        now, meddlings = self._parts.clock(), self._count_meddlings()
        if now < self._drift_due and (meddlings == self._meddlings or now < self._look_due):
            return False
        if meddlings != self._meddlings:
            self._done = {}  # what is gone then was taken away by somebody, not lost by the device
        self._meddlings, self._look_due = meddlings, now + LOOK_GAP_S
        self._drift_due = now + self._tuning.drift_s
        self._mirror.mark_stale()
        return True

    def _count_meddlings(self) -> int:
        """Those that devices told of, and those that were seen by looking."""
        return self._parts.count_meddlings() + self._looks.found

    def _find_due(self, ops: Plan) -> Plan:
        """The ops to try now. One that was taken last time and is missing again waits, or a turn would chase a turn."""
        parts, held = self._parts, self._retries.forget_missing(ops)
        bounced = [op for op in ops if self._done.get(op.thing.key) == op and op.thing.key not in held.held]
        words = [Failure(op, "taken by the device, but gone when it was read") for op in bounced]
        self._retries = held.note((), words, parts.clock(), parts.chance(), self._tuning.backoff)
        return self._retries.find_due(ops, parts.clock())[0]

    def _note(self, due: Plan, failures: list[Failure], drift: bool, requests: tuple[str, ...] = ()) -> None:
        """Remember what was done and what was refused, and say so."""
        parts = self._parts
        self._retries = self._retries.note(due, failures, parts.clock(), parts.chance(), self._tuning.backoff)
        refused = {failure.op.thing.key for failure in failures}
        if due:
            self._done = {op.thing.key: op for op in due if op.thing.key not in refused}
        if due:
            what = "drift healed: " if drift else ""
            ids = {"revision": parts.feed.revision, "requests": requests, "ports": name_ports(due)}
            LOG.info("%s%d ops, %d refused", what, len(due), len(failures), extra=ids)
        for failure in failures:
            LOG.warning("refused: %s: %s", describe_op(failure.op), failure.reason)

    async def _report(self, view: View) -> None:
        """Tell the server of every new status; only a device that something is wanted of can hold ports back."""
        needed = {self._mirror.owners.get(kind) for kind in self._wanted.kinds}
        away = {name: words for name, words in self._mirror.unreachable.items() if name in needed}
        status = self._find_status(view, tuple(self._retries.held.values()), away)
        if status == self._told:
            return
        try:
            await self._parts.feed.send_ack(status.revision, status.wired, status.pending, status.copies)
        except (OSError, TimeoutError) as error:
            LOG.info("the server was not told: %s", error)
            return
        if self._told is None or (status.wired, status.pending) != (self._told.wired, self._told.pending):
            ids = {"revision": status.revision}
            LOG.info("%d ports wired, %d wait", len(status.wired), len(status.pending), extra=ids)
        self._told = status

    def _find_status(self, view: View, refused: tuple[Refusal, ...], away: Mapping[str, str]) -> Status:
        """That of the turn before, at another revision, where nothing changed that it depends on."""
        troubled = bool(refused or away)
        if not (view.same and self._status) or troubled or self._troubled:
            pending = self._parts.find_pending(view.slices, view.facts)
            floating = self._parts.find_floating(view.slices, view.facts)
            self._status = make_status(view, pending, refused, away, floating)
        self._troubled = troubled
        self._status = replace(self._status, revision=view.revision)
        return self._status

    async def _report_self(self, fresh: bool) -> None:
        """What the devices say of themselves, and what of others is there, which is never touched: said once, here and
        to the server."""
        foreign = self._parts.find_foreign() if fresh else self._foreign
        told = dict(self._parts.describe())
        if foreign == self._foreign and told == self._described:
            return
        if foreign != self._foreign:
            for words in foreign or ("no more",):
                LOG.warning("not of Netloom: %s", words)
        self._foreign, self._described = foreign, told
        await self._parts.feed.send_report(self._describe())

    def _describe(self) -> dict[str, Any]:
        told = list(self._foreign[:FOREIGN_TOLD])
        healed = {"drift_healed": self._healed} if self._healed else {}
        return {**self._configurations, **self._described, **healed, **({"foreign": told} if told else {})}

    def _next_wait(self) -> float:
        """Seconds to sleep if nothing happens: until a retry, a device to be read, or the slow clock."""
        now = self._parts.clock()
        waits = [self._drift_due - now]
        if self._count_meddlings() != self._meddlings:
            waits.append(self._look_due - now)
        waits += [held.due_s - now for held in self._retries.held.values() if held.due_s is not None]
        if self._mirror.is_stale:
            waits.append(self._mirror.patience_s(self._tuning.reconnect_s, self._tuning.backoff.most_s))
        return max(0.0, min(waits))

    async def _rest(self, wait_s: float) -> None:
        try:
            async with asyncio.timeout(wait_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _watch_feed(self) -> None:
        while True:
            await self._parts.feed.wait_changed()
            self._wake.set()

    async def _watch_facts(self) -> None:
        seen = 0
        while True:
            seen = await self._parts.facts.wait_change(seen)
            self._wake.set()

    async def _look(self) -> None:
        await self._looks.run(self._mirror.find_looking())
        await asyncio.Event().wait()  # where there is nothing to look at

    async def _introduce(self) -> None:
        """Say what this host is, and take its packets; both hold for as long as the other end may come and go."""
        await self._parts.feed.send_report(self._describe())
        await self._parts.packets.follow_routed(self._neighbours.take)
        await self._parts.packets.follow_packets(self.desk.take)
        await asyncio.Event().wait()

    async def _keep(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` for ever; what breaks it is logged, and it begins again."""
        while not self._stopping:
            try:
                await work()
            except Exception:
                LOG.exception("%s broke off", getattr(work, "__name__", work))
                await asyncio.sleep(self._tuning.reconnect_s)

"""What the devices of this host hold: as last read, and as changed by us since.

Reading a switch costs time in proportion to its flows, so it is done at the start, after anything that may have
emptied a device, and on the slow clock; between these the mirror is exact as long as nobody else meddles.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from netloom.model.driver import Driver, Looking, Ordered, Settling
from netloom.model.plan import Failure, Key, Op, Plan, Put, State, Thing
from netloom.reconcile.backoff import Refusal
from netloom.reconcile.plan import FLOW, LOCKS, diff_states, ends_locks, join_runs, split_by_driver

LOG = logging.getLogger(__name__)


class Mirror:
    """The state of all drivers as one. `unreachable`: drivers that could not be read, with their words."""

    def __init__(self, drivers: Mapping[str, Driver]) -> None:
        self._drivers = drivers
        self._state: dict[Key, Thing] = {}
        self._stale = set(drivers)
        self.unreachable: dict[str, str] = {}
        self._misses = 0
        self._moves = 0  # grows when something is read or applied, at its beginning and at its end
        self._moving = 0
        self.owners = {kind: name for name, driver in drivers.items() for kind in driver.kinds}
        self._stands_on = join_needs(driver.needs for driver in drivers.values())
        self.needs = join_needs([self._stands_on, *(find_after(driver) for driver in drivers.values())])

    @property
    def is_stale(self) -> bool:
        """Whether something has to be read before the next plan."""
        return bool(self._stale)

    def mark_stale(self) -> None:
        self._stale |= set(self._drivers)

    @property
    def state(self) -> State:
        """What the devices hold, as far as they answered."""
        return self._state

    async def read(self) -> bool:
        """Ask the devices that are marked stale; whether any was asked."""
        asked = sorted(self._stale)
        with self._move():
            await self._read(asked)
        self._misses = self._misses + 1 if self.unreachable else 0
        return bool(asked)

    async def _read(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                found = await self._drivers[name].read()
            except (OSError, TimeoutError) as error:
                self._note_lost(name, str(error) or type(error).__name__)
                continue
            kinds = self._drivers[name].kinds
            self._state = {key: thing for key, thing in self._state.items() if key[0] not in kinds} | dict(found)
            self._stale.discard(name)
            if self.unreachable.pop(name, None):
                LOG.info("%s answers again", name)

    @contextmanager
    def _move(self) -> Iterator[None]:
        self._moves, self._moving = self._moves + 1, self._moving + 1
        try:
            yield
        finally:
            self._moves, self._moving = self._moves + 1, self._moving - 1

    # -- looks ---------------------------------------------------------------------------------------------------------

    def find_looking(self) -> list[str]:
        """Drivers whose devices tell nobody when somebody else changes them."""
        return sorted(name for name, driver in self._drivers.items() if isinstance(driver, Looking))

    async def differs(self, name: str) -> bool:
        """Whether a look at a driver's devices shows something else than is known of them here. One that failed, or
        during which something was read or applied, says nothing."""
        driver, moves = self._drivers[name], self._moves
        if self._moving or name in self._stale or not isinstance(driver, Looking):
            return False
        try:
            found = await driver.look()
        except (OSError, TimeoutError):
            return False
        if self._moves != moves or name in self._stale:
            return False
        known = {key: thing for key, thing in self._state.items() if key[0] in driver.kinds}
        return any(diff_states(known, found))

    def _note_lost(self, name: str, words: str) -> None:
        if self.unreachable.get(name) != words:
            LOG.warning("%s does not answer: %s", name, words)
        self.unreachable[name] = words

    def patience_s(self, first_s: float, most_s: float) -> float:
        """Seconds until what is stale is worth reading: at once, or later each time while a device is away."""
        return min(most_s, first_s * 2 ** min(self._misses - 1, 16)) if self._misses else 0.0

    def missing_kinds(self) -> frozenset[str]:
        """Kinds that cannot be planned for now: their device is not known."""
        return frozenset(kind for kind, name in self.owners.items() if name in self._stale)

    async def apply(self, ops: Plan, held: Iterable[Refusal] = ()) -> list[Failure]:
        """Apply a plan, each driver's runs in the plan's order, and remember what came of it. `held`: what was refused
        before, and is not there either.

        Runs that follow one another and have nothing to do with one another go at the same time.
        """
        if not ops:
            return []
        with self._move():
            return await self._apply(ops, held)

    async def _apply(self, ops: Plan, held: Iterable[Refusal]) -> list[Failure]:
        failures: list[Failure] = []
        settling, tried = ends_locks(ops), {op.thing.key for op in ops}
        waiting = [refusal for refusal in held if refusal.op.thing.key not in tried] if settling else []
        for runs in join_runs(split_by_driver(ops, self.owners), self.needs):
            if settling and any(op.thing.kind in LOCKS for _, run in runs for op in run):
                if words := find_open([*failures, *waiting]) or await self._settle():
                    failures += [Failure(op, words) for _, run in runs for op in run]
                    continue
                settling = False
            for failed in await asyncio.gather(*(self._apply_noted(name, run) for name, run in runs)):
                failures += failed
        return failures

    async def _settle(self) -> str:
        """Wait until what was applied holds for every packet; words where a device does not say that it does."""
        for name, driver in self._drivers.items():
            try:
                if isinstance(driver, Settling):
                    await driver.settle()
            except (OSError, TimeoutError) as error:
                return f"{name} does not say that it goes by what it was told: {error or type(error).__name__}"
        return ""

    async def _apply_noted(self, name: str, run: Plan) -> Sequence[Failure]:
        failed = await self._apply_run(name, run)
        refused = {failure.op.thing.key for failure in failed}
        self._note_done([op for op in run if op.thing.key not in refused])
        return failed

    async def _apply_run(self, name: str, run: Plan) -> Sequence[Failure]:
        try:
            return await self._drivers[name].apply(run)
        except (OSError, TimeoutError) as error:
            self._stale.add(name)
            return [Failure(op, str(error) or type(error).__name__) for op in run]

    def _note_done(self, ops: Sequence[Op]) -> None:
        """A change to what others stand on (a bridge under its flows) may have taken them away, so they are reread.

        What is new had nothing standing on it, but a bridge: it may be an old one that came back with its name.
        """
        for op in ops:
            if isinstance(op, Put):
                self._state[op.thing.key] = op.thing
            else:
                self._state.pop(op.thing.key, None)
        changed = {op.thing.kind for op in ops if not is_new(op)}
        self._stale |= {
            self.owners[kind] for kind, needed in self._stands_on.items() if needed & changed and kind in self.owners
        }


def is_new(op: Op) -> bool:
    return isinstance(op, Put) and op.before is None and op.thing.kind != "bridge"


def find_open(refused: Iterable[Failure | Refusal]) -> str:
    """Why what holds beside the flows has to stay: those that are to hold in its place are not as they should be."""
    reasons = [one.reason for one in refused if one.op.thing.kind == FLOW]
    return f"a flow in its place was refused: {reasons[0]}" if reasons else ""


def find_after(driver: Driver) -> Mapping[str, frozenset[str]]:
    """The order that a driver asks for beyond what its things stand on; most ask for none."""
    return driver.after if isinstance(driver, Ordered) else {}


def join_needs(given: Iterable[Mapping[str, frozenset[str]]]) -> dict[str, frozenset[str]]:
    joined: dict[str, frozenset[str]] = {}
    for needs in given:
        for kind, needed in needs.items():
            joined[kind] = joined.get(kind, frozenset()) | needed
    return joined

"""When to try again what a device refused, as values that are told the time.

Each key waits for itself, so one bad thing delays no other. What can never work (retry=False) is not tried again until
something else is wanted of it. Time is seconds on any clock that only goes forward; chance is a number in [0, 1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from immutables import Map

from netloom.model.plan import Failure, Key, Op, Plan, Put


@dataclass(frozen=True, slots=True)
class Backoff:
    """How long to wait: `first_s`, then `factor` times longer each time, never above `most_s`."""

    first_s: float = 0.1
    most_s: float = 30.0
    factor: float = 2.0
    spread: float = 0.2

    def delay_s(self, attempt: int, chance: float) -> float:
        """The wait after failure number `attempt` (from 1), spread so that many hosts do not try in step.

        >>> Backoff(1.0, 8.0, spread=0.0).delay_s(3, 0.5), Backoff(1.0, 8.0, spread=0.0).delay_s(90, 0.5)
        (4.0, 8.0)
        """
        grown = self.most_s if attempt > 64 else min(self.most_s, self.first_s * self.factor ** (attempt - 1))
        return grown * (1.0 + self.spread * (2.0 * chance - 1.0))


@dataclass(frozen=True, slots=True)
class Refusal:
    """What failed, how often in a row, why, and when to try again (None: never, as it stands)."""

    op: Op
    attempts: int
    reason: str
    due_s: float | None


@dataclass(frozen=True, slots=True)
class Retries:
    """The things that wait for another try, by key. A value: each step gives the next one."""

    held: Map[Key, Refusal] = field(default_factory=Map)

    def note(self, tried: Plan, failures: Iterable[Failure], now_s: float, chance: float, by: Backoff) -> Retries:
        """After `tried` was applied with `failures`: what went well is forgotten, the rest waits longer."""
        failed = {failure.op.thing.key: failure for failure in failures}
        edit = self.held.mutate()
        for op in tried:
            if op.thing.key not in failed:
                edit.pop(op.thing.key, None)
        for key, failure in failed.items():
            edit[key] = _make_refusal(failure, self.held.get(key), now_s, chance, by)
        return Retries(edit.finish())

    def forget_missing(self, planned: Plan) -> Retries:
        """Without the keys that no plan asks for any more."""
        wanted = {op.thing.key for op in planned}
        if all(key in wanted for key in self.held):
            return self
        return Retries(Map({key: held for key, held in self.held.items() if key in wanted}))

    def find_due(self, planned: Plan, now_s: float) -> tuple[Plan, float | None]:
        """(the ops of `planned` to try now, seconds until the next is due or None)."""
        due: list[Op] = []
        waits: list[float] = []
        for op in planned:
            held = self.held.get(op.thing.key)
            if held is None or not _same(held.op, op) or (held.due_s is not None and held.due_s <= now_s):
                due.append(op)
            elif held.due_s is not None:
                waits.append(held.due_s - now_s)
        return tuple(due), min(waits, default=None)


def _same(a: Op, b: Op) -> bool:
    """Whether the two ops ask for the same, whatever was there before."""
    return type(a) is type(b) and a.thing == b.thing


def _make_refusal(failure: Failure, held: Refusal | None, now_s: float, chance: float, by: Backoff) -> Refusal:
    again = held is not None and _same(held.op, failure.op)
    attempts = held.attempts + 1 if again and held is not None else 1
    due_s = now_s + by.delay_s(attempts, chance) if failure.retry else None
    return Refusal(failure.op, attempts, failure.reason, due_s)


def describe_op(op: Op) -> str:
    """An op in words, for a log line or a status."""
    verb = "make" if isinstance(op, Put) else "remove"
    return f"{verb} {' '.join(map(str, op.thing.key[:3]))} because of {op.thing.why}"

"""Faults in a random order that is made from a seed: a plan of what is done to which part of a deployment, and when.

Law: the plan is a value. The same seed, length and parts give the same plan; nobody who carries it out adds to it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

PROCESS, KEEPER, LINK = "process", "keeper", "link"
ACTIONS = {PROCESS: ("kill", "pause"), KEEPER: ("kill", "pause", "empty"), LINK: ("cut", "stall", "delay")}
"""kill: kill -9, and started again at the end; empty: the same, without what it had on disk; pause: SIGSTOP until the
end; cut: connections break and no new one is made; stall: they stay, and nothing comes through; delay: all comes,
later."""
SHORTEST_S, LONGEST_S = 0.3, 4.0
PACE_S = 1.3
"""Seconds from one fault to the next, in the mean."""
MOST_AT_ONCE = 3


@dataclass(frozen=True, slots=True)
class Part:
    """Something that can fail: a process, one that keeps only what others have too, or a link between two; at most so
    many seconds."""

    name: str
    kind: str
    longest_s: float = LONGEST_S


@dataclass(frozen=True, slots=True)
class Fault:
    """From `at_s` on, for `lasts_s`, both counted in seconds; `delay_s` is what a link adds to each piece of data."""

    at_s: float
    part: str
    action: str
    lasts_s: float
    delay_s: float = 0.0

    @property
    def end_s(self) -> float:
        return self.at_s + self.lasts_s

    def __str__(self) -> str:
        by = f" by {self.delay_s:.3f} s" if self.action == "delay" else ""
        return f"{self.at_s:8.3f} s  {self.action} {self.part}{by}, for {self.lasts_s:.3f} s"


def make_plan(seed: int, seconds: float, parts: Sequence[Part], pace_s: float = PACE_S) -> tuple[Fault, ...]:
    """Faults in order of time, all over within `seconds`.

    A part has one fault at a time, and not more than MOST_AT_ONCE have one. Whatever can be done to any part comes once
    before anything comes twice, but for what has no room when its turn has come.
    """
    dice = random.Random(seed)
    faults: list[Fault] = []
    at_s, kinds = 0.0, draw(dice, parts)
    while parts:
        at_s = round(at_s + dice.uniform(0.2, 2 * pace_s - 0.2), 3)
        if at_s + SHORTEST_S > seconds:
            break
        fault = make_fault(dice, at_s, seconds, *next(kinds))
        if has_room(fault, faults):
            faults.append(fault)
    return tuple(faults)


def draw(dice: random.Random, parts: Sequence[Part]) -> Iterator[tuple[Part, str]]:
    """Every action on every part, in ever new orders."""
    bag = [found for part in parts for found in product((part,), ACTIONS[part.kind])]
    while True:
        dice.shuffle(bag)
        yield from bag


def make_fault(dice: random.Random, at_s: float, seconds: float, part: Part, action: str) -> Fault:
    lasts_s = dice.uniform(SHORTEST_S, max(part.longest_s, SHORTEST_S))
    delay_s = round(dice.uniform(0.005, 0.2), 3) if action == "delay" else 0.0
    return Fault(at_s, part.name, action, round(min(lasts_s, seconds - at_s), 3), delay_s)


def has_room(fault: Fault, faults: Sequence[Fault]) -> bool:
    now = [other for other in faults if other.end_s >= fault.at_s]
    return len(now) < MOST_AT_ONCE and all(other.part != fault.part for other in now)

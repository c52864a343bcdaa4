"""What is told of a turn of the loop: how long each part of it took, what it did, and for whose requests."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from netloom.model.plan import Op

NAMED = 16
"""Ports that a line of the log names; of more, the first."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn of the loop came to. Times are seconds; `began_s` is of the parts' clock."""

    began_s: float
    render_s: float
    read_s: float
    plan_s: float
    apply_s: float
    ops: int
    refused: int
    drift: bool
    revision: int
    wired: int
    pending: int
    slices: int
    requests: tuple[str, ...] = ()
    foreign: int = 0  # things of others on bridges that are ours alone


class Watch:
    """Laps of a clock that only goes forward."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began = self._last = clock()

    def lap(self) -> float:
        """Seconds since the last lap."""
        last, self._last = self._last, self._clock()
        return self._last - last


def name_ports(ops: Iterable[Op]) -> list[str]:
    """The ports for whose sake these ops are."""
    ids = dict.fromkeys(op.thing.why.ids[0] for op in ops if op.thing.why.ids)
    ports = [id.partition("/")[2] for id in ids if id.startswith("port/")]
    return ports[:NAMED]

"""Desired things, actual things, and the ops that lead from one to the other.

A thing is anything a device can hold: a flow, a bridge, a port, a guard, a file. It is told apart by its key,
compared by its value, and carries its reason outside equality.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from netloom.model.why import HOST, Why

Key = tuple[Any, ...]
"""(kind, name, …): hashable; the kind says who holds it. A flow's is ("flow", bridge, table, priority, match)."""


@dataclass(frozen=True, slots=True)
class Thing:
    """What one device should hold (or does hold) under `key`."""

    key: Key
    value: Any
    why: Why = field(default=HOST, compare=False)

    @property
    def kind(self) -> str:
        return str(self.key[0])


@dataclass(frozen=True, slots=True)
class Put:
    """Make `thing` so, whether it is there in another form or not at all. Idempotent."""

    thing: Thing
    before: Thing | None = None


@dataclass(frozen=True, slots=True)
class Remove:
    """Take `thing` away; that it is gone already is no error."""

    thing: Thing


Op = Put | Remove
Plan = tuple[Op, ...]
State = Mapping[Key, Thing]


@dataclass(frozen=True, slots=True)
class Failure:
    """An op that a device refused, in the device's words. One failure stops no other op."""

    op: Op
    reason: str
    retry: bool = True

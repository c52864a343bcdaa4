"""One desired state out of the groups that render makes, one group per slice.

Law 1: the result depends on the groups alone, not on the order in which they were made. Two groups that want the same
key with different values are a fault of render; the answer is fixed (the group first by name wins) and is reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netloom.model.plan import Key, State, Thing

Groups = Mapping[str, tuple[Thing, ...]]


@dataclass(frozen=True, slots=True)
class Clash:
    """Two groups want `key` with different values; `kept` is the group whose thing stands, `lost` the other."""

    key: Key
    kept: str
    lost: str

    def __str__(self) -> str:
        return f"{self.kept} and {self.lost} disagree about {self.key}; {self.kept} stands"


def merge_groups(groups: Groups) -> tuple[State, tuple[Clash, ...]]:
    """All groups as one state, and where they disagreed. Equal things in two groups are one thing."""
    state: dict[Key, Thing] = {}
    clashes: list[Clash] = []
    for name in sorted(groups):
        for thing in groups[name]:
            held = state.setdefault(thing.key, thing)
            if held is not thing and held.value != thing.value:
                clashes.append(Clash(thing.key, _find_owner(groups, held), name))
    return state, tuple(clashes)


def _find_owner(groups: Groups, thing: Thing) -> str:
    return next(name for name in sorted(groups) if any(held is thing for held in groups[name]))

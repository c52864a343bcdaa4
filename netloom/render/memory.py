"""What a renderer made its things of last time, so that it can tell what it need not look at again.

Law: this spares work and decides nothing. Sets of addresses (members of security groups, prefixes of address groups)
are read by the books of sets and by nothing else, so where only they changed, only those books are asked.
"""

from __future__ import annotations

from collections.abc import Mapping

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import Slice, Slices

SETS = ("members/", "addresses/")


class Memory:
    """Slices that are no sets, and facts. Slices are never changed, so the same object is the same slice."""

    def __init__(self) -> None:
        self._slices: dict[str, Slice] = {}
        self._facts: HostFacts | None = None

    def has(self, slices: Slices, facts: HostFacts) -> bool:
        """Whether all that was noted is the same, sets apart."""
        if self._facts is None or (self._facts is not facts and self._facts != facts):
            return False
        rest, held = drop_sets(slices), self._slices
        return len(rest) == len(held) and all(held.get(name) is found for name, found in rest.items())

    def note(self, slices: Slices, facts: HostFacts) -> None:
        self._slices, self._facts = drop_sets(slices), facts


def drop_sets(slices: Slices) -> dict[str, Slice]:
    return {name: found for name, found in slices.items() if not name.startswith(SETS)}


def keep_groups(
    before: Mapping[str, tuple[Thing, ...]], now: Mapping[str, tuple[Thing, ...]]
) -> dict[str, tuple[Thing, ...]]:
    """Where a group is equal to the one before, that: whoever compares groups need not look inside."""
    return {name: keep_same(before.get(name), things) for name, things in now.items()}


def keep_same(before: tuple[Thing, ...] | None, now: tuple[Thing, ...]) -> tuple[Thing, ...]:
    return before if before is not None and (before is now or before == now) else now

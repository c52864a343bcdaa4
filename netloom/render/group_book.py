"""What a renderer remembers of security groups: the flows of each combination, and the addresses of sets.

Law 1: `GroupBook` gives what a new one gives. A combination whose groups are the same objects is not looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.render.flows.group_sets import SetBook, Use
from netloom.render.flows.groups import (
    Combination,
    Compiled,
    GroupIds,
    find_sets,
    make_combinations,
    number_names,
    render_combination,
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A combination as it was, the numbers of its sets, and what came of them."""

    combination: Combination
    sets: frozenset[str]
    numbers: Mapping[str, int]
    integration: str
    compiled: Compiled


class GroupBook:
    """`render` after every change; `numbers` are what ports are told apart by, of the last one."""

    def __init__(self) -> None:
        self._kept: dict[GroupIds, Kept] = {}
        self._sets = SetBook()
        self._uses: Mapping[str, Use] = {}
        self._integration = ""
        self.numbers: dict[GroupIds, int] = {}

    def render(self, wanted: Iterable[GroupIds], slices: Slices, integration: str) -> dict[str, tuple[Thing, ...]]:
        """The flows of groups for ports that are in these combinations, but the addresses of sets."""
        combinations = make_combinations(wanted, slices)
        sets = {ids: self._find_sets(combination) for ids, combination in combinations.items()}
        numbers = number_names(name for names in sets.values() for name in names)
        self._kept = {
            ids: self._keep(combination, sets[ids], {name: numbers[name] for name in sets[ids]}, integration)
            for ids, combination in combinations.items()
        }
        self.numbers = {ids: combination.number for ids, combination in combinations.items()}
        self._uses, self._integration = self._find_uses(numbers), integration
        return {f"groups/{kept.combination.number:08x}": kept.compiled.things for kept in self._kept.values()}

    def render_sets(self, slices: Slices) -> dict[str, tuple[Thing, ...]]:
        """The addresses of the sets that the rules rendered last name."""
        self._sets.update(slices, self._uses, self._integration)
        return self._sets.groups

    def _find_sets(self, combination: Combination) -> frozenset[str]:
        held = self._kept.get(combination.ids)
        return held.sets if held and is_same(held.combination, combination) else find_sets(combination)

    def _keep(
        self, combination: Combination, sets: frozenset[str], numbers: Mapping[str, int], integration: str
    ) -> Kept:
        held = self._kept.get(combination.ids)
        if (
            held
            and is_same(held.combination, combination)
            and (held.numbers, held.integration) == (numbers, integration)
        ):
            return held
        return Kept(combination, sets, numbers, integration, render_combination(combination, numbers, integration))

    def _find_uses(self, numbers: Mapping[str, int]) -> dict[str, Use]:
        places: dict[str, frozenset[tuple[int, int]]] = {}
        for kept in self._kept.values():
            for name, used in kept.compiled.uses.items():
                places[name] = places.get(name, frozenset()) | used
        return {name: Use(numbers[name], used) for name, used in places.items()}


def is_same(one: Combination, other: Combination) -> bool:
    """Whether the two are made of the same objects."""
    return (
        one.number == other.number
        and len(one.groups) == len(other.groups)
        and all(mine is theirs for mine, theirs in zip(one.groups, other.groups, strict=True))
    )

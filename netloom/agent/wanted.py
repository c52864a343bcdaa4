"""All that render wants of this host as one state, kept by work in proportion to what changed.

The result is what `reconcile.desired.merge_groups` gives for the same groups, whatever came before (laws 1 and 6). A
group that is the same object as last time is not looked at.
"""

from __future__ import annotations

from collections.abc import Mapping

from netloom.model.plan import Key, State, Thing
from netloom.reconcile.desired import Clash

Group = tuple[Thing, ...]


def index_group(group: Group) -> dict[Key, Thing]:
    """By key; of two things with one key the first stands."""
    out: dict[Key, Thing] = {}
    for thing in group:
        out.setdefault(thing.key, thing)
    return out


class Wanted:
    """`state` is what is wanted now."""

    def __init__(self) -> None:
        self._state: dict[Key, Thing] = {}
        self._groups: dict[str, tuple[Group, dict[Key, Thing]]] = {}
        self._owner: dict[Key, str] = {}
        self._shared: dict[Key, dict[str, Thing]] = {}  # only keys that more than one group wants
        self._kinds: dict[str, int] = {}

    @property
    def state(self) -> State:
        return self._state

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of thing that are wanted."""
        return frozenset(self._kinds)

    def find_clashes(self) -> frozenset[Clash]:
        """Where groups disagree now."""
        return frozenset(
            Clash(key, self._owner[key], name)
            for key, held in self._shared.items()
            for name, thing in held.items()
            if thing.value != self._state[key].value
        )

    def update(self, groups: Mapping[str, Group]) -> set[Key]:
        """Take over the groups; the keys whose value is another now, or that came or went."""
        before: dict[Key, Thing | None] = {}
        for name in sorted(self._find_touched(groups)):
            old = self._groups[name][1] if name in self._groups else {}
            new = index_group(groups.get(name, ()))
            self._change(name, old, new, before)
            self._groups[name] = (groups.get(name, ()), new)
            if name not in groups:
                del self._groups[name]
        return {key for key, thing in before.items() if thing != self._state.get(key)}

    def _find_touched(self, groups: Mapping[str, Group]) -> list[str]:
        """Those that are another object than before, that came or that went."""
        held = self._groups
        touched = [name for name, group in groups.items() if name not in held or held[name][0] is not group]
        return [*touched, *(held.keys() - groups.keys())]

    def _change(
        self, name: str, old: Mapping[Key, Thing], new: Mapping[Key, Thing], before: dict[Key, Thing | None]
    ) -> None:
        for key in old:
            if key not in new:
                before.setdefault(key, self._state[key])
                self._drop(name, key)
        for key, thing in new.items():
            if old.get(key) is not thing:
                before.setdefault(key, self._state.get(key))
                self._put(name, thing)

    def _put(self, name: str, thing: Thing) -> None:
        key, owner = thing.key, self._owner.get(thing.key)
        if owner is None:
            self._kinds[thing.kind] = self._kinds.get(thing.kind, 0) + 1
        if owner in (None, name) and key not in self._shared:
            self._state[key], self._owner[key] = thing, name
            return
        held = self._shared.setdefault(key, {self._owner[key]: self._state[key]})
        held[name] = thing
        self._settle(key, held)

    def _drop(self, name: str, key: Key) -> None:
        held = self._shared.get(key)
        if held is not None:
            del held[name]
            self._settle(key, held)
            return
        kind = self._state.pop(key).kind
        del self._owner[key]
        self._kinds[kind] -= 1
        if not self._kinds[kind]:
            del self._kinds[kind]

    def _settle(self, key: Key, held: dict[str, Thing]) -> None:
        """The group first by name has its way."""
        self._owner[key] = min(held)
        self._state[key] = held[self._owner[key]]
        if len(held) == 1:
            del self._shared[key]

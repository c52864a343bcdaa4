"""The things of one slice, cut by what each is of (a port, an address, a host), so that a change is looked at alone.

Law 1: how they are cut depends on the names alone that there are: a few are one group, more are so many blocks by name,
each of which is put together anew only when something in it is.
"""

from __future__ import annotations

from zlib import crc32

from netloom.model.plan import Thing

Things = tuple[Thing, ...]
BLOCKS = 64
FEW = 64
"""Names up to which there is one group."""


class Cut:
    """`put` what came of each name, then `settle`: a group of `groups` is the same object while nothing in it is new.

    `prefix`: what the groups are named by.
    """

    def __init__(self, prefix: str) -> None:
        self.groups: dict[str, Things] = {}
        self._prefix = prefix
        self._blocks: dict[int, dict[str, Things]] = {}
        self._dirty: set[int] = set()
        self._count = 0
        self._few = True

    def put(self, name: str, things: Things) -> None:
        """What there is of `name` from now on; nothing: there is no such name."""
        number = find_block(name)
        block = self._blocks.setdefault(number, {})
        self._count += bool(things) - (name in block)
        self._dirty.add(number)
        if things:
            block[name] = things
        else:
            block.pop(name, None)

    def settle(self) -> None:
        if not self._dirty:
            return
        few, dirty = self._count <= FEW, self._dirty
        if few is not self._few:
            self.groups, dirty = {}, set(self._blocks)
        self._few, self._dirty = few, set()
        if few:
            self._fill(self._prefix, {name: held for block in self._blocks.values() for name, held in block.items()})
            return
        for number in dirty:
            self._fill(f"{self._prefix}/{number:02x}", self._blocks[number])

    def _fill(self, group: str, held: dict[str, Things]) -> None:
        if held:
            self.groups[group] = tuple(thing for name in sorted(held) for thing in held[name])
        else:
            self.groups.pop(group, None)


def find_block(name: str) -> int:
    return crc32(name.encode()) % BLOCKS

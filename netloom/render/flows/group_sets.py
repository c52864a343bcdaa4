"""The addresses of sets that rules name: remote security groups and address groups, one flow an address and table.

An address is one half of a conjunction for every set that it is in; `groups` has the other. Flows are kept in buckets
by address, so a member that comes or goes costs its own flows and a look at its bucket, however many members there are.
Law 1: `SetBook` gives what a new one gives; what it remembers spares only what would come out as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple
from zlib import crc32

from netloom.model.address import ip_version, parse_net
from netloom.model.flow import Conjunction, Flow, Goto, make_match
from netloom.model.plan import Thing
from netloom.model.slices import MemberRow, PrefixRow, Row, Slice, Slices, find_changed
from netloom.model.why import Why
from netloom.render.flows.group_tests import ETHERTYPES
from netloom.render.flows.groups import ACCEPTED, JOINT, OTHER_END
from netloom.render.make import make_cookie, make_flow, make_thing

BUCKETS = 256
Places = frozenset[tuple[int, int]]  # (table, IP version)


@dataclass(frozen=True, slots=True)
class Use:
    """A set that rules of this host name: its number in conjunctions, and where it is needed."""

    number: int
    places: Places


class Block(NamedTuple):
    """An address or prefix of a set. A tuple, for buckets are sorted at every change."""

    version: int
    first: int
    mask: int

    @property
    def bucket(self) -> int:
        return crc32(b"%d %x %x" % (self.version, self.first, self.mask)) % BUCKETS


def read_block(text: str) -> Block:
    net = parse_net(text)
    return Block(ip_version(text), int(net.network_address), int(net.netmask))


def find_blocks(row: Row | None) -> tuple[Block, ...]:
    if isinstance(row, MemberRow):
        return tuple(map(read_block, row.addresses))
    return (read_block(row.prefix),) if isinstance(row, PrefixRow) else ()


Owners = dict[str, dict[str, Row]]
"""By set, and by key in it, the rows that an address is from."""


class SetBook:
    """The flows of all sets that this host needs. `update` after every change of slices or rules."""

    def __init__(self) -> None:
        self.groups: dict[str, tuple[Thing, ...]] = {}
        self._held: dict[str, Slice] = {}
        self._uses: dict[str, Use] = {}
        self._integration = ""
        self._owners: dict[Block, Owners] = {}
        self._made: dict[int, dict[Block, tuple[Thing, ...]]] = {}

    def update(self, slices: Slices, uses: Mapping[str, Use], integration: str) -> None:
        dirty: set[Block] = set()
        if integration != self._integration:
            dirty.update(self._owners)
        for name in self._uses.keys() | uses.keys():
            dirty.update(self._follow(name, slices.get(name) if name in uses else None))
            if self._uses.get(name) != uses.get(name):
                dirty.update(find_all(self._held.get(name)))
        changed = {name for name in self._uses.keys() | uses.keys() if self._uses.get(name) != uses.get(name)}
        self._uses, self._integration = dict(uses), integration
        for name in changed:
            self.set_joint(name)
        self._make(dirty)

    def set_joint(self, name: str) -> None:
        """The flow that says what it means to be in the set and meet a rule that names it."""
        use, key = self._uses.get(name), f"sets/{name}"
        if use is None:
            self.groups.pop(key, None)
        else:
            self.groups[key] = tuple(render_joint(name, use, self._integration))

    def _follow(self, name: str, found: Slice | None) -> Iterator[Block]:
        """Take over the rows of a set; the blocks that they touch."""
        held = self._held.get(name)
        if held is found:
            return
        for key in find_changed(held, found):
            for block in find_blocks(held.rows.get(key) if held else None):
                self._disown(block, name, key)
                yield block
            row = found.rows.get(key) if found else None
            for block in find_blocks(row):
                self._owners.setdefault(block, {}).setdefault(name, {})[key] = row  # type: ignore[assignment]
                yield block
        if found is None:
            del self._held[name]
        else:
            self._held[name] = found

    def _disown(self, block: Block, name: str, key: str) -> None:
        """A row may hold a block twice, as an address and as a prefix of one."""
        owners = self._owners.get(block, {})
        owners.get(name, {}).pop(key, None)
        if not owners.get(name, True):
            del owners[name]
        if not owners:
            self._owners.pop(block, None)

    def _make(self, dirty: Iterable[Block]) -> None:
        buckets = set()
        for block in dirty:
            buckets.add(number := block.bucket)
            flows = render_block(block, self._owners.get(block, {}), self._uses, self._integration)
            things = tuple(map(make_thing, flows))
            if things:
                self._made.setdefault(number, {})[block] = things
            else:
                self._made.get(number, {}).pop(block, None)
        for number in buckets:
            self._fill(f"members/{number:02x}", self._made.get(number, {}))

    def _fill(self, key: str, bucket: Mapping[Block, tuple[Thing, ...]]) -> None:
        if bucket:
            self.groups[key] = tuple(thing for block in sorted(bucket) for thing in bucket[block])
        else:
            self.groups.pop(key, None)


def find_all(found: Slice | None) -> Iterator[Block]:
    return (block for row in (found.rows.values() if found else ()) for block in find_blocks(row))


def render_block(block: Block, owners: Owners, uses: Mapping[str, Use], integration: str) -> Iterator[Flow]:
    """One flow for each table that asks for a set which the block is in."""
    tables = sorted({table for name in owners for table, version in uses[name].places if version == block.version})
    for table in tables:
        names = sorted(name for name in owners if (table, block.version) in uses[name].places)
        halves = tuple(Conjunction(number, 2, 2) for number in sorted(uses[name].number for name in names))
        far = {OTHER_END[table][block.version]: (block.first, block.mask)}
        match = make_match(eth_type=ETHERTYPES[block.version], **far)
        why = make_why(names, owners)
        yield make_flow(integration, table, JOINT, match, halves, make_cookie(names[0]), why)


def make_why(names: list[str], owners: Owners) -> Why:
    """The ports that have the address, if it is of ports, and the sets that it is in."""
    rows = [row for name in names for row in owners[name].values()]
    ports = dict.fromkeys(f"port/{row.id}" for row in rows if isinstance(row, MemberRow))
    return Why(max(row.revision for row in rows), (*ports, *map(name_set, names)), "group_sets.render_block")


def name_set(slice: str) -> str:
    kind, _, id = slice.partition("/")
    return f"{'group' if kind == 'members' else 'address_group'}/{id}"


def render_joint(name: str, use: Use, integration: str) -> Iterator[Thing]:
    for table in sorted({table for table, _ in use.places}):
        why = Why(0, (name_set(name),), "group_sets.render_joint")
        match = make_match(conj_id=use.number)
        yield make_thing(make_flow(integration, table, JOINT, match, (Goto(ACCEPTED[table]),), make_cookie(name), why))

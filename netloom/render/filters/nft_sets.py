"""Sets of addresses that rules of nft name: one element for each address, kept in buckets.

A member that comes or goes costs its own element, and a bucket strung together anew, however many members there are.
Prefixes are few; those of a set are made anew together, so that none overlaps another.
Law 1: `SetBook` gives what a new one gives; what it remembers spares only what would come out as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from zlib import crc32

from netloom.model.address import ip_version, ip_width, parse_net
from netloom.model.filter import FilterSet, Member
from netloom.model.plan import Thing
from netloom.model.slices import MemberRow, PrefixRow, Row, Slice, Slices, find_changed
from netloom.model.why import Why
from netloom.render.filters.nft_rules import collapse_prefixes, set_names

BUCKETS, WIDE = 256, -1
"""Those of addresses, and the one of prefixes."""
TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}
Owners = dict[str, dict[str, Row]]
"""By prefix in canonical form, and by key, the rows that it is from."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a firewall holds sets: which bucket a prefix is in, and the things of the sets, and of one prefix."""

    bucket: Callable[[str], int]
    head: Callable[[str, Owners], Iterable[Thing]]
    single: Callable[[str, str, dict[str, Row]], Iterable[Thing]]
    group: str = "set"


class SetBook:
    """The sets that this host needs, as things by group. `update` after every change of slices or rules."""

    def __init__(self, dialect: Dialect | None = None) -> None:
        self._dialect = dialect or NFT
        self.groups: dict[str, tuple[Thing, ...]] = {}
        self._held: dict[str, Slice | None] = {}
        self._owners: dict[str, dict[int, Owners]] = {}
        self._made: dict[str, dict[int, dict[str, tuple[Thing, ...]]]] = {}

    def update(self, slices: Slices, names: Iterable[str]) -> None:
        wanted = set(names)
        for name in self._held.keys() - wanted:
            del self._held[name], self._owners[name], self._made[name]
            self.groups = {key: things for key, things in self.groups.items() if not self._is_of(key, name)}
        for name in sorted(wanted):
            found = slices.get(name)
            if name not in self._held or self._held[name] is not found:
                self._follow(name, found)

    def _follow(self, name: str, found: Slice | None) -> None:
        """Take over the rows of a set, and make anew what they touch. One that is not known yet is empty (law 4)."""
        held, buckets = self._held.get(name), self._owners.setdefault(name, {})
        dirty: dict[int, set[str]] = {} if name in self._held else {WIDE: set()}
        for key in find_changed(held, found):
            for text in find_prefixes(held.rows.get(key) if held else None):
                bucket = self._dialect.bucket(text)
                owners = buckets.get(bucket, {})
                owners.get(text, {}).pop(key, None)
                if not owners.get(text, True):
                    del owners[text]
                dirty.setdefault(bucket, set()).add(text)
            row = found.rows.get(key) if found else None
            for text in find_prefixes(row):
                bucket = self._dialect.bucket(text)
                buckets.setdefault(bucket, {}).setdefault(text, {})[key] = row  # type: ignore[assignment]
                dirty.setdefault(bucket, set()).add(text)
        self._held[name] = found
        for bucket, texts in dirty.items():
            self._fill(name, bucket, buckets.get(bucket, {}), texts)

    def _fill(self, name: str, bucket: int, owners: Owners, dirty: set[str]) -> None:
        """A bucket; in it only what is dirty is made."""
        key, dialect = f"{self._dialect.group}/{name}", self._dialect
        made = self._made.setdefault(name, {}).setdefault(bucket, {})
        if bucket == WIDE:
            self.groups[key] = tuple(dialect.head(name, owners))
            return
        for text in dirty:
            made.pop(text, None)
            if text in owners:
                made[text] = tuple(dialect.single(name, text, owners[text]))
        if made:
            self.groups[f"{key}/{bucket:02x}"] = tuple(thing for text in sorted(made) for thing in made[text])
        else:
            self.groups.pop(f"{key}/{bucket:02x}", None)

    def _is_of(self, key: str, name: str) -> bool:
        own = f"{self._dialect.group}/{name}"
        return key == own or key.startswith(f"{own}/")


def find_prefixes(row: Row | None) -> tuple[str, ...]:
    """What a row holds, as prefixes."""
    texts = row.addresses if isinstance(row, MemberRow) else (row.prefix,) if isinstance(row, PrefixRow) else ()
    return tuple(str(parse_net(text)) for text in texts)


def is_single(text: str) -> bool:
    return text.endswith(f"/{ip_width(ip_version(text))}")


def find_bucket(text: str) -> int:
    return crc32(text.encode()) % BUCKETS if is_single(text) else WIDE


def render_head(name: str, owners: Owners) -> Iterator[Thing]:
    """The sets themselves, and their prefixes."""
    revision = max((row.revision for rows in owners.values() for row in rows.values()), default=0)
    why = Why(revision, (name,), "nft_sets.render_head")
    for version, kind in TYPES.items():
        single, interval = set_names(name, version)
        yield Thing(("filter_set", "inet", single), FilterSet(kind), why)
        yield Thing(("filter_set", "inet", interval), FilterSet(kind, interval=True), why)
        for prefix in collapse_prefixes(text for text in owners if ip_version(text) == version):
            yield Thing(("filter_member", "inet", interval, prefix), Member(), why)


def render_single(name: str, text: str, rows: dict[str, Row]) -> Iterator[Thing]:
    key = ("filter_member", "inet", set_names(name, ip_version(text))[0], text.partition("/")[0])
    yield Thing(key, Member(), explain_rows(name, rows, "nft_sets.render_single"))


def explain_rows(name: str, rows: dict[str, Row], by: str) -> Why:
    """The ports that a prefix is from, and the set."""
    ids = (*sorted(key.replace("member/", "port/") for key in rows), name)
    return Why(max(row.revision for row in rows.values()), ids, by)


NFT = Dialect(find_bucket, render_head, render_single)

"""All intent at one revision, as an immutable value with its indexes.

`apply` gives the next snapshot and leaves this one as it was, at a cost in proportion to the changes. Indexes come
from the declarations and are kept here and nowhere else; no operation touches one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from immutables import Map

from netloom.intent.blocks import Nodes, free_block, take_block
from netloom.intent.errors import ApiError
from netloom.intent.schema import Catalog, Doc, Index

CHUNK = 1024
"""Numbers per integer of a "bits" index."""


@dataclass(frozen=True, slots=True)
class Change:
    """One object as it is to be from now on; doc None: it is gone."""

    kind: str
    id: str
    doc: Doc | None


class Record:
    """A stored document, the revision that made it so, and its JSON. `views` memoises the JSON that others may see."""

    __slots__ = ("doc", "json", "revision", "views")

    def __init__(self, doc: Doc, revision: int, encoded: bytes) -> None:
        self.doc = doc
        self.revision = revision
        self.json = encoded
        self.views: dict[Hashable, bytes] | None = None

    def __repr__(self) -> str:
        return f"Record({self.doc.get('id')!r} at {self.revision})"


def encode_json(doc: Doc) -> bytes:
    return json.dumps(doc, separators=(",", ":"), ensure_ascii=False).encode()


Records = Map[str, Record]
_EMPTY: Any = Map()


class Snapshot:
    """The value. Build the empty one with `Snapshot(catalog)`; every other comes from `apply`."""

    __slots__ = ("_bits", "_blocks", "_sets", "_tables", "_uniques", "catalog", "encode", "revision")

    def __init__(self, catalog: Catalog, encode: Callable[[Doc], bytes] = encode_json) -> None:
        self.catalog = catalog
        self.encode = encode
        self.revision = 0
        self._tables: Map[str, Records] = _EMPTY
        self._sets: Map[tuple[str, str], Map[Hashable, Map[str, None]]] = _EMPTY
        self._uniques: Map[tuple[str, str], Map[Hashable, str]] = _EMPTY
        self._bits: Map[tuple[str, str], Map[Hashable, Map[int, int]]] = _EMPTY
        self._blocks: Map[tuple[str, str], Map[Hashable, Map[int, int]]] = _EMPTY

    # -- reading ---------------------------------------------------------------------------------------------------

    def get(self, kind: str, id: str) -> Doc | None:
        record = self._tables.get(kind, _EMPTY).get(id)
        return record.doc if record else None

    def record(self, kind: str, id: str) -> Record | None:
        found: Record | None = self._tables.get(kind, _EMPTY).get(id)
        return found

    def records(self, kind: str) -> Mapping[str, Record]:
        """Every record of a kind by id, in no promised order."""
        found: Mapping[str, Record] = self._tables.get(kind, _EMPTY)
        return found

    @property
    def kinds(self) -> Iterable[str]:
        """Every kind that ever had a document."""
        kinds: Iterable[str] = self._tables.keys()
        return kinds

    def docs(self, kind: str) -> Iterator[Doc]:
        return (record.doc for record in self.records(kind).values())

    def count(self, kind: str) -> int:
        return len(self.records(kind))

    def find_ids(self, kind: str, index: str, key: Hashable) -> Iterable[str]:
        """Ids of the documents under `key` of a "set" index."""
        found: Iterable[str] = self._sets.get((kind, index), _EMPTY).get(key, _EMPTY)
        return found

    def find(self, kind: str, index: str, key: Hashable) -> Iterator[Doc]:
        table = self._tables.get(kind, _EMPTY)
        return (table[id].doc for id in self.find_ids(kind, index, key))

    def count_in(self, kind: str, index: str, key: Hashable) -> int:
        return len(self._sets.get((kind, index), _EMPTY).get(key, _EMPTY))

    def keys(self, kind: str, index: str) -> Iterator[Hashable]:
        """Every key of a "set" index that has a document."""
        return iter(self._sets.get((kind, index), _EMPTY))

    def lookup(self, kind: str, index: str, key: Hashable) -> Doc | None:
        """The one document under `key` of a "unique" index."""
        id = self._uniques.get((kind, index), _EMPTY).get(key)
        return None if id is None else self._tables[kind][id].doc

    def taken(self, kind: str, index: str, bucket: Hashable, number: int) -> bool:
        chunks = self._bits.get((kind, index), _EMPTY).get(bucket, _EMPTY)
        return bool(chunks.get(number // CHUNK, 0) >> (number % CHUNK) & 1)

    def count_taken(self, kind: str, index: str, bucket: Hashable, first: int, last: int) -> int:
        """How many numbers of first … last are taken; cost grows with what is taken, not with the range."""
        chunks = self._bits.get((kind, index), _EMPTY).get(bucket, _EMPTY)
        return sum((bits & window(chunk, first, last)).bit_count() for chunk, bits in chunks.items() if chunk >= 0)

    def first_free(self, kind: str, index: str, bucket: Hashable, first: int, last: int) -> int | None:
        """The lowest number of first … last that is not taken, or None."""
        return first_zero(self.chunks(kind, index, bucket), first, last)

    def chunks(self, kind: str, index: str, bucket: Hashable) -> Any:
        """What is taken in a bucket of a "bits" index, as `first_zero` reads it."""
        return self._bits.get((kind, index), _EMPTY).get(bucket, _EMPTY)

    def blocks(self, kind: str, index: str, bucket: Hashable) -> Nodes:
        """What is free in a bucket of a "blocks" index, for intent.blocks to ask."""
        found: Nodes = self._blocks.get((kind, index), _EMPTY).get(bucket, _EMPTY)
        return found

    def indexes(self, style: str) -> Any:
        """Every index of a style: (kind, name) → what it holds."""
        return {"set": self._sets, "unique": self._uniques, "bits": self._bits, "blocks": self._blocks}[style]

    # -- the next value --------------------------------------------------------------------------------------------

    def apply(self, changes: Iterable[Change], revision: int) -> Snapshot:
        """The snapshot after `changes`, at `revision`. Raises ApiError 409 where a unique key would be held twice."""
        entries = (
            (c.kind, c.id, None if c.doc is None else Record(c.doc, revision, self.encode(c.doc))) for c in changes
        )
        return self.apply_records(entries, revision)

    def apply_records(self, entries: Iterable[tuple[str, str, Record | None]], revision: int) -> Snapshot:
        """As `apply`, with records that are already made: how a store loads many thousands at once."""
        edit = _Edit(self)
        for kind, id, record in entries:
            edit.put(kind, id, record)
        return edit.finish(revision)


class _Edit:
    """One pass of changes over a snapshot; opens for mutation only the maps that the changes touch."""

    def __init__(self, old: Snapshot) -> None:
        self.old = old
        self.tables: dict[str, Any] = {}
        self.buckets: dict[tuple[str, str, str], Any] = {}
        self.inner: dict[tuple[str, str, str, Hashable], Any] = {}
        self.indexes: dict[str, Sequence[Index]] = {}

    def put(self, kind: str, id: str, record: Record | None) -> None:
        table = self.tables.get(kind)
        if table is None:
            table = self.tables[kind] = self.old._tables.get(kind, _EMPTY).mutate()
            resource = self.old.catalog.get(kind)
            self.indexes[kind] = resource.indexes if resource else ()
        before = table.get(id)
        if record is None:
            table.pop(id, None)
        else:
            table[id] = record
        for index in self.indexes[kind]:
            old_keys = tuple(index.keys(before.doc)) if before else ()
            new_keys = tuple(index.keys(record.doc)) if record else ()
            if old_keys == new_keys:
                continue
            for key in old_keys:
                if key not in new_keys:
                    self.drop(kind, index, key, id)
            for key in new_keys:
                if key not in old_keys:
                    self.add(kind, index, key, id)

    def outer(self, kind: str, index: Index) -> Any:
        name = (index.style, kind, index.name)
        found = self.buckets.get(name)
        if found is None:
            attribute = self.old.indexes(index.style)
            found = self.buckets[name] = attribute.get((kind, index.name), _EMPTY).mutate()
        return found

    def bucket(self, kind: str, index: Index, key: Hashable) -> Any:
        name = (index.style, kind, index.name, key)
        found = self.inner.get(name)
        if found is None:
            found = self.inner[name] = self.outer(kind, index).get(key, _EMPTY).mutate()
        return found

    def add(self, kind: str, index: Index, key: Any, id: str) -> None:
        if index.style == "set":
            self.bucket(kind, index, key)[id] = None
        elif index.style == "bits":
            bucket, number = key
            set_bit(self.bucket(kind, index, bucket), number)
        elif index.style == "blocks":
            bucket, number = key
            take_block(self.bucket(kind, index, bucket), number)
        else:
            owners = self.outer(kind, index)
            if owners.get(key, id) != id:
                raise ApiError(409, "Conflict", f"Another {kind} already has {index.name} {key}.")
            owners[key] = id

    def drop(self, kind: str, index: Index, key: Any, id: str) -> None:
        if index.style == "set":
            self.bucket(kind, index, key).pop(id, None)
        elif index.style == "bits":
            bucket, number = key
            clear_bit(self.bucket(kind, index, bucket), number)
        elif index.style == "blocks":
            bucket, number = key
            free_block(self.bucket(kind, index, bucket), number)
        elif self.outer(kind, index).get(key) == id:
            self.outer(kind, index).pop(key)

    # -- reading what is so far; never by iteration, which maps open for mutation do not allow -------------------------

    def members(self, style: str, kind: str, index: str, key: Hashable) -> Any:
        """The inner map of a "set", "bits" or "blocks" index."""
        opened = self.inner.get((style, kind, index, key))
        if opened is not None:
            return opened
        return self.old.indexes(style).get((kind, index), _EMPTY).get(key, _EMPTY)

    def chunks(self, kind: str, index: str, bucket: Hashable) -> Any:
        return self.members("bits", kind, index, bucket)

    def taken(self, kind: str, index: str, bucket: Hashable, number: int) -> bool:
        return bool(self.chunks(kind, index, bucket).get(number // CHUNK, 0) >> (number % CHUNK) & 1)

    def count_in(self, kind: str, index: str, key: Hashable) -> int:
        return len(self.members("set", kind, index, key))

    def owner(self, kind: str, index: str, key: Hashable) -> str | None:
        opened = self.buckets.get(("unique", kind, index))
        owners = self.old._uniques.get((kind, index), _EMPTY) if opened is None else opened
        found: str | None = owners.get(key)
        return found

    def finish(self, revision: int) -> Snapshot:
        new = Snapshot(self.old.catalog, self.old.encode)
        new.revision = revision
        new._tables = self.old._tables.update({kind: t.finish() for kind, t in self.tables.items()})
        for (style, kind, index, key), members in self.inner.items():
            outer = self.buckets[style, kind, index]
            done = members.finish()
            if done:
                outer[key] = done
            else:
                outer.pop(key, None)
        changed: dict[str, dict[tuple[str, str], Any]] = {"set": {}, "unique": {}, "bits": {}, "blocks": {}}
        for (style, kind, index), outer in self.buckets.items():
            changed[style][kind, index] = outer.finish()
        new._sets = self.old._sets.update(changed["set"])
        new._uniques = self.old._uniques.update(changed["unique"])
        new._bits = self.old._bits.update(changed["bits"])
        new._blocks = self.old._blocks.update(changed["blocks"])
        return new


FULL = (1 << CHUNK) - 1


def full_key(chunk: int) -> int:
    """Where a "bits" index keeps which chunks are full, 1024 to an integer: below zero, where no chunk is."""
    return -1 - chunk // CHUNK


def set_bit(chunks: Any, number: int) -> None:
    chunk, bit = divmod(number, CHUNK)
    bits = chunks[chunk] = chunks.get(chunk, 0) | 1 << bit
    if bits == FULL:
        chunks[full_key(chunk)] = chunks.get(full_key(chunk), 0) | 1 << chunk % CHUNK


def clear_bit(chunks: Any, number: int) -> None:
    chunk, bit = divmod(number, CHUNK)
    bits = chunks.get(chunk, 0)
    left = bits & ~(1 << bit)
    if bits == FULL and left != FULL:
        put_or_pop(chunks, full_key(chunk), chunks[full_key(chunk)] & ~(1 << chunk % CHUNK))
    put_or_pop(chunks, chunk, left)


def put_or_pop(chunks: Any, key: int, bits: int) -> None:
    if bits:
        chunks[key] = bits
    else:
        chunks.pop(key, None)


def first_zero(chunks: Any, first: int, last: int) -> int | None:
    """The lowest number of first … last whose bit is not set. A million taken numbers are passed in one step."""
    at = first
    while at <= last:
        chunk, bit = divmod(at, CHUNK)
        bits, size = chunks.get(chunk, 0), 1
        if bits == FULL:  # then one bit stands for a whole chunk
            bits, bit, size, at = chunks.get(full_key(chunk), 0), chunk % CHUNK, CHUNK, chunk * CHUNK
        bits >>= bit
        ones = (~bits & (bits + 1)).bit_length() - 1  # the length of the run of ones at the low end
        if not ones:
            return at
        at += ones * size  # up to the end of these bits at most; the next ones are looked at then
    return None


def window(chunk: int, first: int, last: int) -> int:
    """The bits of a chunk that stand for numbers of first … last."""
    low = max(first - chunk * CHUNK, 0)
    high = min(last - chunk * CHUNK, CHUNK - 1)
    return 0 if low > high else ((1 << (high - low + 1)) - 1) << low

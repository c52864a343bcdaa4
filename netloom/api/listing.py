"""A list request against a snapshot: the fewest candidates that an index gives, then conditions, order, page, bytes.

Law: the answer is that of looking at every object; indexes and remembered orders only make it sooner. Nobody learns by
a filter or an order what the answer would not show: an attribute that is hidden from the requester meets no condition
(but an owner's, by filters that are declared open), and stands in an order as if it were null. However many objects
there are, nobody else waits for a list: what is looked at, sorted and sent is so a piece at a time, and others are
served between. Without a limit or an order it costs the memory of one piece.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import chain, islice
from typing import Any

from netloom.api.policy import find_seen
from netloom.api.query import Equals, ListQuery, Matches, find_narrowing
from netloom.api.sharing import Granted
from netloom.api.views import Eyes, View
from netloom.intent.schema import Doc, Resource
from netloom.intent.snapshot import Record, Snapshot

CHUNK_RECORDS = 512
"""Records of one piece of a long answer."""

LOOK_RECORDS = 128
"""Objects that are looked at, and encoded where they never were, in one turn of the event loop: some 3 ms."""

SORT_AT_ONCE = 16_384
"""Ids that are sorted without a pause: a few milliseconds."""

ORDER_AT_ONCE = 4_096
"""Objects that are put in an order that was asked for, or merged into it, without a pause: some 6 ms."""

Found = tuple[str, Record]


@dataclass(frozen=True, slots=True)
class Page:
    """Records in their order, and the ids of the first and the last for the links."""

    records: Sequence[Record]
    first: str = ""
    last: str = ""


class Orders:
    """The ids of a kind in order, as long as no object of it changes. Belongs to one event loop."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Mapping[str, Record], list[str]]] = {}

    def ids(self, snapshot: Snapshot, kind: str) -> list[str]:
        table = snapshot.records(kind)
        known = self._known.get(kind)
        if known is None or known[0] is not table:
            known = self._known[kind] = (table, sorted(table))
        return known[1]

    async def prepare(self, snapshot: Snapshot, kind: str) -> None:
        """Know the order of very many ids already, having let others be served while they were sorted."""
        table = snapshot.records(kind)
        known = self._known.get(kind)
        if len(table) <= SORT_AT_ONCE or (known is not None and known[0] is table):
            return
        self._known[kind] = (table, await sort_in_turns(table))


async def sort_in_turns(ids: Iterable[str]) -> list[str]:
    """Sorted, with a turn of the event loop after every so many."""
    runs, rest = [], iter(ids)
    while part := list(islice(rest, SORT_AT_ONCE)):
        runs.append(sorted(part))
        await asyncio.sleep(0)
    while len(runs) > 1:
        first, second, *others = runs
        runs = [*others, sorted(first + second)]  # two sorted runs are merged, not sorted again
        await asyncio.sleep(0)
    return runs[0] if runs else []


@dataclass(frozen=True, slots=True)
class Listing:
    """One list request. `refresh` gives a record its live values. `within`: the ids to look among, where not all."""

    snapshot: Snapshot
    resource: Resource
    query: ListQuery
    eyes: Eyes
    orders: Orders
    refresh: Callable[[Record], Record]
    within: frozenset[str] | None = None

    @property
    def kind(self) -> str:
        return self.resource.kind


async def find_page(listing: Listing) -> Page | None:
    """None: the marker names nothing that these eyes see."""
    query, marker = listing.query, None
    if query.marker:
        marker = listing.snapshot.record(listing.kind, query.marker)
        if marker is None or not listing.eyes.may_see(marker.doc, listing.snapshot):
            return None
    if query.sorts:
        ordered = await find_sorted(listing, marker)
        page = list(ordered[: query.limit] if query.limit else ordered)
    else:
        page = await take(select_in_turns(listing, await find_sequence(listing)), query.limit)
    if query.limit and query.reverse:
        page.reverse()
    return Page([record for _, record in page], page[0][0], page[-1][0]) if page else Page(())


def show_parts(query: ListQuery, refresh: Callable[[Record], Record]) -> Callable[[Record], Record]:
    """`refresh`, with just that part of a document that the query's filters show."""
    parts = [(one.filter.show, one.values) for one in query.conditions if isinstance(one, Matches) and one.filter.show]
    if not parts:
        return refresh

    def refresh_part(record: Record) -> Record:
        doc = refresh(record).doc
        for show, values in parts:
            doc = show(doc, values)
        return Record(doc, record.revision, b"")

    return refresh_part


def find_pieces(listing: Listing, ids: Sequence[str]) -> Iterator[Sequence[Record]]:
    """All that matches among `ids`, in their order: each piece of them is looked at when its turn comes."""
    for start in range(0, len(ids), LOOK_RECORDS):
        yield [record for _, record in select(listing, ids[start : start + LOOK_RECORDS])]


def cut(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), CHUNK_RECORDS):
        yield records[start : start + CHUNK_RECORDS]


async def find_sequence(listing: Listing) -> Sequence[str]:
    """The ids to look at, in their order, from the marker on."""
    query = listing.query
    candidates = find_narrowed(listing)
    if candidates is None:
        await listing.orders.prepare(listing.snapshot, listing.kind)
        ids = listing.orders.ids(listing.snapshot, listing.kind)
    else:
        ids = sorted(candidates) if len(candidates) <= SORT_AT_ONCE else await sort_in_turns(candidates)
    if query.reverse:
        end = bisect_left(ids, query.marker) if query.marker else len(ids)
        return ids[:end][::-1]
    return ids[bisect_right(ids, query.marker) :] if query.marker else ids


async def find_sorted(listing: Listing, marker: Record | None) -> list[Found]:
    """All that matches, in the order asked for, from after the marker on; that need not match itself."""
    query = listing.query
    ids = find_narrowed(listing)
    table = listing.snapshot.records(listing.kind)
    pieces = [piece async for piece in select_in_turns(listing, list(table if ids is None else ids))]
    found = list(chain.from_iterable(pieces))
    if marker is None:
        return await order(found, listing)
    if all(id != query.marker for id, _ in found):
        found.append((query.marker, listing.refresh(marker)))
    ordered = await order(found, listing)
    at = next(n for n, (id, _) in enumerate(ordered) if id == query.marker)
    return ordered[at + 1 :]


async def select_in_turns(listing: Listing, ids: Sequence[str]) -> AsyncIterator[list[Found]]:
    """As `select`, in pieces, with a turn of the event loop between two of them."""
    for start in range(0, len(ids), LOOK_RECORDS):
        if start:
            await asyncio.sleep(0)
        yield list(select(listing, ids[start : start + LOOK_RECORDS]))


def select(listing: Listing, ids: Iterable[str]) -> Iterator[Found]:
    """Those of `ids` that meet all conditions and may be seen."""
    snapshot, sees = listing.snapshot, listing.eyes.sees
    if sees is False:
        return
    table = snapshot.records(listing.kind)
    conditions, refresh = find_conditions(listing), listing.refresh
    for id in ids:
        record = refresh(table[id])
        doc = record.doc
        for condition in conditions:
            if not condition(doc):
                break
        else:
            if sees is True or sees(doc, snapshot):
                yield id, record


def find_conditions(listing: Listing) -> tuple[Callable[[Doc], bool], ...]:
    """Those of the query, as these eyes see what they are about."""
    eyes, snapshot = listing.eyes, listing.snapshot
    grants = {grant.attribute: grant for grant in eyes.grants}
    guarded = eyes.look.hidden.union(name for name, _ in eyes.tests)
    found: list[Callable[[Doc], bool]] = []
    for one in listing.query.conditions:
        name = name_attribute(one)
        if name in guarded:
            found.append(WhereShown(name, one, eyes, snapshot))
        elif isinstance(one, Equals) and name in grants:
            found.append(AsSeen(grants[name], one, snapshot))
        else:
            found.append(one)
    return tuple(found)


def name_attribute(condition: Equals | Matches) -> str:
    """What the condition is about: of the four filters of tags, the tags."""
    if isinstance(condition, Equals):
        return condition.name
    return condition.filter.name.removeprefix("not-").removesuffix("-any")


@dataclass(frozen=True, slots=True)
class WhereShown:
    """A condition on an attribute that not every object shows these eyes; no object meets it that does not, but for an
    owner's where the filter is open."""

    name: str
    condition: Equals | Matches
    eyes: Eyes
    snapshot: Snapshot

    def __call__(self, doc: Doc) -> bool:
        return (self.name not in self.eyes.look_of(doc, self.snapshot).hidden or self.is_open(doc)) and self.condition(
            doc
        )

    def is_open(self, doc: Doc) -> bool:
        is_open = isinstance(self.condition, Matches) and self.condition.filter.open
        return is_open and bool(self.eyes.project) and doc["project_id"] == self.eyes.project


@dataclass(frozen=True, slots=True)
class AsSeen:
    """A condition on an attribute that a grant makes true."""

    grant: Granted
    condition: Equals
    snapshot: Snapshot

    def __call__(self, doc: Doc) -> bool:
        return True in self.condition.values if self.grant.raises(doc, self.snapshot) else self.condition(doc)


def find_candidates(snapshot: Snapshot, resource: Resource, query: ListQuery) -> set[str] | None:
    """Ids among which all matches are: those of the index that leads to the fewest. None: no index helps."""
    best: tuple[int, str, Sequence[Hashable]] | None = None
    for condition in query.conditions:
        narrowing = find_narrowing(resource, condition)
        if narrowing is None:
            continue
        index, keys = narrowing
        count = count_keys(snapshot, resource, index, keys)
        if best is None or count < best[0]:
            best = (count, index, keys)
    return None if best is None else find_ids(snapshot, resource, best[1], best[2])


def find_narrowed(listing: Listing) -> set[str] | None:
    """As `find_candidates`; where no condition helps, those among which are all that the requester may see."""
    snapshot, resource, sees = listing.snapshot, listing.resource, listing.eyes.sees
    found = find_candidates(snapshot, resource, listing.query)
    if listing.within is not None:
        return set(listing.within if found is None else listing.within & found)
    if found is not None or isinstance(sees, bool):
        return found
    seen = find_seen(sees, resource, snapshot)
    # Half of everything is found sooner by going through the order that is known than by sorting that half.
    return seen if seen is not None and len(seen) * 4 < snapshot.count(resource.kind) else None


def index_style(resource: Resource, name: str) -> str:
    return "id" if name == "id" else next((index.style for index in resource.indexes if index.name == name), "set")


def count_keys(snapshot: Snapshot, resource: Resource, index: str, keys: Sequence[Hashable]) -> int:
    if index_style(resource, index) != "set":
        return len(keys)
    return sum(snapshot.count_in(resource.kind, index, key) for key in keys)


def find_ids(snapshot: Snapshot, resource: Resource, index: str, keys: Sequence[Hashable]) -> set[str]:
    kind, style = resource.kind, index_style(resource, index)
    if style == "id":
        table = snapshot.records(kind)
        return {key for key in keys if isinstance(key, str) and key in table}
    if style == "unique":
        docs = (snapshot.lookup(kind, index, key) for key in keys)
        return {str(doc["id"]) for doc in docs if doc is not None}
    return {id for key in keys for id in snapshot.find_ids(kind, index, key)}


async def order(found: list[Found], listing: Listing) -> list[Found]:
    """Sorted by the keys asked for, then by id. Null comes before everything, as in the databases Neutron uses."""
    query, eyes = listing.query, listing.eyes
    guarded = eyes.look.hidden.union(name for name, _ in eyes.tests)
    for name, ascending in reversed((*query.sorts, ("id", True))):
        field = listing.resource.by_name.get(name)
        rank = field.kind.rank if field else None
        read = make_reader(name, listing) if name in guarded else partial(read_value, name)
        found = await order_by(found, partial(key_of, read, rank), reverse=ascending == query.reverse)
    return found


async def order_by(found: list[Found], key: Callable[[Found], Any], reverse: bool) -> list[Found]:
    """Sorted, equals in the order that they had: runs of it first, which are then merged, with turns between."""
    if len(found) <= ORDER_AT_ONCE:
        return sorted(found, key=key, reverse=reverse)
    runs = []
    for start in range(0, len(found), ORDER_AT_ONCE):
        runs.append(sorted(found[start : start + ORDER_AT_ONCE], key=key, reverse=reverse))
        await asyncio.sleep(0)
    merged, ordered = merge(*runs, key=key, reverse=reverse), list[Found]()
    while part := list(islice(merged, ORDER_AT_ONCE)):
        ordered += part
        await asyncio.sleep(0)
    return ordered


def key_of(read: Callable[[Doc], Any], rank: Callable[[Any], Any] | None, one: Found) -> tuple[bool, Any]:
    return sort_key(read(one[1].doc), rank)


def read_value(name: str, doc: Doc) -> Any:
    return doc.get(name)


def make_reader(name: str, listing: Listing) -> Callable[[Doc], Any]:
    """Of the attribute what these eyes see."""
    eyes, snapshot = listing.eyes, listing.snapshot
    return lambda doc: None if name in eyes.look_of(doc, snapshot).hidden else doc.get(name)


def sort_key(value: Any, rank: Callable[[Any], Any] | None = None) -> tuple[bool, Any]:
    if rank is not None and value is not None:
        return True, rank(value)
    return (value is not None, value) if isinstance(value, str | int | float | None) else (True, str(value))


async def take(pieces: AsyncIterator[list[Found]], limit: int) -> list[Found]:
    """As many as `limit`; 0: all."""
    page: list[Found] = []
    async for piece in pieces:
        page += piece
        if limit and len(page) >= limit:
            return page[:limit]
    return page


def render_page(
    collection: str, page: Page, links: bytes, view: View, eyes: Eyes, snapshot: Snapshot
) -> Iterator[bytes]:
    """The JSON of the answer in pieces."""
    return render_pieces(collection, cut(page.records), links, view, eyes, snapshot)


def render_pieces(
    collection: str, pieces: Iterable[Sequence[Record]], links: bytes, view: View, eyes: Eyes, snapshot: Snapshot
) -> Iterator[bytes]:
    """The JSON of the answer in pieces. One in which nothing was found is empty."""
    opening = head = b'{"%s":[' % collection.encode()
    for part in pieces:
        if not part:
            yield b""
            continue
        if eyes.tests or eyes.grants:
            body = b",".join([view(r, eyes.look_of(r.doc, snapshot)) for r in part])
        else:
            look = eyes.look
            body = b",".join([view(r, look) for r in part])
        yield head + body
        head = b","
    tail = b"]%s}" % (b',"%s_links":%s' % (collection.encode(), links) if links else b"")
    yield head + tail if head is opening else tail

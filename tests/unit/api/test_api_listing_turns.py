"""A very long list is looked for while it is sent: nobody else waits for all of it, and it is never there whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from netloom.api.listing import (
    LOOK_RECORDS,
    ORDER_AT_ONCE,
    SORT_AT_ONCE,
    Listing,
    Orders,
    find_page,
    find_pieces,
    find_sequence,
    order_by,
    render_pieces,
)
from netloom.api.message import Response, send_response
from netloom.api.query import ListQuery
from netloom.api.views import make_viewer
from netloom.intent.snapshot import Record
from tests.unit.api.test_api_query import ALL, THING, make_snapshot, make_thing, parse

COUNT = 5_000


async def count_between_turns(work: Callable[[], Awaitable[object]], counter: list[int]) -> int:
    """The most that `counter` grew by between two turns of the event loop while `work` went on."""
    most, before, task = 0, len(counter), asyncio.ensure_future(work())
    while not task.done():
        await asyncio.sleep(0)
        most, before = max(most, len(counter) - before), len(counter)
    await task
    return most


def make_listing(looked: list[int], query: ListQuery) -> Listing:
    def watch(record: Record) -> Record:
        looked.append(1)
        return record

    return Listing(make_snapshot([make_thing(n) for n in range(COUNT)]), THING, query, ALL, Orders(), watch)


async def send(listing: Listing, sent: list[bytes]) -> None:
    """To a client that takes everything at once."""

    async def take(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    pieces = find_pieces(listing, await find_sequence(listing))
    chunks = render_pieces("things", pieces, b"", make_viewer(THING), ALL, listing.snapshot)
    await send_response(take, Response(200, chunks=chunks), b"req-1")


def test_others_are_served_between_the_pieces_of_a_long_list() -> None:
    """However fast the client reads, no more than one piece is looked at in one turn; and the answer is whole."""
    looked: list[int] = []
    sent: list[bytes] = []
    listing = make_listing(looked, ListQuery())
    assert asyncio.run(count_between_turns(lambda: send(listing, sent), looked)) <= LOOK_RECORDS
    things = json.loads(b"".join(sent))["things"]
    assert [thing["id"] for thing in things] == sorted(listing.snapshot.records("thing"))
    assert max(map(len, sent)) < 2 * len(b"".join(sent)) * LOOK_RECORDS / COUNT


def test_a_search_that_finds_little_lets_others_be_served_too() -> None:
    """A filter that no index helps looks at all objects, a piece at a time."""
    looked: list[int] = []
    sent: list[bytes] = []
    listing = make_listing(looked, parse("size=4711"))
    assert asyncio.run(count_between_turns(lambda: send(listing, sent), looked)) <= LOOK_RECORDS
    assert len(looked) == COUNT
    assert [thing["size"] for thing in json.loads(b"".join(sent))["things"]] == [4711]


def test_an_order_and_a_page_let_others_be_served_too() -> None:
    """Whatever is sorted, or looked for till a page is full; and the order is that of sorting it at once."""
    for text in (
        "sort_key=size&sort_dir=desc",
        "sort_key=name&sort_dir=asc&sort_key=size&sort_dir=desc",
        "limit=5&size=7",
    ):
        looked: list[int] = []
        listing = make_listing(looked, parse(text))
        assert asyncio.run(count_between_turns(lambda a=listing: find_page(a), looked)) <= LOOK_RECORDS, text  # type: ignore[misc]
        assert len(looked) == COUNT, text


@pytest.mark.parametrize("reverse", [False, True])
def test_what_is_ordered_in_turns_is_as_if_it_were_at_once(reverse: bool) -> None:
    """Equals stay in the order that they had, and no run is longer than a piece."""
    things = [Record(make_thing(n * 7919 % 100_003), 1, b"") for n in range(3 * ORDER_AT_ONCE + 17)]
    found = [(f"{n:06}", record) for n, record in enumerate(things)]
    calls: list[int] = []

    def key(one: tuple[str, Record]) -> tuple[bool, int]:
        calls.append(1)
        return True, one[1].doc["size"] % 97

    async def story() -> list[tuple[str, Record]]:
        ordered: list[tuple[str, Record]] = []
        most = await count_between_turns(lambda: keep_in(ordered, order_by(found, key, reverse)), calls)
        assert most <= ORDER_AT_ONCE + 4  # of each run that is merged, the first is looked at before
        return ordered

    assert asyncio.run(story()) == sorted(found, key=key, reverse=reverse)


async def keep_in(kept: list[tuple[str, Record]], work: Awaitable[list[tuple[str, Record]]]) -> None:
    kept += await work


def test_very_many_ids_are_sorted_in_turns() -> None:
    """What comes out is the order; on the way no run that is sorted anew is longer than a piece."""
    table = {f"{n * 7919 % 100_003:06}": None for n in range(5 * SORT_AT_ONCE)}

    class Snapshot:
        def records(self, kind: str) -> dict[str, None]:
            return table

    async def story() -> int:
        orders, turns = Orders(), 0
        task = asyncio.ensure_future(orders.prepare(Snapshot(), "thing"))  # type: ignore[arg-type]
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        assert orders._known["thing"][1] == sorted(table)
        return turns

    assert asyncio.run(story()) >= 9

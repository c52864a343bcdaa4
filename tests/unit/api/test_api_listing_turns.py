"""A very long list is looked for while it is sent: nobody else waits for all of it, and it is never there whole."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from netloom.api.listing import LOOK_RECORDS, SORT_AT_ONCE, Listing, Orders, find_pieces, find_sequence, render_pieces
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


def send(listing: Listing, sent: list[bytes]) -> Awaitable[None]:
    """To a client that takes everything at once."""

    async def take(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    pieces = find_pieces(listing, find_sequence(listing))
    chunks = render_pieces("things", pieces, b"", make_viewer(THING), ALL, listing.snapshot)
    return send_response(take, Response(200, chunks=chunks), b"req-1")


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

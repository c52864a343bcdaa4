"""Law 1 on the wire: whatever a host has, and whatever way it is brought on, it ends with what the server has."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.feed import messages as m
from netloom.feed.connection import Connection
from netloom.feed.copies import Copies
from netloom.feed.frames import Frames
from netloom.feed.pki import Life
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.digest import digest_rows
from netloom.model.slices import Address, FollowRow, PlaceRow, Row, Slice
from tests.unit.feed.test_feed_wire import Source

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def make_place(number: int, revision: int) -> PlaceRow:
    return PlaceRow(
        str(number), f"fa:16:3e:00:00:{number % 256:02x}", "h", (Address(f"10.0.0.{number}"),), revision=revision
    )


class Held(Source):
    """A host that leads to one network."""

    def __init__(self) -> None:
        rows: dict[str, Row] = {f"place/{n}": make_place(n, 1) for n in range(20)}
        lead: dict[str, Row] = {"follow/network/n": FollowRow("network/n")}
        super().__init__({"network/n": Slice("network/n", 1, rows), "host/h": Slice("host/h", 1, lead)})

    def change(self, number: int, goes: bool, aged: bool) -> SliceDelta:
        """`aged`: the row's revision grows with it, as it should."""
        self.revision += 1
        key, old = f"place/{number % 20}", self.slices["network/n"]
        put: dict[str, Row] = {} if goes else {key: make_place(number + 30, self.revision if aged else 1)}
        delta = SliceDelta("network/n", old.revision, self.revision, put, (key,) if goes else ())
        after = apply_delta(old, delta)
        assert after is not None
        self.slices["network/n"] = after
        return delta


class Wire:
    """One host's connection, without a network: what `make` gives is taken at once by the host's copies."""

    def __init__(self, held: Held, version: int) -> None:
        self.held, self.version = held, version
        self.frames = Frames(held, lambda: held.revision)
        self.copies = Copies({}, self.ask)
        self.asks: list[tuple[str, int]] = []
        self.connect()

    def ask(self, name: str, since: int) -> None:
        self.asks.append((name, since))

    def connect(self) -> None:
        """Anew, with what the host has; the server remembers nothing."""
        self.copies.asked.clear()
        self.asks.clear()
        self.frames = Frames(self.held, lambda: self.held.revision)
        nobody: Any = None
        self.connection = Connection("h", Life(0, 0), nobody, nobody, self.version, self.copies.describe())
        self.connection.interest.add("host/h")

    def notify(self, delta: SliceDelta) -> None:
        self.frames.advance({delta.name: delta})
        self.connection.mark(delta)

    def deliver(self) -> None:
        connection = self.connection
        while True:
            gone = connection.interest.settle(self.held.leads, self.subscribe)
            self.take(b"".join(self.frames.make(connection, gone)))
            if not self.asks:
                return
            for name, since in self.asks:
                connection.sent[name], connection.behind[name] = since or -1, None
            self.asks.clear()

    def subscribe(self, name: str) -> None:
        self.connection.sent[name], self.connection.behind[name] = -1, None

    def take(self, stream: bytes) -> None:
        while stream:
            size = int.from_bytes(stream[:4], "big")
            self.copies.take(m.parse_from_server(stream[4 : 4 + size]))
            stream = stream[4 + size :]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(0, 60), st.booleans(), st.booleans()),
        st.tuples(st.just("deliver"), st.none(), st.none(), st.none()),
        st.tuples(st.just("break"), st.none(), st.none(), st.none()),
        st.tuples(st.just("spoil"), st.integers(0, 19), st.none(), st.none()),
        st.tuples(st.just("miss"), st.none(), st.none(), st.none()),
    ),
    max_size=25,
)


@settings(max_examples=100, deadline=None)
@given(steps, st.sampled_from([1, 2]))
def test_law_1_a_host_ends_with_what_the_server_has(made: list[tuple[Any, ...]], version: int) -> None:
    """Changes one by one or many at once, breaks, copies that went bad, rows that lie of their age: all the same."""

    async def play() -> None:
        held = Held()
        wire = Wire(held, version)
        for move, number, goes, aged in [*made, ("deliver",) + (None,) * 3]:
            match move:
                case "change":
                    wire.notify(held.change(number, goes, aged))
                case "deliver":
                    wire.deliver()
                case "break":
                    wire.connect()
                case "miss" if "network/n" in wire.copies.coming:
                    wire.copies.miss("network/n")
                case "spoil" if "network/n" in wire.copies.coming:
                    copy = wire.copies.coming["network/n"]
                    spoilt = {**copy.rows, f"place/{number}": make_place(200, 1)}
                    wire.copies.coming["network/n"] = Slice(copy.name, copy.revision, spoilt)
                    wire.notify(held.change(number, False, True))  # what would heal it comes with the next change
        for name, found in held.slices.items():
            assert dict(wire.copies.coming[name].rows) == dict(found.rows)
            assert digest_rows(wire.copies.coming[name].rows) == digest_rows(found.rows)
        assert not wire.copies.asked

    asyncio.run(play())


def test_law_1_what_is_newer_is_not_taken_for_what_is_right() -> None:
    """A copy that went bad asks for what is newer, which does not mend it: so it is asked for whole."""
    held = Held()
    good, asks = held.slices["network/n"], list[tuple[str, int]]()
    bad = Slice(good.name, good.revision, {**good.rows, "place/3": make_place(200, 1)})
    copies = Copies({good.name: bad}, lambda name, since: asks.append((name, since)))
    copies.miss(good.name)
    held.change(5, False, True)
    after = held.slices["network/n"]
    digest = f"{digest_rows(after.rows):032x}"
    copies.take(m.make_since(after, good.revision, digest))
    assert asks == [(good.name, good.revision), (good.name, 0)] and copies.coming[good.name] is bad
    copies.take(m.make_whole(after, digest))
    assert dict(copies.coming[good.name].rows) == dict(after.rows) and not copies.asked

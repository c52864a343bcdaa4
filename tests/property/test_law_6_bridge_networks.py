"""Laws 1 and 6 of a network on Linux bridges: bit by bit gives what all at once gives; a port costs what is of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    AddressPair,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Row,
    Segment,
    Slice,
    SubnetRow,
)
from netloom.render.bridges.network_book import BridgeBook
from netloom.render.bridges.scene import BridgeScene
from netloom.render.scene import Plugged
from tests.property.test_law_6_networks import change, flatten, steps

NETWORK = NetworkRow("n", 7)
SCENE = BridgeScene(NETWORK, "h1", Segment("vxlan", "", 7), 1, "", "192.0.2.9", metadata=True)
SCENES = (
    SCENE,
    replace(SCENE, metadata=False),
    replace(SCENE, segment=Segment("vlan", "physnet", 40), nic="eth1"),
    replace(SCENE, segment=Segment("local")),
)
HOSTS = 10


def plug(places: list[PlaceRow], revision: int = 0) -> tuple[Plugged, ...]:
    found = (PortRow(one.id, "n", one.mac, pairs=one.pairs, revision=revision) for one in places)
    return tuple(Plugged(port, 10 + n) for n, port in enumerate(found))


def told(*rows: PlaceRow | HostRow) -> dict[str, Row]:
    return {f"host/{row.name}" if isinstance(row, HostRow) else f"place/{row.id}": row for row in rows}


MAC = "fa:16:3e:00:00:01"
MINE, OTHERS = PlaceRow("1", MAC, "h1"), PlaceRow("1", MAC, "h2", (Address("10.0.0.1"),))
SHARING = PlaceRow("2", "fa:16:3e:00:00:02", "h1", pairs=(AddressPair("10.0.0.1", MAC),))


@settings(max_examples=60, deadline=None)
@example(SCENE, [(told(OTHERS), [], set(), True), (told(HostRow("h2", "192.0.2.1")), [], set(), True)])
@example(SCENE, [(told(MINE), [], {"1"}, True), (told(SHARING), [], {"1"}, True), ({}, ["place/2"], {"1"}, True)])
@given(st.sampled_from(SCENES), st.lists(steps, min_size=1, max_size=8))
def test_law_1_bridges_bit_by_bit_are_the_same_as_all_at_once(
    scene: BridgeScene, story: list[tuple[dict[str, Row], list[str], set[str], bool]]
) -> None:
    """Ports come, move, share addresses and go, hosts and subnets too, some unseen: what is held is that of the end."""
    book, found = BridgeBook(scene), change(None, {"network/n": NETWORK}, [])
    for revision, (put, drop, here, seen) in enumerate(story, 1):
        found = change(found, put, drop)
        rows = (found.rows.get(f"place/{id}") for id in sorted(here))
        plugged = plug([row for row in rows if isinstance(row, PlaceRow)], revision // 4)
        if seen:
            whole = BridgeBook(scene).render(found, plugged)
            assert flatten(dict(book.render(found, plugged))) == flatten(dict(whole))


# -- what a change costs -----------------------------------------------------------------------------------------------


def make_place(number: int, host: str = "") -> PlaceRow:
    mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
    address = Address(f"10.0.{(number + 2) >> 8}.{(number + 2) & 255}", "s")
    return PlaceRow(f"p{number}", mac, host or f"h{number % HOSTS}", (address,))


def make_network(ports: int) -> Slice:
    rows: dict[str, Row] = {"network/n": NETWORK, "subnet/s": SubnetRow("s", "n", "10.0.0.0/16", 4)}
    rows |= {f"host/h{n}": HostRow(f"h{n}", f"192.0.2.{n + 1}") for n in range(HOSTS)}
    rows |= {f"place/p{n}": make_place(n) for n in range(ports)}
    return change(None, rows, [])


def count_change(ports: int, put: dict[str, Row], drop: list[str], here: list[int], then: list[int]) -> tuple[int, int]:
    """Rows that are looked at and things that are made when this changes on a network of so many ports.

    `here`, `then`: the numbers of the ports that are plugged before and after.
    """
    book, found = BridgeBook(SCENE), make_network(ports)
    book.render(found, plug([make_place(n) for n in here]))
    before = book.read, book.rendered
    book.render(change(found, put, drop), plug([make_place(n) for n in then]))
    return book.read - before[0], book.rendered - before[1]


ELSEWHERE, HERE = 4003, 4001


@pytest.mark.parametrize(
    ("put", "drop", "then", "cost"),
    [
        ({f"place/p{ELSEWHERE}": make_place(ELSEWHERE)}, [], [1], (1, 3)),
        ({}, ["place/p3"], [1], (1, 0)),
        ({"place/p3": make_place(3, "h4")}, [], [1], (1, 3)),
        ({f"place/p{HERE}": make_place(HERE)}, [], [1, HERE], (1, 3)),
        ({"host/new": HostRow("new", "192.0.2.99"), "place/p4009": make_place(4009, "new")}, [], [1], (2, 4)),
    ],
    ids=["comes elsewhere", "goes elsewhere", "moves elsewhere", "comes here", "comes with its host"],
)
def test_law_6_a_port_costs_its_own_rows(put: dict[str, Row], drop: list[str], then: list[int], cost: object) -> None:
    """Its MAC in the bridge and in the tunnel, and who has its address: on a network of ten ports as of thousands."""
    costs = [count_change(ports, put, drop, [1], then) for ports in (10, 100, 3000)]
    assert costs == [cost] * 3


def test_law_6_what_is_the_same_is_the_same_object() -> None:
    """Who compares what is wanted looks into the few groups that a port is in."""
    book, found = BridgeBook(SCENE), make_network(1000)
    first: dict[str, tuple[Thing, ...]] = dict(book.render(found, ()))
    second = book.render(change(found, {f"place/p{ELSEWHERE}": make_place(ELSEWHERE)}, []), ())
    assert sum(second[name] is not things for name, things in first.items()) == 3
    assert max(map(len, second.values())) < 100

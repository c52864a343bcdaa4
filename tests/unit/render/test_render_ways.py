"""Where MAC addresses lead: found at the same cost for each, however many ports and hosts there are."""

from __future__ import annotations

import pytest

from netloom.model.delta import SliceDelta, apply_delta
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
from netloom.render.network_book import NetworkBook
from netloom.render.scene import Plugged, Provider, Scene, Tunnel

NETWORK = NetworkRow("n", 7, segments=(Segment("vxlan", "", 7),))
SUBNET = SubnetRow("s", "n", "10.0.0.0/16", 4, "10.0.0.1")
HOSTS = 10


def make_book(provider: Provider | None = None) -> NetworkBook:
    return NetworkBook(Scene(NETWORK, "br-int", "br-tun", 1, 2, "h0", Tunnel(3, 7), provider))


def make_place(number: int, host: str = "", *pairs: AddressPair) -> PlaceRow:
    mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
    address = Address(f"10.0.{(number + 2) >> 8}.{(number + 2) & 255}", "s")
    return PlaceRow(f"p{number}", mac, host or f"h{number % HOSTS}", (address,), pairs)


def make_network(ports: int) -> Slice:
    rows: dict[str, Row] = {"network/n": NETWORK, "subnet/s": SUBNET}
    rows |= {f"host/h{n}": HostRow(f"h{n}", f"192.0.2.{n + 1}") for n in range(HOSTS)}
    rows |= {f"place/p{n}": make_place(n) for n in range(ports)}
    return change(None, rows)


def change(found: Slice | None, put: dict[str, Row], *drop: str) -> Slice:
    at = found.revision if found else 0
    after = apply_delta(found, SliceDelta("network/n", at, at + 1, put, drop, whole=found is None))
    assert after is not None
    return after


def plug(*places: PlaceRow) -> tuple[Plugged, ...]:
    return tuple(Plugged(PortRow(place.id, "n", place.mac), 10 + n) for n, place in enumerate(places))


def count_change(ports: int, provider: Provider | None, row: PlaceRow) -> tuple[int, int]:
    """Rows that are looked at and flows that are made when a network of so many ports has this one more."""
    book, found = make_book(provider), make_network(ports)
    book.render(found, plug(make_place(0)))
    before = book.read, book.rendered
    book.render(change(found, {f"place/{row.id}": row}), plug(make_place(0)))
    return book.read - before[0], book.rendered - before[1]


@pytest.mark.parametrize(("provider", "flows"), [(None, 4), (Provider(5, 0), 4)])
def test_a_port_elsewhere_costs_its_own_rows_and_flows(provider: Provider | None, flows: int) -> None:
    """Who has its address, where its MAC leads from here and from outside, and to which host: on a network of any size,
    tunnelled or physical."""
    more = make_place(4001, "h3")
    costs = [count_change(ports, provider, more) for ports in (10, 100, 4000)]
    assert costs == [(1, flows)] * 3


def test_a_port_here_costs_its_own_flows_and_the_floods() -> None:
    """Two floods of the switch, an answer and a way; none of the other ports."""
    for ports in (10, 1000):
        book, found, mine, more = make_book(), make_network(ports), make_place(0), make_place(4000)
        book.render(found, plug(mine))
        before = book.rendered
        book.render(change(found, {"place/p4000": more}), plug(mine, more))
        assert book.rendered - before == 4


def test_a_host_that_comes_costs_its_ports_and_the_flood_to_all_hosts() -> None:
    """A thousand ports elsewhere are not looked at for it."""
    book, found = make_book(), make_network(1000)
    book.render(found, ())
    before, read = book.rendered, book.read
    rows: dict[str, Row] = {"host/new": HostRow("new", "192.0.2.99"), "place/p4001": make_place(4001, "new")}
    book.render(change(found, rows), ())
    assert (book.read - read, book.rendered - before) == (2, 6)


def test_what_is_the_same_is_the_same_object() -> None:
    """Who compares what is wanted looks into the few groups that a port is in."""
    book, found = make_book(), make_network(1000)
    first = dict(book.render(found, ()))
    second = book.render(change(found, {"place/p4001": make_place(4001, "h3")}), ())
    assert sum(second[name] is not things for name, things in first.items() if things != second[name]) == 2
    assert max(map(len, second.values())) < 100


def test_an_address_that_others_may_use_is_not_answered_for() -> None:
    """A virtual address that is held for two servers is asked for on the wire once both may use it, and answered for
    again when neither does; the same of a prefix."""
    spare = PlaceRow("vip", "fa:16:3e:00:99:99", "", (Address("10.0.9.9", "s"),))
    for pair in ("10.0.9.9", "10.0.9.0/24"):
        book, found = make_book(), change(make_network(20), {"place/vip": spare})
        assert count_answers(book, found) == 21
        first = make_place(1, "h1", AddressPair(pair, "02:00:00:00:00:01"))
        second = make_place(2, "h2", AddressPair(pair, "02:00:00:00:00:01"))
        found = change(found, {"place/p1": first, "place/p2": second})
        assert count_answers(book, found) == 20
        found = change(found, {"place/p1": make_place(1)})
        assert count_answers(book, found) == 20
        found = change(found, {"place/p2": make_place(2)})
        assert count_answers(book, found) == 21


def count_answers(book: NetworkBook, found: Slice) -> int:
    groups = book.render(found, ())
    return sum(
        "way" not in name and thing.key[2] == 32 for name in groups for thing in groups[name] if is_arp(thing.key)
    )


def is_arp(key: tuple[object, ...]) -> bool:
    match = key[4]
    return isinstance(match, tuple) and any(test[0] == "arp_tpa" and test[1] != 0x0A000001 for test in match)

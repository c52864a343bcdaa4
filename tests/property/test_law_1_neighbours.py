"""Law 1 for neighbours of distributed routers: what a book remembers changes nothing; a change costs what it is of."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.plan import Thing
from netloom.model.slices import Address, AddressPair, NetworkRow, PlaceRow, Row, Slice
from netloom.render.flows.neighbours import Ground
from netloom.render.neighbour_book import NeighbourBook

NETWORK = NetworkRow("n", 7)
GROUND = Ground(NETWORK, "br-int", "h1")
addresses = st.sampled_from([f"10.0.0.{n}" for n in range(1, 5)])
places = st.builds(
    lambda id, host, own, pairs, owner: PlaceRow(
        id, f"fa:16:3e:00:00:0{id}", host, tuple(map(Address, own)),
        tuple(AddressPair(ip, f"fa:16:3e:00:00:0{id}") for ip in pairs), owner,
    ),
    st.sampled_from("1234"), st.sampled_from(("h1", "h2", "")), st.lists(addresses, max_size=2, unique=True),
    st.lists(addresses, max_size=2, unique=True), st.sampled_from(("compute:nova", "network:router_interface")),
)  # fmt: skip
changes: st.SearchStrategy[tuple[dict[str, Row], tuple[str, ...]]] = st.one_of(
    places.map(lambda row: ({f"place/{row.id}": row}, ())), st.sampled_from("1234").map(lambda id: ({}, (id,)))
)
learned = st.dictionaries(addresses, st.just("02:00:00:00:00:01"), max_size=2)


def start(*rows: PlaceRow) -> Slice:
    held: dict[str, Row] = {"network/n": NETWORK, **{f"place/{row.id}": row for row in rows}}
    found = apply_delta(None, SliceDelta("network/n", 0, 1, held, whole=True))
    assert found is not None
    return found


def change(found: Slice, put: dict[str, Row], drop: tuple[str, ...] = ()) -> Slice:
    keys = tuple(f"place/{id}" for id in drop if f"place/{id}" in found.rows)
    after = apply_delta(found, SliceDelta("network/n", found.revision, found.revision + 1, put, keys))
    assert after is not None
    return after


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(changes, learned, st.booleans(), st.booleans()), max_size=8))
def test_law_1_what_is_remembered_of_neighbours_changes_nothing(
    story: list[tuple[tuple[dict[str, Row], tuple[str, ...]], dict[str, str], bool, bool]],
) -> None:
    """Ports come, move, share addresses and go; some changes are seen together, and the network becomes an external."""
    book, found = NeighbourBook(), start()
    for (put, drop), known, external, seen in story:
        found = change(found, put, drop)
        ground = Ground(NetworkRow("n", 7, external=external), "br-int", "h1")
        if seen:
            assert book.render(found, ground, known) == NeighbourBook().render(found, ground, known)


def test_a_change_costs_what_it_is_of() -> None:
    """Of a thousand ports, one more, or one that moves, is one flow made; and what is the same is the same object."""
    rows = [
        PlaceRow(f"p{n}", "fa:16:3e:00:00:01", "h2", (Address(f"10.0.{n // 250}.{n % 250 + 1}"),)) for n in range(1000)
    ]
    book, found = NeighbourBook(), start(*rows)
    first = render(book, found)
    assert (len(first), book.rendered) == (1000, 1000)
    moved = PlaceRow("p7", "fa:16:3e:00:00:01", "h1", rows[7].addresses)
    found = change(found, {"place/p7": moved})
    second = render(book, found)
    assert (len(second), book.rendered) == (1000, 1001)
    assert sum(one is not other for one, other in zip(first, second, strict=True)) == 1
    found = change(found, {"place/new": PlaceRow("new", "fa:16:3e:00:00:02", "h1", (Address("10.0.9.9"),))})
    assert (len(render(book, found)), book.rendered) == (1001, 1002)
    assert book.render(found, GROUND, {}) is book.render(found, GROUND, {})


def render(book: NeighbourBook, found: Slice) -> list[Thing]:
    groups = book.render(found, GROUND, {})
    return [thing for name in sorted(groups) for thing in groups[name]]

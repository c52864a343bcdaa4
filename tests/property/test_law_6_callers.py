"""Laws 1 and 6 of who answers metadata in namespaces: bit by bit as all at once, and a port costs its own row."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts
from netloom.model.slices import (
    Address,
    CallerRow,
    FollowRow,
    InterfaceRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    RouterHost,
    RouterRow,
    Row,
    Slice,
)
from netloom.render.caller_book import CallerBook, CallerIndex
from netloom.render.metadata_space import LinkBook, find_space_callers, render_redirects

FACTS = HostFacts("h1", metadata_redirect=True)
SERVER = PortRow("s", "n1", "fa:16:3e:00:00:aa", device_owner="network:dhcp", device_id="dhcpxyz-n1")
OWN: dict[str, Row] = {"port/s": SERVER, "follow/router/r1": FollowRow("router/r1")}
ROUTER: dict[str, Row] = {
    "router/r1": RouterRow("r1", hosts=(RouterHost("h1"),)),
    **{f"interface/i{n}": InterfaceRow(f"i{n}", f"n{n}", "m", "internal", (Address("", f"s{n}"),), "h1")
       for n in (1, 2)},
}  # fmt: skip
FIXED = {
    "host/h1": Slice("host/h1", 1, OWN),
    "router/r1": Slice("router/r1", 1, ROUTER),
    **{f"network/n{n}": Slice(f"network/n{n}", 1, {f"network/n{n}": NetworkRow(f"n{n}", n)}) for n in (1, 2)},
}

ids = st.sampled_from("1234")
addresses = st.builds(Address, st.sampled_from(("10.0.0.5", "10.0.0.6")), st.sampled_from(("s1", "s2", "s9")))
callers = st.builds(
    lambda id, mac, given: CallerRow(id, f"vm-{id}", "t", tuple(given), mac and f"fa:16:3e:00:00:0{mac}"),
    ids, st.sampled_from(("", "1", "2")), st.lists(addresses, max_size=2, unique_by=lambda one: one.subnet_id),
).map(lambda row: (f"caller/{row.id}", row))  # fmt: skip
steps = st.tuples(
    st.sampled_from(("callers/n1", "callers/n2")), st.lists(callers, max_size=3).map(dict),
    st.lists(ids.map("caller/{}".format), max_size=2), st.sampled_from((True, True, True, False)),
)  # fmt: skip


def change(name: str, found: Slice | None, put: dict[str, Row], drop: list[str]) -> Slice:
    at, held = (found.revision, found.rows) if found else (0, {})
    keys = tuple(key for key in dict.fromkeys(drop) if key in held and key not in put)
    after = apply_delta(found, SliceDelta(name, at, at + 1, put, keys, whole=found is None))
    assert after is not None
    return after


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=1, max_size=8))
def test_law_1_callers_bit_by_bit_are_the_same_as_all_at_once(
    story: list[tuple[str, dict[str, Row], list[str], bool]],
) -> None:
    """Ports come, get another address or MAC, and go, and a network is not known for a while: as if read anew."""
    book, known = CallerBook(), dict[str, Slice]()
    for name, put, drop, there in story:
        known[name] = change(name, known.get(name), put, drop)
        slices = {**FIXED, **(known if there else {})}
        told = find_space_callers(slices, FACTS, book)
        assert {space: dict(held) for space, held in told.items()} == find_space_callers(slices, FACTS)


def test_law_6_a_port_costs_its_own_row() -> None:
    """On a network of ten ports as of thousands."""
    for ports in (10, 3000):
        rows: dict[str, Row] = {f"caller/{n}": CallerRow(f"{n}", "vm", "t", (Address(f"10.0.{n}", "s"),))
                                for n in range(ports)}  # fmt: skip
        index, found = CallerIndex(), change("callers/n1", None, rows, [])
        index.take(found)
        before = index.read
        index.take(change("callers/n1", found, {"caller/new": CallerRow("new", "vm", "t")}, ["caller/3"]))
        assert index.read - before == 2


owners = st.sampled_from(("compute:nova", "network:dhcp", "network:router_interface"))
places = st.builds(lambda id, owner: PlaceRow(id, "m", device_owner=owner), st.sampled_from("arsz"), owners).map(
    lambda row: (f"place/{row.id}", row)
)
moves = st.tuples(
    st.lists(places, max_size=3).map(dict), st.lists(st.sampled_from(("place/a", "place/r", "place/z")), max_size=2),
    st.booleans(),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(moves, min_size=1, max_size=8))
def test_law_1_who_answers_bit_by_bit_is_the_same_as_all_at_once(
    story: list[tuple[dict[str, Row], list[str], bool]],
) -> None:
    """Routers and servers come to a link, become something else and go, and it is not known for a while."""
    book, found = LinkBook(), FIXED["network/n1"]
    for put, drop, there in story:
        found = change("network/n1", found, put, drop)
        slices = {name: part for name, part in FIXED.items() if name != "network/n1"}
        slices |= {"network/n1": found} if there else {}
        assert render_redirects(slices, FACTS, book) == render_redirects(slices, FACTS)


def test_law_6_who_answers_on_a_link_costs_the_rows_that_changed() -> None:
    """One port more is one row, on a network of thousands."""
    rows: dict[str, Row] = {f"place/{n}": PlaceRow(f"{n}", "m") for n in range(3000)}
    book, found = LinkBook(), change("network/n1", FIXED["network/n1"], rows, [])
    book.find(found)
    before = book.read
    assert book.find(change("network/n1", found, {"place/d": PlaceRow("d", "m", device_owner="network:dhcp")}, [])) == {
        "d": "network:dhcp"
    }
    assert book.read - before == 1

"""Laws 1 and 6 of dnsmasq's files: bit by bit gives what all at once gives, and a port costs its own lines."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import Address, DhcpOption, NetworkRow, PlaceRow, PortRow, Row, Slice, SubnetRow
from netloom.render.answers.scope import Settings
from netloom.render.dhcp_server import DhcpBook, ServerBook
from tests.property.test_law_6_networks import change

FACTS, SETTINGS = HostFacts("h1"), Settings(metadata_route="isolated")
SERVER = PortRow("d", "n", "fa:16:3e:00:00:dd", device_owner="network:dhcp", device_id="dhcpx-n",
                 addresses=(Address("10.0.0.2", "a"),))  # fmt: skip
OWN = PlaceRow(SERVER.id, SERVER.mac, "h1", SERVER.addresses, device_owner="network:dhcp")
NETWORK = NetworkRow("n", 7)

ids = st.sampled_from("1234567")
addresses = st.sampled_from((Address("10.0.0.4", "a"), Address("10.0.0.5", "b"), Address("2001:db8::5", "c")))
owners = st.sampled_from(("compute:nova", "network:dhcp", "network:router_interface"))
places = st.builds(
    lambda id, given, name, owner, options: PlaceRow(
        id, f"fa:16:3e:00:00:0{id}", "h2", tuple(given), (), owner, False, name, tuple(options)
    ),
    ids, st.lists(addresses, max_size=2, unique=True), st.sampled_from(("", "web")), owners,
    st.lists(st.sampled_from((DhcpOption("mtu", "1400"), DhcpOption("no-such-thing", "x"))), max_size=1),
).map(lambda row: (f"place/{row.id}", row))  # fmt: skip
subnets = st.builds(
    lambda id, gateway, dhcp, mode: SubnetRow(
        id, "n", "2001:db8::/64" if id == "c" else "10.0.0.0/29", 6 if id == "c" else 4, "" if id == "c" else gateway,
        dhcp, ipv6_address_mode=mode,
    ),
    st.sampled_from("abc"), st.sampled_from(("", "10.0.0.1")), st.booleans(),
    st.sampled_from(("dhcpv6-stateful", "dhcpv6-stateless", "slaac")),
).map(lambda row: (f"subnet/{row.id}", row))  # fmt: skip
networks = st.builds(
    lambda domain, on: ("network/n", replace(NETWORK, dns_domain=domain, admin_state_up=on)),
    st.sampled_from(("", "example.org.")), st.sampled_from((True, True, True, False)),
)  # fmt: skip
rows: st.SearchStrategy[tuple[str, Row]] = st.one_of(places, places, places, subnets, networks)
steps = st.tuples(
    st.lists(rows, max_size=4).map(dict),
    st.lists(st.one_of(ids.map("place/{}".format), st.sampled_from(("subnet/a", "network/n"))), max_size=2),
    st.booleans(),
)


def render(book: DhcpBook, found: Slice) -> dict[str, tuple[Thing, ...]]:
    return book.render({"host/h1": Slice("host/h1", 1, {"port/d": SERVER}), "network/n": found}, FACTS)


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=1, max_size=8))
def test_law_1_files_bit_by_bit_are_the_same_as_all_at_once(
    story: list[tuple[dict[str, Row], list[str], bool]],
) -> None:
    """Ports, names, options, subnets and the domain come and go, some unseen: the files are those of the end."""
    book = DhcpBook(SETTINGS)
    found = change(None, {"network/n": NETWORK, "place/d": OWN, "subnet/a": SubnetRow("a", "n", "10.0.0.0/29", 4)}, [])
    for put, drop, seen in story:
        found = change(found, put, drop)
        if seen:
            assert render(book, found) == render(DhcpBook(SETTINGS), found)


def make_place(number: int, mtu: str = "") -> PlaceRow:
    ip = f"10.0.{(number + 9) >> 8}.{(number + 9) & 255}"
    options = (DhcpOption("mtu", mtu),) if mtu else ()
    mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
    return PlaceRow(f"p{number}", mac, "h2", (Address(ip, "a"),), dhcp_options=options)


@pytest.mark.parametrize(
    ("put", "drop"),
    [({"place/p4000": make_place(4000)}, []), ({}, ["place/p3"]), ({"place/p3": make_place(3, "1400")}, [])],
    ids=["comes", "goes", "gets an option"],
)
def test_law_6_a_port_costs_its_own_lines(put: dict[str, Row], drop: list[str]) -> None:
    """One row is looked at, and one port's lines are made: on a network of ten ports as of thousands."""
    for ports in (10, 3000):
        rows: dict[str, Row] = {"network/n": NETWORK, "subnet/a": SubnetRow("a", "n", "10.0.0.0/16", 4)}
        found = change(None, rows | {f"place/p{n}": make_place(n) for n in range(ports)}, [])
        book = ServerBook(SETTINGS)
        book.render(SERVER, found, FACTS)
        before = book.files.read, book.files.rendered
        book.render(SERVER, change(found, put, drop), FACTS)
        assert (book.files.read - before[0], book.files.rendered - before[1]) == (1, 1)

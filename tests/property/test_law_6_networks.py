"""Laws 1 and 6 of a network's flows: bit by bit gives what all at once gives, and a port costs what is of it alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.plan import Thing
from netloom.model.slices import Address, AddressPair, HostRow, NetworkRow, PlaceRow, PortRow, Row, Slice, SubnetRow
from netloom.render.answers import read_scope
from netloom.render.network_book import NetworkBook
from netloom.render.router_scene import read_known
from netloom.render.scene import Plugged, Provider, Scene, Tunnel

NETWORK = NetworkRow("n", 7)
SCENES = (
    Scene(NETWORK, "br-int", "br-tun", 1, 2, "h1", Tunnel(3, 7), None),
    Scene(NETWORK, "br-int", "br-tun", 1, 2, "h1", None, Provider(5, 40)),
    Scene(NETWORK, "br-int", "br-tun", 1, 2, "h1", None, None),
)
ids, hosts = st.sampled_from("1234567"), st.sampled_from(("h1", "h2", "h3", ""))
ips = st.sampled_from(("10.0.0.1", "10.0.0.2", "10.0.0.3", "2001:db8::3"))
pairs = st.builds(
    AddressPair,
    st.sampled_from(("10.0.0.2", "10.0.0.3/32", "10.0.0.0/24", "::/0")),
    st.sampled_from(("02:aa", "02:bb")),
)
owners = st.sampled_from(("compute:nova", "network:dhcp", "network:floatingip", "network:router_interface"))
places = st.builds(
    lambda id, host, own, pair, owner, open, also: PlaceRow(
        id, f"fa:16:3e:00:00:0{id}", host, tuple(map(Address, own)), tuple(pair), owner, open, also=tuple(also)
    ),
    ids, hosts, st.lists(ips, max_size=2, unique=True), st.lists(pairs, max_size=2), owners, st.booleans(),
    st.lists(st.sampled_from(("h1", "h3")), max_size=1),
).map(lambda row: (f"place/{row.id}", row))  # fmt: skip
remotes = st.builds(
    HostRow, st.sampled_from(("h1", "h2", "h3")), st.sampled_from(("", "192.0.2.1", "192.0.2.2")), routed=st.booleans()
).map(lambda row: (f"host/{row.name}", row))
subnets = st.builds(
    lambda id, gateway, dhcp: SubnetRow(id, "n", "10.0.0.0/29", 4, gateway, dhcp),
    st.sampled_from("ab"), st.sampled_from(("", "10.0.0.1")), st.booleans(),
).map(lambda row: (f"subnet/{row.id}", row))  # fmt: skip
rows: st.SearchStrategy[tuple[str, Row]] = st.one_of(places, places, places, remotes, subnets)
steps = st.tuples(
    st.lists(rows, max_size=4).map(dict),
    st.lists(st.one_of(ids.map("place/{}".format), st.sampled_from(("host/h2", "host/h3", "subnet/a"))), max_size=2),
    st.sets(ids, max_size=3),
    st.booleans(),
)


def change(found: Slice | None, put: dict[str, Row], drop: list[str]) -> Slice:
    at, held = (found.revision, found.rows) if found else (0, {})
    keys = tuple(key for key in dict.fromkeys(drop) if key in held and key not in put)
    after = apply_delta(found, SliceDelta("network/n", at, at + 1, put, keys, whole=found is None))
    assert after is not None
    return after


def flatten(groups: dict[str, tuple[Thing, ...]]) -> list[tuple[str, Thing, int, tuple[str, ...]]]:
    return [(name, thing, thing.why.revision, thing.why.ids) for name in sorted(groups) for thing in groups[name]]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SCENES), st.lists(steps, min_size=1, max_size=8))
def test_law_1_bit_by_bit_is_the_same_as_all_at_once(
    scene: Scene, story: list[tuple[dict[str, Row], list[str], set[str], bool]]
) -> None:
    """Ports come, move, share addresses and go, hosts and subnets too, some unseen: the flows are those of the end."""
    book, found = NetworkBook(scene), change(None, {"network/n": NETWORK}, [])
    for put, drop, here, seen in story:
        found = change(found, put, drop)
        plugged = tuple(Plugged(PortRow(id, "n", f"fa:16:3e:00:00:0{id}"), 10 + int(id)) for id in sorted(here))
        if seen:
            whole = NetworkBook(scene).render(found, plugged)
            assert flatten(dict(book.render(found, plugged))) == flatten(dict(whole))


def test_law_1_an_address_that_became_free_is_found_after_a_server_of_its_own() -> None:
    """While a server of its own answers nobody looks for an address; when that is on no host any more, the first is."""
    server = PlaceRow("2", "fa:16:3e:00:00:02", "", (Address("10.0.0.2"),), device_owner="network:dhcp")
    first = {"place/1": PlaceRow("1", "fa:16:3e:00:00:01", "h2", (Address("10.0.0.1"),))}
    subnet = {"subnet/a": SubnetRow("a", "n", "10.0.0.0/29", 4)}
    book, found = NetworkBook(SCENES[0]), change(None, {"network/n": NETWORK, **subnet, **first, "place/2": server}, [])
    book.render(found, ())
    story: list[tuple[dict[str, Row], list[str]]]
    story = [({"place/2": replace(server, host="h2")}, []), ({}, ["place/1"]), ({"place/2": server}, [])]
    for put, drop in story:
        found = change(found, put, drop)
        assert flatten(dict(book.render(found, ()))) == flatten(dict(NetworkBook(SCENES[0]).render(found, ())))


@settings(max_examples=30, deadline=None)
@given(st.lists(steps, min_size=1, max_size=8))
def test_law_1_what_answers_are_made_from_is_the_same_bit_by_bit(
    story: list[tuple[dict[str, Row], list[str], set[str], bool]],
) -> None:
    """The addresses that are taken, the subnets and the routers' ports: as if the network were read anew."""
    found = seen = change(None, {"network/n": NETWORK}, [])
    scope, known = read_scope(found), read_known(found)
    for put, drop, _, now in story:
        found = change(found, put, drop)
        if now:
            scope, known, seen = read_scope(found, seen, scope), read_known(found, seen, known), found
            assert (scope, known) == (read_scope(found), read_known(found))

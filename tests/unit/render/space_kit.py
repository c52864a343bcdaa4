"""A router and its networks as slices: what the tests of its namespace share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    FollowRow,
    InterfaceRow,
    NetworkRow,
    RouterHost,
    RouterRow,
    Row,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.render.space import SpaceBook

FACTS = HostFacts("h1", datapath_type="netdev")
ROUTER = RouterRow("r1", gateway_port_id="gggggggggggg-1", hosts=(RouterHost("h1"),))
INSIDE = InterfaceRow("iiiiiiiiiiii-1", "blue", "fa:16:3e:00:00:01", "internal", (Address("10.1.0.1", "s1"),), "h1")
OUTSIDE = InterfaceRow(
    "gggggggggggg-1", "ext", "fa:16:3e:00:00:02", "gateway", (Address("203.0.113.2", "sx"),), "h1"
)  # fmt: skip
OTHER = InterfaceRow(
    "hhhhhhhhhhhh-2", "ext2", "fa:16:3e:00:00:03", "gateway", (Address("198.51.100.2", "sy"),), "h1"
)  # fmt: skip
SUBNETS = (
    SubnetRow("s1", "blue", "10.1.0.0/24", 4, "10.1.0.1"),
    SubnetRow("sx", "ext", "203.0.113.0/24", 4, "203.0.113.1"),
    SubnetRow("sy", "ext2", "198.51.100.0/24", 4, "198.51.100.1"),
)
NO_SCOPES: Mapping[str, tuple[str, str]] = {}
NO_POLICIES: Mapping[str, str] = {}
QR, QG, QG2 = "qr-iiiiiiiiiii", "qg-ggggggggggg", "qg-hhhhhhhhhhh"


def key_of(row: Row) -> str:
    kinds = {
        "RouterRow": "router", "InterfaceRow": "interface", "FloatingRow": "floating", "ForwardingRow": "forwarding",
        "NeighbourRow": "neighbour", "HelperRow": "helper", "FollowRow": "follow", "NetworkRow": "network",
        "SubnetRow": "subnet",
    }  # fmt: skip
    name = row.slice if isinstance(row, FollowRow) else row.id  # type: ignore[union-attr]
    return f"{kinds[type(row).__name__]}/{name}"


def make_slice(name: str, rows: Iterable[Row]) -> Slice:
    return Slice(name, 1, {key_of(row): row for row in rows})


def make_slices(
    router: RouterRow,
    *rows: Row,
    subnets: Iterable[SubnetRow] = SUBNETS,
    mtu: int = 1500,
    scopes: Mapping[str, tuple[str, str]] = NO_SCOPES,
    policies: Mapping[str, str] = NO_POLICIES,
) -> Slices:
    """The router's slice with these rows, and those of its networks; `scopes`: network → its IPv4 and IPv6 scope;
    `policies`: network → its QoS policy."""
    legs = [row for row in rows if isinstance(row, InterfaceRow)]
    names = dict.fromkeys(leg.network_id for leg in legs)
    parts = [make_slice(f"router/{router.id}", (router, *rows, *(FollowRow(f"network/{n}") for n in names)))]
    for number, name in enumerate(names, 1):
        four, six = scopes.get(name, ("", ""))
        network = NetworkRow(
            name, number, mtu=mtu, external=name.startswith("ext"), segments=(Segment("vxlan"),), ipv4_scope=four,
            ipv6_scope=six, policy=policies.get(name, ""),
        )  # fmt: skip
        parts.append(make_slice(f"network/{name}", (network, *(s for s in subnets if s.network_id == name))))
    return {part.name: part for part in parts}


def render(router: RouterRow = ROUTER, *rows: Row, facts: HostFacts = FACTS, **given: object) -> list[Thing]:
    """All that the router's namespace is to hold."""
    groups = SpaceBook().render(make_slices(router, *rows, **given), facts)  # type: ignore[arg-type]
    return [thing for things in groups.values() for thing in things]


def find_elements(things: Iterable[Thing]) -> set[str]:
    """The elements of its maps, as "map: key : datum"."""
    found = [(thing.key, thing.value.data) for thing in things if thing.kind == "element"]
    return {f"{key[3]}: {' . '.join(key[4])}" + (f" : {' . '.join(data)}" if data else "") for key, data in found}


def find_routes(things: Iterable[Thing]) -> dict[str, str]:
    """ "table destination" → next hops."""
    return {
        f"{thing.key[2]} {thing.key[3]}": ", ".join(f"{via} {device}".strip() for via, device in thing.value.hops)
        for thing in things
        if thing.kind == "route"
    }


def find_addresses(things: Iterable[Thing]) -> set[str]:
    return {f"{thing.key[2]} {thing.key[3]}" for thing in things if thing.kind in ("address", "alias")}

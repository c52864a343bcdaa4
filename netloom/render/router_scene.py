"""What render sees of one distributed router on this host: its legs, what it translates here, and its numbers.

A leg is a port of the router with its network and the subnets there. A router that is switched off, or whose rows are
not here yet, is none (law 4).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b

from netloom.model.facts import HostFacts
from netloom.model.slices import (
    FloatingRow,
    ForwardingRow,
    HelperRow,
    HostRow,
    InterfaceRow,
    NeighbourRow,
    NetworkRow,
    RouterRow,
    Slice,
    Slices,
    SubnetRow,
    find_changed,
)
from netloom.render.flows.groups import number_names
from netloom.render.qos import Limits
from netloom.render.scene import Provider, choose_segment, find_network, find_provider

ZONES = range(0x4000, 0x8000)
"""Conntrack zones of routers: below the numbers of subports, less the ofports that are in use; those are zones too."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A port of a router. `revision`: the newest of its rows. `carried`: its network is on this host.

    `narrow`: packets that fit another of the router's networks may be too long for this one. `scoped`: the IP versions
    of which a network of the router is in an address scope."""

    port: InterfaceRow
    network: NetworkRow
    subnets: tuple[SubnetRow, ...]  # of the port's addresses; of a gateway all that its network has
    carried: bool
    provider: Provider | None
    revision: int
    narrow: bool = False
    scoped: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class RouterScene:
    """One distributed router on this host. `central`: this host hides addresses for it, which is the one that `centre`
    names, at tunnel address `endpoint`."""

    row: RouterRow
    number: int
    zone: int
    integration: str
    host: str
    central: bool
    centre: str
    endpoint: str
    inner: tuple[Leg, ...]
    outer: tuple[Leg, ...]
    hiding: tuple[InterfaceRow, ...]  # SNAT ports
    floating: tuple[FloatingRow, ...]  # those that this host translates
    forwardings: tuple[ForwardingRow, ...]
    neighbours: tuple[NeighbourRow, ...] = ()  # whom it answers for outside, where it hides addresses
    helpers: tuple[HelperRow, ...] = ()
    limits: Mapping[str, tuple[Limits, int]] = field(default_factory=dict)  # see `flows.router_limits`

    @property
    def gate(self) -> Leg | None:
        """The first gateway."""
        return next((leg for leg in self.outer if leg.port.id == self.row.gateway_port_id), None)

    @property
    def slice(self) -> str:
        return f"router/{self.row.id}"


@dataclass(frozen=True, slots=True)
class Known:
    """What routers need of a network, read from its slice once. `endpoints`: tunnel addresses of its hosts, by name."""

    network: NetworkRow
    subnets: tuple[SubnetRow, ...]
    endpoints: Mapping[str, str]


def read_known(found: Slice | None, old: Slice | None = None, known: Known | None = None) -> Known | None:
    """`known`: of an earlier state `old` of the slice, which stands where only its ports are others."""
    if known is not None and found is not None and not any(map(is_known, find_changed(old, found))):
        return known
    network = find_network(found)
    if found is None or network is None:
        return None
    subnets = (row for row in found.rows.values() if isinstance(row, SubnetRow))
    endpoints = {row.name: row.tunnel_ip for row in found.rows.values() if isinstance(row, HostRow)}
    return Known(network, tuple(sorted(subnets, key=lambda row: row.id)), endpoints)


def is_known(key: str) -> bool:
    """Whether the row is one that `read_known` reads."""
    return not key.startswith("place/")


def find_router(found: Slice | None) -> RouterRow | None:
    """The router of a slice, where each host routes for it by itself."""
    row = found.rows.get(found.name) if found else None
    return row if isinstance(row, RouterRow) and row.distributed and row.admin_state_up else None


def find_routers(slices: Slices) -> dict[str, tuple[RouterRow, Slice]]:
    """The distributed routers that this host knows, by the names of their slices."""
    found = {}
    for name in sorted(slices):
        row = find_router(slices[name]) if name.startswith("router/") else None
        if row is not None:
            found[name] = row, slices[name]
    return found


def find_routed_networks(routers: Iterable[tuple[RouterRow, Slice]], host: str) -> Iterator[str]:
    """The networks that this host takes part in for these routers: all inner ones, and outer ones that it translates
    to or may come to."""
    for row, found in routers:
        floating = {r.network_id for r in found.rows.values() if isinstance(r, FloatingRow) and r.host == host}
        may = any(one.name == host for one in row.hosts)
        for port in read_ports(found):
            if port.kind == "internal" or may or port.network_id in floating:
                yield port.network_id


def read_ports(found: Slice) -> list[InterfaceRow]:
    ports = (row for row in found.rows.values() if isinstance(row, InterfaceRow) and row.admin_state_up)
    return sorted(ports, key=lambda row: row.id)


def find_endpoints(found: Slice, known: Mapping[str, Known]) -> dict[str, str]:
    """The tunnel addresses of hosts on the router's networks, by name."""
    reached = (known[port.network_id] for port in read_ports(found) if port.network_id in known)
    return {name: ip for one in reached for name, ip in one.endpoints.items() if ip}


def find_centre(row: RouterRow, endpoints: Mapping[str, str], silent: frozenset[str]) -> str:
    """The host that hides addresses: the first of the router's that is not silent; the first where all are."""
    names = [one.name for one in row.hosts]
    return next((name for name in names if endpoints.get(name, "") not in silent), names[0] if names else "")


def make_router_scene(
    row: RouterRow, found: Slice, known: Mapping[str, Known], numbers: tuple[int, int], facts: HostFacts
) -> RouterScene:
    """`numbers`: the router's, and its conntrack zone. A leg on a network that is not known here is left out."""
    legs = compare_legs(
        [leg for port in read_ports(found) if (leg := make_leg(port, known.get(port.network_id), facts))]
    )
    endpoints = find_endpoints(found, known)
    centre = find_centre(row, endpoints, facts.silent)
    rows, central = found.rows.values(), bool(centre) and centre == facts.host

    def is_here(floating: FloatingRow) -> bool:
        """Its own host translates it; where that is silent, the one that hides addresses does."""
        lost = endpoints.get(floating.host, "") in facts.silent
        return centre == facts.host if lost else floating.host == facts.host

    return RouterScene(
        row=row,
        number=numbers[0],
        zone=numbers[1],
        integration=facts.integration_bridge,
        host=facts.host,
        central=central,
        centre=centre,
        endpoint=endpoints.get(centre, ""),
        inner=tuple(leg for leg in legs if leg.port.kind == "internal"),
        outer=tuple(leg for leg in legs if leg.port.kind == "gateway"),
        hiding=tuple(leg.port for leg in legs if leg.port.kind == "snat"),
        floating=tuple(sorted((r for r in rows if isinstance(r, FloatingRow) and is_here(r)), key=lambda r: r.id)),
        forwardings=tuple(sorted((r for r in rows if isinstance(r, ForwardingRow) and central), key=lambda r: r.id)),
        neighbours=tuple(sorted((r for r in rows if isinstance(r, NeighbourRow) and central), key=lambda r: r.id)),
        helpers=tuple(sorted((r for r in rows if isinstance(r, HelperRow)), key=lambda r: r.id)),
    )


def make_leg(port: InterfaceRow, known: Known | None, facts: HostFacts) -> Leg | None:
    if known is None:
        return None
    network, own = known.network, {address.subnet_id for address in port.addresses}
    subnets = tuple(s for s in known.subnets if s.id in own or port.kind == "gateway")
    segment = choose_segment(network, facts)
    revision = max(port.revision, network.revision, *(subnet.revision for subnet in subnets), 0)
    carried = network.admin_state_up and segment is not None
    return Leg(port, network, subnets, carried, find_provider(segment, facts, network.qinq), revision)


def compare_legs(legs: list[Leg]) -> list[Leg]:
    """The legs, with what each is beside the others."""
    widest = max((leg.network.mtu for leg in legs), default=0)
    scoped = frozenset(version for version in (4, 6) if any(find_scope(leg, version) for leg in legs))
    return [replace(leg, narrow=leg.network.mtu < widest, scoped=scoped) for leg in legs]


def find_scope(leg: Leg, version: int) -> str:
    """The address scope of the leg's network, by id; empty for none, which is one of its own."""
    return leg.network.ipv4_scope if version == 4 else leg.network.ipv6_scope


# -- numbers -----------------------------------------------------------------------------------------------------------


def number_routers(names: Collection[str], facts: HostFacts) -> dict[str, tuple[int, int]]:
    """By slice: the router's number in a register, and its conntrack zone. A function of what is there alone."""
    numbers = number_names(names)
    zones = choose_free(names, find_taken(facts))
    return {name: (numbers[name], zone) for name, zone in zones.items()}


def find_taken(facts: HostFacts) -> set[int]:
    """Numbers that ports have."""
    return {held.ofport for held in facts.interfaces.values()} | set(facts.ofports.values())


def choose_free(names: Collection[str], taken: set[int]) -> dict[str, int]:
    """A number of ZONES for each name, by hash, moved where it is taken; those that are given are taken then."""
    chosen = {}
    for name in sorted(names):
        number = ZONES[digest(name) % len(ZONES)]
        while number in taken:
            number = ZONES[(number + 1 - ZONES.start) % len(ZONES)]
        taken.add(number)
        chosen[name] = number
    return chosen


def digest(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=5).digest(), "big")


def host_mac(host: str) -> int:
    """What a host's routers send from on the wire, so that no switch sees a router's own address at two ports.

    Locally administered, and told by the host's name alone, as 40 bits of a hash.
    """
    return 0x0E << 40 | digest(host)

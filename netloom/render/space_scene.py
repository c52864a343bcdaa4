"""What render sees of one router on one host: its legs, each with the network that it stands on.

Law 4: a leg whose network is not known here, or that is bound elsewhere, is not there; the others work without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netloom.model.address import ip_version, parse_net
from netloom.model.facts import ConnectionSync, HostFacts
from netloom.model.slices import (
    FloatingRow,
    ForwardingRow,
    HelperRow,
    InterfaceRow,
    NeighbourRow,
    NetworkRow,
    RouterRow,
    Slice,
    Slices,
    SubnetRow,
    find_changed,
)
from netloom.render.qos import Limits
from netloom.render.scene import find_network

PREFIXES = {"internal": "qr-", "gateway": "qg-", "ha": "ha-"}
FIRST_MARK = 999
"""Of the first gateway, where it needs one; the others have 1, 2 …"""
ID_LENGTH = 11
"""How much of a port's id is in the names of its devices, as operators know them."""


def space_name(router: str) -> str:
    return f"qrouter-{router}"


def host_end(port: str) -> str:
    """The device on the switch that belongs to a port of a router."""
    return f"tap{port[:ID_LENGTH]}"


@dataclass(frozen=True, slots=True)
class Leg:
    """A port of the router, its network, and those of the network's subnets that the host knows."""

    port: InterfaceRow
    network: NetworkRow
    subnets: tuple[SubnetRow, ...]

    @property
    def device(self) -> str:
        return f"{PREFIXES[self.port.kind]}{self.port.id[:ID_LENGTH]}"

    @property
    def cidrs(self) -> tuple[str, ...]:
        """Its addresses with the lengths of their subnets; one whose subnet is not known stands alone."""
        lengths = {subnet.id: parse_net(subnet.cidr).prefixlen for subnet in self.subnets}
        return tuple(
            f"{a.ip}/{lengths.get(a.subnet_id, 32 if ip_version(a.ip) == 4 else 128)}" for a in self.port.addresses
        )

    @property
    def own_subnets(self) -> tuple[SubnetRow, ...]:
        """Those that it has an address of."""
        ids = {address.subnet_id for address in self.port.addresses}
        return tuple(subnet for subnet in self.subnets if subnet.id in ids)


@dataclass(frozen=True, slots=True)
class SpaceScene:
    """One router whose namespace is on this host."""

    router: RouterRow
    host: str
    integration: str
    plain: bool  # the switch is one in user space
    legs: tuple[Leg, ...] = ()
    floating: tuple[FloatingRow, ...] = ()
    forwardings: tuple[ForwardingRow, ...] = ()
    neighbours: tuple[NeighbourRow, ...] = ()
    helpers: tuple[HelperRow, ...] = ()
    sync: ConnectionSync | None = None
    redirect: bool = False  # it answers for the metadata service
    limits: Mapping[str, Limits] = field(default_factory=dict)  # what QoS policies say, by id

    @property
    def netns(self) -> str:
        return space_name(self.router.id)

    @property
    def slice(self) -> str:
        return f"router/{self.router.id}"

    @property
    def gateways(self) -> tuple[Leg, ...]:
        """The one that counts first."""
        found = [leg for leg in self.legs if leg.port.kind == "gateway"]
        return tuple(sorted(found, key=lambda leg: (leg.port.id != self.router.gateway_port_id, leg.port.id)))

    @property
    def shared(self) -> bool:
        """Whether several gateways share what leaves."""
        return self.router.default_route_ecmp and len(self.gateways) > 1

    @property
    def marks(self) -> Mapping[str, int]:
        """The mark of what came by a gateway's device, and is to go back by it, where that is not the only way out."""
        first = {leg.device: FIRST_MARK for leg in self.gateways[:1] if self.shared}
        return first | {leg.device: number for number, leg in enumerate(self.gateways) if number}

    @property
    def served(self) -> tuple[Leg, ...]:
        """All but what joins the copies."""
        return tuple(leg for leg in self.legs if leg.port.kind != "ha")


def find_carried(slices: Slices, host: str) -> Iterator[tuple[RouterRow, Slice]]:
    """The routers that have, or have a copy of, their namespace on this host, and are switched on; by id."""
    for name in sorted(name for name in slices if name.startswith("router/")):
        router = find_router(slices[name])
        if router is None or router.distributed or not router.admin_state_up:
            continue
        if any(one.name == host for one in router.hosts):
            yield router, slices[name]


def find_router(found: Slice | None) -> RouterRow | None:
    row = found.rows.get(found.name) if found is not None else None
    return row if isinstance(row, RouterRow) else None


@dataclass(frozen=True, slots=True)
class Ground:
    """What a router needs of a network: nothing of the ports there, which are many and change all the time."""

    network: NetworkRow
    subnets: tuple[SubnetRow, ...]


def find_ground(part: Slice | None) -> Ground | None:
    network = find_network(part)
    if part is None or network is None:
        return None
    subnets = sorted((row for row in part.rows.values() if isinstance(row, SubnetRow)), key=lambda row: row.id)
    return Ground(network, tuple(subnets))


class Grounds:
    """The ground of each network, the same object while it is the same: at the cost of what changed in the slice."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[Slice, Ground | None]] = {}

    def find(self, name: str, slices: Slices) -> Ground | None:
        part, (old, held) = slices.get(name), self._held.get(name, (None, None))
        if part is None:
            return None
        if old is None or any(key.startswith(("network/", "subnet/")) for key in find_changed(old, part)):
            fresh = find_ground(part)
            held = held if held == fresh else fresh
        self._held[name] = (part, held)
        return held


def find_legs(router: RouterRow, found: Slice, grounds: Mapping[str, Ground | None], host: str) -> Iterator[Leg]:
    for row in sorted((r for r in found.rows.values() if isinstance(r, InterfaceRow)), key=lambda r: r.id):
        ground = grounds.get(f"network/{row.network_id}")
        if ground is not None and row.kind in PREFIXES and is_here(router, row, host):
            yield Leg(row, ground.network, ground.subnets)


def is_here(router: RouterRow, row: InterfaceRow, host: str) -> bool:
    """Whether the port is this host's. Each copy of an HA router has all ports but those that join the copies."""
    return row.host == host or (router.ha and row.kind != "ha" and bool(row.host))


def make_space_scene(
    router: RouterRow,
    found: Slice,
    grounds: Mapping[str, Ground | None],
    facts: HostFacts,
    limits: Mapping[str, Limits],
) -> SpaceScene:
    rows = sorted(found.rows.items())
    return SpaceScene(
        router=router,
        host=facts.host,
        integration=facts.integration_bridge,
        plain=facts.datapath_type == "netdev",
        legs=tuple(find_legs(router, found, grounds, facts.host)),
        floating=tuple(row for _, row in rows if isinstance(row, FloatingRow)),
        forwardings=tuple(row for _, row in rows if isinstance(row, ForwardingRow)),
        neighbours=tuple(row for _, row in rows if isinstance(row, NeighbourRow)),
        helpers=tuple(row for _, row in rows if isinstance(row, HelperRow)),
        sync=facts.connection_sync,
        redirect=facts.metadata_redirect,
        limits=limits,
    )

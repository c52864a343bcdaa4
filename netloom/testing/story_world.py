"""The world of a story that states its slices: networks and ports are given, and each host has what resolve would give.

For what no request leads to (a row that is missing, a port on a network that nobody knows), and for property tests.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netloom.model.address import ip_version, parse_mac
from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import (
    Address,
    AddressPair,
    FollowRow,
    GroupRow,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.testing.connections import Connections
from netloom.testing.simulator import SimHost, render_sim_host
from netloom.testing.story_packets import StoryError

OPEN = "open"
"""The security group that every port of such a story is in: all may pass."""


def make_open_group() -> dict[str, Row]:
    rules = (RuleRow(f"{way}{n}", way, n) for way in ("ingress", "egress") for n in (4, 6))
    return {f"group/{OPEN}": GroupRow(OPEN), **{f"rule/{rule.id}": rule for rule in rules}}


@dataclass(slots=True)
class World:
    """What the story has given so far."""

    networks: dict[str, NetworkRow] = field(default_factory=dict)
    subnets: dict[str, list[SubnetRow]] = field(default_factory=dict)
    ports: dict[str, PortRow] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)  # port → host
    unplugged: set[str] = field(default_factory=set)
    groups: dict[str, dict[str, Row]] = field(default_factory=lambda: {f"group/{OPEN}": make_open_group()})
    connections: dict[str, Connections] = field(default_factory=dict)

    def port(self, name: str) -> PortRow:
        if name not in self.ports:
            raise StoryError(f"there is no port {name}")
        return self.ports[name]

    def host_of(self, name: str) -> str:
        if name in self.unplugged:
            raise StoryError(f"{name} is not plugged")
        return self.hosts[self.port(name).id]

    def find_seat(self, name: str) -> tuple[str, int]:
        return name, 0

    def slices_of(self, host: str) -> Slices:
        return make_slices(self, host)

    def simulate(self) -> dict[str, SimHost]:
        hosts = sorted(set(self.hosts.values()))
        return {
            host: render_sim_host(
                make_slices(self, host), make_facts(self, host), self.connections.setdefault(host, Connections())
            )
            for host in hosts
        }

    def name_of(self, port: PortRow) -> str:
        return port.id

    def say(self, text: str) -> str:
        return text


# -- given -------------------------------------------------------------------------------------------------------------


def give(world: World, rest: str) -> None:
    kind, name, *words = rest.replace(",", " ,").split()
    if kind == "network":
        give_network(world, name, words)
    elif kind == "port":
        give_port(world, name, words)
    else:
        raise StoryError(f"{kind} is nothing to give")


def give_network(world: World, name: str, words: list[str]) -> None:
    number = len(world.networks) + 1
    kind = words[0]
    physical = "physnet" if kind in ("flat", "vlan") else ""
    segment = Segment(kind, physical, 0 if kind in ("flat", "local") else 100 + number)
    world.networks[name] = NetworkRow(name, number, name, segments=(segment,))
    world.subnets[name] = [
        SubnetRow(f"{name}-{n}", name, cidr, ip_version(cidr), ipv6_ra_mode="slaac" if ":" in cidr else "")
        for n, cidr in enumerate(words[1:])
    ]


def give_port(world: World, name: str, words: list[str]) -> None:
    if words[0] != "on" or words[2] != "at":
        raise StoryError("a port is given as: port NAME on NETWORK at HOST")
    mac = f"fa:16:3e:00:00:{len(world.ports) + 1:02x}"
    port, host = PortRow(name, words[1], mac, groups=(OPEN,)), words[3]
    for part in " ".join(words[4:]).split(","):
        port = change_port(world, port, part.split())
    world.ports[name], world.hosts[name] = port, host


def change_port(world: World, port: PortRow, words: list[str]) -> PortRow:
    match words:
        case []:
            return port
        case ["ip", ip]:
            return replace(port, addresses=(*port.addresses, Address(ip)))
        case ["pair", ip]:
            return replace(port, pairs=(*port.pairs, AddressPair(ip, port.mac)))
        case ["pair", ip, mac]:
            return replace(port, pairs=(*port.pairs, AddressPair(ip, parse_mac(mac))))
        case ["open"]:
            return replace(port, port_security=False, groups=())
        case ["down"]:
            return replace(port, admin_state_up=False)
        case ["unplugged"]:
            world.unplugged.add(port.id)
            return port
    raise StoryError(f"{' '.join(words)} is nothing that a port has")


# -- the hosts of the story --------------------------------------------------------------------------------------------


def make_slices(world: World, host: str) -> Slices:
    """What `resolve` would give this host."""
    own: dict[str, Row] = {f"port/{n}": p for n, p in world.ports.items() if world.hosts[n] == host}
    used = dict.fromkeys(p.network_id for n, p in world.ports.items() if world.hosts[n] == host)
    own |= {f"follow/network/{n}": FollowRow(f"network/{n}") for n in used}
    found = {f"host/{host}": Slice(f"host/{host}", 1, own)}
    for name in used:
        if name in world.networks:
            found[f"network/{name}"] = Slice(f"network/{name}", 1, make_rows(world, name))
    return found | find_group_slices(world, own)


def find_group_slices(world: World, own: dict[str, Row]) -> dict[str, Slice]:
    """The groups of the host's ports, and what they lead to."""
    named = {
        f"group/{id}" for row in own.values() if isinstance(row, PortRow) for id in row.groups
    } & world.groups.keys()
    own |= {f"follow/{name}": FollowRow(name) for name in sorted(named)}
    rows = (row for name in named for row in world.groups[name].values())
    named |= {row.slice for row in rows if isinstance(row, FollowRow)} & world.groups.keys()
    return {name: Slice(name, 1, world.groups[name]) for name in sorted(named)}


def make_rows(world: World, network: str) -> dict[str, Row]:
    rows: dict[str, Row] = {f"network/{network}": world.networks[network]}
    rows |= {f"subnet/{s.id}": s for s in world.subnets[network]}
    for name, port in world.ports.items():
        if port.network_id == network:
            host = world.hosts[name]
            rows[f"place/{name}"] = PlaceRow(
                name, port.mac, host, port.addresses, port.pairs, port.device_owner, not port.port_security
            )
            rows[f"host/{host}"] = HostRow(host, tunnel_ip(world, host), ("vxlan", "gre", "geneve"))
    return rows


def tunnel_ip(world: World, host: str) -> str:
    return f"192.0.2.{sorted(set(world.hosts.values())).index(host) + 1}"


def make_facts(world: World, host: str) -> HostFacts:
    local = [n for n in world.ports if world.hosts[n] == host and n not in world.unplugged]
    named = ("patch-tun", "int-br-ex"), ("patch-int", "nl-vxlan", "nl-gre", "nl-geneve"), ("phy-br-ex",)
    bridges = ("br-int", "br-tun", "br-ex")
    ofports = {(b, n): i + 1 for b, names in zip(bridges, named, strict=True) for i, n in enumerate(names)}
    interfaces = {n: Interface(f"tap-{n}", 10 + i) for i, n in enumerate(local)}
    return HostFacts(
        host, tunnel_ip(world, host), ("vxlan", "gre", "geneve"), {"physnet": "br-ex"}, "netdev", interfaces, ofports
    )

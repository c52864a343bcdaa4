"""Stories: text files that an operator would nod at, run against the real renderer in the simulator.

    A port may not send from another's address.

    given network blue vxlan 10.1.0.0/24
    given port a on blue at h1, ip 10.1.0.5
    given port b on blue at h2, ip 10.1.0.6
    when a sends ip 10.1.0.9 to b
    then dropped in guard

Words. given: `network NAME TYPE CIDR…` (TYPE: local, flat, vlan, vxlan, gre, geneve), `port NAME on NETWORK at HOST`
with `, ip ADDRESS`, `, pair ADDRESS [MAC]`, `, open` (no port security), `, down`, `, unplugged`. when: `NAME sends`
`arp ADDRESS`, `probe ADDRESS`, `solicit ADDRESS`, `ip SOURCE to NAME`, `ip to NAME`, `broadcast`, `unknown`, `dhcp`,
`dhcp6`, `rs`, `as MAC to NAME`, `udp PORT to NAME`, `advert`. then: `arrives at NAME…` (there and nowhere else),
`answered`, `to agent`, `nothing arrives`, `dropped in TABLE`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from netloom.model.address import ip_int, ip_version, link_local, mac_int, parse_mac
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import ARP, ICMPV6, IPV4, IPV6, UDP
from netloom.model.slices import (
    Address,
    AddressPair,
    FollowRow,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Row,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.testing.simulator import Packet, Walk, render_sim_host, send

BROADCAST = 0xFFFFFFFFFFFF


class StoryError(Exception):
    """A story that does not come true, or cannot be read; says which line."""


@dataclass(slots=True)
class World:
    """What the story has given so far."""

    networks: dict[str, NetworkRow] = field(default_factory=dict)
    subnets: dict[str, list[SubnetRow]] = field(default_factory=dict)
    ports: dict[str, PortRow] = field(default_factory=dict)
    hosts: dict[str, str] = field(default_factory=dict)  # port → host
    unplugged: set[str] = field(default_factory=set)
    walk: Walk = field(default_factory=Walk)

    def port(self, name: str) -> PortRow:
        if name not in self.ports:
            raise StoryError(f"there is no port {name}")
        return self.ports[name]


def run_story(text: str) -> int:
    """Run a story; the number of its claims. Raises StoryError at the first that is not so."""
    world, claims = World(), 0
    for number, line in read_lines(text):
        verb, _, rest = line.partition(" ")
        try:
            if verb == "given":
                give(world, rest)
            elif verb == "when":
                world.walk = play(world, rest)
            elif verb == "then":
                claim(world, rest)
                claims += 1
            else:
                raise StoryError("a line begins with given, when or then")
        except StoryError as error:
            raise StoryError(f"line {number}: {line}\n{error}\n{world.walk.describe()}") from None
    return claims


def read_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines after the title, without blanks and comments."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith(("given ", "when ", "then ")):
            yield number, words
        elif number > 1 and words and not words.startswith("#"):
            raise StoryError(f"line {number}: {line}: a line begins with given, when or then")


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
    port, host = PortRow(name, words[1], mac), words[3]
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
            return replace(port, port_security=False)
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
    return found


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


# -- when --------------------------------------------------------------------------------------------------------------


def play(world: World, rest: str) -> Walk:
    name, verb, *words = rest.split()
    if verb != "sends":
        raise StoryError("what happens is: NAME sends …")
    hosts = {
        host: render_sim_host(make_slices(world, host), make_facts(world, host)) for host in set(world.hosts.values())
    }
    if name in world.unplugged:
        raise StoryError(f"{name} is not plugged")
    return send(hosts, world.hosts[name], f"tap-{name}", make_packet(world, world.port(name), words))


def make_packet(world: World, port: PortRow, words: list[str]) -> Packet:
    kind, *rest = words
    makers: dict[str, Callable[[World, PortRow, list[str]], Packet]] = {
        "arp": make_arp, "probe": make_arp, "solicit": make_solicit, "ip": make_ip, "as": make_forged,
        "udp": make_udp,
    }  # fmt: skip
    if kind in makers:
        return makers[kind](world, port, words)
    ethernet = {"eth_src": mac_int(port.mac), "eth_dst": BROADCAST}
    v4, v6 = find_source(port, 4), find_source(port, 6)
    plain: dict[str, Packet] = {
        "broadcast": {**ethernet, "eth_type": IPV4, "ip_src": v4, "ip_dst": 0xFFFFFFFF, "ip_proto": UDP},
        "unknown": {**ethernet, "eth_dst": 0x020000000099, "eth_type": IPV4, "ip_src": v4, "ip_proto": 6},
        "dhcp": {**ethernet, "eth_type": IPV4, "ip_src": 0, "ip_proto": UDP, "udp_src": 68, "udp_dst": 67},
        "dhcp6": {**ethernet, "eth_dst": 0x333300010002, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": UDP,
                  "udp_src": 546, "udp_dst": 547},
        "rs": {**ethernet, "eth_dst": 0x333300000002, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": ICMPV6,
               "icmpv6_type": 133},
        "advert": {**ethernet, "eth_dst": 0x333300000001, "eth_type": IPV6, "ipv6_src": v6, "ip_proto": ICMPV6,
                   "icmpv6_type": 134},
    }  # fmt: skip
    if kind not in plain or rest:
        raise StoryError(f"nobody knows how to send {' '.join(words)}")
    return plain[kind]


def find_source(port: PortRow, version: int) -> int:
    if version == 6:
        return ip_int(link_local(port.mac))
    return next((ip_int(a.ip) for a in port.addresses if ip_version(a.ip) == 4), 0)


def make_arp(world: World, port: PortRow, words: list[str]) -> Packet:
    """`arp ADDRESS [as ADDRESS]`, or `probe ADDRESS`, which asks in nobody's name."""
    source = ip_int(words[3]) if len(words) > 3 else find_source(port, 4)
    return {
        "eth_src": mac_int(port.mac), "eth_dst": BROADCAST, "eth_type": ARP, "arp_op": 1,
        "arp_sha": mac_int(port.mac), "arp_spa": 0 if words[0] == "probe" else source,
        "arp_tha": 0, "arp_tpa": ip_int(words[1]),
    }  # fmt: skip


def make_solicit(world: World, port: PortRow, words: list[str]) -> Packet:
    source = next((ip_int(a.ip) for a in port.addresses if ip_version(a.ip) == 6), find_source(port, 6))
    return {
        "eth_src": mac_int(port.mac), "eth_dst": 0x3333FF000000, "eth_type": IPV6, "ipv6_src": source,
        "ip_proto": ICMPV6, "icmpv6_type": 135, "icmpv6_code": 0, "nd_target": ip_int(words[1]),
        "nd_sll": mac_int(port.mac), "nd_options_type": 1,
    }  # fmt: skip


def make_ip(world: World, port: PortRow, words: list[str]) -> Packet:
    """`ip [SOURCE] to NAME`."""
    target = world.port(words[-1])
    given = words[1] if words[1] != "to" else next(iter(a.ip for a in port.addresses))
    version = ip_version(given)
    source = "ip_src" if version == 4 else "ipv6_src"
    return {
        "eth_src": mac_int(port.mac), "eth_dst": mac_int(target.mac), "eth_type": IPV4 if version == 4 else IPV6,
        source: ip_int(given), "ip_proto": 6,
    }  # fmt: skip


def make_forged(world: World, port: PortRow, words: list[str]) -> Packet:
    """`as MAC to NAME`."""
    packet = make_ip(world, port, ["ip", "to", words[-1]])
    return {**packet, "eth_src": mac_int(parse_mac(words[1]))}


def make_udp(world: World, port: PortRow, words: list[str]) -> Packet:
    """`udp SOURCE_PORT to NAME`."""
    packet = make_ip(world, port, ["ip", "to", words[-1]])
    return {**packet, "ip_proto": UDP, "udp_src": int(words[1]), "udp_dst": 9}


# -- then --------------------------------------------------------------------------------------------------------------


def claim(world: World, rest: str) -> None:
    walk, words = world.walk, rest.split()
    match words:
        case ["arrives", "at", *names]:
            hope(walk.devices == {f"tap-{name.strip(',')}" for name in names}, "it arrives elsewhere")
        case ["answered"]:
            sender = walk.arrived[0][1] if walk.arrived else ""
            hope(len(walk.arrived) == 1 and bool(sender), "there is no answer")
        case ["to", "agent"]:
            hope(len(walk.to_agent) == 1 and not walk.arrived, "it does not go to the agent alone")
        case ["nothing", "arrives"]:
            hope(not walk.arrived and not walk.to_agent, "something arrives")
        case ["dropped", "in", table]:
            hope(not walk.arrived and not walk.to_agent and walk.last_table == table, f"not dropped in {table}")
        case _:
            raise StoryError(f"{rest} is nothing to claim")
    hope(not walk.lost, "a packet was lost on the way")


def hope(true: bool, otherwise: str) -> None:
    if not true:
        raise StoryError(otherwise)

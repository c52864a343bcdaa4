"""Flows of one distributed router on br-int: what is for it, and where it sends what is not.

    switch ─▶ router ─▶ route ─▶ neighbour ─▶ switch
                 └─▶ inbound ─▶ ct ─┘ └─▶ outbound ─▶ ct ─▶ neighbour     (see `router_nat`)

A router's MAC address is a destination like any other, so the switch table leads to the router, and the router leads
back to the switch table of the network that the packet goes on in. That happens on the host where the packet was sent:
between hosts it travels in its last network, straight to the host of its destination. v4 and v6 differ in FAMILIES.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netloom.model.address import ip_int, ip_version, link_local, mac_int, parse_net
from netloom.model.flow import (
    ARP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    Action,
    CheckLarger,
    CtClear,
    Flow,
    Goto,
    Match,
    Move,
    Multipath,
    Resubmit,
    SetField,
    ToController,
    make_match,
)
from netloom.model.slices import InterfaceRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.networks import answer_nd
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import (
    INBOUND,
    LARGE,
    NEIGHBOUR,
    OUTBOUND,
    PATH,
    REASON_EXPIRED,
    REASON_HEARD,
    REASON_LARGE,
    ROUTE,
    ROUTER,
    SCOPE,
    SERVICES,
    SIZE,
    SWITCH,
)
from netloom.render.router_scene import Leg, RouterScene

Rule = tuple[int, int, Match, tuple[Action, ...], tuple[str, ...], int]
"""(table, priority, match, actions, ids of the reason, its revision)."""


@dataclass(frozen=True, slots=True)
class Family:
    """What IPv4 and IPv6 call the same things. `next`: the registers that hold a next hop, the highest bits first."""

    version: int
    eth_type: int
    src: str
    dst: str
    icmp: int
    type: str
    code: str
    echo: int
    reply: int
    next: tuple[str, ...]
    bits: int

    def match(self, number: int, **tests: int | str | tuple[int, int]) -> Match:
        return make_match(**{reg.ROUTER: number}, eth_type=self.eth_type, **tests)

    def hop_to(self, address: str) -> tuple[Action, ...]:
        """The next hop is this one."""
        value, count = ip_int(address), len(self.next)
        return tuple(SetField(r, value >> 32 * (count - 1 - at) & 0xFFFFFFFF) for at, r in enumerate(self.next))

    def hop_there(self) -> tuple[Action, ...]:
        """The next hop is the packet's destination."""
        count = len(self.next)
        return tuple(Move(self.dst, r, 32, 32 * (count - 1 - at), 0) for at, r in enumerate(self.next))

    def is_next(self, address: str) -> dict[str, int]:
        """What the registers hold where this is the next hop."""
        return {action.field: action.value for action in self.hop_to(address) if isinstance(action, SetField)}


FAMILIES = {
    4: Family(4, IPV4, "ip_src", "ip_dst", ICMP, "icmp_type", "icmp_code", 8, 0, reg.NEXT[-1:], 32),
    6: Family(6, IPV6, "ipv6_src", "ipv6_dst", ICMPV6, "icmpv6_type", "icmpv6_code", 128, 129, reg.NEXT, 128),
}
TTL = 65
"""Of what a router sends itself: one more than an instance sees, as its own table takes one off."""
ETHERNET = 14
"""Bytes of a frame before its packet."""


def family_of(address: str) -> Family:
    return FAMILIES[ip_version(address)]


def render_router(scene: RouterScene) -> tuple[Flow, ...]:
    """All flows of the router but what it translates."""
    rules = [
        *find_entries(scene), *find_own(scene), *find_heard(scene), *find_passing(scene), *find_routes(scene),
        *find_sizes(scene),
    ]  # fmt: skip
    return make_flows(scene, rules, "routers.render_router")


def make_flows(scene: RouterScene, rules: list[Rule], by: str) -> tuple[Flow, ...]:
    cookie = make_cookie(scene.slice)
    return tuple(
        make_flow(scene.integration, table, priority, match, actions, cookie, Why(revision, (*ids, scene.slice), by))
        for table, priority, match, actions, ids, revision in rules
    )


def name_port(port: InterfaceRow) -> tuple[str, ...]:
    return (f"port/{port.id}",)


# -- what is for the router --------------------------------------------------------------------------------------------


def enter(scene: RouterScene) -> tuple[Action, ...]:
    """To the router, remembering by which network. What its sender's rules said of the connection is forgotten."""
    return SetField(reg.ROUTER, scene.number), Move(reg.NETWORK, reg.ORIGIN, 32), CtClear(), Resubmit(ROUTER)


def find_entries(scene: RouterScene) -> Iterator[Rule]:
    """An interface is on every host, for the ports of that host alone; SNAT ports and gateways are on one host."""
    for leg in scene.inner:
        if leg.carried:
            yield make_entry(scene, leg.port, {reg.NETWORK: leg.network.number, reg.FROM: 0})
            yield from find_link_local(leg)
    if not scene.central:
        return
    numbers = {leg.network.id: leg.network.number for leg in scene.inner if leg.carried}
    for port in scene.hiding:
        if port.network_id in numbers:
            yield make_entry(scene, port, {reg.NETWORK: numbers[port.network_id]})
    for leg in scene.outer:
        if leg.carried:
            yield make_entry(scene, leg.port, {reg.NETWORK: leg.network.number})


def make_entry(scene: RouterScene, port: InterfaceRow, on: dict[str, int]) -> Rule:
    return SWITCH, 70, make_match(**on, eth_dst=port.mac), enter(scene), name_port(port), port.revision


def find_link_local(leg: Leg) -> Iterator[Rule]:
    """Router advertisements come from the link-local address, and clients look now and then whether it is still
    there."""
    if any(ip_version(address.ip) == 6 for address in leg.port.addresses):
        ip = link_local(leg.port.mac)
        match = make_match(
            **{reg.NETWORK: leg.network.number}, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135, icmpv6_code=0,
            nd_target=ip, nd_options_type=1,
        )  # fmt: skip
        yield SERVICES, 100, match, answer_nd(leg.port.mac, ip), name_port(leg.port), leg.port.revision


def find_own(scene: RouterScene) -> Iterator[Rule]:
    """It answers pings to its own addresses, and nothing else that is sent there."""
    for leg in (*scene.inner, *(scene.outer if scene.central else ())):
        ids, revision = name_port(leg.port), leg.port.revision
        for address in leg.port.addresses:
            family = family_of(address.ip)
            ping = {"ip_proto": family.icmp, family.type: family.echo, family.code: 0}
            match = family.match(scene.number, **{family.dst: address.ip}, **ping)
            yield ROUTER, 100, match, answer_echo(family, address.ip), ids, revision
            if leg.port.kind == "internal":
                match = family.match(scene.number, **{family.dst: address.ip})
                yield ROUTER, 90, match, (), ids, revision


def find_heard(scene: RouterScene) -> Iterator[Rule]:
    """Answers to what the agent asked outside (see `neighbours`) go to the agent."""
    answers: tuple[dict[str, int], ...] = (
        {"eth_type": ARP, "arp_op": 2},
        {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": 136, "icmpv6_code": 0},
    )
    for leg in scene.outer:
        for tests in answers if leg.carried else ():
            match = make_match(**{reg.ROUTER: scene.number, reg.NETWORK: leg.network.number}, **tests)
            yield ROUTER, 110, match, (ToController(REASON_HEARD),), name_port(leg.port), leg.port.revision


def answer_echo(family: Family, ip: str) -> tuple[Action, ...]:
    """The request turned into its reply (RFC 792, RFC 4443), and routed back."""
    return (
        Move(family.src, family.dst, family.bits),
        SetField(family.src, ip_int(ip)),
        SetField(family.type, family.reply),
        SetField("nw_ttl", TTL),
        Goto(ROUTE),
    )


def find_passing(scene: RouterScene) -> Iterator[Rule]:
    """What is not for the router goes on, unless it has gone on long enough (RFC 1812, 5.3.1): then the agent says
    so."""
    revision = scene.row.revision
    for family in FAMILIES.values():
        for ttl in (0, 1):
            yield ROUTER, 80, family.match(scene.number, nw_ttl=ttl), (ToController(REASON_EXPIRED),), (), revision
        for leg in scene.outer:
            if leg.carried:
                match = family.match(scene.number, **{reg.NETWORK: leg.network.number})
                yield ROUTER, 20, match, (Goto(INBOUND),), name_port(leg.port), leg.port.revision
        yield ROUTER, 10, family.match(scene.number), (Goto(ROUTE),), (), revision


# -- where it sends it -------------------------------------------------------------------------------------------------


def find_routes(scene: RouterScene) -> Iterator[Rule]:
    """The longest prefix first; a subnet of the router's own before a route to the same prefix, and those before the
    gateway."""
    for leg in (*scene.inner, *scene.outer):
        for subnet in leg.subnets:
            yield make_route(scene, leg, subnet.cidr, 2, "", (f"subnet/{subnet.id}",), leg.revision)
    for choice, (destination, nexthops) in enumerate(find_extra(scene).items()):
        if len(nexthops) > 1:
            yield from make_choice(scene, choice, destination, nexthops)
        else:
            (nexthop, leg) = nexthops[0]
            yield make_route(scene, leg, destination, 1, nexthop, (), scene.row.revision)
    yield from find_defaults(scene)


def find_extra(scene: RouterScene) -> dict[str, list[tuple[str, Leg]]]:
    """By destination in order, its next hops, each with the leg that it is on."""
    found: dict[str, list[tuple[str, Leg]]] = {}
    for route in sorted(scene.row.routes, key=lambda route: (route.destination, ip_int(route.nexthop))):
        leg = find_leg(scene, route.nexthop)
        if leg is not None:
            found.setdefault(route.destination, []).append((route.nexthop, leg))
    return found


def make_choice(scene: RouterScene, choice: int, destination: str, nexthops: list[tuple[str, Leg]]) -> Iterator[Rule]:
    """Equal routes: each connection keeps to one (RFC 2992)."""
    family, revision = family_of(destination), scene.row.revision
    choose = (Multipath(len(nexthops), reg.PATH), SetField(reg.CHOICE, choice), Goto(PATH))
    match = family.match(scene.number, **{family.dst: destination})
    yield ROUTE, find_priority(destination, 1), match, choose, (), revision
    for path, (nexthop, leg) in enumerate(nexthops):
        on = family.match(scene.number, **{reg.CHOICE: choice, reg.PATH: path})
        yield PATH, 100, on, find_way(leg, family, nexthop), name_port(leg.port), revision


def find_defaults(scene: RouterScene) -> Iterator[Rule]:
    """By the first gateway, to the gateway of its network's subnets, one for each IP version."""
    seen = set[int]()
    for leg in sorted(scene.outer, key=lambda leg: leg.port.id != scene.row.gateway_port_id):
        own = {address.subnet_id for address in leg.port.addresses}
        for subnet in leg.subnets:
            if subnet.gateway_ip and subnet.id in own and subnet.ip_version not in seen:
                seen.add(subnet.ip_version)
                everywhere = "0.0.0.0/0" if subnet.ip_version == 4 else "::/0"
                ids = (f"subnet/{subnet.id}", *name_port(leg.port))
                yield make_route(scene, leg, everywhere, 0, subnet.gateway_ip, ids, leg.revision)


def find_leg(scene: RouterScene, nexthop: str) -> Leg | None:
    """The leg on whose subnet a next hop is."""
    return next((leg for leg in (*scene.inner, *scene.outer) if is_on(leg, nexthop)), None)


def is_on(leg: Leg, address: str) -> bool:
    return any(
        ip_version(address) == subnet.ip_version
        and ip_int(address) & int(parse_net(subnet.cidr).netmask) == int(parse_net(subnet.cidr).network_address)
        for subnet in leg.subnets
    )


def make_route(
    scene: RouterScene, leg: Leg, prefix: str, rank: int, nexthop: str, ids: tuple[str, ...], revision: int
) -> Rule:
    family = family_of(prefix)
    match = family.match(scene.number, **{family.dst: prefix})
    return ROUTE, find_priority(prefix, rank), match, find_way(leg, family, nexthop), ids, revision


def find_priority(prefix: str, rank: int) -> int:
    return 10 + 3 * parse_net(prefix).prefixlen + rank


def find_way(leg: Leg, family: Family, nexthop: str) -> tuple[Action, ...]:
    """Out by a leg, to a next hop or, where that is empty, straight to the destination."""
    return (
        *(family.hop_to(nexthop) if nexthop else family.hop_there()),
        reg.set_network(leg.network.number),
        SetField("eth_src", mac_int(leg.port.mac)),
        Goto(SIZE) if leg.narrow else leave_by(leg, family),
    )


def leave_by(leg: Leg, family: Family) -> Goto:
    return Goto(OUTBOUND if leg.port.kind == "gateway" else find_last(leg, family))


def find_last(leg: Leg, family: Family) -> int:
    """The table for what goes on in the leg's network as it is."""
    return SCOPE if family.version in leg.scoped else NEIGHBOUR


def find_sizes(scene: RouterScene) -> Iterator[Rule]:
    """What a network does not take goes no further, and the agent says so to whoever sent it (RFC 1191, RFC 8201): a
    switch cuts nothing up. Only what comes from a network that takes more is looked at."""
    legs = (*scene.inner, *scene.outer)
    for leg in legs:
        for family in FAMILIES.values() if leg.narrow else ():
            ids, on = name_port(leg.port), {reg.NETWORK: leg.network.number}
            check = (CheckLarger(leg.network.mtu + ETHERNET, reg.LARGE), Goto(LARGE))
            for origin in {one.network.number for one in legs if one.network.mtu > leg.network.mtu}:
                yield SIZE, 100, family.match(scene.number, **on, **{reg.ORIGIN: origin}), check, ids, leg.revision
            large = family.match(scene.number, **on, **{reg.LARGE: 1})
            yield LARGE, 100, large, (ToController(REASON_LARGE),), ids, leg.revision
            for table in (SIZE, LARGE):
                yield table, 10, family.match(scene.number, **on), (leave_by(leg, family),), ids, leg.revision

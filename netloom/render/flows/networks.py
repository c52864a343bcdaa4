"""Flows of one network on br-int: in from outside, what the host answers for it, and where a MAC address leads.

Unicast goes to the one port or host that has the address. Broadcast and multicast go where the network is. Unicast to
an address that nobody is known to have goes only where it may be: to ports without port security, and to the physical
network; else nowhere. What came from outside never goes back there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from netloom.model.address import ip_int, ip_version, mac_int, parse_net
from netloom.model.flow import (
    ARP,
    ICMPV6,
    IPV4,
    IPV6,
    UDP,
    VLAN_PRESENT,
    Action,
    Flow,
    Goto,
    Match,
    Move,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    ToController,
    make_match,
)
from netloom.model.slices import PlaceRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.answers.scope import SERVER_MAC, server_address
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import (
    ADVERTISE,
    ANSWER,
    CLASSIFY,
    INGRESS,
    REASON_DHCP4,
    REASON_DHCP6,
    REASON_SOLICIT,
    SERVICES,
    SWITCH,
)
from netloom.render.scene import Plugged, Provider, Scene

FLOATING_IP = "network:floatingip"
DHCP_OWNER = "network:dhcp"
ROUTER_PREFIX = "network:router"
MULTICAST = (0x010000000000, 0x010000000000)
Rule = tuple[int, int, Match, tuple[Action, ...], tuple[str, ...], int]
"""(table, priority, match, actions, ids of the reason, its revision)."""


def render_network(scene: Scene) -> tuple[Flow, ...]:
    """All flows of the network on br-int but those of single ports."""
    cookie, network = make_cookie(scene.slice), scene.network
    rules = [*find_arrivals(scene), *find_services(scene), *find_answers(scene), *find_ways(scene)]
    return tuple(
        make_flow(
            scene.integration, table, priority, match, actions, cookie,
            Why(revision, (*ids, f"network/{network.id}"), "networks.render_network"),
        )
        for table, priority, match, actions, ids, revision in rules
    )  # fmt: skip


# -- in from outside ---------------------------------------------------------------------------------------------------


def find_arrivals(scene: Scene) -> Iterator[Rule]:
    number, revision = scene.network.number, scene.network.revision
    if scene.tunnel and scene.patch_tun:
        match = make_match(in_port=scene.patch_tun, pkt_mark=number)
        yield CLASSIFY, 90, match, (*enter(number, reg.FROM_TUNNEL), reg.UNMARK, Goto(SWITCH)), (), revision
    if scene.provider:
        vlan = scene.provider.vlan | VLAN_PRESENT if scene.provider.vlan else 0
        match = make_match(in_port=scene.provider.ofport, vlan_vid=vlan)
        pop: tuple[Action, ...] = (PopVlan(),) if vlan else ()
        yield CLASSIFY, 90, match, (*pop, *enter(number, reg.FROM_PROVIDER), Goto(SWITCH)), (), revision


def enter(number: int, origin: int) -> tuple[Action, ...]:
    return reg.set_network(number), SetField(reg.FROM, origin)


# -- what the host answers ---------------------------------------------------------------------------------------------


def find_services(scene: Scene) -> Iterator[Rule]:
    """DHCP and router solicitations go to the agent where a subnet asks for it; DHCP not where it has a server."""
    on, central = {reg.NETWORK: scene.network.number}, is_central(scene.places)
    for subnet in scene.subnets:
        ids = (f"subnet/{subnet.id}",)
        for match, reason in find_served(on, subnet.ip_version, subnet.enable_dhcp, subnet.ipv6_ra_mode):
            if central and reason != REASON_SOLICIT:
                continue
            yield SERVICES, 100, match, (ToController(reason),), ids, subnet.revision


def find_served(on: dict[str, int], version: int, dhcp: bool, ra_mode: str) -> Iterator[tuple[Match, int]]:
    if version == 4 and dhcp:
        yield make_match(**on, eth_type=IPV4, ip_proto=UDP, udp_src=68, udp_dst=67), REASON_DHCP4
    if version == 6 and dhcp:
        yield make_match(**on, eth_type=IPV6, ip_proto=UDP, udp_src=546, udp_dst=547), REASON_DHCP6
        if ra_mode:
            yield make_match(**on, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=133), REASON_SOLICIT


def find_answers(scene: Scene) -> Iterator[Rule]:
    """Who has this address? The host knows, for every port of the network and for the DHCP server, which it is.

    It does not of an address that ports may use beside their own and that is held by a port on no host: which of them
    has it they settle among themselves, so they are asked.
    """
    yield from find_server_answers(scene)
    shared = Shared(scene.places)
    for place in scene.places:
        if place.device_owner == FLOATING_IP and not place.host:
            continue  # its router answers, with a MAC of its own
        for address in place.addresses:
            if not place.host and not place.device_owner.startswith(ROUTER_PREFIX) and shared.has(address.ip):
                continue
            ids = (f"port/{place.id}",)
            if ip_version(address.ip) == 4:
                match = make_match(**{reg.NETWORK: scene.network.number}, eth_type=ARP, arp_op=1, arp_tpa=address.ip)
                yield SERVICES, 100, match, answer_arp(place.mac, address.ip), ids, place.revision
            else:
                match = make_match(
                    **{reg.NETWORK: scene.network.number}, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135,
                    icmpv6_code=0, nd_target=address.ip, nd_options_type=1,
                )  # fmt: skip
                yield SERVICES, 100, match, answer_nd(place.mac, address.ip), ids, place.revision


class Shared:
    """The addresses and prefixes that ports on hosts may use beside their own."""

    def __init__(self, places: Iterable[PlaceRow]) -> None:
        nets = {parse_net(pair.ip) for place in places if place.host for pair in place.pairs}
        self._single = {str(net.network_address) for net in nets if net.prefixlen == net.max_prefixlen}
        self._wide = [net for net in nets if net.prefixlen < net.max_prefixlen]

    def has(self, ip: str) -> bool:
        return ip in self._single or any(
            net.version == ip_version(ip) and ip_int(ip) & int(net.netmask) == int(net.network_address)
            for net in self._wide
        )


def find_server_answers(scene: Scene) -> Iterator[Rule]:
    """A client renews its lease by unicast (RFC 2131, 4.4.5), so somebody must have the server's address.

    Not on a physical network: there the gateway is a machine of its own.
    """
    taken = frozenset(address.ip for place in scene.places for address in place.addresses)
    for subnet in scene.subnets:
        if subnet.ip_version == 4 and subnet.enable_dhcp and not scene.provider and not is_central(scene.places):
            ip = server_address(subnet, taken)
            if ip and ip not in taken:
                match = make_match(**{reg.NETWORK: scene.network.number}, eth_type=ARP, arp_op=1, arp_tpa=ip)
                yield SERVICES, 100, match, answer_arp(SERVER_MAC, ip), (f"subnet/{subnet.id}",), subnet.revision


def is_central(places: tuple[PlaceRow, ...]) -> bool:
    """Whether a DHCP server of its own is on the network, so that its hosts do not answer."""
    return any(place.device_owner == DHCP_OWNER and place.host for place in places)


def answer_arp(mac: str, ip: str) -> tuple[Action, ...]:
    """The request turned into its reply (RFC 826), back out of the port that it came in by."""
    return (
        Move("eth_src", "eth_dst", 48),
        SetField("eth_src", mac_int(mac)),
        SetField("arp_op", 2),
        Move("arp_sha", "arp_tha", 48),
        Move("arp_spa", "arp_tpa", 32),
        SetField("arp_sha", mac_int(mac)),
        SetField("arp_spa", ip_int(ip)),
        Goto(ANSWER),
    )


def answer_nd(mac: str, ip: str) -> tuple[Action, ...]:
    """The solicitation turned into a solicited advertisement that overrides (RFC 4861, 7.2.4).

    The option is rewritten in place: a source address (type 1) becomes a target address (type 2). What is in it can be
    written only where the packet matches as an advertisement, so that is a table of its own.
    """
    return (
        Move("eth_src", "eth_dst", 48),
        SetField("eth_src", mac_int(mac)),
        Move("ipv6_src", "ipv6_dst", 128),
        SetField("ipv6_src", ip_int(ip)),
        SetField("nd_options_type", 2),
        SetField("nd_reserved", 0x60000000),
        SetField("icmpv6_type", 136),
        Goto(ADVERTISE),
    )


# -- where a MAC address leads -----------------------------------------------------------------------------------------


def find_ways(scene: Scene) -> Iterator[Rule]:
    yield from find_known(scene)
    number, revision = scene.network.number, scene.network.revision
    local = [reach(plugged) for plugged in scene.plugged]
    outside = leave(scene)
    from_here = make_match(**{reg.NETWORK: number, reg.FROM: 0}, eth_dst=MULTICAST)
    yield SWITCH, 100, from_here, flat(*local, outside), (), revision
    yield SWITCH, 90, make_match(**{reg.NETWORK: number}, eth_dst=MULTICAST), flat(*local), (), revision
    open_local = [reach(plugged) for plugged in scene.plugged if not plugged.port.port_security]
    is_remote = find_remote(scene)
    open_remote = scene.provider or any(place.open and is_remote(place) for place in scene.places)
    if open_local or open_remote:
        unknown = make_match(**{reg.NETWORK: number, reg.FROM: 0})
        yield SWITCH, 20, unknown, flat(*open_local, outside if open_remote else ()), (), revision
    if open_local:
        yield SWITCH, 10, make_match(**{reg.NETWORK: number}), flat(*open_local), (), revision


def find_known(scene: Scene) -> Iterator[Rule]:
    """Unicast to every MAC of the network. One that several ports may have, by their address pairs, leads to each."""
    here, is_remote = {plugged.port.id: plugged for plugged in scene.plugged}, find_remote(scene)
    for mac, owners in group_owners(scene.places).items():
        local = [reach(here[place.id]) for place in owners if place.id in here]
        away = leave(scene) if any(map(is_remote, owners)) else ()
        ids, revision = tuple(f"port/{place.id}" for place in owners), max(place.revision for place in owners)
        to = {reg.NETWORK: scene.network.number}
        if away:
            match = make_match(**to, **{reg.FROM: 0}, eth_dst=mac)
            yield SWITCH, 60, match, flat(*local, away), ids, revision
        # A known address is never treated as unknown, also while its port is off or unplugged: then it leads nowhere.
        yield SWITCH, 50, make_match(**to, eth_dst=mac), flat(*local), ids, revision


def group_owners(places: tuple[PlaceRow, ...]) -> dict[str, list[PlaceRow]]:
    owners: dict[str, list[PlaceRow]] = {}
    for place in places:
        for mac in dict.fromkeys((place.mac, *(pair.mac for pair in place.pairs))):
            owners.setdefault(mac, []).append(place)
    return owners


def find_remote(scene: Scene) -> Callable[[PlaceRow], bool]:
    """Whether a port is on another host that this one can reach: a question at the same cost however many there are."""
    here = frozenset(plugged.port.id for plugged in scene.plugged)
    names = frozenset(remote.name for remote in scene.remotes)
    if scene.provider:
        return lambda place: bool(place.host) and (place.id not in here or bool(place.also))
    return lambda place: not names.isdisjoint((place.host, *place.also))


def reach(plugged: Plugged) -> tuple[Action, ...]:
    """To a port of this host, by way of what it may receive."""
    return SetField(reg.OUT, plugged.ofport), Resubmit(INGRESS)


def leave(scene: Scene) -> tuple[Action, ...]:
    """Out of this host, by the network's tunnel or its physical network; nothing where there is neither."""
    if scene.provider:
        return (*tag_out(scene.provider), Output(scene.provider.ofport))
    if scene.tunnel and scene.patch_tun and scene.remotes:
        return reg.mark_network(scene.network.number), Output(scene.patch_tun)
    return ()


def tag_out(provider: Provider) -> tuple[Action, ...]:
    """The network's own tag, around whatever tags the frame has."""
    if not provider.vlan:
        return ()
    return PushVlan(provider.ethertype), SetField("vlan_vid", provider.vlan | VLAN_PRESENT)


def flat(*parts: tuple[Action, ...]) -> tuple[Action, ...]:
    return tuple(action for part in parts for action in part)

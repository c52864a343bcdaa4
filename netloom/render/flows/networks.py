"""Flows of one network on br-int: in from outside, what the host answers for it, and where a MAC address leads.

Unicast goes to the one port or host that has the address. Broadcast and multicast go where the network is. Unicast to
an address that nobody is known to have goes only where it may be: to ports without port security, and to the physical
network; else nowhere. What came from outside never goes back there.
Each function here is of one address, or of what all ports share: `render.network_book` knows which of them to ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netloom.model.address import ip_int, ip_version, mac_int
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
from netloom.model.slices import PlaceRow, SubnetRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.answers.scope import SERVER_MAC
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
ROUTER_PREFIX = "network:router"
MULTICAST = (0x010000000000, 0x010000000000)
Rule = tuple[int, int, Match, tuple[Action, ...], tuple[str, ...], int]
"""(table, priority, match, actions, ids of the reason, its revision)."""


def make_flows(scene: Scene, rules: Iterable[Rule]) -> Iterator[Flow]:
    """The rules as flows of the network on br-int."""
    cookie, network = make_cookie(scene.slice), scene.network
    for table, priority, match, actions, ids, revision in rules:
        why = Why(revision, (*ids, f"network/{network.id}"), "networks.make_flows")
        yield make_flow(scene.integration, table, priority, match, actions, cookie, why)


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


def find_services(scene: Scene, subnets: Iterable[SubnetRow], central: bool) -> Iterator[Rule]:
    """DHCP and router solicitations go to the agent where a subnet asks for it; DHCP not where the network has a server
    of its own (`central`)."""
    on = {reg.NETWORK: scene.network.number}
    for subnet in subnets:
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


def find_answer(scene: Scene, ip: str, holders: Iterable[PlaceRow], shared: bool) -> Iterator[Rule]:
    """Who has this address? The host knows, for every port of the network, which it is; of several the first by id.

    It does not of an address that ports may use beside their own (`shared`) and that is held by a port on no host:
    which of them has it they settle among themselves, so they are asked.
    """
    for place in holders:
        if place.device_owner == FLOATING_IP and not place.host:
            continue  # its router answers, with a MAC of its own
        if not place.host and not place.device_owner.startswith(ROUTER_PREFIX) and shared:
            continue
        match, actions = answer_for(scene.network.number, ip, place.mac)
        yield SERVICES, 100, match, actions, (f"port/{place.id}",), place.revision
        return


def answer_for(number: int, ip: str, mac: str) -> tuple[Match, tuple[Action, ...]]:
    if ip_version(ip) == 4:
        return make_match(**{reg.NETWORK: number}, eth_type=ARP, arp_op=1, arp_tpa=ip), answer_arp(mac, ip)
    match = make_match(
        **{reg.NETWORK: number}, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135, icmpv6_code=0, nd_target=ip,
        nd_options_type=1,
    )  # fmt: skip
    return match, answer_nd(mac, ip)


def has_server(scene: Scene, subnet: SubnetRow) -> bool:
    """Whether hosts answer for the subnet's DHCP server. A client renews its lease by unicast (RFC 2131, 4.4.5), so
    somebody must have its address; not on a physical network: there the gateway is a machine of its own."""
    return subnet.ip_version == 4 and subnet.enable_dhcp and not scene.provider


def find_server_answers(scene: Scene, subnets: Iterable[SubnetRow], servers: Mapping[str, str]) -> Iterator[Rule]:
    """`servers`: the DHCP server's address by subnet, where no port has it."""
    for subnet in subnets:
        if ip := servers.get(subnet.id):
            match, actions = answer_for(scene.network.number, ip, SERVER_MAC)
            yield SERVICES, 100, match, actions, (f"subnet/{subnet.id}",), subnet.revision


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


def find_floods(
    scene: Scene, plugged: Iterable[Plugged], outside: tuple[Action, ...], open_outside: bool
) -> Iterator[Rule]:
    """What is for all, and what is for nobody who is known. `outside`: the way out, if there is one; `open_outside`:
    whether somebody there may have any address."""
    number, revision = scene.network.number, scene.network.revision
    local = flat(*map(reach, plugged))
    from_here = make_match(**{reg.NETWORK: number, reg.FROM: 0}, eth_dst=MULTICAST)
    yield SWITCH, 100, from_here, flat(local, outside), (), revision
    yield SWITCH, 90, make_match(**{reg.NETWORK: number}, eth_dst=MULTICAST), local, (), revision
    open_local = flat(*(reach(one) for one in plugged if not one.port.port_security))
    if open_local or open_outside:
        unknown = make_match(**{reg.NETWORK: number, reg.FROM: 0})
        yield SWITCH, 20, unknown, flat(open_local, outside if open_outside else ()), (), revision
    if open_local:
        yield SWITCH, 10, make_match(**{reg.NETWORK: number}), open_local, (), revision


def find_way(
    scene: Scene, mac: str, owners: list[PlaceRow], here: Mapping[str, Plugged], away: tuple[Action, ...]
) -> Iterator[Rule]:
    """Unicast to a MAC of the network. One that several ports may have, by their address pairs, leads to each.

    `here`: the ports of this host; `away`: the way out, where one of the owners is there.
    """
    local = flat(*(reach(here[place.id]) for place in owners if place.id in here))
    ids, revision = tuple(f"port/{place.id}" for place in owners), max(place.revision for place in owners)
    to = {reg.NETWORK: scene.network.number}
    if away:
        yield SWITCH, 60, make_match(**to, **{reg.FROM: 0}, eth_dst=mac), flat(local, away), ids, revision
    # A known address is never treated as unknown, also while its port is off or unplugged: then it leads nowhere.
    yield SWITCH, 50, make_match(**to, eth_dst=mac), local, ids, revision


def reach(plugged: Plugged) -> tuple[Action, ...]:
    """To a port of this host, by way of what it may receive."""
    return SetField(reg.OUT, plugged.ofport), Resubmit(INGRESS)


def leave(scene: Scene, reachable: bool) -> tuple[Action, ...]:
    """Out of this host, by the network's tunnel (`reachable`: there is a host to go to) or its physical network;
    nothing where there is neither."""
    if scene.provider:
        return (*tag_out(scene.provider), Output(scene.provider.ofport))
    if scene.tunnel and scene.patch_tun and reachable:
        return reg.mark_network(scene.network.number), Output(scene.patch_tun)
    return ()


def tag_out(provider: Provider) -> tuple[Action, ...]:
    """The network's own tag, around whatever tags the frame has."""
    if not provider.vlan:
        return ()
    return PushVlan(provider.ethertype), SetField("vlan_vid", provider.vlan | VLAN_PRESENT)


def flat(*parts: tuple[Action, ...]) -> tuple[Action, ...]:
    return tuple(action for part in parts for action in part)

"""The way from an instance to the metadata service, on its own host: a namespace with one device on the switch.

    instance ─▶ services: 169.254.169.254, TCP 80 ─▶ nl-meta ═ meta0 in qmeta, where the agent's proxy listens
    instance ◀─ ingress ◀─ metadata: back to the port whose number the address holds ◀┘

Law: who asks is told by the switch, from the port that a packet came by. Its source becomes an address that stands for
the port and which of the port's addresses it was, so instances of two networks with one address are two callers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from netloom.model.address import Ip, Mac, ip_int, ip_text, ip_version, link_local, mac_int
from netloom.model.device import SwitchPort
from netloom.model.facts import HostFacts
from netloom.model.flow import ARP, ICMPV6, IPV4, IPV6, TCP, Action, Flow, Goto, Match, Output, SetField, make_match
from netloom.model.netns import Held, Namespace, Path, Veth
from netloom.model.plan import Thing
from netloom.model.slices import PortRow, Slices
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.answers.scope import SERVER_MAC
from netloom.render.flows.networks import answer_arp, answer_nd
from netloom.render.make import make_cookie, make_flow, make_thing
from netloom.render.pipeline import CLASSIFY, INGRESS, METADATA, SERVICES
from netloom.render.scene import Plugged, find_plugged, find_ports

SPACE, DEVICE, HOST_END = "qmeta", "meta0", "nl-meta"
PROXY_MAC = Mac("02:4e:4c:00:00:02")
MTU = 1500
MAIN = 254
HTTP = 80


@dataclass(frozen=True, slots=True)
class Family:
    """Addresses of one IP version: the service's as instances know it, the proxy's own, its next hop, and callers'.

    Callers are `callers` with a number added; `prefix` is all of them.
    """

    service: str
    own: str
    hop: str
    callers: int
    prefix: str


FAMILIES: Mapping[int, Family] = {
    4: Family("169.254.169.254", "169.254.169.254", "169.254.169.253", ip_int("10.0.0.0"), "10.0.0.0/8"),
    6: Family("fe80::a9fe:a9fe", "fd00:a9fe::254", "fd00:a9fe::253", ip_int("fd00:a9fe:1::"), "fd00:a9fe:1::/64"),
}
"""The kernel gives link-local addresses itself and is asked for none, so for IPv6 the proxy has another."""
MOST_ADDRESSES = 256
"""Of one port and IP version that may ask."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: an instance's port, and the address that it asks from."""

    port_id: str
    device_id: str
    project_id: str
    address: str


# -- who is who --------------------------------------------------------------------------------------------------------


def is_served(port: PortRow) -> bool:
    """The network's own ports (routers, DHCP) are no instances."""
    return not port.device_owner.startswith("network:")


def find_sources(port: PortRow, version: int) -> tuple[str, ...]:
    """The addresses that a port asks from, in an order that is the port's; of IPv6 the link-local one first."""
    own = (link_local(port.mac),) if version == 6 else ()
    fixed = (address.ip for address in port.addresses if ip_version(address.ip) == version)
    return tuple(dict.fromkeys((*own, *fixed)))[:MOST_ADDRESSES]


def caller_number(ofport: int, index: int) -> int:
    """24 bits: which port, and which of its addresses."""
    return (ofport & 0xFFFF) << 8 | index


def caller_address(version: int, number: int) -> Ip:
    return ip_text(FAMILIES[version].callers + number, version)


def find_callers(slices: Slices, facts: HostFacts) -> dict[str, Caller]:
    """Everybody who may ask on this host, by the address that the proxy sees."""
    return {
        str(caller_address(version, caller_number(plugged.ofport, index))): Caller(
            plugged.port.id, plugged.port.device_id, plugged.port.project_id, ip
        )
        for plugged in find_plugged(find_ports(slices, facts.host), facts)
        if is_served(plugged.port)
        for version in FAMILIES
        for index, ip in enumerate(find_sources(plugged.port, version))
    }


# -- the host's part ---------------------------------------------------------------------------------------------------


def find_door(facts: HostFacts) -> int:
    """The ofport that leads to the proxy; 0: there is none, or not yet."""
    return max(facts.ofports.get((facts.integration_bridge, HOST_END), 0), 0) if facts.metadata else 0


def render_service(facts: HostFacts) -> tuple[Thing, ...]:
    """The namespace with its device, and the flows that are the same for all ports."""
    if not facts.metadata:
        return ()
    why = Why(0, (), "metadata.render_service")
    veth = Veth(SPACE, DEVICE, PROXY_MAC, MTU, facts.datapath_type == "netdev")
    return (
        Thing(("netns", SPACE), Namespace(), why),
        Thing(("veth", HOST_END), veth, why),
        Thing(("switch_port", facts.integration_bridge, HOST_END), SwitchPort("system"), why),
        *render_addresses(why),
        *(make_thing(flow) for flow in render_joints(facts, why)),
    )


def render_addresses(why: Why) -> Iterator[Thing]:
    for version, family in FAMILIES.items():
        length = 32 if version == 4 else 128
        yield Thing(("alias", SPACE, DEVICE, f"{family.own}/{length}"), Held(), why)
        yield Thing(("route", SPACE, MAIN, family.prefix), Path(((family.hop, DEVICE),)), why)


def render_joints(facts: HostFacts, why: Why) -> Iterator[Flow]:
    """The service's address is answered for to every port, the next hop's to the proxy."""
    door, cookie, bridge = find_door(facts), make_cookie("base"), facts.integration_bridge
    if not door:
        return
    yield make_flow(bridge, CLASSIFY, 100, make_match(in_port=door), (Goto(METADATA),), cookie, why)
    for version, family in FAMILIES.items():
        for table, priority, ip in ((SERVICES, 105, family.service), (METADATA, 100, family.hop)):
            match, actions = answer(version, ip)
            yield make_flow(bridge, table, priority, match, actions, cookie, why)


def answer(version: int, ip: str) -> tuple[Match, tuple[Action, ...]]:
    """Who has `ip`? The host."""
    if version == 4:
        return make_match(eth_type=ARP, arp_op=1, arp_tpa=ip), answer_arp(SERVER_MAC, ip)
    match = make_match(
        eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135, icmpv6_code=0, nd_target=ip, nd_options_type=1
    )  # fmt: skip
    return match, answer_nd(SERVER_MAC, ip)


# -- one port's part ---------------------------------------------------------------------------------------------------


def render_way(plugged: Plugged, door: int, integration: str, host: str) -> tuple[Flow, ...]:
    """There and back for each address that the port may ask from; nothing without a door."""
    port = plugged.port
    if not door or not is_served(port):
        return ()
    cookie = make_cookie(f"host/{host}")
    why = Why(port.revision, (f"port/{port.id}", f"network/{port.network_id}"), "metadata.render_way")
    return tuple(
        make_flow(integration, table, 105, match, actions, cookie, why)
        for version in FAMILIES
        for index, ip in enumerate(find_sources(port, version))
        for table, match, actions in find_ways(plugged, door, version, ip, index)
    )


Way = tuple[int, Match, tuple[Action, ...]]


def find_ways(plugged: Plugged, door: int, version: int, ip: str, index: int) -> Iterator[Way]:
    family, number = FAMILIES[version], plugged.ofport
    alias = caller_address(version, caller_number(number, index))
    kind, source, target = (IPV4, "ip_src", "ip_dst") if version == 4 else (IPV6, "ipv6_src", "ipv6_dst")
    asks = {reg.SENDER: number, "eth_type": kind, "ip_proto": TCP, "tcp_dst": HTTP}
    there = (
        *set_macs(SERVER_MAC, PROXY_MAC), SetField(source, ip_int(alias)), SetField(target, ip_int(family.own))
    )  # fmt: skip
    yield SERVICES, make_match(**asks, **{source: ip, target: family.service}), (*there, Output(door))
    back = (
        *set_macs(SERVER_MAC, plugged.port.mac), SetField(source, ip_int(family.service)), SetField(target, ip_int(ip)),
        SetField(reg.OUT, number), Goto(INGRESS),
    )  # fmt: skip
    yield METADATA, make_match(eth_type=kind, ip_proto=TCP, tcp_src=HTTP, **{target: alias}), back


def set_macs(source: str, target: str) -> tuple[Action, ...]:
    return SetField("eth_src", mac_int(source)), SetField("eth_dst", mac_int(target))

"""Router advertisements (RFC 4861; DNS by RFC 8106): in answer to a solicitation, and now and then unasked.

Sent where a subnet has ipv6_ra_mode. A router's port with an address there makes them come from that router with a
lifetime; without one they carry prefixes, MTU and DNS and a lifetime of 0, which makes nobody a default router.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import sha256

from netloom.model.address import Ip, Mac, link_local, parse_net
from netloom.model.flow import ICMPV6
from netloom.model.slices import PlaceRow, PortRow, SubnetRow
from netloom.render.answers.frames import Malformed, Packet, pack_ip, pack_mac
from netloom.render.answers.options import encode_names
from netloom.render.answers.scope import SERVER_MAC, Scope, Settings, client_macs, domain_of, name_servers

SOLICITATION, ADVERTISEMENT = 133, 134
ALL_NODES, ALL_NODES_MAC = Ip("ff02::1"), Mac("33:33:00:00:00:01")

MANAGED, OTHER = 0x80, 0x40
ON_LINK, AUTONOMOUS = 0x80, 0x40

ROUTER_FLAGS = {"slaac": 0, "dhcpv6-stateless": OTHER, "dhcpv6-stateful": MANAGED | OTHER}
PREFIX_FLAGS = {"slaac": ON_LINK | AUTONOMOUS, "dhcpv6-stateless": ON_LINK | AUTONOMOUS, "dhcpv6-stateful": ON_LINK}
"""What ipv6_ra_mode means on the wire; O goes with M, as whoever leases addresses also tells of DNS."""


def advertised_subnets(scope: Scope) -> tuple[SubnetRow, ...]:
    return tuple(s for s in scope.subnets if s.ip_version == 6 and s.ipv6_ra_mode in ROUTER_FLAGS)


def find_router(scope: Scope, subnets: tuple[SubnetRow, ...]) -> PlaceRow | None:
    """The first router's port that has an address of one of these subnets."""
    ids = {subnet.id for subnet in subnets}
    return next((r for r in scope.routers if any(a.subnet_id in ids for a in r.addresses)), None)


def render_option(kind: int, body: bytes) -> bytes:
    """An ND option, zero-filled to whole units of eight bytes."""
    units = (len(body) + 2 + 7) // 8
    return bytes((kind, units)) + body.ljust(units * 8 - 2, b"\0")


def render_prefix(subnet: SubnetRow, settings: Settings) -> bytes:
    net = parse_net(subnet.cidr)
    flags = PREFIX_FLAGS[subnet.ipv6_ra_mode]
    times = (settings.prefix_valid_s, settings.prefix_preferred_s, 0)
    return render_option(3, struct.pack(">BBIII", net.prefixlen, flags, *times) + net.network_address.packed)


def render_dns(scope: Scope, subnets: tuple[SubnetRow, ...], settings: Settings) -> bytes:
    """Resolvers and search list, each valid for three intervals (RFC 8106, 5.1)."""
    servers = dict.fromkeys(ip for subnet in subnets for ip in name_servers(subnet, settings))
    life = struct.pack(">HI", 0, 3 * settings.ra_interval_s)
    out = render_option(25, life + b"".join(pack_ip(ip) for ip in servers)) if servers else b""
    try:
        names = encode_names(domain_of(scope, settings))
    except ValueError:
        names = b""
    return out + (render_option(31, life + names) if names else b"")


def render_advert(scope: Scope, subnets: tuple[SubnetRow, ...], settings: Settings) -> tuple[Mac, bytes]:
    """Who advertises, and the ICMPv6 message; its checksum is filled in with the frame."""
    router = find_router(scope, subnets)
    mac = Mac(router.mac) if router else SERVER_MAC
    lifetime = settings.ra_router_lifetime_s if router else 0
    flags = 0
    for subnet in subnets:
        flags |= ROUTER_FLAGS[subnet.ipv6_ra_mode]
    head = struct.pack(">BBHBBHII", ADVERTISEMENT, 0, 0, 64, flags, lifetime, 0, 0)
    prefixes = b"".join(render_prefix(subnet, settings) for subnet in subnets)
    mtu = render_option(5, struct.pack(">HI", 0, scope.network.mtu))
    return mac, head + render_option(1, pack_mac(mac)) + mtu + prefixes + render_dns(scope, subnets, settings)


def make_advert(scope: Scope, settings: Settings, to: tuple[Mac, Ip] = (ALL_NODES_MAC, ALL_NODES)) -> Packet | None:
    """The network's router advertisement, None where nothing is to be advertised."""
    subnets = advertised_subnets(scope)
    if not subnets:
        return None
    mac, message = render_advert(scope, subnets, settings)
    return Packet(mac, to[0], link_local(mac), to[1], ICMPV6, message, hop_limit=255)


def make_farewell(old: Scope, new: Scope) -> Packet | None:
    """What the router says that is no longer the one who advertises (RFC 4861, 6.2.5): its lifetime is over."""
    router = find_router(old, advertised_subnets(old))
    successor = find_router(new, advertised_subnets(new))
    if router is None or (successor is not None and successor.mac == router.mac):
        return None
    mac = Mac(router.mac)
    message = struct.pack(">BBHBBHII", ADVERTISEMENT, 0, 0, 64, 0, 0, 0, 0) + render_option(1, pack_mac(mac))
    return Packet(mac, ALL_NODES_MAC, link_local(mac), ALL_NODES, ICMPV6, message, hop_limit=255)


def make_news(old: Scope, new: Scope, settings: Settings) -> tuple[Packet, ...]:
    """What is to be said unasked when a network changes: a farewell where one is due, then how things are now."""
    advert = make_advert(new, settings)
    if advert == make_advert(old, settings):
        return ()
    return tuple(packet for packet in (make_farewell(old, new), advert) if packet)


def check_solicitation(packet: Packet) -> None:
    """RFC 4861, 6.1.1: what fails it is dropped silently. Raises Malformed."""
    data = packet.payload
    if packet.hop_limit != 255 or len(data) < 8 or data[1]:
        raise Malformed("not a valid router solicitation")
    at = 8
    while at < len(data):
        if at + 2 > len(data) or not data[at + 1] or (data[at] == 1 and packet.ip_src == "::"):
            raise Malformed("bad option in a router solicitation")
        at += data[at + 1] * 8


def answer_solicitation(packet: Packet, port: PortRow, scope: Scope, settings: Settings) -> Packet | None:
    """The advertisement for who asked: to its own address, or to all nodes when it has none yet."""
    check_solicitation(packet)
    if packet.eth_src not in client_macs(port):
        return None
    if packet.ip_src == "::":
        return make_advert(scope, settings)
    return make_advert(scope, settings, (packet.eth_src, packet.ip_src))


def is_advert_due(port_id: str, before: float, now: float, settings: Settings) -> bool:
    """Whether a port's turn for an unasked advertisement lies in (before, now].

    Turns come every ra_interval_s seconds, spread over the ports by their ids so that they do not come all at once.
    """
    interval = max(settings.ra_interval_s, 4)
    phase = find_turn(port_id) * interval
    return (before + phase) // interval < (now + phase) // interval


@lru_cache(maxsize=1 << 16)
def find_turn(port_id: str) -> float:
    """Where in an interval the port has its turn, from 0 to 1. Asked every second for each port that is plugged."""
    return int.from_bytes(sha256(port_id.encode()).digest()[:4], "big") / (1 << 32)

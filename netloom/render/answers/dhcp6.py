"""DHCP for IPv6 (RFC 8415): one message from an instance gives one message back, or none.

As with v4 there is no lease table: the port's addresses on subnets with dhcpv6-stateful are the leases. The server's
DUID is made from the network's id, so every host shows the same server.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from hashlib import sha256
from itertools import islice

from netloom.model.address import Ip, parse_net
from netloom.model.flow import UDP
from netloom.model.slices import PortRow, SubnetRow
from netloom.render.answers.frames import Malformed, Packet, pack_ip, read_ip, take, take_int
from netloom.render.answers.options import encode_name, encode_names, render_extras
from netloom.render.answers.scope import (
    FOREVER,
    SERVER_LINK_LOCAL,
    SERVER_MAC,
    Scope,
    Settings,
    client_macs,
    domain_of,
    host_name,
    lease_time,
    leased_addresses,
    name_servers,
)


class Kind(IntEnum):
    """Message types (RFC 8415, 7.3)."""

    SOLICIT = 1
    ADVERTISE = 2
    REQUEST = 3
    CONFIRM = 4
    RENEW = 5
    REBIND = 6
    REPLY = 7
    RELEASE = 8
    DECLINE = 9
    INFORMATION = 11


class Code(IntEnum):
    CLIENT_ID = 1
    SERVER_ID = 2
    IA_NA = 3
    IA_TA = 4
    IA_ADDRESS = 5
    WANTED = 6
    STATUS = 13
    RAPID_COMMIT = 14
    DNS = 23
    DOMAINS = 24
    IA_PD = 25
    FQDN = 39


class Status(IntEnum):
    """Status codes (RFC 8415, 21.13)."""

    SUCCESS = 0
    NO_ADDRESS = 2
    NOT_ON_LINK = 4
    USE_MULTICAST = 5
    NO_PREFIX = 6


TO_ONE_SERVER = frozenset((Kind.REQUEST, Kind.RENEW, Kind.RELEASE, Kind.DECLINE))
"""Messages that must name the server they are for (RFC 8415, 16)."""

TO_ANY_SERVER = frozenset((Kind.SOLICIT, Kind.CONFIRM, Kind.REBIND))
"""Messages that must name none."""

FOR_LEASES = frozenset((Kind.SOLICIT, Kind.REQUEST, Kind.RENEW, Kind.REBIND))

ASSOCIATIONS = {Code.IA_NA: 12, Code.IA_TA: 4, Code.IA_PD: 12}
"""Bytes before the options in each kind of identity association."""

MOST = 16
"""Associations in a message, and addresses in one of them, that are looked at: what bounds the size of an answer."""

Options = tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent."""

    kind: int
    xid: bytes
    options: Options

    def first(self, code: int) -> bytes | None:
        return next((data for found, data in self.options if found == code), None)

    def associations(self) -> Iterator[tuple[int, bytes]]:
        """Its identity associations, not more of them than a real client has."""
        return islice(((code, data) for code, data in self.options if code in ASSOCIATIONS), MOST)


def parse_options(data: bytes) -> Options:
    out = []
    at = 0
    while at < len(data):
        size = take_int(data, at + 2, 2)
        out.append((take_int(data, at, 2), take(data, at + 4, size)))
        at += 4 + size
    return tuple(out)


def parse_request(data: bytes) -> Request:
    """A client's message. Raises Malformed; a relay's messages have another shape and are none of ours."""
    return Request(take_int(data, 0, 1), take(data, 1, 3), parse_options(data[4:]))


def server_duid(scope: Scope) -> bytes:
    """A DUID of type 4 (RFC 6355): 128 bits from the network's id, the same wherever and whenever it is asked."""
    return b"\0\4" + sha256(scope.network.id.encode()).digest()[:16]


def is_for_us(request: Request, duid: bytes) -> bool:
    """The rules of RFC 8415, 16, on which ids a message must carry and must not."""
    server = request.first(Code.SERVER_ID)
    if request.kind == Kind.INFORMATION:
        return server in (None, duid) and not any(request.associations())
    if not 0 < len(request.first(Code.CLIENT_ID) or b"") <= 130:
        return False
    if request.kind in TO_ONE_SERVER:
        return server == duid
    return request.kind in TO_ANY_SERVER and server is None


def render_option(code: int, data: bytes) -> bytes:
    return struct.pack(">HH", code, len(data)) + data


def render_status(status: Status, text: str = "") -> bytes:
    return render_option(Code.STATUS, struct.pack(">H", status) + text.encode())


def render_address(ip: str, settings: Settings, valid: bool = True) -> bytes:
    """An IA Address; lifetimes of 0 tell the client to stop using it."""
    seconds = lease_time(settings) if valid else 0
    return render_option(Code.IA_ADDRESS, pack_ip(ip) + struct.pack(">II", seconds, seconds))


def read_addresses(body: bytes) -> tuple[str, ...]:
    """The addresses in the options of an IA_NA or IA_TA."""
    found = (read_ip(take(data, 0, 16)) for code, data in parse_options(body) if code == Code.IA_ADDRESS)
    return tuple(islice(found, MOST))


def render_times(settings: Settings) -> bytes:
    """T1 and T2: half and seven eighths of the lease."""
    seconds = lease_time(settings)
    return struct.pack(">II", *((FOREVER, FOREVER) if seconds == FOREVER else (seconds // 2, seconds * 7 // 8)))


def render_association(code: int, data: bytes, ips: Sequence[str], settings: Settings) -> bytes:
    """The answer to one IA: its addresses, those that are no longer the port's ended, or why there is nothing."""
    size = ASSOCIATIONS[Code(code)]
    iaid = take(data, 0, size)[:4]
    if code == Code.IA_PD:
        return render_option(code, iaid + bytes(8) + render_status(Status.NO_PREFIX, "no prefixes here"))
    if code == Code.IA_TA or not ips:
        return render_option(
            code, iaid + bytes(size - 4) + render_status(Status.NO_ADDRESS, "no address for this port")
        )
    gone = (ip for ip in read_addresses(data[size:]) if ip not in ips)
    body = b"".join(render_address(ip, settings) for ip in ips)
    return render_option(
        code, iaid + render_times(settings) + body + b"".join(render_address(ip, settings, False) for ip in gone)
    )


def render_associations(request: Request, ips: Sequence[str], settings: Settings) -> bytes:
    """Every IA answered; the first IA_NA gets all of the port's addresses."""
    out, left = b"", ips
    for code, data in request.associations():
        out += render_association(code, data, left if code == Code.IA_NA else (), settings)
        left = () if code == Code.IA_NA else left
    return out


def render_confirm(request: Request, scope: Scope) -> bytes | None:
    """Whether the client's addresses fit this link; None when it named none (RFC 8415, 18.3.3)."""
    asked = [ip for code, data in request.associations() if code != Code.IA_PD
             for ip in read_addresses(data[ASSOCIATIONS[Code(code)] :])]  # fmt: skip
    nets = [parse_net(subnet.cidr) for subnet in scope.subnets if subnet.ip_version == 6]
    if not asked:
        return None
    fits = all(any(int(net.network_address) <= int.from_bytes(pack_ip(ip), "big") <= int(net.broadcast_address)
                   for net in nets) for ip in asked)  # fmt: skip
    return render_status(Status.SUCCESS) if fits else render_status(Status.NOT_ON_LINK, "not on this network")


def serving_subnets(port: PortRow, scope: Scope) -> tuple[SubnetRow, ...]:
    """Subnets that DHCPv6 is on for, those the port has an address of first."""
    own = {address.subnet_id for address in port.addresses}
    modes = ("dhcpv6-stateful", "dhcpv6-stateless")
    found = (s for s in scope.subnets if s.ip_version == 6 and s.enable_dhcp and s.ipv6_address_mode in modes)
    return tuple(sorted(found, key=lambda s: s.id not in own))


def render_fqdn(asked: bytes, name: str) -> bytes | None:
    """The client FQDN option (RFC 4704): this server keeps no DNS, so N is set, and O where the client set S."""
    if not asked:
        return None
    try:
        return bytes((4 | (2 if asked[0] & 1 else 0),)) + encode_name(name)
    except ValueError:
        return None


def render_domains(domain: str) -> bytes:
    try:
        return encode_names(domain)
    except ValueError:
        return b""


def render_configuration(
    request: Request, port: PortRow, scope: Scope, subnets: Sequence[SubnetRow], settings: Settings
) -> bytes:
    """DNS, domains, the port's extra options and the client's name, as far as the client asked for them."""
    domain = domain_of(scope, settings)
    servers = dict.fromkeys(ip for subnet in subnets for ip in name_servers(subnet, settings))
    have: dict[int, bytes | None] = {
        Code.DNS: b"".join(pack_ip(ip) for ip in servers),
        Code.DOMAINS: render_domains(domain),
        **render_extras(port.dhcp_options, 6),
    }
    ips = [address.ip for address in port.addresses if ":" in address.ip]
    name = ".".join(filter(None, (host_name(port, ips[0] if ips else port.id), domain)))
    fqdn = render_fqdn(request.first(Code.FQDN) or b"", name)
    data = request.first(Code.WANTED)
    wanted = None if data is None else [take_int(data, at, 2) for at in range(0, len(data) - 1, 2)]
    codes = [code for code in dict.fromkeys(sorted(have) if wanted is None else wanted) if have.get(code)]
    out = b"".join(render_option(code, have[code] or b"") for code in codes if code not in OWN)
    return out + (render_option(Code.FQDN, fqdn) if fqdn else b"")


OWN = frozenset((Code.CLIENT_ID, Code.SERVER_ID, Code.IA_NA, Code.IA_TA, Code.IA_PD, Code.STATUS, Code.RAPID_COMMIT))
"""Options that belong to the exchange, whatever a port's extra options say."""


def render_body(
    request: Request, port: PortRow, scope: Scope, subnets: Sequence[SubnetRow], settings: Settings
) -> bytes | None:
    """What follows the ids in the answer; None for silence."""
    if request.kind == Kind.CONFIRM:
        return render_confirm(request, scope)
    if request.kind in (Kind.RELEASE, Kind.DECLINE):
        return render_status(Status.SUCCESS)
    body = b""
    if request.kind in FOR_LEASES:
        ips = tuple(ip for ip, _ in leased_addresses(port, scope, 6))
        body = render_associations(request, ips, settings)
        # A client with nothing to choose from is told at the top level as well (RFC 8415, 18.3.9).
        body += b"" if ips or request.kind != Kind.SOLICIT else render_status(Status.NO_ADDRESS)
    return body + render_configuration(request, port, scope, subnets, settings)


def answer_dhcp6(packet: Packet, port: PortRow, scope: Scope, settings: Settings) -> Packet | None:
    """The packet that goes back to the client, None for silence. Raises Malformed."""
    subnets = serving_subnets(port, scope)
    if not subnets or packet.eth_src not in client_macs(port):
        return None
    request = parse_request(packet.payload)
    duid = server_duid(scope)
    if not is_for_us(request, duid):
        return None
    rapid = request.kind == Kind.SOLICIT and request.first(Code.RAPID_COMMIT) is not None
    if not packet.ip_dst.startswith("ff") and request.kind in TO_ONE_SERVER:
        body: bytes | None = render_status(Status.USE_MULTICAST)
    else:
        body = render_body(request, port, scope, subnets, settings)
    if body is None:
        return None
    kind = Kind.ADVERTISE if request.kind == Kind.SOLICIT and not rapid else Kind.REPLY
    head = bytes((kind,)) + request.xid + render_option(Code.SERVER_ID, duid)
    client = request.first(Code.CLIENT_ID)
    head += render_option(Code.CLIENT_ID, client) if client else b""
    head += render_option(Code.RAPID_COMMIT, b"") if rapid else b""
    return reply_packet(packet, head + body)


def reply_packet(packet: Packet, payload: bytes) -> Packet:
    """From the server's link-local address to the client's; a client without one is malformed."""
    if packet.ip_src == "::" or packet.ip_src.startswith("ff"):
        raise Malformed("no address to answer to")
    source = Ip(SERVER_LINK_LOCAL)
    return Packet(SERVER_MAC, packet.eth_src, source, packet.ip_src, UDP, payload, sport=547, dport=546)

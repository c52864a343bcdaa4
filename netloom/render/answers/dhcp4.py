"""DHCP for IPv4 (RFC 2131, options by RFC 2132): one message from an instance gives one message back, or none.

There is no lease table: the lease is the port's address, so the answer depends on the port, its network and the
message alone, and any host gives the same one.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from netloom.model.address import Ip, Mac, mac_text, parse_net
from netloom.model.flow import UDP
from netloom.model.slices import PortRow, Route, SubnetRow
from netloom.render.answers.frames import BROADCAST_MAC, Malformed, Packet, pack_ip, pack_mac, read_ip, take, take_int
from netloom.render.answers.options import SERVER_IP_ADDRESS, encode_name, encode_routes, render_extras
from netloom.render.answers.scope import (
    FOREVER,
    SERVER_MAC,
    Scope,
    Settings,
    client_macs,
    domain_of,
    host_name,
    is_way_told,
    lease_time,
    leased_addresses,
    name_servers,
    server_address,
)

COOKIE = bytes((99, 130, 83, 99))
FIXED = struct.Struct(">BBBBIHH4s4s4s4s16s64s128s")
BROADCAST_FLAG = 0x8000
NOWHERE = bytes(4)
ANYWHERE, METADATA = "0.0.0.0/0", "169.254.169.254/32"


class Kind(IntEnum):
    """DHCP message types (RFC 2132, 9.6); BOOTP is a request that has none."""

    BOOTP = 0
    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Code(IntEnum):
    """The options that the server itself reads or writes."""

    NETMASK = 1
    ROUTER = 3
    DNS = 6
    HOSTNAME = 12
    DOMAIN = 15
    MTU = 26
    BROADCAST = 28
    REQUESTED_IP = 50
    LEASE = 51
    KIND = 53
    SERVER = 54
    WANTED = 55
    MESSAGE = 56
    MAX_SIZE = 57
    T1 = 58
    T2 = 59
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    FQDN = 81
    ROUTES = 121
    MS_ROUTES = 249


ALWAYS = (
    Code.KIND, Code.SERVER, Code.LEASE, Code.T1, Code.T2, Code.CLIENT_ID, Code.NETMASK, Code.MTU, Code.FQDN,
)  # fmt: skip
"""Sent whether the client lists them or not, these first. MTU: without it a tunnelled network loses big frames."""

TIMES = frozenset((Code.LEASE, Code.T1, Code.T2))


@dataclass(frozen=True, slots=True)
class Request:
    """What a client sent, as far as it matters."""

    kind: int
    xid: int
    secs: int
    flags: int
    ciaddr: str
    giaddr: bytes
    chaddr: Mac
    options: Mapping[int, bytes] = field(default_factory=dict)

    def address(self, code: int) -> str:
        """The address in an option, '' when there is none."""
        data = self.options.get(code, b"")
        return read_ip(data) if len(data) == 4 else ""


@dataclass(frozen=True, slots=True)
class Lease:
    """What the port gets: its address, on which subnet, from which server."""

    ip: str
    subnet: SubnetRow
    server: str


def parse_options(data: bytes) -> dict[int, bytes]:
    """Options by code; the parts of a split one are put together (RFC 3396). A list without an end is taken as is."""
    out: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != 255:
        if data[at] == 0:
            at += 1
            continue
        size = take_int(data, at + 1, 1)
        out[data[at]] = out.get(data[at], b"") + take(data, at + 2, size)
        at += 2 + size
    return out


def parse_request(data: bytes) -> Request:
    """A BOOTREQUEST from an Ethernet client. Raises Malformed."""
    fields = FIXED.unpack(take(data, 0, FIXED.size))
    op, htype, hlen, _hops, xid, secs, flags, ciaddr, _yiaddr, _siaddr, giaddr, chaddr, _sname, _file = fields
    if (op, htype, hlen) != (1, 1, 6):
        raise Malformed("not a BOOTREQUEST from Ethernet")
    options = parse_options(data[240:]) if data[236:240] == COOKIE else {}
    kind = options.get(Code.KIND, b"\0")
    if len(kind) != 1:
        raise Malformed("a message type has one byte")
    mac = mac_text(int.from_bytes(chaddr[:6], "big"))
    return Request(kind[0], xid, secs, flags, read_ip(ciaddr), giaddr, mac, options)


def choose_lease(request: Request, port: PortRow, scope: Scope) -> Lease | None:
    """The address that the client has or asks for when it is the port's, else the port's first on a DHCP subnet."""
    held = leased_addresses(port, scope, 4)
    wanted = (request.address(Code.REQUESTED_IP), request.ciaddr)
    found = next((pair for pair in held if pair[0] in wanted), held[0] if held else None)
    if found is None:
        return None
    server = server_address(found[1], scope.taken)
    return Lease(found[0], found[1], server) if server else None


def answer_kind(request: Request, lease: Lease) -> Kind | None:
    """Which message answers; None: silence (RFC 2131, 4.3)."""
    if request.kind == Kind.BOOTP:
        return Kind.BOOTP
    if request.kind == Kind.DISCOVER:
        return Kind.OFFER
    if request.kind == Kind.INFORM:
        return Kind.ACK if request.ciaddr != "0.0.0.0" else None
    return answer_to_request(request, lease) if request.kind == Kind.REQUEST else None


def answer_to_request(request: Request, lease: Lease) -> Kind | None:
    """ACK or NAK in each of a client's states (RFC 2131, 4.3.2): they differ in where it names its address."""
    chosen, asked = request.address(Code.SERVER), request.address(Code.REQUESTED_IP)
    if chosen and chosen != lease.server:
        return None  # selecting: it chose another server
    if not asked and request.ciaddr == "0.0.0.0":
        return None  # names no address at all
    return Kind.ACK if (asked or request.ciaddr) == lease.ip else Kind.NAK


def render_routes(lease: Lease, scope: Scope, settings: Settings) -> tuple[str, tuple[Route, ...]]:
    """The default router, and the classless routes when there are any besides it.

    A host route to 0.0.0.0/0 stands in for a missing gateway; the network's other subnets are on-link, and so is the
    metadata service where nobody else would lead there: the host answers for its address. The default
    route is repeated among the classless ones, as a client that takes those ignores the router option (RFC 3442).
    """
    subnet = lease.subnet
    given = tuple(r for r in subnet.host_routes if r.destination != ANYWHERE)
    default = (r.nexthop for r in subnet.host_routes if r.destination == ANYWHERE)
    router = subnet.gateway_ip or next(default, "")
    siblings = (s for s in scope.subnets if s.ip_version == 4 and s.segment_id == subnet.segment_id)
    routes = given + tuple(Route(s.cidr, "0.0.0.0") for s in siblings if s.cidr != subnet.cidr)
    if is_way_told(subnet, scope, settings) and METADATA not in {route.destination for route in given}:
        routes += (Route(METADATA, "0.0.0.0"),)
    return router, (*routes, Route(ANYWHERE, router)) if routes and router else routes


def render_lease_times(settings: Settings) -> dict[int, bytes | None]:
    """Lease, renewal and rebinding times (RFC 2131, 4.4.5); one that never ends has no other two."""
    seconds = lease_time(settings)
    times = {Code.LEASE: seconds, Code.T1: seconds // 2, Code.T2: seconds * 7 // 8}
    return {code: value.to_bytes(4, "big") for code, value in times.items() if seconds != FOREVER or code == Code.LEASE}


def render_options(port: PortRow, scope: Scope, lease: Lease, settings: Settings) -> dict[int, bytes | None]:
    """Everything that could be said to this client, by code; the port's extra options have the last word."""
    net = parse_net(lease.subnet.cidr)
    router, routes = render_routes(lease, scope, settings)
    classless = encode_routes(routes)
    return {
        **render_lease_times(settings),
        Code.NETMASK: net.netmask.packed,
        Code.MTU: min(scope.network.mtu, 0xFFFF).to_bytes(2, "big"),
        Code.ROUTER: pack_ip(router) if router else None,
        Code.DNS: b"".join(pack_ip(ip) for ip in name_servers(lease.subnet, settings)),
        Code.HOSTNAME: host_name(port, lease.ip).encode(),
        Code.DOMAIN: domain_of(scope, settings).encode(),
        Code.BROADCAST: net.broadcast_address.packed,
        Code.ROUTES: classless,
        Code.MS_ROUTES: classless,
        **render_extras(port.dhcp_options, 4),
    }


def render_fqdn(asked: bytes, name: str) -> bytes | None:
    """The client FQDN option (RFC 4702, 4): this server keeps no DNS, so N is set, and O where the client set S."""
    if len(asked) < 3:
        return None
    wire = asked[0] & 4
    head = bytes((8 | wire | (2 if asked[0] & 1 else 0), 255, 255))
    try:
        return head + (encode_name(name) if wire else name.encode())
    except ValueError:
        return None


def own_options(request: Request, kind: Kind, lease: Lease) -> dict[int, bytes | None]:
    """What belongs to the message and not to the lease. The client's id comes back (RFC 6842)."""
    if kind == Kind.BOOTP:
        return {}
    head: dict[int, bytes | None] = {Code.KIND: bytes((kind,)), Code.SERVER: pack_ip(lease.server)}
    return {**head, Code.CLIENT_ID: request.options.get(Code.CLIENT_ID)}


def pick_order(wanted: Sequence[int] | None, have: Mapping[int, bytes | None]) -> list[int]:
    """Codes in sending order: what is always sent, then the client's list in its order, or all when it has none.

    Microsoft's copy of the classless routes goes only to who asks for it.
    """
    listed = tuple(wanted) if wanted else tuple(sorted(code for code in have if code != Code.MS_ROUTES))
    return [code for code in dict.fromkeys((*ALWAYS, *listed)) if have.get(code) and code != SERVER_IP_ADDRESS]


def render_option(code: int, data: bytes) -> bytes:
    """One option, split where it is longer than 255 bytes (RFC 3396)."""
    parts = (data[at : at + 255] for at in range(0, len(data), 255))
    return b"".join(bytes((code, len(part))) + part for part in parts)


def fit_options(codes: Sequence[int], have: Mapping[int, bytes | None], room: int) -> bytes:
    """As many options as go into `room` bytes; one that is too long is left out, the next is tried."""
    out = b""
    for code in codes:
        part = render_option(code, have[code] or b"")
        if len(out) + len(part) + 1 <= room:
            out += part
    return out + b"\xff"


def message_room(request: Request) -> int:
    """Bytes for options: 60 in BOOTP; in DHCP a client takes 576 as a whole packet or says more (RFC 2131, 2)."""
    if request.kind == Kind.BOOTP:
        return 60
    said = request.options.get(Code.MAX_SIZE, b"")
    whole = int.from_bytes(said, "big") if len(said) == 2 else 576
    return min(max(whole, 576), 1500) - 28 - 240


def render_message(request: Request, kind: Kind, lease: Lease, have: Mapping[int, bytes | None]) -> bytes:
    """The BOOTREPLY. Boot server and file go into the fixed fields too, for ROMs that read only those."""
    nak = kind == Kind.NAK
    inform = request.kind == Kind.INFORM
    yiaddr = NOWHERE if nak or inform else pack_ip(lease.ip)
    ciaddr = NOWHERE if nak or kind == Kind.OFFER else pack_ip(request.ciaddr)
    siaddr = NOWHERE if nak else (have.get(SERVER_IP_ADDRESS) or NOWHERE)[:4]
    sname, file = (b"", b"") if nak else ((have.get(Code.TFTP_SERVER) or b""), (have.get(Code.BOOT_FILE) or b""))
    fixed = FIXED.pack(
        2, 1, 6, 0, request.xid, 0, request.flags, ciaddr, yiaddr, siaddr, NOWHERE, pack_mac(request.chaddr),
        sname if len(sname) < 64 else b"", file if len(file) < 128 else b"",
    )  # fmt: skip
    wanted = request.options.get(Code.WANTED)
    codes = pick_order(wanted, have)
    if nak:
        codes = [code for code in codes if code in (Code.KIND, Code.SERVER, Code.CLIENT_ID, Code.MESSAGE)]
    return (fixed + COOKIE + fit_options(codes, have, message_room(request))).ljust(300, b"\0")


def reply_to(request: Request, kind: Kind, lease: Lease) -> tuple[Mac, str]:
    """Where the answer goes (RFC 2131, 4.1), as if no relay were there: there is none before a port."""
    if kind == Kind.NAK:
        return BROADCAST_MAC, "255.255.255.255"
    if request.ciaddr != "0.0.0.0" and kind != Kind.OFFER:
        return request.chaddr, request.ciaddr
    if request.flags & BROADCAST_FLAG:
        return BROADCAST_MAC, "255.255.255.255"
    return request.chaddr, lease.ip


def collect_options(
    request: Request, kind: Kind, lease: Lease, port: PortRow, scope: Scope, settings: Settings
) -> dict[int, bytes | None]:
    have = {**render_options(port, scope, lease, settings), **own_options(request, kind, lease)}
    name = ".".join(filter(None, (host_name(port, lease.ip), domain_of(scope, settings))))
    have[Code.FQDN] = render_fqdn(request.options.get(Code.FQDN, b""), name)
    if request.kind in (Kind.INFORM, Kind.BOOTP):
        have = {code: data for code, data in have.items() if code not in TIMES}
    if kind == Kind.NAK:
        have[Code.MESSAGE] = b"not the address of this port"
    return have


def answer_dhcp4(packet: Packet, port: PortRow, scope: Scope, settings: Settings) -> Packet | None:
    """The packet that goes back to the client, None for silence. Raises Malformed."""
    request = parse_request(packet.payload)
    if request.chaddr not in client_macs(port):
        return None
    lease = choose_lease(request, port, scope)
    kind = answer_kind(request, lease) if lease else None
    if lease is None or kind is None:
        return None
    payload = render_message(request, kind, lease, collect_options(request, kind, lease, port, scope, settings))
    mac, ip = reply_to(request, kind, lease)
    return Packet(SERVER_MAC, mac, Ip(lease.server), Ip(ip), UDP, payload, sport=67, dport=68)

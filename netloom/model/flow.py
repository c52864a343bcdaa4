"""OpenFlow as values: a match, actions and a flow that can be compared, printed, simulated and encoded.

Field names and sizes are those of ovs-fields(7). Every value is an integer; a mask of None means exact.
A match is sorted by field name, so that equal matches are equal values, whoever made them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netloom.model.address import ip_int, ip_text, mac_int, mac_text, parse_net
from netloom.model.why import HOST, Why

WIDTH: dict[str, int] = {
    "in_port": 32, "nx_in_port": 16, "pkt_mark": 32, "metadata": 64, "tun_id": 64, "tun_src": 32, "tun_dst": 32,
    "tun_ipv6_src": 128, "tun_ipv6_dst": 128,
    "eth_src": 48, "eth_dst": 48, "eth_type": 16, "vlan_tci": 16, "vlan_vid": 13, "vlan_pcp": 3,
    "ip_proto": 8, "ip_frag": 2, "nw_ttl": 8, "ip_dscp": 6, "ip_src": 32, "ip_dst": 32,
    "ipv6_src": 128, "ipv6_dst": 128,
    "arp_op": 16, "arp_spa": 32, "arp_tpa": 32, "arp_sha": 48, "arp_tha": 48,
    "tcp_src": 16, "tcp_dst": 16, "tcp_flags": 12, "udp_src": 16, "udp_dst": 16, "sctp_src": 16, "sctp_dst": 16,
    "icmp_type": 8, "icmp_code": 8, "icmpv6_type": 8, "icmpv6_code": 8,
    "nd_target": 128, "nd_sll": 48, "nd_tll": 48, "nd_reserved": 32, "nd_options_type": 8,
    "ct_state": 32, "ct_zone": 16, "ct_mark": 32, "ct_label": 128, "conj_id": 32,
    "ct_nw_src": 32, "ct_nw_dst": 32, "ct_ipv6_src": 128, "ct_ipv6_dst": 128, "ct_nw_proto": 8,
    "ct_tp_src": 16, "ct_tp_dst": 16,
    **{f"reg{n}": 32 for n in range(16)},
}  # fmt: skip
"""Bits of each field that Netloom uses. nx_in_port is in_port as it may be written: to 0, which says that it came by
no port. ip_frag has the two bits that mean something (Open vSwitch dumps a test of both as exact); vlan_vid has 13: bit
12 says that a tag is present, as in OpenFlow."""

Test = tuple[str, int, int | None]
Match = tuple[Test, ...]

CONTROLLER = 0xFFFFFFFD
LOCAL = 0xFFFFFFFE
IN_PORT = 0xFFFFFFF8
TABLES = 0xFFFFFFF9  # of a packet out: through the tables from the first
VLAN_PRESENT = 0x1000

IPV4, IPV6, ARP = 0x0800, 0x86DD, 0x0806
ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132

COOKIE_MAGIC = 0x4E4C << 48
COOKIE_MASK = 0xFFFF << 48
"""A flow is ours when its cookie's top 16 bits are the magic; the low 48 say which slice caused it."""

# conntrack state bits, as in ovs-fields(7)
CT_NEW, CT_EST, CT_REL, CT_RPL, CT_INV, CT_TRK, CT_SNAT, CT_DNAT = (1 << n for n in range(8))


def make_match(**tests: int | str | tuple[int, int]) -> Match:
    """A canonical match. A value is an int, a text (MAC, address or prefix) or (value, mask).

    >>> make_match(eth_type=0x800, ip_dst="10.0.0.0/8")
    (('eth_type', 2048, None), ('ip_dst', 167772160, 4278190080))
    """
    out: list[Test] = []
    for name, given in tests.items():
        width = WIDTH[name]
        full = (1 << width) - 1
        mask = full
        if isinstance(given, tuple):
            value, mask = given
        elif isinstance(given, int):
            value = given
        elif width == 48:
            value = mac_int(given)
        elif "/" in given:
            net = parse_net(given)
            value, mask = int(net.network_address), int(net.netmask)
        else:
            value = ip_int(given)
        if not 0 <= value <= full or not 0 <= mask <= full:
            raise ValueError(f"{name}={given!r} does not fit {width} bits")
        if mask:
            out.append((name, value & mask, None if mask == full else mask))
    return tuple(sorted(out))


@dataclass(frozen=True, slots=True)
class Output:
    """Send the packet to a port: an ofport number, or IN_PORT, LOCAL."""

    port: int


@dataclass(frozen=True, slots=True)
class ToController:
    """Hand the packet to the agent; `reason` names the local service (see render.pipeline)."""

    reason: int
    max_len: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class SetField:
    """Write `value` under `mask` (None: the whole field)."""

    field: str
    value: int
    mask: int | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Copy `bits` bits of src, from bit src_from, to dst, from bit dst_from."""

    src: str
    dst: str
    bits: int
    src_from: int = 0
    dst_from: int = 0


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in `table`, then go on with the next action."""

    table: int
    in_port: int | None = None


@dataclass(frozen=True, slots=True)
class Goto:
    """The OpenFlow instruction: go on in `table`. Always the last action."""

    table: int


@dataclass(frozen=True, slots=True)
class PushVlan:
    ethertype: int = 0x8100


@dataclass(frozen=True, slots=True)
class PopVlan:
    pass


@dataclass(frozen=True, slots=True)
class DecTtl:
    pass


@dataclass(frozen=True, slots=True)
class Meter:
    id: int


@dataclass(frozen=True, slots=True)
class Group:
    id: int


@dataclass(frozen=True, slots=True)
class Conjunction:
    id: int
    clause: int
    of: int


@dataclass(frozen=True, slots=True)
class Nat:
    """The nat() argument of ct: no address means 'undo what the connection did'."""

    kind: str = ""  # "", "src" or "dst"
    first: str = ""
    last: str = ""
    port_first: int = 0
    port_last: int = 0


@dataclass(frozen=True, slots=True)
class Ct:
    """Track the packet's connection; zone is a number or the name of a register (its low 16 bits).

    alg: the port of the protocol whose further connections are looked out for (21 FTP, 69 TFTP), 0 for none.
    """

    commit: bool = False
    force: bool = False
    zone: int | str = 0
    table: int | None = None
    actions: tuple[SetField, ...] = ()
    nat: Nat | None = None
    alg: int = 0


@dataclass(frozen=True, slots=True)
class CheckLarger:
    """Write to the lowest bit of `field` whether the frame is longer than `size` bytes, its Ethernet header included
    and tags not."""

    size: int
    field: str


@dataclass(frozen=True, slots=True)
class Multipath:
    """Write a number of 0 … links - 1 to `field`: the same for all packets of a connection, in both directions."""

    links: int
    field: str


@dataclass(frozen=True, slots=True)
class CtClear:
    pass


Action = (
    Output
    | ToController
    | SetField
    | Move
    | Resubmit
    | Goto
    | PushVlan
    | PopVlan
    | DecTtl
    | Meter
    | Group
    | Conjunction
    | Ct
    | CtClear
    | Multipath
    | CheckLarger
)
"""No action at all drops the packet."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One row of a flow table. Identity is (bridge, table, priority, match); the reason is no part of equality."""

    bridge: str
    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...]
    cookie: int = 0
    why: Why = field(default=HOST, compare=False)


def format_value(name: str, value: int) -> str:
    if name in ("ip_src", "ip_dst", "arp_spa", "arp_tpa", "tun_src", "tun_dst"):
        return ip_text(value, 4)
    if WIDTH[name] == 128 and name != "ct_label":
        return ip_text(value, 6)
    if WIDTH[name] == 48:
        return mac_text(value)
    if name in ("eth_type", "pkt_mark", "cookie", "metadata", "ct_state", "vlan_tci", "ct_mark", "ct_label"):
        return hex(value)
    return str(value)


def format_match(match: Match) -> str:
    """The match as ovs-ofctl would print it, near enough to be read beside a dump."""
    parts = []
    for name, value, mask in match:
        text = f"{name}={format_value(name, value)}"
        if mask is not None:
            width = WIDTH[name]
            ones = mask.bit_count()
            prefix = mask == ((1 << width) - 1) ^ ((1 << (width - ones)) - 1)
            is_ip = width in (32, 128) and ("ip" in name or name.endswith("pa") or name == "nd_target")
            text += f"/{ones}" if prefix and is_ip else f"/{format_value(name, mask) if width == 48 else hex(mask)}"
        parts.append(text)
    return ",".join(parts) or "any"

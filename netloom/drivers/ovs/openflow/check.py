"""Whether a match can be installed at all: every field's prerequisites, as ovs-fields(7) lists them.

The renderer writes prerequisites; this says which one it forgot, in words, before the switch says it in a number.
"""

from __future__ import annotations

from functools import lru_cache

from netloom.model.flow import (
    ARP,
    CT_DNAT,
    CT_EST,
    CT_INV,
    CT_NEW,
    CT_REL,
    CT_RPL,
    CT_SNAT,
    CT_TRK,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    SCTP,
    TCP,
    UDP,
    Match,
)

_Needs = tuple[str, tuple[int, ...]]

_IP: _Needs = ("eth_type", (IPV4, IPV6))
_V4: _Needs = ("eth_type", (IPV4,))
_V6: _Needs = ("eth_type", (IPV6,))
_ARP: _Needs = ("eth_type", (ARP, 0x8035))  # RARP too
_NS, _NA = 135, 136


def _proto(number: int) -> _Needs:
    return "ip_proto", (number,)


PREREQUISITES: dict[str, tuple[_Needs, ...]] = {
    **dict.fromkeys(("ip_proto", "ip_frag", "nw_ttl", "ip_dscp"), (_IP,)),
    **dict.fromkeys(("ip_src", "ip_dst"), (_V4,)),
    **dict.fromkeys(("ipv6_src", "ipv6_dst"), (_V6,)),
    **dict.fromkeys(("arp_op", "arp_spa", "arp_tpa", "arp_sha", "arp_tha"), (_ARP,)),
    **dict.fromkeys(("tcp_src", "tcp_dst", "tcp_flags"), (_IP, _proto(TCP))),
    **dict.fromkeys(("udp_src", "udp_dst"), (_IP, _proto(UDP))),
    **dict.fromkeys(("sctp_src", "sctp_dst"), (_IP, _proto(SCTP))),
    **dict.fromkeys(("icmp_type", "icmp_code"), (_V4, _proto(ICMP))),
    **dict.fromkeys(("icmpv6_type", "icmpv6_code"), (_V6, _proto(ICMPV6))),
    **dict.fromkeys(
        ("nd_target", "nd_reserved", "nd_options_type"), (_V6, _proto(ICMPV6), ("icmpv6_type", (_NS, _NA)))
    ),
    "nd_sll": (_V6, _proto(ICMPV6), ("icmpv6_type", (_NS,))),
    "nd_tll": (_V6, _proto(ICMPV6), ("icmpv6_type", (_NA,))),
    **dict.fromkeys(("ct_nw_src", "ct_nw_dst"), (_V4,)),
    **dict.fromkeys(("ct_ipv6_src", "ct_ipv6_dst"), (_V6,)),
    "ct_nw_proto": (_IP,),
    **dict.fromkeys(("ct_tp_src", "ct_tp_dst"), (_IP, ("ct_nw_proto", (TCP, UDP, SCTP)))),
}
"""What must be matched exactly, and with which of the values, before a field may be matched."""

_TRACKED = frozenset(name for name in PREREQUISITES if name.startswith("ct_"))


def _knows_connection(match: Match) -> bool:
    """Whether ct_state says that the packet belongs to a connection: +new, +est … or +trk-inv."""
    for name, value, mask in match:
        if name == "ct_state":
            known = value & (CT_NEW | CT_EST | CT_REL | CT_RPL | CT_SNAT | CT_DNAT)
            valid = value & CT_TRK and not value & CT_INV and (mask is None or mask & CT_INV)
            return bool(known or valid)
    return False


@lru_cache(maxsize=1 << 14)
def find_fault(match: Match) -> str:
    """Why a switch would refuse the match, or answer it in another form; empty when it is fine."""
    exact = {name: value for name, value, mask in match if mask is None}
    for name, _, _ in match:
        if name == "nx_in_port":
            return "nx_in_port is only written: match in_port"
        if name == "vlan_tci":
            return "vlan_tci is dumped as vlan_vid and vlan_pcp: match those"
        if name in _TRACKED and not _knows_connection(match):
            return f"{name} needs a ct_state that says +new, +est, +rel, +rpl, +snat, +dnat or +trk-inv"
        for field, values in PREREQUISITES.get(name, ()):
            if exact.get(field) not in values:
                return f"{name} needs {field}={' or '.join(map(hex, values))}"
    return ""

"""Flows that between them use every field and every action of the model: what the codec must bring back unchanged."""

from __future__ import annotations

from typing import Any

from netloom.model.device import FlowBody
from netloom.model.flow import (
    COOKIE_MAGIC,
    IN_PORT,
    LOCAL,
    Action,
    CheckLarger,
    Conjunction,
    Ct,
    CtClear,
    DecTtl,
    Goto,
    Match,
    Move,
    Multipath,
    Nat,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    ToController,
    make_match,
)
from netloom.model.plan import Thing

MAC = "02:00:00:00:00:01"
V4: dict[str, Any] = {"eth_type": 0x800}
V6: dict[str, Any] = {"eth_type": 0x86DD}
ARP: dict[str, Any] = {"eth_type": 0x806}
ND: dict[str, Any] = {**V6, "ip_proto": 58}
TAGGED: dict[str, Any] = {"vlan_vid": (0x1000, 0x1000)}
TRACKED: dict[str, Any] = {"ct_state": (0x22, 0x22)}

MATCHES: tuple[dict[str, Any], ...] = (
    {}, {"in_port": 5}, {"pkt_mark": 7}, {"metadata": 9}, {"tun_id": 77}, {"tun_src": "10.0.0.1"},
    {"tun_dst": "10.0.0.0/24"}, {"tun_ipv6_src": "fd00::1"}, {"tun_ipv6_dst": "fd00::/64"}, {"eth_src": MAC},
    {"eth_dst": (1 << 40, 1 << 40)}, {"vlan_vid": 0x1064}, {"vlan_vid": 0}, TAGGED, {"vlan_vid": 0x1005, "vlan_pcp": 3},
    {**TAGGED, "vlan_pcp": 3}, {"ct_state": (0x21, 0x23)}, {"ct_zone": 4}, {"ct_mark": (1, 3)}, {"ct_label": 5},
    {"conj_id": 9}, *({f"reg{n}": n + 1} for n in range(16)), {"reg0": (0x10000, 0xFFFF0000)},
    {**V4, "ip_src": "10.0.0.0/8", "ip_dst": "1.2.3.4", "ip_proto": 6, "tcp_src": 80, "tcp_dst": (0x50, 0xFFF0),
     "tcp_flags": (2, 18)},
    {**V4, "ip_frag": (1, 1), "nw_ttl": 64, "ip_dscp": 10, "ip_proto": 17, "udp_src": 68, "udp_dst": 67},
    {**V4, "ip_frag": (0, 3)}, {**V4, "ip_proto": 132, "sctp_src": 1, "sctp_dst": 2},
    {**V4, "ip_proto": 1, "icmp_type": 8, "icmp_code": 0},
    {**ARP, "arp_op": 1, "arp_spa": "10.0.0.1", "arp_tpa": "10.0.0.0/24", "arp_sha": MAC, "arp_tha": MAC},
    {**ND, "ipv6_src": "fe80::/10", "ipv6_dst": "ff02::1", "icmpv6_type": 135, "icmpv6_code": 0,
     "nd_target": "fd00::5", "nd_sll": MAC},
    {**ND, "icmpv6_type": 136, "nd_target": "fd00::/64", "nd_tll": MAC},
    {**ND, "icmpv6_type": 136, "nd_reserved": 5, "nd_options_type": 2},
    {**V4, **TRACKED, "ct_nw_src": "1.2.3.4", "ct_nw_dst": "10.0.0.0/8", "ct_nw_proto": 6, "ct_tp_src": 4,
     "ct_tp_dst": 5},
    {**V6, "ct_state": (0x20, 0x30), "ct_ipv6_src": "fd00::1", "ct_ipv6_dst": "fd00::/64"},
)  # fmt: skip

ACTIONS: tuple[tuple[dict[str, Any], tuple[Action, ...]], ...] = (
    ({}, ()),
    ({}, (Output(7), Output(LOCAL), Output(IN_PORT))),
    ({}, (ToController(3),)),
    ({}, (ToController(4, 128),)),
    ({}, (SetField("reg3", 5), SetField("reg4", 0x10, 0xF0), SetField("reg5", 0xA0000, 0xFFFF0000))),
    ({}, (SetField("eth_src", 1), SetField("eth_dst", 1 << 40, 1 << 40), SetField("pkt_mark", 3), Output(1))),
    ({}, (SetField("tun_id", 5), SetField("tun_dst", 1), SetField("tun_src", 2), SetField("metadata", 4, 0xFF))),
    ({}, (SetField("tun_ipv6_dst", 5), SetField("tun_ipv6_src", 5), Output(2))),
    ({}, (Move("eth_src", "eth_dst", 48), Move("reg1", "reg2", 16, 16, 0), Move("in_port", "reg1", 16))),
    ({}, (Move("tun_id", "reg1", 24), Move("pkt_mark", "reg6", 24), Resubmit(5), Resubmit(6, 9), Goto(10))),
    ({}, (PushVlan(), SetField("vlan_vid", 0x1064), Output(1))),
    (TAGGED, (Move("vlan_vid", "reg1", 12), PopVlan(), Output(3))),
    ({}, (Conjunction(5, 1, 2), Conjunction(6, 2, 3))),
    ({}, (Multipath(3, "reg12"), Goto(48))),
    ({}, (CheckLarger(1464, "reg14"), Goto(49))),
    ({}, (Resubmit(64), SetField("vlan_tci", 0), Resubmit(64))),
    ({**V4, "ip_proto": 6}, (Ct(True, zone=1, table=5, nat=Nat("src", "1.2.3.4"), alg=21),)),
    ({**V4, "ip_proto": 17}, (Ct(True, zone=1, alg=69),)),
    ({}, (CtClear(), Goto(44))),
    ({}, (Goto(9),)),
    (V4, (DecTtl(), SetField("ip_dst", 4), SetField("ip_src", 4, 0xFF), SetField("nw_ttl", 3), Output(1))),
    (V4, (SetField("ip_dscp", 3), Ct(table=5, zone=3))),
    (V4, (Ct(True, True, "reg6", None, (SetField("ct_mark", 1), SetField("ct_label", 1)),
             Nat("src", "10.0.0.1", "10.0.0.4", 1000, 2000)),)),
    (V4, (Ct(True, zone=2, actions=(SetField("ct_mark", 2, 6), SetField("ct_label", 1, 3))),)),
    (V4, (Ct(table=6, zone="reg6", nat=Nat()),)),
    (V4, (Ct(True, zone=1, nat=Nat("dst", "1.2.3.4", port_first=80)),)),
    (V6, (Ct(True, nat=Nat("src", "fd00::1")), SetField("ipv6_dst", 5), SetField("ipv6_src", 5, 0xFF), Output(1))),
    (ARP, (SetField("arp_op", 2), Move("arp_sha", "arp_tha", 48), Move("arp_spa", "arp_tpa", 32),
           SetField("arp_spa", 4), SetField("arp_sha", 4), SetField("arp_tpa", 4), SetField("arp_tha", 4),
           Output(IN_PORT))),
    ({**ND, "icmpv6_type": 135}, (SetField("nd_target", 5), SetField("nd_sll", 5), Move("nd_target", "ipv6_src", 128),
                                  SetField("icmpv6_type", 136), SetField("icmpv6_code", 0))),
    ({**ND, "icmpv6_type": 136}, (SetField("nd_tll", 5), SetField("nd_reserved", 5), SetField("nd_options_type", 2))),
    ({**V4, "ip_proto": 6}, (SetField("tcp_src", 5), SetField("tcp_dst", 5), Output(1))),
    ({**V4, "ip_proto": 17}, (SetField("udp_src", 5), SetField("udp_dst", 5), Output(1))),
    ({**V4, "ip_proto": 132}, (SetField("sctp_src", 5), SetField("sctp_dst", 5), Output(1))),
    ({**V4, "ip_proto": 1}, (SetField("icmp_type", 0), SetField("icmp_code", 0), Output(1))),
)  # fmt: skip


def make_flow(bridge: str, table: int, priority: int, match: Match, *actions: Action, cookie: int = 1) -> Thing:
    return Thing(("flow", bridge, table, priority, match), FlowBody(COOKIE_MAGIC | cookie, actions))


def make_samples(bridge: str) -> list[Thing]:
    """Each match and each action list as a flow of its own."""
    by_match = [make_flow(bridge, 1, n + 1, make_match(**test), Output(1)) for n, test in enumerate(MATCHES)]
    return by_match + [
        make_flow(bridge, 2, n + 1, make_match(**test), *actions) for n, (test, actions) in enumerate(ACTIONS)
    ]

"""Every flow table of every bridge: its number and name, what it matches, where it may lead. No other file names one.

A packet that no flow matches is dropped, in every table (fail closed). `check_flow` refuses a jump or a match that is
not declared here. Numbers leave room for the stages that are to come: routing and translation after the local services.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netloom.model.flow import Ct, Flow, Goto, Resubmit, ToController


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a bridge's pipeline. `fields`: what its flows may match; `next`: tables that they may lead to."""

    bridge: str  # "int" or "tun": the integration or the tunnel bridge, whatever they are called on a host
    number: int
    name: str
    doc: str
    fields: frozenset[str]
    next: frozenset[int]


CLASSIFY, QOS, GUARD, SERVICES, ADVERTISE, SWITCH, ANSWER, INGRESS, DELIVER = 0, 8, 10, 32, 36, 64, 66, 70, 80
EGRESS, EGRESS_RULES, EGRESS_ACCEPT, EGRESS_FREE = 12, 14, 16, 18
INGRESS_FILTER, INGRESS_RULES, INGRESS_FREE, INGRESS_ACCEPT = 74, 75, 76, 78
METADATA = 34
ROUTER, INBOUND, KNOWN, ROUTE, PATH, SIZE, LARGE, OUTBOUND, SCOPE, NEIGHBOUR = 40, 42, 44, 46, 47, 48, 49, 50, 52, 54
TUN_CLASSIFY, TUN_OUT = 0, 24

NEUTRONS = frozenset({1, 2, 3, 4, 6, 20, 21, 22, 23, 25, 30, 31, *range(58, 64), 71, 72, 73, 81, 82, *range(91, 95)})
"""Tables of Neutron's agent. Where it ran before, its flows may still lie there, and one of them is NORMAL: a packet of
ours that matched nothing would fall to it instead of being dropped. So none of ours has such a number, but table 0,
where ours have the higher priority."""

_L3 = ("eth_type", "ip_src", "ipv6_src", "ip_proto", "udp_src", "udp_dst", "icmpv6_type", "icmpv6_code", "nd_target",
       "nd_sll", "nd_tll", "arp_op", "arp_spa", "arp_tpa", "arp_sha", "ipv6_dst", "nd_options_type")  # fmt: skip
_PASS = ("reg4", "eth_type", "ip_proto", "udp_src", "udp_dst", "icmpv6_type")
_RULES = ("reg4", "eth_type", "ip_src", "ip_dst", "ipv6_src", "ipv6_dst", "ip_proto", "tcp_dst", "udp_dst", "sctp_dst",
          "icmp_type", "icmp_code", "icmpv6_type", "icmpv6_code", "conj_id", "reg2", "reg5")  # fmt: skip
_TRACKED = ("eth_type", "ct_state", "ct_mark", "ct_nw_proto", "ct_tp_dst", "ip_frag", "reg2", "reg5")


def _table(bridge: str, number: int, name: str, doc: str, fields: Iterable[str], to: Iterable[int] = ()) -> Table:
    return Table(bridge, number, name, doc, frozenset(fields), frozenset(to))


PIPELINE: tuple[Table, ...] = (
    _table("int", CLASSIFY, "classify", "Which network is this packet on, and whose is it?",
           ("in_port", "pkt_mark", "vlan_vid"), (GUARD, METADATA, QOS, SWITCH)),
    _table("int", QOS, "qos", "How much may this port send, and how is it marked?", ("reg5", "eth_type"), (GUARD,)),
    _table("int", GUARD, "guard", "May this port send this: its own MAC and addresses, and those it was allowed.",
           ("reg5", "eth_src", "vlan_vid", *_L3), (EGRESS, SERVICES)),
    _table("int", EGRESS, "egress", "What may any port send, and do its groups track connections?",
           _PASS, (SERVICES, EGRESS_RULES, EGRESS_FREE)),
    _table("int", EGRESS_RULES, "egress-rules", "Do stateful groups let the sender's packet out, or its connection?",
           (*_RULES, *_TRACKED), (SERVICES, EGRESS_ACCEPT)),
    _table("int", EGRESS_ACCEPT, "egress-accept", "A rule lets it out: is its connection known already?",
           _TRACKED, (SERVICES,)),
    _table("int", EGRESS_FREE, "egress-free", "Do stateless groups let the sender's packet out?", _RULES, (SERVICES,)),
    _table("int", SERVICES, "services", "What the host itself answers: ARP, ND, DHCP, router solicitations, metadata.",
           ("reg0", "reg5", "ip_dst", "tcp_dst", *_L3), (SWITCH, ADVERTISE, ANSWER)),
    _table("int", METADATA, "metadata", "Which port does an answer of the metadata service go back to?",
           ("ip_dst", "tcp_src", *_L3), (ADVERTISE, ANSWER, INGRESS)),
    _table("int", ADVERTISE, "advertise", "The answer to a neighbour solicitation gets its address, and goes back.",
           ("eth_type", "ip_proto", "icmpv6_type", "icmpv6_code"), (ANSWER,)),
    _table("int", ROUTER, "router", "Is it for the router itself, or has it gone on for too long?",
           ("reg0", "reg6", "eth_type", "arp_op", "ip_dst", "ipv6_dst", "ip_proto", "icmp_type", "icmp_code",
            "icmpv6_type", "icmpv6_code", "nw_ttl"), (INBOUND, ROUTE)),
    _table("int", INBOUND, "inbound", "To whom inside does an address lead that is known outside?",
           ("reg6", "eth_type", "ip_dst", "ipv6_dst", "ip_proto", "tcp_dst", "udp_dst"), (KNOWN, ROUTE)),
    _table("int", KNOWN, "known", "Does it belong to a connection from inside?",
           ("reg6", "eth_type", "ct_state"), (ROUTE,)),
    _table("int", ROUTE, "route", "To which network, by which next hop?",
           ("reg6", "eth_type", "ip_dst", "ipv6_dst"), (PATH, SIZE, OUTBOUND, SCOPE, NEIGHBOUR)),
    _table("int", PATH, "path", "Of equal routes, which one for this connection?",
           ("reg6", "eth_type", "reg12", "reg13"), (SIZE, OUTBOUND, SCOPE, NEIGHBOUR)),
    _table("int", SIZE, "size", "May it be longer than the network takes that it goes on in?",
           ("reg0", "reg6", "reg7", "eth_type"), (LARGE, OUTBOUND, SCOPE, NEIGHBOUR)),
    _table("int", LARGE, "large", "Is it?", ("reg0", "reg6", "eth_type", "reg14"), (OUTBOUND, SCOPE, NEIGHBOUR)),
    _table("int", OUTBOUND, "outbound", "By which address is its sender known outside, and does this host say so?",
           ("reg0", "reg6", "reg7", "eth_type", "ip_src", "ip_proto", "tcp_dst", "udp_dst"),
           (SCOPE, NEIGHBOUR, SWITCH)),
    _table("int", SCOPE, "scope", "Does it stay in its address scope, or was it translated?",
           ("reg0", "reg6", "reg7", "eth_type", "ct_state"), (NEIGHBOUR,)),
    _table("int", NEIGHBOUR, "neighbour", "Which MAC address has the next hop?",
           ("reg0", "eth_type", "reg8", "reg9", "reg10", "reg11"), (SWITCH,)),
    _table("int", SWITCH, "switch", "To which port or host does the MAC address lead?",
           ("reg0", "reg3", "eth_dst", "eth_type", "arp_op", "arp_tpa", "ip_proto", "icmpv6_type", "icmpv6_code",
            "nd_target", "nd_options_type"), (INGRESS, ROUTER, ADVERTISE)),
    _table("int", ANSWER, "answer", "Back to whoever asked, tagged where that is a subport.", ("reg5",)),
    _table("int", INGRESS, "ingress", "Whose groups hold at the port at reg2, or is port security off?",
           ("reg2", "eth_dst"), (INGRESS_FILTER, DELIVER)),
    _table("int", INGRESS_FILTER, "ingress-filter", "What may any port receive, and do its groups track connections?",
           _PASS, (DELIVER, INGRESS_RULES, INGRESS_FREE)),
    _table("int", INGRESS_RULES, "ingress-rules", "Do stateful groups let the packet in, or its connection?",
           (*_RULES, *_TRACKED), (DELIVER, INGRESS_ACCEPT)),
    _table("int", INGRESS_FREE, "ingress-free", "Do stateless groups let the packet in?", _RULES, (DELIVER,)),
    _table("int", INGRESS_ACCEPT, "ingress-accept", "A rule lets it in: is its connection known already?",
           _TRACKED, (DELIVER,)),
    _table("int", DELIVER, "deliver", "Out of the port at reg2, tagged where that is a subport.",
           ("in_port", "reg2", "reg5", "eth_dst")),
    _table("tun", TUN_CLASSIFY, "classify", "Out, or in from a host that shares the network?",
           ("in_port", "tun_id", "tun_src", "tun_ipv6_src"), (TUN_OUT,)),
    _table("tun", TUN_OUT, "out", "To which host does the MAC address lead?", ("reg0", "eth_dst")),
)  # fmt: skip

BY_NUMBER = {(table.bridge, table.number): table for table in PIPELINE}

REASON_DHCP4, REASON_DHCP6, REASON_SOLICIT, REASON_EXPIRED, REASON_RESOLVE, REASON_HEARD = 1, 2, 3, 4, 5, 6
REASON_ACCEPTED, REASON_DROPPED, REASON_LARGE = 7, 8, 9
REASONS = range(1, 10)
"""Why a packet is handed to the agent."""


class UndeclaredError(Exception):
    """A flow that the pipeline does not allow."""


def check_flow(flow: Flow, side: str) -> None:
    """Raises UndeclaredError for a match or a jump that `flow`'s table does not declare."""
    table = BY_NUMBER.get((side, flow.table))
    if table is None:
        raise UndeclaredError(f"{side} has no table {flow.table}")
    fields = {name for name, _, _ in flow.match} - table.fields
    if fields:
        raise UndeclaredError(f"table {table.name} does not match {sorted(fields)}")
    for action in flow.actions:
        if isinstance(action, Goto | Resubmit) and action.table not in table.next:
            raise UndeclaredError(f"table {table.name} does not lead to table {action.table}")
        if isinstance(action, Ct) and action.table is not None and action.table not in table.next:
            raise UndeclaredError(f"table {table.name} does not lead to table {action.table}")
        if isinstance(action, Goto) and action.table <= flow.table:
            raise UndeclaredError(f"goto {action.table} leads back from {flow.table}")
        if isinstance(action, ToController) and action.reason not in REASONS:
            raise UndeclaredError(f"nobody answers reason {action.reason}")


def render_reference() -> str:
    """The pipeline as a page of Markdown."""
    lines = ["# The pipeline", "", "| bridge | table | name | question | leads to |", "|---|---|---|---|---|"]
    for t in PIPELINE:
        to = ", ".join(BY_NUMBER[t.bridge, n].name for n in sorted(t.next)) or "out"
        lines.append(f"| br-{t.bridge} | {t.number} | {t.name} | {t.doc} | {to} |")
    return "\n".join(lines) + "\n"

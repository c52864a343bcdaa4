"""Every flow table of every bridge: its number and name, what it matches, where it may lead. No other file names one.

A packet that no flow matches is dropped, in every table (fail closed). `check_flow` refuses a jump or a match that is
not declared here. Numbers leave room for the stages that are to come: egress rules after the guard, routing and
translation after the local services, ingress rules before delivery.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from netloom.model.flow import Flow, Goto, Resubmit, ToController


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a bridge's pipeline. `fields`: what its flows may match; `next`: tables that they may lead to."""

    bridge: str  # "int" or "tun": the integration or the tunnel bridge, whatever they are called on a host
    number: int
    name: str
    doc: str
    fields: frozenset[str]
    next: frozenset[int]


CLASSIFY, GUARD, SERVICES, ADVERTISE, SWITCH, INGRESS, DELIVER = 0, 10, 32, 36, 64, 70, 80
TUN_CLASSIFY, TUN_OUT = 0, 24

NEUTRONS = frozenset({1, 2, 3, 4, 6, 20, 21, 22, 23, 25, 30, 31, *range(58, 64), 71, 72, 73, 81, 82, *range(91, 95)})
"""Tables of Neutron's agent. Where it ran before, its flows may still lie there, and one of them is NORMAL: a packet of
ours that matched nothing would fall to it instead of being dropped. So none of ours has such a number, but table 0,
where ours have the higher priority."""

_L3 = ("eth_type", "ip_src", "ipv6_src", "ip_proto", "udp_src", "udp_dst", "icmpv6_type", "icmpv6_code", "nd_target",
       "nd_sll", "nd_tll", "arp_op", "arp_spa", "arp_tpa", "arp_sha", "ipv6_dst", "nd_options_type")  # fmt: skip


def _table(bridge: str, number: int, name: str, doc: str, fields: Iterable[str], to: Iterable[int] = ()) -> Table:
    return Table(bridge, number, name, doc, frozenset(fields), frozenset(to))


PIPELINE: tuple[Table, ...] = (
    _table("int", CLASSIFY, "classify", "Which network is this packet on, and whose is it?",
           ("in_port", "pkt_mark", "vlan_vid"), (GUARD, SWITCH)),
    _table("int", GUARD, "guard", "May this port send this: its own MAC and addresses, and those it was allowed.",
           ("in_port", "eth_src", *_L3), (SERVICES,)),
    _table("int", SERVICES, "services", "What the host itself answers: ARP, ND, DHCP, router solicitations.",
           ("in_port", "reg0", *_L3), (SWITCH, ADVERTISE)),
    _table("int", ADVERTISE, "advertise", "The answer to a neighbour solicitation gets its address, and goes back.",
           ("eth_type", "ip_proto", "icmpv6_type", "icmpv6_code")),
    _table("int", SWITCH, "switch", "To which port or host does the MAC address lead?",
           ("reg0", "reg3", "eth_dst"), (INGRESS,)),
    _table("int", INGRESS, "ingress", "May the port at reg2 receive this?", ("reg2",), (DELIVER,)),
    _table("int", DELIVER, "deliver", "Out of the port at reg2.", ("reg2",)),
    _table("tun", TUN_CLASSIFY, "classify", "Out, or in from a host that shares the network?",
           ("in_port", "tun_id", "tun_src", "tun_ipv6_src"), (TUN_OUT,)),
    _table("tun", TUN_OUT, "out", "To which host does the MAC address lead?", ("reg0", "eth_dst")),
)  # fmt: skip

BY_NUMBER = {(table.bridge, table.number): table for table in PIPELINE}

REASON_DHCP4, REASON_DHCP6, REASON_SOLICIT = 1, 2, 3
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
        if isinstance(action, Goto) and action.table <= flow.table:
            raise UndeclaredError(f"goto {action.table} leads back from {flow.table}")
        if isinstance(action, ToController) and action.reason not in (REASON_DHCP4, REASON_DHCP6, REASON_SOLICIT):
            raise UndeclaredError(f"nobody answers reason {action.reason}")


def render_reference() -> str:
    """The pipeline as a page of Markdown."""
    lines = ["# The pipeline", "", "| bridge | table | name | question | leads to |", "|---|---|---|---|---|"]
    for t in PIPELINE:
        to = ", ".join(BY_NUMBER[t.bridge, n].name for n in sorted(t.next)) or "out"
        lines.append(f"| br-{t.bridge} | {t.number} | {t.name} | {t.doc} | {to} |")
    return "\n".join(lines) + "\n"

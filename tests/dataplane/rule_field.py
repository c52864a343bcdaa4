"""The table of rules on any host: two peers, and a port for each case and direction, plugged as the host plugs.

Each rule has a port of its own in a group that has nothing else. A peer without port security sends to it, or is sent
to; what arrives at the other end's device is looked at, and what must not arrive is waited for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from netloom.model.slices import PortRow
from netloom.testing.story_traffic import make_traffic
from tests.dataplane.frames import await_frame, drain, encode_packet
from tests.dataplane.group_kit import add_rule, make_address_group, make_dual_network, make_group, make_row
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.settled import wait_active
from tests.dataplane.wire import open_socket

PEER4, PEER6 = "10.0.0.10", "2001:db8::10"
V6 = {"ethertype": "IPv6"}
Case = tuple[str, dict[str, Any], str, str]
"""A rule's name and body; what it lets through; what it does not: messages as stories say them, with commas."""

TCP80 = {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}
CASES: tuple[Case, ...] = (
    ("nothing", {}, "", "tcp 80, udp 53, ping, sctp 5, protocol 47, tcp 80 v6, ping v6"),
    ("all of v4", {"protocol": None}, "tcp 80, udp 53, ping, sctp 5, protocol 47", "tcp 80 v6, udp 53 v6, ping v6"),
    ("all of v6", {**V6}, "tcp 80 v6, udp 53 v6, ping v6, protocol 47 v6", "tcp 80, ping"),
    ("protocol 0", {"protocol": 0}, "tcp 80, ping, protocol 47", "ping v6"),
    ("tcp", {"protocol": "tcp"}, "tcp 1, tcp 65535", "udp 1, ping, tcp 1 v6"),
    ("one port", TCP80, "tcp 80", "tcp 79, tcp 81, udp 80, tcp 80 v6"),
    ("one port of v6", {**TCP80, **V6}, "tcp 80 v6", "tcp 81 v6, tcp 80, udp 80 v6"),
    ("a range", {"protocol": "tcp", "port_range_min": 1000, "port_range_max": 2100}, "tcp 1000, tcp 1537, tcp 2100",
     "tcp 999, tcp 2101, tcp 80, udp 1500"),
    ("udp", {"protocol": "udp", "port_range_min": 53, "port_range_max": 54}, "udp 53, udp 54", "udp 52, udp 55"),
    ("udp of v6", {"protocol": "17", "port_range_min": 53, "port_range_max": 53, **V6}, "udp 53 v6", "udp 53"),
    ("sctp", {"protocol": "sctp", "port_range_min": 5060, "port_range_max": 5061}, "sctp 5060", "sctp 5062, tcp 5060"),
    ("icmp", {"protocol": "icmp"}, "ping, icmp 13", "ping v6, tcp 80"),
    ("icmp type", {"protocol": "icmp", "port_range_min": 8}, "ping", "icmp 13, icmp 15"),
    ("icmp type and code", {"protocol": "icmp", "port_range_min": 8, "port_range_max": 0}, "ping", "icmp 13"),
    ("icmp type and another code", {"protocol": "icmp", "port_range_min": 8, "port_range_max": 1}, "", "ping"),
    ("icmpv6", {"protocol": "ipv6-icmp", **V6}, "ping v6", "ping, tcp 80 v6"),
    ("icmpv6 by its old name", {"protocol": "icmp", "port_range_min": 128, **V6}, "ping v6", "ping"),
    ("icmpv6 of another type", {"protocol": "icmpv6", "port_range_min": 129, **V6}, "", "ping v6"),
    ("by number", {"protocol": 47}, "protocol 47", "protocol 50, tcp 80, protocol 47 v6"),
    ("by name", {"protocol": "esp", **V6}, "protocol 50 v6", "protocol 51 v6, protocol 50"),
    ("its prefix", {"remote_ip_prefix": "10.0.0.8/29"}, "tcp 80, ping", "ping v6"),
    ("its address", {"remote_ip_prefix": PEER4, **TCP80}, "tcp 80", "tcp 81"),
    ("another's prefix", {"remote_ip_prefix": "10.0.0.16/28"}, "", "tcp 80, ping"),
    ("its prefix of v6", {"remote_ip_prefix": "2001:db8::/120", **V6}, "tcp 80 v6", "tcp 80"),
    ("another's prefix of v6", {"remote_ip_prefix": "2001:db8:1::/64", **V6}, "", "tcp 80 v6"),
    ("its address group", {"remote_address_group_id": "near", **TCP80}, "tcp 80", "tcp 81, udp 80, tcp 80 v6"),
    ("its address group of v6", {"remote_address_group_id": "near", **V6}, "ping v6, tcp 9 v6", "ping"),
    ("another address group", {"remote_address_group_id": "far"}, "", "tcp 80, ping"),
    ("its group", {"remote_group_id": "friends", **TCP80}, "tcp 80", "tcp 81, ping, tcp 80 v6"),
    ("its group of v6", {"remote_group_id": "friends", "protocol": "udp", **V6}, "udp 5 v6", "tcp 5 v6, udp 5"),
    ("another group", {"remote_group_id": "strangers"}, "", "tcp 80, ping"),
    ("ports of dccp", {"protocol": "dccp", "port_range_min": 5, "port_range_max": 5}, "", "protocol 33, tcp 5"),
)  # fmt: skip


@dataclass(frozen=True)
class Field:
    """Everything is plugged: the peer, and by direction and case the port that has the rule."""

    rig: Rig
    peers: dict[str, tuple[PortRow, socket.socket]]
    ports: dict[tuple[str, str], tuple[PortRow, socket.socket]]


def make_friends(rig: Rig) -> dict[str, str]:
    """Groups and address groups that rules name: some hold the peer, some do not."""
    friends = make_group(rig, "friends")
    for ethertype in ("IPv4", "IPv6"):
        for direction in ("ingress", "egress"):
            add_rule(rig, friends, direction=direction, ethertype=ethertype)
    return {
        "friends": friends,
        "strangers": make_group(rig, "strangers"),
        "near": make_address_group(rig, "near", "10.0.0.8/30", "2001:db8::10/128"),
        "far": make_address_group(rig, "far", "10.9.0.0/16", "2001:db8:9::/64"),
    }


@contextmanager
def fill_field(
    rig: Rig, stateful: bool, others: Mapping[tuple[str, str], str] = MappingProxyType({})
) -> Iterator[Field]:
    """Two peers (one in no group, one in the group that rules name), and a port for each case and direction; `others`:
    groups of more ports, by what they are called."""
    network, named = make_dual_network(rig, "n0"), make_friends(rig)
    addresses = [{"ip_address": PEER4}, {"ip_address": PEER6}]
    peers = rig.make_ports(network, 1, fixed_ips=addresses, port_security_enabled=False, security_groups=[])
    peers += rig.make_ports(network, 1, security_groups=[named["friends"]])
    rows, keys = [], []
    for direction in ("ingress", "egress"):
        for name, rule, _, _ in CASES:
            group = make_group(rig, name, stateful)
            if rule:
                filled = {k: named.get(v, v) if isinstance(v, str) else v for k, v in rule.items()}
                add_rule(rig, group, direction=direction, **filled)
            rows += rig.make_ports(network, 1, security_groups=[group])
            keys.append((direction, name))
    for key, group in others.items():
        rows += rig.make_ports(network, 1, security_groups=[group])
        keys.append(key)
    cables = rig.cable([*peers, *rows], rig.make_space("crowd"))
    rig.plug(cables)
    wait_active(rig)
    wires = [open_wire(one) for one in cables]
    seats = [(make_row(port), wire) for port, wire in zip([*peers, *rows], wires, strict=True)]
    yield Field(rig, {"open": seats[0], "friend": seats[1]}, dict(zip(keys, seats[2:], strict=True)))
    for wire in wires:
        wire.close()


def open_wire(one: Instance) -> socket.socket:
    return open_socket(one.netns, one.device)


def say(words: str, sender: PortRow, target: PortRow) -> bytes:
    *said, last = words.split()
    given = [*said, "to", "it", "over", "ipv6"] if last == "v6" else [*said, last, "to", "it"]
    return encode_packet(make_traffic(sender, target, given))


def try_case(field: Field, case: Case, direction: str) -> None:
    """Of all that is tried, what the rule allows must arrive as it was sent, and nothing else."""
    name, rule, allowed, refused = case
    port, wire = field.ports[direction, name]
    peer, peer_wire = field.peers["friend" if "remote_group_id" in rule else "open"]
    if direction == "ingress":
        sender, target, out, into = peer, port, peer_wire, wire
    else:
        sender, target, out, into = port, peer, wire, peer_wire
    drain(into)
    for words in filter(None, allowed.split(", ")):
        frame = say(words, sender, target)
        out.send(frame)
        assert await_frame(into, frame, 20), f"{words} does not arrive"
    for words in filter(None, refused.split(", ")):
        frame = say(words, sender, target)
        out.send(frame)
        assert not await_frame(into, frame, 0.05), f"{words} arrives"

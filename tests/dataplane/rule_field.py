"""The table of rules on any host: two peers, and a port for each case and direction, plugged as the host plugs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.dataplane.group_kit import add_rule, make_address_group, make_dual_network, make_group, make_row
from tests.dataplane.rig import Rig, wait_active
from tests.dataplane.test_groups_rules import CASES, PEER4, PEER6, Field, open_wire


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
def fill_field(rig: Rig, stateful: bool) -> Iterator[Field]:
    """Two peers (one in no group, one in the group that rules name), and a port for each case and direction."""
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
    cables = rig.cable([*peers, *rows], rig.make_space("crowd"))
    rig.plug(cables)
    wait_active(rig)
    wires = [open_wire(one) for one in cables]
    seats = [(make_row(port), wire) for port, wire in zip([*peers, *rows], wires, strict=True)]
    yield Field(rig, {"open": seats[0], "friend": seats[1]}, dict(zip(keys, seats[2:], strict=True)))
    for wire in wires:
        wire.close()

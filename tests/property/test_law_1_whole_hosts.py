"""Law 1 of a whole host: networks, ports and facts change in any order, and nothing old is held, by neither switch."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    AddressPair,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Row,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.render.bridges.host import BridgeRenderer, render_bridge_host
from netloom.render.bridges.scene import tap_name
from netloom.render.host import Renderer, render_host
from netloom.render.scene import patch_name, tunnel_port
from tests.property.test_law_6_callers import change

IDS, NETWORKS = ("p1", "p2", "p3", "p4", "p5"), ("n1", "n2")
ADDRESSES = (Address("10.0.0.1", "a"), Address("10.0.0.2", "a"), Address("10.0.0.3", "a"), Address("2001:db8::1", "b"))
MACS = ("fa:16:3e:00:00:01", "fa:16:3e:00:00:02", "fa:16:3e:00:00:03", "fa:16:3e:00:00:04")
OWNERS = ("compute:nova", "compute:nova", "network:dhcp", "network:router_interface")
SEGMENTS = (Segment("vxlan", "", 7), Segment("vxlan", "", 8), Segment("vlan", "physnet", 40), Segment("local"))
OPEN, GIVEN = (SubnetRow("a", "n", "10.0.0.0/29", 4, gateway) for gateway in ("", "10.0.0.1"))
SUBNETS = ((), (OPEN,), (OPEN,), (GIVEN,), (OPEN, SubnetRow("b", "n", "2001:db8::/64", 6, enable_dhcp=False)))
OFPORTS = {
    ("br-int", "patch-tun"): 1, ("br-tun", "patch-int"): 1, ("br-tun", tunnel_port("vxlan")): 2,
    ("br-int", patch_name("eth1")): 3, ("br-int", patch_name("eth2")): 4,
}  # fmt: skip


def draw_port(dice: Random) -> dict[str, Any]:
    return {
        "network": dice.choice(NETWORKS), "host": dice.choice(("h1", "h1", "h2", "")), "mac": dice.choice(MACS),
        "addresses": tuple(dice.sample(ADDRESSES, dice.randrange(3))), "owner": dice.choice(OWNERS),
        "pairs": (AddressPair("10.0.0.9", dice.choice(MACS)),) * (dice.random() < 0.2),
        "security": dice.random() < 0.8, "up": dice.random() < 0.8, "plugged": dice.random() < 0.8,
    }  # fmt: skip


def draw_network(dice: Random) -> dict[str, Any]:
    return {
        "segments": (dice.choice(SEGMENTS),), "mtu": dice.choice((1400, 1500)), "admin_state_up": dice.random() < 0.8,
    }  # fmt: skip


def draw_facts(dice: Random) -> dict[str, Any]:
    return {
        "tunnel_ip": dice.choice(("192.0.2.1", "192.0.2.9")), "datapath_type": dice.choice(("system", "netdev")),
        "metadata": dice.random() < 0.5, "metadata_redirect": dice.random() < 0.5,
        "bridge_mappings": dice.choice(({}, {"physnet": "eth1"}, {"physnet": "eth2"})),
        "ofports": dict(dice.sample(sorted(OFPORTS.items()), dice.choice((3, 5, 5)))),
    }  # fmt: skip


def draw_step(dice: Random, told: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """One thing that changes; of a port or a network often no more than one word."""
    what, gone = dice.choice(("ports", "ports", "ports", "networks", "subnets", "end", "facts")), dice.random() < 0.2
    if what == "end":
        return {what: dice.choice(("", "192.0.2.2", "192.0.2.3"))}
    if what == "facts":
        return {what: draw_facts(dice)}
    id = dice.choice(IDS if what == "ports" else NETWORKS)
    if what == "subnets":
        return {what: {id: dice.choice(SUBNETS)}}
    new, old = (draw_port if what == "ports" else draw_network)(dice), told[what].get(id)
    if old and dice.random() < 0.7:
        word = dice.choice(sorted(new))
        new = {**old, word: new[word]}
    return {what: {id: None if gone else new}}


class Host:
    """What a host is told, step by step: a slice that changes is one that came of the slice before."""

    def __init__(self) -> None:
        self.told: dict[str, dict[str, Any]] = {"ports": {}, "subnets": {}}
        self.told["networks"] = {id: {"segments": (Segment("vxlan", "", 7),), "mtu": 1400} for id in NETWORKS}
        self.end, self.facts = "192.0.2.2", dict[str, Any]()
        self.slices: dict[str, Slice] = {}

    def step(self, new: dict[str, Any]) -> None:
        for name in self.told.keys() & new.keys():
            self.told[name] |= new[name]
        self.end = str(new.get("end", self.end))
        self.facts = new.get("facts", self.facts)
        self.put("host/h1", self.make_own())
        for id in NETWORKS:
            self.put(f"network/{id}", self.make_network(id))

    def put(self, name: str, rows: dict[str, Row]) -> None:
        old = self.slices.get(name)
        held = old.rows if old else {}
        new = {key: row for key, row in rows.items() if key not in held or held[key] != row}
        gone = [key for key in held if key not in rows]
        if old is None or new or gone:
            self.slices[name] = change(name, old, new, gone)

    @property
    def ports(self) -> list[tuple[str, dict[str, Any]]]:
        return [(id, one) for id, one in self.told["ports"].items() if isinstance(one, dict)]

    def make_own(self) -> dict[str, Row]:
        return {f"port/{id}": make_port(id, one) for id, one in self.ports if one["host"] == "h1"}

    def make_network(self, id: str) -> dict[str, Row]:
        rows: dict[str, Row] = {"host/h1": HostRow("h1", "192.0.2.1"), "host/h2": HostRow("h2", self.end)}
        told = self.told["networks"].get(id)
        if isinstance(told, dict):
            rows[f"network/{id}"] = NetworkRow(id, int(id[1:]), **told)
        for subnet in self.told["subnets"].get(id, ()):
            rows[f"subnet/{subnet.id}"] = subnet
        return rows | {f"place/{name}": make_place(name, one) for name, one in self.ports if one["network"] == id}

    def make_facts(self) -> HostFacts:
        here = {
            id: Interface(tap_name(id), 10 + number)
            for number, (id, one) in enumerate(self.ports) if one["plugged"] and one["host"] == "h1"
        }  # fmt: skip
        return HostFacts(
            "h1",
            tunnel_types=("vxlan",),
            interfaces=here,
            **{"tunnel_ip": "192.0.2.1", "ofports": OFPORTS, **self.facts},
        )


def make_port(id: str, one: dict[str, Any]) -> PortRow:
    device = f"dhcpx-{one['network']}" if one["owner"] == "network:dhcp" else "vm"
    return PortRow(
        id, str(one["network"]), str(one["mac"]), addresses=one["addresses"], pairs=one["pairs"],
        port_security=bool(one["security"]), admin_state_up=bool(one["up"]), device_owner=str(one["owner"]),
        device_id=device,
    )  # fmt: skip


def make_place(id: str, one: dict[str, Any]) -> PlaceRow:
    return PlaceRow(
        id, str(one["mac"]), str(one["host"]), one["addresses"], one["pairs"],
        str(one["owner"]), not one["security"],
    )  # fmt: skip


def list_things(groups: dict[str, tuple[Thing, ...]]) -> list[tuple[str, Thing, object]]:
    return [(name, thing, thing.why) for name in sorted(groups) for thing in groups[name]]


@pytest.mark.parametrize("seed", range(12))
def test_law_1_a_host_holds_nothing_of_what_was(seed: int) -> None:
    """Ports change MAC, addresses, pairs, security and network, networks their MTU and segment, the host its NICs and
    tunnel address, one by one, some steps unseen: as a host that started now, with either switch."""
    dice, host, bridges, flows = Random(seed), Host(), BridgeRenderer(), Renderer()
    for _ in range(60):
        host.step(draw_step(dice, host.told))
        slices: Slices = dict(host.slices)
        facts = host.make_facts()
        if dice.random() < 0.8:
            assert list_things(bridges.render(slices, facts)) == list_things(render_bridge_host(slices, facts))
            assert flows.render(slices, facts) == render_host(slices, facts)

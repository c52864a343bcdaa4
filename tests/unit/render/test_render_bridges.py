"""What ports say beside their groups, as a host with Linux bridges has it: limits, marks, logs, metadata, subports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.address import ip_int, link_local, mac_int
from netloom.model.bridge import BridgePort, Leads, Neighbour, VlanDevice, VxlanDevice
from netloom.model.device import Shape, ShapeClass
from netloom.model.facts import HostFacts, Interface
from netloom.model.filter import FilterChain, Way
from netloom.model.netns import Namespace, Path
from netloom.model.plan import Key, Thing
from netloom.model.slices import (
    Address,
    AddressPair,
    GroupRow,
    HostRow,
    LogMark,
    NetworkRow,
    PlaceRow,
    PortRow,
    QosRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.reconcile.desired import merge_groups
from netloom.render.bridges.host import BridgeRenderer, render_bridge_host
from netloom.render.bridges.limits import render_sent
from netloom.render.bridges.logs import Logging
from netloom.render.bridges.metadata import find_bridge_callers
from netloom.render.bridges.status import MAKING, find_pending
from netloom.render.filters.nft_rules import render_rules
from netloom.render.flows.groups import Combination
from netloom.render.qos import Limits, Rate
from netloom.testing import nft_simulator as nft
from netloom.testing.connections import Connections

A, B, N = "a0000000-0000", "b0000000-0000", "n0000000-0000"
TAP, END = "tapa0000000-00", "nlmn0000000-00"
PORT = PortRow(
    A, N, "fa:16:3e:00:00:01", project_id="demo", device_id="i-a", device_owner="compute:nova",
    addresses=(Address("10.0.0.5", "s"),), policy="p",
)  # fmt: skip
SUB = PortRow(B, N, "fa:16:3e:00:00:02", addresses=(Address("10.0.0.6", "s"),), parent_id=A, vlan=100)
FACTS = HostFacts(
    "h1", "192.0.2.1", ("vxlan",), interfaces={A: Interface(TAP, 7)}, metadata=True,
    bridge_mappings={"physnet": "eth1"}, bandwidths={"physnet": 100_000},
)  # fmt: skip
RULES = (
    QosRow("1", "bandwidth_limit", "egress", 20_000, 0),
    QosRow("2", "bandwidth_limit", "ingress", 10_000, 0),
    QosRow("3", "packet_rate_limit", "ingress", 2000, 0),
    QosRow("4", "minimum_bandwidth", "egress", 30_000),
)


def make_slices(
    *ports: PortRow, rules: tuple[QosRow, ...] = (), segment: Segment | None = None, also: tuple[str, ...] = ()
) -> Slices:
    places = {
        f"place/{p.id}": PlaceRow(p.id, p.mac, "h1", p.addresses, p.pairs, open=not p.port_security, also=also)
        for p in ports
    }
    network: dict[str, Row] = {
        f"network/{N}": NetworkRow(N, 1, segments=(segment or Segment("vxlan", "", 5),)),
        "subnet/s": SubnetRow("s", N, "10.0.0.0/24", 4),
        "host/h2": HostRow("h2", "192.0.2.2", ("vxlan",)),
        **places,
    }
    own: dict[str, Row] = {f"port/{p.id}": p for p in ports}
    found: dict[str, dict[str, Row]] = {
        "host/h1": own, f"network/{N}": network, "policy/p": {f"rule/{rule.id}": rule for rule in rules},
    }  # fmt: skip
    return {name: Slice(name, 1, rows) for name, rows in found.items()}


def render(slices: Slices, facts: HostFacts = FACTS) -> dict[Key, Thing]:
    return {thing.key: thing for things in render_bridge_host(slices, facts).values() for thing in things}


# -- limits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "rules"),
    [
        (Limits(), ()),
        (Limits(sent=Rate(20_000)), ("limit rate over 2500000 bytes/second drop",)),
        (Limits(sent=Rate(8, 80)), ("limit rate over 1000 bytes/second burst 10000 bytes drop",)),
        (Limits(sent_packets=Rate(1000)), ("limit rate over 1000/second burst 100 packets drop",)),
        (Limits(mark=26), ("ip dscp set 26", "ip6 dscp set 26")),
    ],
)
def test_what_a_port_sends_is_counted_first(limits: Limits, rules: tuple[str, ...]) -> None:
    """kbit/s are 125 bytes a second; packets by number; and the mark on what passes."""
    assert render_sent(limits) == rules


def test_what_a_port_receives_waits_in_its_queue() -> None:
    """A queue of the tap for bits, a chain on the way to it for packets, and a share of the NIC for a guarantee."""
    segment = Segment("flat", "physnet")
    found = render(make_slices(PORT, rules=RULES, segment=segment))
    shape = found["shape", "", TAP].value
    assert isinstance(shape, Shape) and shape.classes[0].ceil == 10_000
    assert found["filter_way", "bridge", "arrivals", TAP].value == Way("jump limit_a0000000-00")
    uplink = found["shape", "", "eth1"].value
    assert isinstance(uplink.classes[0], ShapeClass)
    assert (uplink.classes[0].rate, uplink.classes[0].mac) == (30_000, PORT.mac)
    without = render(make_slices(PORT, segment=segment))
    assert not [key for key in without if key[0] == "shape" or "arrivals" in key]


def test_a_changed_limit_changes_the_guard() -> None:
    """The chain of what a port may send is another when its rate is."""
    renderer, name = BridgeRenderer(), ("filter_chain", "bridge", "guard_a0000000-00")

    def guard(*rules: QosRow) -> FilterChain:
        found = renderer.render(make_slices(PORT, rules=rules), FACTS)
        chain = next(thing.value for things in found.values() for thing in things if thing.key == name)
        assert isinstance(chain, FilterChain)
        return chain

    assert guard() == guard() != guard(RULES[0]) != guard(replace(RULES[0], rate=5000))


# -- logs --------------------------------------------------------------------------------------------------------------


def test_a_port_with_logs_has_rules_of_its_own() -> None:
    """Two ports of one group share their chains, until one has a log; then the words of its rules tell its number."""
    group = Slice("group/g", 1, {"group/g": GroupRow("g"), "rule/r": RuleRow("r", "ingress", 4, 1)})
    pair = tuple(replace(port, groups=("g",), parent_id="", vlan=0) for port in (PORT, SUB))
    facts = replace(FACTS, interfaces={A: Interface(TAP, 7), B: Interface("tapb0000000-00", 8)})
    plain = render({**make_slices(*pair), "group/g": group}, facts)
    logged = (replace(pair[0], logs=(LogMark("l", "DROP"),)), pair[1])
    told = render({**make_slices(*logged), "group/g": group}, facts)
    marks = [found["filter_way", "bridge", "senders", TAP].value.to for found in (plain, told)]
    other = [found["filter_way", "bridge", "senders", "tapb0000000-00"].value.to for found in (plain, told)]
    assert marks[0] == other[0] == other[1] != marks[1]


def test_what_is_told_of_packets() -> None:
    """The first of a connection let pass, each that is dropped, and neither where only the other is asked for."""
    group = Slice("group/g", 1, {"group/g": GroupRow("g"), "rule/r": RuleRow("r", "ingress", 4, 6)})
    one = Combination(("g",), 5, (group,))
    silent = render_rules(one, "ingress")
    assert not any("log" in rule for rule in silent)
    accepted = render_rules(one, "ingress", Logging(7, accepted=True, dropped=False))
    dropped = render_rules(one, "ingress", Logging(7, accepted=False, dropped=True))
    assert [rule for rule in accepted if "log" in rule] == [
        'meta nfproto ipv4 meta l4proto 6 ct state new log prefix "ACCEPT ingress 7" group 4711 snaplen 128'
    ]
    assert [rule for rule in accepted if "log" not in rule] == list(silent)
    assert dropped[-1] == 'log prefix "DROP ingress 7" group 4711 snaplen 128 drop'
    free = Combination(("g",), 5 | 1 << 31, (group,))
    assert not any("ACCEPT" in rule for rule in render_rules(free, "ingress", Logging(7, True, True)))


# -- metadata ----------------------------------------------------------------------------------------------------------


def test_a_networks_instances_have_a_way_to_the_service() -> None:
    """A namespace on the network's bridge with the service's address; without instances, or switched off, none."""
    found = render(make_slices(PORT))
    assert found["netns", f"qmeta-{N}"].value == Namespace()
    assert found["route", f"qmeta-{N}", 254, "10.0.0.0/24"].value == Path((("", "meta0"),))
    assert found["bridge_port", END].value == BridgePort("brqn0000000-00")
    assert ("filter_way", "bridge", "asks", TAP) in found
    for slices, facts in (
        (make_slices(PORT), replace(FACTS, metadata=False)),
        (make_slices(replace(PORT, device_owner="network:router_interface")), FACTS),
    ):
        assert not [key for key in render(slices, facts) if key[0] == "netns" or "asks" in key]


def test_who_asks_is_told_by_network_and_address() -> None:
    """Each instance here by its own address, in its own network's namespace; nobody else."""
    router = replace(PORT, id=B, device_owner="network:router_interface", addresses=(Address("10.0.0.1", "s"),))
    facts = replace(FACTS, interfaces={A: Interface(TAP, 7), B: Interface("tapb0000000-00", 8)})
    found = find_bridge_callers(make_slices(PORT, router), facts)
    assert set(found) == {f"qmeta-{N}"}
    port, callers = found[f"qmeta-{N}"]
    assert port == 80
    told = {ip: (one.port_id, one.device_id, one.project_id) for ip, one in callers.items()}
    assert told == dict.fromkeys(("10.0.0.5", str(link_local(PORT.mac))), (A, "i-a", "demo"))


# -- subports, and ports on several hosts ------------------------------------------------------------------------------


def test_a_subport_is_a_vlan_of_its_parents_device() -> None:
    """It is made when the parent's device is there, and is a port like any other when it is there itself."""
    slices = make_slices(PORT, SUB)
    found = render(slices)
    assert found["vlan", "tapb0000000-00"].value == VlanDevice(TAP, 100)
    assert ("bridge_port", "tapb0000000-00") not in found
    assert find_pending(slices, FACTS) == {B: MAKING}
    there = replace(FACTS, interfaces={**FACTS.interfaces, B: Interface("tapb0000000-00", 9)})
    assert ("bridge_port", "tapb0000000-00") in render(slices, there)
    assert find_pending(slices, there) == {}
    alone = replace(FACTS, interfaces={})
    assert ("vlan", "tapb0000000-00") not in render(slices, alone)
    assert "its trunk's parent port" in find_pending(slices, alone)[B]


@pytest.mark.parametrize(
    ("port", "proxy"),
    [
        (PORT, True),
        (replace(PORT, pairs=(AddressPair("10.0.0.99", PORT.mac),)), False),
        (replace(PORT, port_security=False), False),
    ],
)
def test_who_may_have_other_addresses_can_be_asked_for_them(port: PortRow, proxy: bool) -> None:
    """The tunnel answers questions itself only where it knows every address that there may be."""
    device = render(make_slices(port))["vxlan", "vxlan-5"].value
    assert isinstance(device, VxlanDevice) and device.proxy == proxy


def test_a_remote_server_answers_for_the_metadata_service() -> None:
    """The tunnel device lets no question through, so it knows who has 169.254.169.254: a DHCP server elsewhere."""

    def serve(host: str) -> Slices:
        slices = make_slices(PORT)
        part = slices[f"network/{N}"]
        place = PlaceRow("d", "fa:16:3e:00:00:0d", host, device_owner="network:dhcp")
        return {**slices, part.name: Slice(part.name, 1, {**part.rows, "place/d": place})}

    found = render(serve("h2"))
    for ip in ("169.254.169.254", "fe80::a9fe:a9fe"):
        assert found["neighbour", "vxlan-5", ip].value.mac == "fa:16:3e:00:00:0d"
    assert not [key for key in render(serve("h1")) if key[0] == "neighbour" and key[2].endswith(("169.254", "a9fe"))]


def test_a_port_on_several_hosts_is_learned_and_flooded_to() -> None:
    """Copies of a router, or a port on its way: no entry says where its MAC is, and what comes by the tunnel does."""
    fixed, spread = render(make_slices(PORT)), render(make_slices(PORT, also=("h2",)))
    assert ("bridge_fdb", TAP, PORT.mac) in fixed and ("bridge_fdb", TAP, PORT.mac) not in spread
    tunnel = [found["bridge_port", "vxlan-5"].value for found in (fixed, spread)]
    assert [(one.learning, one.flood) for one in tunnel] == [(False, False), (True, True)]
    assert spread["bridge_port", TAP].value.flood


WITH_PAIR = replace(PORT, pairs=(AddressPair("10.0.0.99", PORT.mac),))
SERVER_MAC, GATEWAY = "02:4e:4c:00:00:01", "10.0.0.1"


def serve(*ports: PortRow, dhcp: bool = True) -> Slices:
    """With two subnets that have gateways which no port is."""
    slices = make_slices(*ports)
    part = slices[f"network/{N}"]
    subnets = {
        f"subnet/{id}": SubnetRow(id, N, f"10.0.{n}.0/24", 4, gateway_ip=f"10.0.{n}.1", enable_dhcp=dhcp)
        for n, id in enumerate("st")
    }
    return {**slices, part.name: Slice(part.name, 1, {**part.rows, **subnets})}


@pytest.mark.parametrize(
    ("port", "dhcp", "who"),
    [(PORT, True, "vxlan-5"), (WITH_PAIR, True, "brqn0000000-00"), (WITH_PAIR, False, ""), (PORT, False, "")],
)
def test_somebody_has_the_address_of_the_dhcp_server(port: PortRow, dhcp: bool, who: str) -> None:
    """A lease is renewed by unicast: the tunnel device answers for the server, or the bridge where that answers not."""
    found = render(serve(port, dhcp=dhcp))
    held = {key[1:]: thing.value.mac for key, thing in found.items() if key[0] == "neighbour"}
    assert held == ({(who, GATEWAY): SERVER_MAC, (who, "10.0.1.1"): SERVER_MAC} if who else {})
    by_bridge = who.startswith("brq")
    assert found["bridge_port", "vxlan-5"].value.answers == by_bridge
    assert (("bridge_fdb", "vxlan-5", SERVER_MAC) in found) == by_bridge
    assert ("tunnel_fdb", "vxlan-5", SERVER_MAC, "192.0.2.2") not in found


def place(slices: Slices, segment: Segment) -> Slices:
    """The same on another segment."""
    part = slices[f"network/{N}"]
    return {**slices, part.name: Slice(part.name, 1, {**part.rows, part.name: NetworkRow(N, 1, segments=(segment,))})}


def find_server(found: dict[Key, Thing]) -> set[tuple[str, ...]]:
    """Who answers for the DHCP server, where its MAC leads, and which ports the bridge answers by."""
    keys = {key[:2] for key, thing in found.items() if thing.value in (Neighbour(SERVER_MAC), Leads())}
    macs = {key[:2] for key in found if key[0] == "bridge_fdb" and key[2] == SERVER_MAC}
    doors = {key[:2] for key, thing in found.items() if key[0] == "bridge_port" and thing.value.answers}
    return {key for key in keys if key[0] == "neighbour"} | macs | doors


def test_a_network_of_one_host_has_the_dhcp_server_too() -> None:
    """Where no device leads out, the bridge answers, and the server's MAC leads to one instance's device: to the same
    whatever the order of ports, and to another when that goes. On a physical network the gateway is a machine."""
    other = replace(PORT, id=B, mac="fa:16:3e:00:00:02", addresses=(Address("10.0.0.6", "s"),))
    both = replace(FACTS, interfaces={A: Interface(TAP, 7), B: Interface("tapb0000000-00", 8)})
    alone = replace(FACTS, interfaces={B: Interface("tapb0000000-00", 8)})
    local, bridge = Segment("local"), ("neighbour", "brqn0000000-00")
    for ports in ((PORT, other), (other, PORT)):
        found = find_server(render(place(serve(*ports), local), both))
        assert found == {bridge, ("bridge_fdb", TAP), ("bridge_port", TAP)}
    left = ("bridge_fdb", "tapb0000000-00"), ("bridge_port", "tapb0000000-00")
    assert find_server(render(place(serve(PORT, other), local), alone)) == {bridge, *left}
    assert not find_server(render(place(serve(PORT, dhcp=False), local)))
    for segment in (Segment("flat", "physnet"), Segment("vlan", "physnet", 7)):
        assert not find_server(render(place(serve(WITH_PAIR), segment)))


@pytest.mark.parametrize(("mac", "passing"), [(SERVER_MAC, False), ("fa:16:3e:00:00:09", True)])
def test_nothing_is_sent_to_the_dhcp_servers_mac(mac: str, passing: bool) -> None:
    """Where the server has the gateway's address, what goes to the gateway leaves by no tunnel."""
    port = replace(WITH_PAIR, port_security=False)
    ports = nft.make_filter(merge_groups(render_bridge_host(serve(port), FACTS))[0].values(), Connections())
    packet = {"eth_type": 0x0800, "eth_src": mac_int(PORT.mac), "eth_dst": mac_int(mac), "ip_src": ip_int("10.0.0.5"),
              "ip_dst": ip_int("198.51.100.1"), "ip_proto": 17, "udp_src": 5, "udp_dst": 6}  # fmt: skip
    assert nft.passes(ports, "brqn0000000-00", TAP, "vxlan-5", packet) == passing

"""A port under a QoS policy: what is metered, marked and shaped, and what is left alone."""

from __future__ import annotations

from dataclasses import replace

from netloom.model.device import MeterBody, Shape, ShapeClass
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Goto, Meter, SetField
from netloom.model.plan import Thing
from netloom.model.slices import (
    FollowRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    QosRow,
    Row,
    Segment,
    Slice,
    Slices,
)
from netloom.model.why import HOST
from netloom.render.host import Renderer, render_host
from netloom.render.qos import Limits, Rate, find_received, find_sent, make_class, share_uplink

MAC = "fa:16:3e:00:00:01"
PORT = PortRow("a", "n", MAC, port_security=False, policy="p", revision=5)
FACTS = HostFacts(
    "h1",
    interfaces={"a": Interface("tap-a", 7)},
    ofports={("br-int", "int-br-ex"): 1, ("br-ex", "eth1"): 2},
    bridge_mappings={"physnet": "br-ex"},
    underlay_devices=("eth0", "eth1"),
    bandwidths={"physnet": 100_000},
)


def make_slices(*rules: QosRow, port: PortRow = PORT) -> Slices:
    own: dict[str, Row] = {"port/a": port, "follow/network/n": FollowRow("network/n")}
    network: dict[str, Row] = {
        "network/n": NetworkRow("n", 3, segments=(Segment("flat", "physnet"),)),
        "place/a": PlaceRow("a", MAC, "h1"),
    }
    policy: dict[str, Row] = {f"qos/{rule.id}": rule for rule in rules}
    return {
        "host/h1": Slice("host/h1", 5, own), "network/n": Slice("network/n", 4, network),
        "policy/p": Slice("policy/p", 6, policy),
    }  # fmt: skip


def render(*rules: QosRow, port: PortRow = PORT, facts: HostFacts = FACTS) -> list[Thing]:
    return [thing for things in render_host(make_slices(*rules, port=port), facts).values() for thing in things]


def pick(things: list[Thing], kind: str) -> dict[tuple[object, ...], object]:
    return {thing.key[1:]: thing.value for thing in things if thing.kind == kind}


def find_flow(things: list[Thing], table: int, *tests: tuple[str, int]) -> list[Thing]:
    wanted = {(name, value, None) for name, value in tests}
    return [t for t in things if t.kind == "flow" and t.key[2] == table and wanted <= set(t.key[4])]


SENT = QosRow("1", "bandwidth_limit", "egress", 20_000)
RECEIVED = QosRow("2", "bandwidth_limit", "ingress", 10_000, 500)
PACKETS = QosRow("3", "packet_rate_limit", "ingress", 2_000, 10)


def test_a_port_without_rules_has_neither_meter_nor_queue() -> None:
    """And its packets do not pass the table of limits."""
    things = render()
    assert not pick(things, "meter") and not pick(things, "shape")
    assert not find_flow(things, 8)


def test_a_limit_both_ways() -> None:
    """A meter with four fifths of a second at once for what is sent, a queue for what is received."""
    things = render(SENT, RECEIVED)
    assert pick(things, "meter") == {("br-int", 7): MeterBody("kbps", 20_000, 16_000)}
    assert pick(things, "shape") == {("", "tap-a"): Shape((ShapeClass(10_000, 10_000, 500),))}
    (flow,) = find_flow(things, 8, ("reg5", 7))
    assert flow.value.actions == (Meter(7), Goto(10))
    (entry,) = [flow for flow in find_flow(things, 0, ("in_port", 7)) if flow.key[3] == 100]
    assert entry.value.actions[-1] == Goto(8)


def test_packets_are_metered_where_they_are_for_the_port_alone() -> None:
    """A flooded packet is not: the meter would take it from the ports that come after."""
    things = render(PACKETS)
    assert pick(things, "meter") == {("br-int", 3 << 16 | 7): MeterBody("pktps", 2_000, 10)}
    metered = [flow for flow in things if flow.kind == "flow" and Meter(3 << 16 | 7) in flow.value.actions]
    assert [("eth_dst", int(MAC.replace(":", ""), 16), None) in flow.key[4] for flow in metered] == [True]


def test_a_mark_is_put_on_both_ip_versions() -> None:
    """DSCP 26 on IPv4 and IPv6, and other frames pass."""
    things = render(QosRow("4", "dscp_marking", mark=26))
    marked = [flow for flow in find_flow(things, 8) if SetField("ip_dscp", 26) in flow.value.actions]
    assert {test for flow in marked for test in flow.key[4] if test[0] == "eth_type"} == {
        ("eth_type", 0x0800, None), ("eth_type", 0x86DD, None),
    }  # fmt: skip
    assert len(find_flow(things, 8)) == 3


def test_an_internal_port_has_meters_both_ways() -> None:
    """There is no device of the host's own where packets could wait."""
    facts = replace(FACTS, interfaces={"a": Interface("tap-a", 7, type="internal")})
    things = render(RECEIVED, facts=facts)
    assert pick(things, "meter") == {("br-int", 2 << 16 | 7): MeterBody("kbps", 10_000, 500)}
    assert not pick(things, "shape")


def test_a_rule_that_changes_renders_that_port_anew() -> None:
    """Law 1: a renderer with a memory says what one without says."""
    renderer = Renderer()
    for rules in ((SENT,), (SENT, RECEIVED), (replace(SENT, rate=1), PACKETS), ()):
        slices = make_slices(*rules)
        assert renderer.render(slices, FACTS) == render_host(slices, FACTS)


def test_a_policy_that_is_not_known_yet_limits_nothing() -> None:
    """Law 4: the port is wired meanwhile."""
    slices = {name: part for name, part in make_slices(SENT).items() if name != "policy/p"}
    things = [thing for group in render_host(slices, FACTS).values() for thing in group]
    assert not pick(things, "meter") and find_flow(things, 0, ("in_port", 7))


def test_a_guarantee_is_a_share_of_the_nic() -> None:
    """By the sender's MAC; the others share what is left, and all of it where nobody uses his."""
    things = render(QosRow("5", "minimum_bandwidth", "egress", 30_000))
    assert pick(things, "shape") == {("", "eth1"): Shape((
        ShapeClass(30_000, 100_000, 120, mac=MAC), ShapeClass(70_000, 100_000, 280),
    ), 100_000)}  # fmt: skip
    assert share_uplink("eth1", 0, [(MAC, 5)], HOST) is None, "a NIC whose capacity nobody told"


def test_classes_of_a_router() -> None:
    """What leaves from a floating IP, and what goes to the address behind it, each at its own rate."""
    limits = Limits(sent=Rate(1000), received=Rate(2000, 50))
    assert list(find_sent([("203.0.113.5", limits)])) == [ShapeClass(1000, 1000, 13, source="203.0.113.5")]
    assert list(find_received([("10.0.0.5", limits)])) == [ShapeClass(2000, 2000, 50, destination="10.0.0.5")]
    assert list(find_sent([("", Limits())])) == []
    assert make_class(Rate(2_000_001)).rate == 2_001_000, "as tc tells it back"

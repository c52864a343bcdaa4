"""What the laws say of a host with Linux bridges: state, not history; safe on the way; missing is a value; reasons."""

from __future__ import annotations

from collections.abc import Iterator

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.drivers.bridge.driver import AFTER as BRIDGE_AFTER
from netloom.drivers.bridge.driver import NEEDS as BRIDGE_NEEDS
from netloom.drivers.filter.nft import AFTER as FILTER_AFTER
from netloom.drivers.filter.nft import NEEDS as FILTER_NEEDS
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Plan, Put, State
from netloom.model.slices import (
    Address,
    FollowRow,
    HostRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import plan, split_by_driver
from netloom.render.bridges.host import BridgeRenderer, render_bridge_host
from netloom.render.bridges.scene import bridge_name, tap_name
from netloom.render.bridges.status import find_pending
from netloom.testing import nft_simulator as nft
from netloom.testing.simulator import Packet
from netloom.testing.story_packets import make_packet
from netloom.testing.story_world import World
from tests.property.security_rows import make_group, make_members

IDS = tuple(f"{n}0000000-0000-4000-8000-000000000000" for n in range(1, 5))
NEEDS = {
    kind: frozenset().union(*(found.get(kind, frozenset()) for found in (BRIDGE_NEEDS, FILTER_NEEDS, BRIDGE_AFTER,
                                                                         FILTER_AFTER)))
    for kind in {*BRIDGE_NEEDS, *FILTER_NEEDS, *BRIDGE_AFTER, *FILTER_AFTER}
}  # fmt: skip
PORTS = (80, 81)

one_port = st.fixed_dictionaries({
    "host": st.sampled_from(("h1", "h1", "h2", "")),
    "plugged": st.booleans(),
    "groups": st.sampled_from(((), ("g0",), ("g0", "g1"))),
    "security": st.booleans(),
    "network": st.sampled_from(("n0", "n0", "n1")),
    "last": st.integers(5, 6),
})  # fmt: skip
one_rule = st.tuples(
    st.sampled_from(("ingress", "egress")), st.sampled_from((-1, *PORTS)), st.sampled_from(("", "members/g1"))
)
worlds = st.tuples(
    st.tuples(*(one_port for _ in IDS)),
    st.tuples(st.lists(one_rule, max_size=3), st.lists(one_rule, max_size=3)),
    st.booleans(),
)


def make_port(id: str, n: int, told: dict[str, object]) -> PortRow:
    address = Address(f"10.0.{n}.{told['last']}", "s0")
    six = Address(f"2001:db8::{n}:{told['last']}", "s1")
    groups = told["groups"] if told["security"] else ()
    assert isinstance(groups, tuple)
    return PortRow(
        id, str(told["network"]), f"fa:16:3e:00:00:{n:02x}", addresses=(address, six), groups=groups,
        port_security=bool(told["security"]),
    )  # fmt: skip


def make_slices(world: tuple[tuple[dict[str, object], ...], tuple[list[tuple[str, int, str]], ...], bool]) -> Slices:
    told, rules, stateful = world
    ports = [(make_port(id, n, one), one) for n, (id, one) in enumerate(zip(IDS, told, strict=True))]
    here = [(port, one) for port, one in ports if one["host"] == "h1"]
    follow = {name for port, _ in here for name in (f"network/{port.network_id}", *(f"group/{g}" for g in port.groups))}
    own: dict[str, Row] = {f"port/{port.id}": port for port, _ in here}
    own |= {f"follow/{name}": FollowRow(name) for name in follow}
    found = {"host/h1": Slice("host/h1", 1, own)}
    for number, network in enumerate(("n0", "n1"), 1):
        segments = (Segment("vxlan", "", number),)
        rows: dict[str, Row] = {f"network/{network}": NetworkRow(network, number, segments=segments)}
        rows |= {
            "subnet/s0": SubnetRow("s0", network, "10.0.0.0/16", 4),
            "subnet/s1": SubnetRow("s1", network, "2001:db8::/64", 6),
        }
        for port, one in ports:
            if port.network_id == network:
                place = PlaceRow(port.id, port.mac, str(one["host"]), port.addresses, open=not port.port_security)
                rows[f"place/{port.id}"] = place
                if one["host"]:
                    end = "192.0.2.1" if one["host"] == "h1" else "192.0.2.2"
                    rows[f"host/{one['host']}"] = HostRow(str(one["host"]), end, ("vxlan",))
        found[f"network/{network}"] = Slice(f"network/{network}", 1, rows)
    for name, given_rules in zip(("g0", "g1"), rules, strict=True):
        made = [
            RuleRow(f"{name}{n}", direction, 4, 6 if number > 0 else -1, number, number, "", remote)
            for n, (direction, number, remote) in enumerate(given_rules)
        ]
        found[f"group/{name}"] = Slice(f"group/{name}", 1, make_group(name, made, stateful))
        members = make_members(name, (port for port, _ in ports))
        found[f"members/{name}"] = Slice(f"members/{name}", 1, members)
    return found


def make_facts(world: tuple[tuple[dict[str, object], ...], ...]) -> HostFacts:
    held = {
        id: Interface(tap_name(id), n + 10) for n, (id, one) in enumerate(zip(IDS, world[0], strict=True))
        if one["plugged"] and one["host"] == "h1"
    }  # fmt: skip
    return HostFacts("h1", "192.0.2.1", ("vxlan",), interfaces=held)


def render(world: object) -> State:
    found, clashes = merge_groups(render_bridge_host(make_slices(world), make_facts(world)))  # type: ignore[arg-type]
    assert not clashes
    return found


@settings(max_examples=40, deadline=None)
@given(st.lists(worlds, min_size=2, max_size=4))
def test_law_1_what_a_host_holds_depends_on_the_last_state_alone(history: list[object]) -> None:
    """A renderer that saw every state on the way holds what one holds that sees the last one only."""
    renderer = BridgeRenderer()
    for world in history:
        slices, facts = make_slices(world), make_facts(world)  # type: ignore[arg-type]
        assert renderer.render(slices, facts) == render_bridge_host(slices, facts)
        assert renderer.render(slices, facts) == render_bridge_host(slices, facts)


Packets = list[tuple[str, str, str, Packet]]
"""Of first packets: the network's bridge, the device of the sender, of the target, and the packet."""


def make_packets(worlds_: list[object]) -> Packets:
    """A port that is here in one of the worlds has its tap, any other is behind the tunnel of its network."""
    here = {id for world in worlds_ for id, one in zip(IDS, world[0], strict=True) if one["host"] == "h1"}  # type: ignore[index]
    found: Packets = []
    for world in worlds_:
        stage = World()
        for n, (id, one) in enumerate(zip(IDS, world[0], strict=True)):  # type: ignore[index]
            stage.ports[id] = make_port(id, n, one)
        for sender in stage.ports.values():
            for target in (port for port in stage.ports.values() if port.id != sender.id):
                tunnel = f"vxlan-{1 if sender.network_id == 'n0' else 2}"
                source, to = (tap_name(port.id) if port.id in here else tunnel for port in (sender, target))
                packet = make_packet(stage, sender, ["tcp", "80", "to", target.id])
                if source != to:
                    found.append((bridge_name(sender.network_id), source, to, packet))
    return found


def find_deliveries(state: State, packets: Packets) -> set[tuple[str, str, str, int]]:
    """(bridge, device, device, address) of those that pass the filter, where both devices are in the bridge."""
    found = set()
    held = nft.make_filter(state.values())
    inside = {bridge: nft.find_devices(dict(state), bridge) for bridge in {one[0] for one in packets}}
    for bridge, source, to, packet in packets:
        held.connections.held.clear()
        if {source, to} <= inside[bridge] and nft.passes(held, bridge, source, to, packet):
            found.add((bridge, source, to, packet["ip_src"]))
    return found


UNSEEN = ("tunnel_fdb", "bridge_fdb", "neighbour", "filter_table")
"""Kinds that no filter looks at."""


def split_steps(ops: Plan) -> Iterator[Plan]:
    """What takes effect at once: what nft is given in one call, and each op on a device by itself."""
    owners = {op.thing.kind: "filter" if op.thing.kind.startswith("filter_") else "bridge" for op in ops}
    for owner, run in split_by_driver(ops, owners):
        yield from [run] if owner == "filter" else [(op,) for op in run]


@settings(max_examples=40, deadline=None)
@given(worlds, worlds)
def test_law_3_no_prefix_of_a_plan_lets_through_what_neither_state_does(old: object, new: object) -> None:
    """Ports come and go, change groups and addresses; at no step does anything pass that neither end lets."""
    ports = tuple({**now, "network": was["network"]} for was, now in zip(old[0], new[0], strict=True))  # type: ignore[index]
    new = (ports, new[1], old[2])  # type: ignore[index]
    before, after = render(old), render(new)
    packets = make_packets([old, new])
    allowed = find_deliveries(before, packets) | find_deliveries(after, packets)
    at = dict(before)
    for step in split_steps(plan(after, before, NEEDS)):
        for op in step:
            if isinstance(op, Put):
                at[op.thing.key] = op.thing
            else:
                at.pop(op.thing.key)
        if any(op.thing.kind not in UNSEEN for op in step):
            assert find_deliveries(at, packets) <= allowed, step
    assert at == after


def place(host: str, *groups: str) -> dict[str, object]:
    return {"host": host, "plugged": True, "groups": groups, "security": True, "network": "n0", "last": 5}


NAMES_A_SET: tuple[object, ...] = (
    (place("h1", "g0"), place("h2"), place("h2"), place("")),
    ([("ingress", 80, "members/g1"), ("egress", -1, "")], []),
    True,
)
"""The first port lets in whom a set holds, which holds nobody."""


@settings(max_examples=40, deadline=None)
@example(NAMES_A_SET, {"members/g1"})
@given(worlds, st.sets(st.sampled_from(("group/g0", "group/g1", "members/g1", "network/n0", "network/n1"))))
def test_law_4_what_is_missing_opens_nothing(world: object, missing: set[str]) -> None:
    """Whatever slices a host lacks, nothing passes that would not with all; a port without its network waits."""
    slices, facts = make_slices(world), make_facts(world)  # type: ignore[arg-type]
    partial = {name: found for name, found in slices.items() if name not in missing}
    held, _ = merge_groups(render_bridge_host(partial, facts))
    packets = make_packets([world])
    assert find_deliveries(held, packets) <= find_deliveries(render(world), packets)
    waiting = find_pending(partial, facts)
    for row in slices["host/h1"].rows.values():
        if isinstance(row, PortRow) and f"network/{row.network_id}" in missing:
            assert "does not know network" in waiting[row.id]


@settings(max_examples=30, deadline=None)
@given(worlds)
def test_law_10_everything_says_why(world: object) -> None:
    """All but the host's own tables names what it is for."""
    for thing in render(world).values():
        assert thing.why.ids or thing.kind == "filter_table", thing.key

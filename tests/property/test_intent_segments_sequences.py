"""Trunks, routed networks and segment ranges under any sequence of requests and words of hosts.

Law 8 for trunks: a trunk's status is that of its ports, whatever led there. Copies that ports and networks show of
trunks and segments are those that a full look would give. A number that is set aside goes to nobody else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.operations import make_action
from netloom.intent.schema import Doc
from netloom.testing.consistency import check_snapshot
from tests.unit.intent.intent_kit import SETTINGS, World

PHYSICAL = ("physnet1", "physnet2")
SMALL = replace(
    SETTINGS,
    network_vlan_ranges=dict.fromkeys(PHYSICAL, ((100, 103),)),
    vni_ranges={"vxlan": ((1, 6),)},
    quotas={"port": -1, "network": -1, "subnet": -1},
)
Step = Callable[[World], object]
pick = st.integers(0, 4)
hosts = st.sampled_from(["h1", "h2", ""])


def nth(world: World, kind: str, n: int) -> Doc:
    docs = sorted(world.snapshot.docs(kind), key=lambda doc: str(doc["id"]))
    return docs[n % len(docs)] if docs else {"id": "00000000-0000-4000-8000-ffffffffffff"}


def run(world: World, sequence: list[Step]) -> None:
    for step in sequence:
        before = world.snapshot
        try:
            step(world)
        except ApiError as error:
            assert error.status < 500 or error.type == "NoNetworkAvailable", error.message
            assert world.snapshot is before
        assert check_snapshot(world.snapshot) == []


def step_delete(kind: str, n: int) -> Step:
    return lambda world: world.delete(kind, nth(world, kind, n))


def step_host(name: str, mappings: list[str]) -> Step:
    return lambda world: world.host(name, bridge_mappings=dict.fromkeys(mappings, "br"))


host_steps = st.builds(step_host, st.sampled_from(["h1", "h2"]), st.lists(st.sampled_from(PHYSICAL), unique=True))


# -- trunks ------------------------------------------------------------------------------------------------------------


def name_subports(world: World, given: list[tuple[int, int]]) -> list[dict[str, Any]]:
    return [
        {"port_id": nth(world, "port", n)["id"], "segmentation_type": "vlan", "segmentation_id": tag}
        for n, tag in given
    ]


def step_trunk(n: int, given: list[tuple[int, int]]) -> Step:
    def step(world: World) -> object:
        body = {"port_id": nth(world, "port", n)["id"], "sub_ports": name_subports(world, given)}
        return world.create("trunk", body)

    return step


def step_act(name: str, n: int, given: list[tuple[int, int]]) -> Step:
    action = next(action for action in CATALOG["trunk"].actions if action.name == name)

    def step(world: World) -> object:
        parsed = action.parse({"sub_ports": name_subports(world, given)})
        return world.run(make_action(CATALOG["trunk"], action, nth(world, "trunk", n)["id"], parsed))

    return step


def step_port(n: int, changes: dict[str, Any]) -> Step:
    return lambda world: world.update("port", nth(world, "port", n), **changes)


def step_acknowledge(host: str, ports: list[int]) -> Step:
    def step(world: World) -> object:
        ids = [nth(world, "port", n)["id"] for n in ports]
        return world.take(acknowledge(world.snapshot, world.context(), host, ids, {}))

    return step


subports = st.lists(st.tuples(pick, st.integers(1, 2)), max_size=2)
trunk_steps = st.one_of(
    st.builds(step_trunk, pick, subports),
    st.builds(step_act, st.sampled_from(["add_subports", "remove_subports"]), pick, subports),
    st.builds(step_port, pick, st.fixed_dictionaries({"binding__host_id": hosts})),
    st.builds(step_port, pick, st.sampled_from([{"mac_address": None}, {"admin_state_up": False}, {"name": "x"}])),
    st.builds(step_acknowledge, hosts, st.lists(pick, max_size=5)),
    st.builds(step_delete, st.sampled_from(["trunk", "port", "network"]), pick),
    host_steps,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(trunk_steps, min_size=2, max_size=12), st.booleans())
def test_trunks_and_their_ports_agree(sequence: list[Step], begun: bool) -> None:
    """Whatever happens to the ports of a trunk, they and the trunk say the same of each other."""
    world = World(SMALL)
    world.host("h1")
    networks = [world.network(mtu=1400), world.network(mtu=1400, provider__network_type="vlan")]
    for n in range(5):
        world.port(networks[n // 3])
    step_trunk(0, [(1, 1), (3, 2)])(world)
    if begun:
        step_port(0, {"binding__host_id": "h1"})(world)
        step_acknowledge("h1", [0, 1])(world)
    run(world, sequence)


# -- routed networks ---------------------------------------------------------------------------------------------------


def step_segment(physical: str) -> Step:
    return lambda world: world.create(
        "segment",
        {"network_id": nth(world, "network", 0)["id"], "network_type": "vlan", "physical_network": physical},
    )


def step_subnet(cidr: str, n: int | None) -> Step:
    def step(world: World) -> object:
        chosen = {} if n is None else {"segment_id": nth(world, "segment", n)["id"]}
        return world.subnet(nth(world, "network", 0), cidr, **chosen)

    return step


def step_update_subnet(n: int, changes: dict[str, Any]) -> Step:
    return lambda world: world.update("subnet", nth(world, "subnet", n), **changes)


def step_put_on(n: int, segment: int) -> Step:
    return lambda world: world.update(
        "subnet", nth(world, "subnet", n), segment_id=nth(world, "segment", segment)["id"]
    )


routed_steps = st.one_of(
    st.builds(step_segment, st.sampled_from(PHYSICAL)),
    st.builds(
        step_subnet, st.sampled_from(["10.0.0.0/29", "10.0.0.8/29", "10.0.0.16/29", "fd00::/64"]), st.none() | pick
    ),
    st.builds(step_update_subnet, pick, st.sampled_from([{"gateway_ip": None}, {"host_routes": []}, {"name": "x"}])),
    st.builds(step_put_on, pick, pick),
    st.builds(lambda host: lambda world: world.port(nth(world, "network", 0), binding__host_id=host), hosts),
    st.builds(step_port, pick, st.fixed_dictionaries({"binding__host_id": hosts})),
    st.builds(step_delete, st.sampled_from(["segment", "subnet", "port"]), pick),
    host_steps,
)


@settings(deadline=None, max_examples=60)
@given(st.lists(routed_steps, min_size=2, max_size=12), st.booleans())
def test_segments_and_their_subnets_agree(sequence: list[Step], begun: bool) -> None:
    """A network's subnets are all on its segments or none is, they reach each other and no subnet that is gone."""
    world = World(SMALL)
    world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    if begun:
        step_segment("physnet2")(world)
        for n, cidr in enumerate(("10.0.0.0/29", "10.0.0.8/29")):
            step_subnet(cidr, n)(world)
    for step in sequence:
        run(world, [step])
        cidrs = {subnet["cidr"] for subnet in world.snapshot.docs("subnet")}
        routes = {route["destination"] for s in world.snapshot.docs("subnet") for route in s["host_routes"]}
        assert routes <= cidrs


# -- segment ranges ----------------------------------------------------------------------------------------------------

projects = st.sampled_from(["p1", "p2", "p3"])


def step_range(first: int, count: int, project: str, shared: bool) -> Step:
    owner = {} if shared else {"shared": False, "project_id": project}
    return lambda world: world.create(
        "network_segment_range", {"network_type": "vxlan", "minimum": first, "maximum": first + count, **owner}
    )


range_steps = st.one_of(
    st.builds(step_range, st.integers(1, 9), st.integers(0, 3), projects, st.booleans()),
    st.builds(lambda project: lambda world: world.network(project_id=project), projects),
    st.builds(step_delete, st.sampled_from(["network_segment_range", "network"]), pick),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(range_steps, min_size=2, max_size=12))
def test_what_is_set_aside_stays_so(sequence: list[Step]) -> None:
    """A new network has the lowest free number that its project may have, which is never another's."""
    world = World(SMALL)
    for step in sequence:
        before = world.snapshot
        run(world, [step])
        for id in set(world.snapshot.records("network")) - set(before.records("network")):
            network = world.snapshot.get("network", id)
            assert network is not None
            number, project = network["provider:segmentation_id"], network["project_id"]
            for one in world.snapshot.docs("network_segment_range"):
                if one["minimum"] <= number <= one["maximum"]:
                    assert one["shared"] or one["project_id"] == project

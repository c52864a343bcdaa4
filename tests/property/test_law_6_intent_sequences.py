"""Law 6 for intent: indexes are kept change by change and equal a full recompute, and a write costs what it changes.

Any sequence of requests, refused ones included, keeps what must always hold: addresses, MACs, segments and numbers are
held once, addresses lie in their subnets, networks know their subnets, a bulk request is its single ones in turn.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.operations import make_create
from netloom.intent.schema import Doc, parse_create
from netloom.testing.consistency import check_snapshot
from tests.unit.intent.intent_kit import SETTINGS, World

SMALL = replace(
    SETTINGS,
    vni_ranges={"vxlan": ((1, 3),)},
    network_vlan_ranges={"physnet1": ((100, 101),)},
    quotas={"network": 5, "subnet": 6, "port": 12},
)
CIDRS = ("10.0.0.0/29", "10.0.0.8/30", "fd00::/64", "fd00:1::/126", "10.0.0.0/28")
IPS = ("10.0.0.2", "10.0.0.3", "10.0.0.9", "fd00::1", "fd00:1::2", "10.0.0.7")
MACS = (None, "fa:16:3e:00:00:02", "fa:16:3e:00:00:05")

Step = Callable[[World], object]
pick = st.integers(0, 5)


def nth(world: World, kind: str, n: int) -> Doc:
    docs = sorted(world.snapshot.docs(kind), key=lambda doc: str(doc["id"]))
    return docs[n % len(docs)] if docs else {"id": "00000000-0000-4000-8000-ffffffffffff"}


networks = st.sampled_from(
    [
        {}, {"shared": True}, {"provider:network_type": "vlan"},
        {"provider:network_type": "vxlan", "provider:segmentation_id": 2},
        {"provider:network_type": "flat", "provider:physical_network": "physnet1"},
    ]
)  # fmt: skip
fixed = st.none() | st.lists(
    st.fixed_dictionaries({}, optional={"ip_address": st.sampled_from(IPS), "subnet": pick}), max_size=3
)
port_bodies = st.fixed_dictionaries(
    {
        "fixed": fixed,
        "mac": st.sampled_from(MACS),
        "owner": st.sampled_from(["", "network:dhcp", "network:router_interface"]),
    }
)


def make_body(world: World, given: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = {"device_owner": given["owner"]}
    if given["mac"]:
        body["mac_address"] = given["mac"]
    if given["fixed"] is not None:
        body["fixed_ips"] = [make_fixed(world, one) for one in given["fixed"]]
    return body


def make_fixed(world: World, given: dict[str, Any]) -> dict[str, str]:
    found = {name: value for name, value in given.items() if name == "ip_address"}
    if "subnet" in given:
        found["subnet_id"] = nth(world, "subnet", given["subnet"])["id"]
    return found


def step_network(body: dict[str, Any]) -> Step:
    return lambda world: world.create("network", body)


def step_subnet(n: int, cidr: str, slaac: bool) -> Step:
    def step(world: World) -> object:
        network = nth(world, "network", n)
        return world.slaac(network, cidr) if slaac else world.subnet(network, cidr)

    return step


def step_port(n: int, count: int, given: dict[str, Any]) -> Step:
    def step(world: World) -> object:
        body = {"network_id": nth(world, "network", n)["id"], **make_body(world, given)}
        return world.create("port", *[body] * count)

    return step


def step_update_port(n: int, given: dict[str, Any]) -> Step:
    return lambda world: world.update("port", nth(world, "port", n), **make_body(world, given))


def step_update_network(n: int, changes: dict[str, Any]) -> Step:
    return lambda world: world.update("network", nth(world, "network", n), **changes)


def step_delete(kind: str, n: int) -> Step:
    return lambda world: world.delete(kind, nth(world, kind, n))


def step_host(name: str, types: list[str]) -> Step:
    return lambda world: world.host(name, tunnel_types=types)


steps = st.one_of(
    st.builds(step_network, networks),
    st.builds(step_subnet, pick, st.sampled_from(CIDRS), st.booleans()),
    st.builds(step_port, pick, st.integers(1, 3), port_bodies),
    st.builds(step_update_port, pick, port_bodies),
    st.builds(
        step_update_network,
        pick,
        st.sampled_from([{"shared": True}, {"provider__segmentation_id": 101}, {"router__external": True}]),
    ),
    st.builds(step_delete, st.sampled_from(["network", "subnet", "port"]), pick),
    st.builds(step_host, st.sampled_from(["h1", "h2"]), st.sampled_from([["vxlan"], []])),
)


@settings(deadline=None, max_examples=120)
@given(st.lists(steps, min_size=3, max_size=25))
def test_any_sequence_keeps_what_must_hold(sequence: list[Step]) -> None:
    """Whatever people ask for, in whatever order, nothing is held twice and no index is wrong."""
    world = World(SMALL)
    world.create("network", {})
    for step in sequence:
        before = world.snapshot
        try:
            step(world)
        except ApiError as error:
            assert error.status < 500 or error.type in ("NoNetworkAvailable", "MacAddressGenerationFailure")
            assert world.snapshot is before
    assert check_snapshot(world.snapshot) == []


@settings(deadline=None, max_examples=40)
@given(st.lists(port_bodies, min_size=1, max_size=4))
def test_bulk_is_one_by_one(bodies: list[dict[str, Any]]) -> None:
    """A bulk request makes what its single requests would make in turn; where one of them is refused, nothing."""
    single, bulk = make_pair()
    full = [{"network_id": nth(bulk, "network", 0)["id"], **make_body(bulk, body)} for body in bodies]
    full = [body for body in full if is_sound(body)]
    failed = None
    made: list[Doc] = []
    for body in full:
        try:
            made += single.create("port", body)
        except ApiError as error:
            failed = error.type
            break
    resource = CATALOG["port"]
    parsed = [parse_create(resource, body) for body in full]
    before = bulk.snapshot
    try:
        answer = bulk.run(make_create(resource, parsed))
    except ApiError as error:
        assert error.type == failed
        assert bulk.snapshot is before
        return
    assert failed is None
    hidden = ("created_at", "updated_at", "described_at")
    assert [strip(doc, hidden) for doc in answer] == [strip(doc, hidden) for doc in made]
    assert check_snapshot(bulk.snapshot) == []


def is_sound(body: dict[str, Any]) -> bool:
    try:
        parse_create(CATALOG["port"], body)
    except ApiError:
        return False
    return True


def make_pair() -> tuple[World, World]:
    pair = World(), World()
    for world in pair:
        network = world.network()
        for cidr in ("10.0.0.0/29", "fd00:1::/126"):
            world.subnet(network, cidr)
        world.slaac(network, "fd00::/64")
    return pair


def strip(doc: Doc, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in doc.items() if name not in names}


def test_a_write_changes_what_it_is_about() -> None:
    """A port created, updated or deleted among a thousand is one change; so is a subnet and its network."""
    world = World(replace(SETTINGS, quotas={"port": -1}))
    network = world.network()
    world.subnet(network, "10.0.0.0/16")
    ports = world.create("port", *[{"network_id": network["id"]}] * 1000)
    resource = CATALOG["port"]
    body = parse_create(resource, {"network_id": network["id"]})
    assert len(make_create(resource, [body])(world.snapshot, world.context()).changes) == 1
    assert resource.update is not None
    assert resource.delete is not None
    assert len(resource.update(world.snapshot, ports[0], {"name": "x"}, world.context()).changes) == 1
    assert len(resource.delete(world.snapshot, ports[0], world.context()).changes) == 1
    subnet = CATALOG["subnet"]
    given = parse_create(subnet, {"network_id": network["id"], "ip_version": 4, "cidr": "10.1.0.0/24"})
    changes = make_create(subnet, [given])(world.snapshot, world.context()).changes
    assert sorted(change.kind for change in changes) == ["network", "subnet"]

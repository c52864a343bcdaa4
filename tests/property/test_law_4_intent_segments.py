"""Law 4 for trunks, routed networks and segment ranges: whatever is missing, every operation answers or refuses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.operation import Operation
from netloom.intent.operations import make_action, make_create, make_delete, make_update
from netloom.intent.schema import parse_create, parse_update
from netloom.intent.snapshot import Change, Snapshot
from tests.unit.intent.intent_kit import SETTINGS, World

KINDS = ("network", "subnet", "port", "segment", "agent", "trunk", "network_segment_range")
VLAN = {"network_type": "vlan", "physical_network": "physnet2"}


def build() -> World:
    """A routed network of two segments, a trunk of three ports on a host, a range of each sort."""
    world = World(replace(SETTINGS, network_vlan_ranges={"physnet1": ((100, 199),), "physnet2": ((100, 199),)}))
    world.host("h1", bridge_mappings={"physnet1": "br-1"})
    network = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    first = next(world.snapshot.find("segment", "network_id", network["id"]))
    second = world.create("segment", {"network_id": network["id"], **VLAN})[0]
    for n, segment in enumerate((first, second)):
        world.subnet(world.get("network", network), f"10.0.{n}.0/24", segment_id=segment["id"])
    _, parent, one, two = (world.port(world.get("network", network)) for _ in range(4))
    subports = [
        {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": n + 1}
        for n, port in enumerate((one, two))
    ]
    world.create("trunk", {"port_id": parent["id"], "sub_ports": subports})
    world.update("port", world.get("port", parent), binding__host_id="h1")
    own = {"network_type": "vxlan", "minimum": 5, "maximum": 9, "shared": False, "project_id": "p1"}
    world.create("network_segment_range", own, {"network_type": "vlan", **VLAN, "minimum": 7, "maximum": 9})
    return world


WORLD = build()
IDS = {kind: sorted(WORLD.snapshot.records(kind)) for kind in KINDS}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "network": [{"name": "x"}, {"provider:segmentation_id": 150}],
    "subnet": [
        {"segment_id": None}, {"segment_id": IDS["segment"][0]}, {"host_routes": []}, {"gateway_ip": None},
    ],
    "port": [
        {"binding:host_id": "h1"}, {"binding:host_id": ""}, {"mac_address": None}, {"admin_state_up": False},
        {"fixed_ips": [{"subnet_id": IDS["subnet"][0]}]},
    ],
    "segment": [{"name": "x"}],
    "trunk": [{"name": "x"}, {"admin_state_up": False}],
    "network_segment_range": [{"minimum": 6}, {"name": "x"}],
}  # fmt: skip


def operations() -> list[Operation]:
    """Every operation on every object, and creates that refer to each of them."""
    found: list[Operation] = []
    for kind, bodies in CHANGES.items():
        resource = CATALOG[kind]
        for id in IDS[kind]:
            found += [make_update(resource, id, parse_update(resource, body)) for body in bodies]
            found.append(make_delete(resource, id))
    for action in CATALOG["trunk"].actions:
        body = [{"port_id": id, "segmentation_type": "vlan", "segmentation_id": 9} for id in IDS["port"][-1:]]
        given = action.parse({"sub_ports": body})
        found += [make_action(CATALOG["trunk"], action, id, given) for id in IDS["trunk"]]
    found += [create("trunk", port_id=id) for id in IDS["port"]]
    found += [create("segment", network_id=id, **VLAN) for id in IDS["network"]]
    found += [
        create("subnet", network_id=network, segment_id=segment, cidr="10.9.0.0/24", ip_version=4)
        for network in IDS["network"]
        for segment in IDS["segment"]
    ]
    found.append(create("network"))
    found.append(lambda snapshot, context: acknowledge(snapshot, context, "h1", IDS["port"], {}))
    found.append(lambda snapshot, context: report_host(snapshot, context, "h1", {}, None))
    return found


def create(kind: str, **body: Any) -> Operation:
    return make_create(CATALOG[kind], [parse_create(CATALOG[kind], body)])


OPERATIONS = operations()
EVERY = [(kind, id) for kind in KINDS for id in IDS[kind]]


@settings(deadline=None, max_examples=40)
@given(st.sets(st.sampled_from(EVERY), max_size=6))
def test_nothing_that_is_missing_breaks_a_trunk_or_segment(gone: set[tuple[str, str]]) -> None:
    """With any objects missing, each operation still answers, or refuses in the API's words."""
    snapshot = WORLD.snapshot.apply([Change(kind, id, None) for kind, id in gone], 99)
    for operation in OPERATIONS:
        run(operation, snapshot)
    derive = CATALOG["network_segment_range"].derive
    assert derive is not None
    assert derive(snapshot, WORLD.settings, WORLD.context().requester, None)


def run(operation: Operation, snapshot: Snapshot) -> None:
    try:
        outcome = operation(snapshot, WORLD.context())
    except ApiError as error:
        assert 400 <= error.status < 600 and error.status != 500
    else:
        snapshot.apply(outcome.changes, 100)

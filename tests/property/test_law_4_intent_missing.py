"""Law 4, missing is a value: every reference that does not resolve has a written answer in every operation."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.errors import ApiError
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.operation import Operation, Outcome
from netloom.intent.operations import make_create, make_delete, make_tags, make_update
from netloom.intent.schema import Doc, parse_create, parse_update
from netloom.intent.snapshot import Change, Snapshot
from tests.examples import count_examples
from tests.unit.intent.intent_kit import World

KINDS = ("network", "subnet", "port", "segment", "agent")


def build() -> World:
    world = World()
    for host in ("h1", "h2"):
        world.host(host)
    one = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    several = world.network(
        segments=[{"provider:network_type": "vxlan"}, {"provider:network_type": "gre"}], shared=True
    )
    for network, net in ((one, 0), (several, 1)):
        world.subnet(network, f"10.{net}.0.0/24")
        world.slaac(network, f"fd00:{net}::/64")
        for host in ("h1", "h2", ""):
            world.port(network, binding__host_id=host)
    return world


WORLD = build()
IDS = {kind: sorted(WORLD.snapshot.records(kind)) for kind in KINDS}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "network": [
        {"name": "x"}, {"mtu": 1400}, {"shared": True}, {"shared": False}, {"router:external": True},
        {"provider:segmentation_id": 150},
    ],
    "subnet": [{"gateway_ip": None}, {"enable_dhcp": True}, {"allocation_pools": []}],
    "port": [
        {"fixed_ips": []}, {"fixed_ips": [{"subnet_id": IDS["subnet"][0]}]}, {"binding:host_id": "h2"},
        {"binding:host_id": "h9"}, {"mac_address": None}, {"device_owner": "network:dhcp"}, {"admin_state_up": False},
        {"fixed_ips": [{"ip_address": "10.0.0.77"}]},
    ],
    "agent": [{"description": "x"}],
}  # fmt: skip


def operations() -> list[Operation]:
    """Every operation on every object, and creates that refer to each of them."""
    found: list[Operation] = []
    for kind, bodies in CHANGES.items():
        resource = CATALOG[kind]
        for id in IDS[kind]:
            found += [make_update(resource, id, parse_update(resource, body)) for body in bodies]
            found.append(make_delete(resource, id))
            if resource.tags:
                found.append(make_tags(resource, id, add="x"))
    for id in IDS["network"]:
        subnet = {"network_id": id, "ip_version": 4, "cidr": "10.7.0.0/24"}
        found.append(make_create(CATALOG["subnet"], [parse_create(CATALOG["subnet"], subnet)]))
        ports: list[dict[str, Any]] = [{}, {"binding:host_id": "h1"}, {"fixed_ips": [{"subnet_id": IDS["subnet"][1]}]}]
        for body in ports:
            found.append(make_create(CATALOG["port"], [parse_create(CATALOG["port"], {"network_id": id, **body})]))
    found.append(lambda snapshot, context: report_host(snapshot, context, "h1", {}, None))
    found.append(lambda snapshot, context: mark_alive(snapshot, context, "h2", False))
    found.append(lambda snapshot, context: acknowledge(snapshot, context, "h1", IDS["port"], {"gone": "why"}))
    return found


OPERATIONS = operations()
EVERY = [(kind, id) for kind in KINDS for id in IDS[kind]]


@settings(deadline=None, max_examples=count_examples(60))
@given(st.sets(st.sampled_from(EVERY), max_size=6))
def test_nothing_that_is_missing_breaks_an_operation(gone: set[tuple[str, str]]) -> None:
    """With any objects missing, each operation still answers, or refuses in the API's words."""
    snapshot = WORLD.snapshot.apply([Change(kind, id, None) for kind, id in gone], 99)
    for operation in OPERATIONS:
        outcome = try_operation(operation, snapshot)
        if outcome is not None:
            snapshot.apply(outcome.changes, 100)
            assert all(is_json(change.doc) for change in outcome.changes)


def try_operation(operation: Operation, snapshot: Snapshot) -> Outcome | None:
    try:
        return operation(snapshot, WORLD.context())
    except ApiError as error:
        assert 400 <= error.status < 600
        assert error.status != 500
        return None


def is_json(doc: Doc | None) -> bool:
    return doc is None or all(isinstance(name, str) for name in doc)

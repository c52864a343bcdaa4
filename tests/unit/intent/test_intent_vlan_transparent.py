"""VLAN-transparent networks: what is asked for, and where it cannot be."""

from __future__ import annotations

from netloom.model.slices import NetworkRow
from netloom.resolve.rows import resolve_row
from tests.unit.intent.intent_kit import World, refused


def test_a_network_that_carries_tags() -> None:
    """Its hosts are told so; a network that does not say is none."""
    world = World()
    for asked in (True, False):
        network = world.network(vlan_transparent=asked)
        assert network["vlan_transparent"] is asked
        row = resolve_row(world.snapshot, f"network/{network['id']}", f"network/{network['id']}")
        assert isinstance(row, NetworkRow) and row.vlan_transparent is bool(asked)
    assert world.network()["vlan_transparent"] is None


def test_a_vlan_has_a_tag_of_its_own() -> None:
    """Refused when it is made, with the type that upstream gives."""
    world = World()
    vlan = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
    with refused(400, "VlanTransparencyDriverError", "VLAN Transparency"):
        world.create("network", {**vlan, "vlan_transparent": True})
    assert world.create("network", {**vlan, "vlan_transparent": False})[0]["vlan_transparent"] is False


VLAN = {"provider:network_type": "vlan", "provider:physical_network": "physnet1", "provider:segmentation_id": 101}


def test_a_vlan_around_vlans() -> None:
    """Its hosts are told so; one whose switch reads a single tag is not bound to, and says what is missing there."""
    world = World()
    network = world.create("network", {**VLAN, "qinq": True})[0]
    row = resolve_row(world.snapshot, f"network/{network['id']}", f"network/{network['id']}")
    assert isinstance(row, NetworkRow) and row.qinq
    assert (world.network()["qinq"], world.network(qinq=False)["qinq"]) == (None, False)
    world.host()
    port = world.port(network, binding__host_id="h1")
    assert port["binding:vif_type"] == "binding_failed"
    assert "other_config:vlan-limit=2" in port["waits_for"]
    world.host(vlan_limit=2)
    assert world.get("port", port)["binding:vif_type"] == "ovs"
    world.host("h2", switch="linuxbridge")
    port = world.port(network, binding__host_id="h2")
    assert "Linux bridge agent carries no VLANs within VLANs" in port["waits_for"]


def test_where_there_is_no_outer_tag() -> None:
    """Refused when it is made: on a network without a tag of its own, and beside VLAN transparency."""
    world = World()
    with refused(400, "VlanQinqDriverError", "VLAN QinQ"):
        world.network(qinq=True)
    with refused(400, "BadRequest", "'vlan_transparent' and 'qinq' can not be set to True for the same network"):
        world.network(qinq=True, vlan_transparent=True)

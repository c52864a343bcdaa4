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

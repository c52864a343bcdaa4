"""Ports bound to hosts that switch with Linux bridges."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netloom.intent.l3.router_schedule import can_host
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import HostRow
from netloom.resolve.slices import resolve_slice
from tests.unit.intent.intent_kit import SETTINGS, World, refused
from tests.unit.intent.router_kit import RouterWorld

BRIDGES: dict[str, Any] = {
    "switch": "linuxbridge", "tunnel_types": ["vxlan"], "bridge_mappings": {"physnet1": "eth1"},
    "tunneling_ip": "192.0.2.7",
}  # fmt: skip


def find_types(snapshot: Snapshot, host: str) -> set[str]:
    return {agent["agent_type"] for agent in snapshot.find("agent", "host", host)}


def bind(world: World, network: Doc, host: str, **more: Any) -> Doc:
    return world.port(network, binding__host_id=host, **more)


def test_a_port_is_plugged_into_the_networks_own_bridge() -> None:
    """Nova is told vif_type bridge, and the segment is one that the host carries."""
    world = World()
    world.host("h1", **BRIDGES)
    network = world.network()
    port = bind(world, network, "h1")
    assert (port["binding:vif_type"], port["status"]) == ("bridge", "DOWN")
    assert port["binding:vif_details"] == {
        "port_filter": True, "connectivity": "l2", "bound_drivers": {"0": "linuxbridge"},
    }  # fmt: skip
    vlan = world.network(
        provider__network_type="vlan", provider__physical_network="physnet1", provider__segmentation_id=100
    )
    assert bind(world, vlan, "h1")["binding:vif_type"] == "bridge"


def test_what_linux_bridges_cannot_carry_is_said() -> None:
    """Another kind of tunnel, another kind of port: the binding fails with the reason."""
    world = World()
    world.host("h1", **BRIDGES)
    geneve = world.network(segments=[{"provider:network_type": "geneve"}])
    for network, words, more in (
        (geneve, "host h1 has no geneve tunnels", {}),
        (world.network(), "Linux bridges do not plug ports of vnic_type direct", {"binding__vnic_type": "direct"}),
    ):
        port = bind(world, network, "h1", **more)
        assert port["binding:vif_type"] == "binding_failed"
        assert words in port["waits_for"]


def test_a_mechanism_that_is_off_binds_nothing() -> None:
    """With mechanism_drivers = openvswitch alone a host with Linux bridges gets no ports."""
    world = World(replace(SETTINGS, mechanism_drivers=("openvswitch",)))
    world.host("h1", **BRIDGES)
    assert bind(world, world.network(), "h1")["binding:vif_type"] == "binding_failed"


def test_both_switches_are_in_one_network() -> None:
    """Each host finds the other's tunnel address in the network, whatever it switches with."""
    world = World()
    world.host("h1")
    world.host("h2", **BRIDGES)
    network = world.network()
    assert [bind(world, network, host)["binding:vif_type"] for host in ("h1", "h2")] == ["ovs", "bridge"]
    found = resolve_slice(world.snapshot, f"network/{network['id']}")
    assert found is not None
    ends = {row.name: row.tunnel_ip for row in found.rows.values() if isinstance(row, HostRow)}
    assert ends == {"h1": "192.0.2.1", "h2": "192.0.2.7"}


def test_a_host_that_changes_its_switch_has_one_agent_for_it() -> None:
    """From Open vSwitch to Linux bridges and back: the agents are those of what it has now."""
    world = World()
    for told, wanted in (
        ({}, {"Open vSwitch agent", "DHCP agent", "L3 agent", "Metadata agent"}),
        (BRIDGES, {"Linux bridge agent", "DHCP agent", "L3 agent", "Metadata agent"}),
        ({}, {"Open vSwitch agent", "DHCP agent", "L3 agent", "Metadata agent"}),
    ):
        world.host("h1", **told)
        assert find_types(world.snapshot, "h1") == wanted


def test_a_router_that_is_spread_over_hosts_has_no_part_on_bridges() -> None:
    """An L3 agent of bridges takes routers of one host, and none that is distributed."""
    world = World()
    world.host("h1", **BRIDGES)
    (l3,) = (one.doc for one in world.snapshot.records("agent").values() if one.doc["agent_type"] == "L3 agent")
    assert l3["configurations"]["agent_mode"] == "legacy"
    router = {"gw_port_id": "", "id": "r"}
    assert can_host(l3, {**router, "distributed": False}) and not can_host(l3, {**router, "distributed": True})


def test_what_bridges_do_not_do_for_a_network_is_refused() -> None:
    """A gateway that is spread over hosts, tags of instances' own: the binding fails with the words."""
    world = RouterWorld()
    world.host("h1")
    world.host("h2", **BRIDGES)
    network, (subnet,) = world.inside("10.0.0.0/24")
    assert bind(world, world.network(), "h2")["binding:vif_type"] == "bridge"
    with world.as_admin():
        world.plug(world.router(distributed=True), subnet)
    refused = bind(world, network, "h2")
    assert refused["binding:vif_type"] == "binding_failed"
    assert "distributed router" in refused["waits_for"]
    assert bind(world, network, "h1")["binding:vif_type"] == "ovs"
    tagged = bind(world, world.network(vlan_transparent=True), "h2")
    assert tagged["binding:vif_type"] == "binding_failed" and "vlan_transparent" in tagged["waits_for"]


def test_no_port_on_bridges_is_left_without_its_router() -> None:
    """A router becomes distributed, and a distributed one gets a network, only where no host with bridges has ports."""
    world = RouterWorld()
    world.host("h1", **BRIDGES)
    network, (subnet,) = world.inside("10.0.0.0/24")
    port = bind(world, network, "h1")
    router = world.router()
    world.plug(router, subnet)
    world.update("router", router, None, admin_state_up=False)
    with refused(400, "BadRequest", "h1", network["id"]):
        world.update("router", router, None, distributed=True)
    other = world.router(distributed=True)
    second = world.port(network)
    with refused(400, "BadRequest", "h1"):
        world.act("add_router_interface", other, port_id=second["id"])
    world.delete("port", port)
    world.update("router", router, None, distributed=True)
    assert world.get("router", router)["distributed"]

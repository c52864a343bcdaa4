"""Ports that are plugged past the switch: SR-IOV and vhost-user, as Nova is told of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.l2.binding import HOST, PROFILE, VIF_DETAILS, VIF_TYPE, VNIC_TYPE
from netloom.intent.schema import Doc
from netloom.resolve.rows import resolve_row
from tests.unit.intent.intent_kit import World, refused

NICS: dict[str, Any] = {"device_mappings": {"physnet": ["ens1"]}, "bridge_mappings": {"physnet": "br-ex"}}


def make_world() -> World:
    world = World()
    world.settings = replace(world.settings, network_vlan_ranges={"physnet": ((100, 199),)})
    return world


def make_network(world: World, **given: Any) -> Doc:
    kind = {"provider:network_type": "vlan", "provider:physical_network": "physnet", "provider:segmentation_id": 101}
    return world.create("network", {**kind, **given})[0]


def make_port(world: World, network: Doc, vnic_type: str, **profile: Any) -> Doc:
    body = {"network_id": network["id"], HOST: "h1", VNIC_TYPE: vnic_type, PROFILE: profile}
    return world.create("port", body)[0]


@pytest.mark.parametrize("vnic_type", ["direct", "macvtap", "accelerator-direct"])
def test_a_function_of_a_nic(vnic_type: str) -> None:
    """With the VLAN that the NIC is to put; and the host learns at which slot."""
    world = make_world()
    world.host(**NICS)
    port = make_port(world, make_network(world), vnic_type, pci_slot="0000:03:10.0", trusted=True)
    assert (port[VIF_TYPE], port["status"]) == ("hw_veb", "DOWN")
    assert port[VIF_DETAILS] == {
        "port_filter": False, "connectivity": "l2", "vlan": "101", "bound_drivers": {"0": "sriovnicswitch"},
    }  # fmt: skip
    row = resolve_row(world.snapshot, "host/h1", f"port/{port['id']}")
    assert row is not None
    assert (getattr(row, "pci_slot"), getattr(row, "trusted")) == ("0000:03:10.0", True)  # noqa: B009


def test_a_whole_nic_needs_no_agent() -> None:
    """Nobody sets anything in it."""
    world = make_world()
    world.host(bridge_mappings={"physnet": "br-ex"})
    port = make_port(world, make_network(world), "direct-physical", pci_slot="0000:03:00.0")
    assert port[VIF_TYPE] == "hostdev_physical"


def test_what_sriov_cannot_plug() -> None:
    """A host without NICs for it, a network that is none of theirs, a tunnel."""
    world = make_world()
    world.host(bridge_mappings={"physnet": "br-ex"})
    network = make_network(world)
    port = make_port(world, network, "direct")
    assert (port[VIF_TYPE], "vnic_type direct" in port["waits_for"]) == ("binding_failed", True)
    world.host(device_mappings={"other": ["ens1"]}, bridge_mappings={"physnet": "br-ex"})
    port = make_port(world, network, "direct")
    assert "no NIC for SR-IOV on physical network physnet" in port["waits_for"]
    port = make_port(world, world.network(), "macvtap")
    assert "SR-IOV carries flat and VLAN networks, not vxlan" in port["waits_for"]


def test_a_function_in_switchdev_mode_is_the_switchs() -> None:
    """Its representor is plugged into Open vSwitch."""
    world = make_world()
    world.host(**NICS)
    assert make_port(world, make_network(world), "direct", capabilities=["switchdev"])[VIF_TYPE] == "ovs"


def test_a_socket_of_a_switch_in_userspace() -> None:
    """vhost-user: the instance makes the socket where the switch is the client."""
    world = make_world()
    capable: dict[str, Any] = {"ovs_capabilities": {"iface_types": ["dpdkvhostuser", "dpdkvhostuserclient"]}}
    world.host(datapath_type="netdev", vhostuser_socket_dir="/run/vhost", **capable)
    port = world.port(world.network(), binding__host_id="h1")
    details = port[VIF_DETAILS]
    assert port[VIF_TYPE] == "vhostuser"
    assert (details["vhostuser_mode"], details["vhostuser_ovs_plug"]) == ("server", True)
    assert details["vhostuser_socket"] == f"/run/vhost/vhu{port['id'][:11]}"
    assert (details["bridge_name"], details["connectivity"]) == ("br-int", "l2")
    assert (details["port_filter"], details["ovs_hybrid_plug"]) == (False, False)


@pytest.mark.parametrize(
    ("kinds", "datapath", "vnic_type", "vif_type", "mode"),
    [
        (["dpdkvhostuser"], "netdev", "normal", "vhostuser", "client"),
        (["dpdkvhostuserclient"], "netdev", "vdpa", "vhostuser", "server"),
        (["dpdkvhostuserclient"], "netdev", "smart-nic", "vhostuser", "server"),
        (["dpdkvhostuserclient"], "system", "normal", "ovs", None),
        (["vxlan", "internal"], "netdev", "normal", "ovs", None),
    ],
)
def test_what_the_switch_says_of_itself_decides(
    kinds: list[str], datapath: str, vnic_type: str, vif_type: str, mode: str | None
) -> None:
    """Sockets need a switch in userspace that has such ports; the instance is the server where the switch is the
    client."""
    world = make_world()
    capable: dict[str, Any] = {"ovs_capabilities": {"iface_types": kinds, "datapath_types": ["netdev", "system"]}}
    world.host(datapath_type=datapath, **capable)
    port = world.port(world.network(), binding__host_id="h1", binding__vnic_type=vnic_type)
    assert (port[VIF_TYPE], port[VIF_DETAILS].get("vhostuser_mode")) == (vif_type, mode)


@pytest.mark.parametrize(
    ("vnic_type", "vif_type"), [("smart-nic", "ovs"), ("vdpa", "ovs"), ("baremetal", "binding_failed")]
)
def test_other_kinds(vnic_type: str, vif_type: str) -> None:
    """As upstream: what Open vSwitch plugs, and what nobody in the tree does."""
    world = make_world()
    world.host()
    assert make_port(world, world.network(), vnic_type)[VIF_TYPE] == vif_type


@pytest.mark.parametrize(
    ("address", "carried", "fails"),
    [("192.0.2.1", 1499, True), ("192.0.2.1", 1500, False), ("2001:db8::1", 1500, True), ("192.0.2.1", 0, False)],
)
def test_an_underlay_that_carries_too_little(address: str, carried: int, fails: bool) -> None:
    """A network of MTU 1450 needs 1500 bytes over IPv4 and 1520 over IPv6; less is a binding that fails, in words."""
    world = make_world()
    told: dict[str, Any] = {"tunnel_mtu": carried} if carried else {}
    world.host(tunneling_ip=address, **told)
    port = world.port(world.network(), binding__host_id="h1")
    assert (port[VIF_TYPE] == "binding_failed") is fails
    if fails:
        needed = 1500 if "." in address else 1520
        words = f"(MTU 1450) need {needed} bytes in vxlan tunnels, and the underlay of host h1 carries {carried}"
        assert words in port["waits_for"]
        world.host(tunneling_ip=address, tunnel_mtu=1600)
        assert world.get("port", port)[VIF_TYPE] == "ovs"


def test_a_bridge_for_a_physical_network_that_nobody_knows() -> None:
    """Said of the host in the API, unless any name is allowed."""
    world = make_world()
    world.settings = replace(world.settings, flat_networks=("physnet2",))
    world.host(bridge_mappings={"physnet": "br-a", "physnet2": "br-b", "physnte": "br-c"})
    (agent,) = (one for one in world.snapshot.find("agent", "host", "h1") if one["agent_type"] == "Open vSwitch agent")
    assert agent["configurations"]["unknown_physical_networks"] == ["physnte"]
    flat = {"provider:network_type": "flat", "provider:physical_network": "physnte"}
    with refused(400, "InvalidInput", "physical_network 'physnte' unknown for flat provider network"):
        world.create("network", flat)

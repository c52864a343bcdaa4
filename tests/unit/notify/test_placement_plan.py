"""What Placement is to hold of a host, and what it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.l2.binding import BRIDGE_AGENT
from netloom.intent.l2.binding_kinds import NIC_AGENT
from netloom.notify.placement_plan import plan
from netloom.notify.placement_wanted import Tree, find_claims, find_own, find_refused, render_trees
from tests.unit.notify.placement_kit import FILLED, INVENTORY, ROOT, FakePlacement, Provider, make_agent

AGENT_ID, DEVICE_ID = "37db8e4c-80cb-5aac-a5ae-d6d528e5c4a0", "e55a8749-24b7-564d-90d3-59fc77e997a9"
GIVEN: dict[str, Any] = {"resource_provider_bandwidths": {"br-ex": {"egress": 1000, "ingress": 2000}}}


def render(**told: Any) -> Tree:
    (tree,) = render_trees(make_agent(**told), "rp_tunnelled")
    return tree


def settle(placement: FakePlacement, tree: Tree) -> None:
    placement.serve(plan(tree, placement.look(tree)))
    assert plan(tree, placement.look(tree)) == []


def test_a_bridges_bandwidth_is_below_the_agents_provider() -> None:
    """Ids and names are Neutron's, so what Nova has allocated there stays allocated."""
    placement, tree = FakePlacement(), render(**GIVEN)
    settle(placement, tree)
    agent, device = placement.providers[AGENT_ID], placement.providers[DEVICE_ID]
    assert (agent.name, agent.parent, agent.inventories) == ("h1:Open vSwitch agent", ROOT, {})
    assert (device.name, device.parent) == ("h1:Open vSwitch agent:br-ex", AGENT_ID)
    vnic = {f"CUSTOM_VNIC_TYPE_{name}" for name in ("NORMAL", "DIRECT", "SMART_NIC", "VDPA")}
    assert agent.traits == vnic and device.traits == vnic | {"CUSTOM_PHYSNET_PHYSNET0"}
    assert device.inventories == {
        "NET_BW_EGR_KILOBIT_PER_SEC": {**FILLED, "total": 1000},
        "NET_BW_IGR_KILOBIT_PER_SEC": {**FILLED, "total": 2000},
    }


def test_packet_rates_are_the_agents_own() -> None:
    """For both directions together, or for each; a rate of nothing is none."""
    told = {"resource_provider_packet_processing_without_direction": {"h1": {"any": 700}}}
    tree = render(**told, resource_provider_packet_processing_inventory_defaults={"reserved": 5})
    assert tree.agent is not None and not tree.devices
    total = {**FILLED, "reserved": 5, "total": 700}
    assert tree.agent.inventories == {"NET_PACKET_RATE_KILOPACKET_PER_SEC": total}
    each = {"resource_provider_packet_processing_with_direction": {"h1": {"egress": 9, "ingress": 0}}}
    agent = render(**each).agent
    assert agent is not None and list(agent.inventories) == ["NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC"]


def test_tunnels_have_a_provider_of_their_own() -> None:
    """It is good for tunnels; a bridge of that name is good for its physical network as well."""
    told = {"resource_provider_bandwidths": {"rp_tunnelled": {"egress": 10, "ingress": None}}}
    (device,) = render(**told).devices
    assert "CUSTOM_NETWORK_TUNNEL_PROVIDER" in device.traits and list(device.inventories) == [
        "NET_BW_EGR_KILOBIT_PER_SEC"
    ]
    (device,) = render(**told, bridge_mappings={"p": "rp_tunnelled"}).devices
    assert {"CUSTOM_NETWORK_TUNNEL_PROVIDER", "CUSTOM_PHYSNET_P"} <= device.traits


def test_nics_and_linux_bridges_have_theirs() -> None:
    """Each type of agent has ids of its own, and the ports that it carries."""
    nics: dict[str, Any] = {
        "device_mappings": {"physnet0": ["eth1", "eth2"]},
        "resource_provider_bandwidths": {"eth2": {"egress": 9}},
    }
    (tree,) = render_trees(make_agent(type=NIC_AGENT, **nics), "rp_tunnelled")
    (device,) = tree.devices
    assert device.name == "h1:NIC Switch agent:eth2"
    assert {"CUSTOM_PHYSNET_PHYSNET0", "CUSTOM_VNIC_TYPE_DIRECT", "CUSTOM_VNIC_TYPE_MACVTAP"} <= device.traits
    (bridges,) = render_trees(make_agent(type=BRIDGE_AGENT, **GIVEN), "rp_tunnelled")
    assert len({tree.agent_id, bridges.agent_id, render(**GIVEN).agent_id}) == 3


def test_what_a_host_guarantees_no_more_goes() -> None:
    """Its bandwidth changes, a bridge goes, and at last all; what others have in the tree stays."""
    placement = FakePlacement()
    two = {"bridge_mappings": {"physnet0": "br-ex", "p": "br-b"}}
    settle(placement, render(resource_provider_bandwidths={"br-ex": {"egress": 1}, "br-b": {"egress": 2}}, **two))
    placement.providers["numa"] = Provider("h1_NUMA0", ROOT)
    settle(placement, render(resource_provider_bandwidths={"br-ex": {"egress": 7}}, **two))
    assert placement.providers[DEVICE_ID].inventories["NET_BW_EGR_KILOBIT_PER_SEC"]["total"] == 7
    assert len(placement.providers) == 4
    placement.providers["strange"] = Provider("h1:Open vSwitch agent:made by hand", AGENT_ID)
    settle(placement, render(resource_provider_hypervisors={"br-ex": "h1"}))
    assert placement.providers.keys() == {ROOT, "numa", AGENT_ID, "strange"}
    del placement.providers["strange"]
    settle(placement, render(resource_provider_hypervisors={"br-ex": "h1"}))
    assert placement.providers.keys() == {ROOT, "numa"}


def test_a_hypervisor_that_is_called_otherwise() -> None:
    """One host may serve several hypervisors; each has a tree."""
    told: dict[str, Any] = {
        "resource_provider_bandwidths": {"br-ex": {"egress": 1}, "br-b": {"egress": 1}},
        "resource_provider_hypervisors": {"br-ex": "a.example", "br-b": "b.example", "rp_tunnelled": "a.example"},
        "bridge_mappings": {"p": "br-ex", "q": "br-b"},
    }
    names = {tree.hypervisor: [one.name for one in tree.wanted] for tree in render_trees(make_agent(**told), "t")}
    assert names == {
        "a.example": ["a.example:Open vSwitch agent", "a.example:Open vSwitch agent:br-ex"],
        "b.example": ["b.example:Open vSwitch agent", "b.example:Open vSwitch agent:br-b"],
    }


@pytest.mark.parametrize("amount", ["1", -1, True, None, 2**31, 1.5, {"total": 1}])
def test_what_is_no_amount_is_left_out(amount: Any) -> None:
    """Hosts are not trusted: nothing that they say breaks what is told of them, or of others."""
    tree = render(resource_provider_bandwidths={"br-ex": {"egress": amount, "up": 3}, "br-b": 7})
    assert [device.inventories for device in tree.devices] == [{}]
    odd = {"resource_provider_bandwidths": {"br-ex": {"egress": 5}}, "resource_provider_inventory_defaults": "x"}
    (device,) = render(**odd, resource_provider_hypervisors=[1], bridge_mappings={"physnet0": "br-ex"}).devices
    assert device.inventories["NET_BW_EGR_KILOBIT_PER_SEC"] == {**FILLED, "total": 5}


def test_a_host_cannot_speak_for_anothers_hypervisor() -> None:
    """The host of the same name has it, whoever else says so and whenever that came."""
    owner, thief = make_agent("h2", **GIVEN), make_agent("h1", **GIVEN, resource_provider_hypervisors={"br-ex": "h2"})
    thief["created_at"] = "2025-01-01 00:00:00"
    claims = find_claims([thief, owner])
    assert claims == {"h2": "h2"}
    assert list(find_refused(render_trees(owner, "t"), "h2", claims)) == []
    assert "hypervisor h2 is that of host h2" in next(find_refused(render_trees(thief, "t"), "h1", claims))
    empty = make_agent("h1", resource_provider_hypervisors={"br-ex": "h2"})
    assert find_own(render_trees(empty, "t"), "h1", find_claims([empty, owner])) == ()
    whole = make_agent("h2", **GIVEN, resource_provider_hypervisors={"br-ex": "h2.example.org"})
    rough = make_agent("h1", **GIVEN, resource_provider_hypervisors={"br-ex": "h2.example.org"})
    assert find_claims([rough, whole]) == {"h2.example.org": "h2"}


def test_ratios_of_single_precision_are_the_same() -> None:
    """MySQL gives back another number than it was given."""
    told = {**GIVEN, "resource_provider_inventory_defaults": {**INVENTORY, "allocation_ratio": 1.1}}
    placement, tree = FakePlacement(), render(**told)
    settle(placement, tree)
    placement.providers[DEVICE_ID].inventories["NET_BW_EGR_KILOBIT_PER_SEC"]["allocation_ratio"] = 1.10000002384
    assert plan(tree, placement.look(tree)) == []

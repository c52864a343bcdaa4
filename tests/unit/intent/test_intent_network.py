"""Networks: segments, MTU, sharing, the default external network, and what goes with a network that is deleted."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.intent.l2.segments import TYPES
from netloom.intent.operation import Settings
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, refused


def test_defaults() -> None:
    """A network that only has a name is a VXLAN network that is up, and mine."""
    network = World().network(name="blue")
    assert network["provider:network_type"] == "vxlan"
    assert network["provider:segmentation_id"] == 1
    assert network["provider:physical_network"] is None
    assert (network["status"], network["admin_state_up"], network["shared"]) == ("ACTIVE", True, False)
    assert (network["project_id"], network["subnets"], network["number"]) == ("p1", [], 1)
    assert (network["revision_number"], network["created_at"]) == (1, network["updated_at"])


@pytest.mark.parametrize(
    ("name", "version", "mtu"),
    [
        ("vxlan", 4, 1450), ("gre", 4, 1458), ("geneve", 4, 1450), ("local", 4, 1500),
        ("vxlan", 6, 1430), ("gre", 6, 1438), ("geneve", 6, 1430), ("local", 6, 1500),
    ],
)  # fmt: skip
def test_mtu_by_type(name: str, version: int, mtu: int) -> None:
    """A network's MTU leaves room for its encapsulation."""
    world = World(replace(SETTINGS, tenant_network_types=(name,), overlay_ip_version=version))
    assert world.network()["mtu"] == mtu


def test_mtu_of_physical_networks_and_paths() -> None:
    """The narrowest of the physical network, the path and the segments decides."""
    settings = replace(SETTINGS, physical_network_mtus={"physnet1": 9000}, global_physnet_mtu=9500, path_mtu=4000)
    world = World(settings)
    flat = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
    assert world.network(**flat)["mtu"] == 9000
    assert world.network()["mtu"] == 3950
    several = world.network(
        segments=[{**flat, "provider:physical_network": "physnet2"}, {"provider:network_type": "vxlan"}]
    )
    assert several["mtu"] == 3950
    assert "provider:network_type" not in several
    assert [s["provider:network_type"] for s in several["segments"]] == ["flat", "vxlan"]


def test_mtu_bounds() -> None:
    """An MTU may be chosen, but not above what the segments carry, nor below what a subnet needs."""
    world = World()
    with refused(400, "InvalidInput", "Requested MTU is too big, maximum is 1450"):
        world.network(mtu=1451)
    network = world.network(mtu=1300)
    world.subnet(network, "2001:db8::/64")
    with refused(409, "NetworkMTUSubnetConflict", "minimum of 1280"):
        world.update("network", network, mtu=1279)
    assert world.update("network", network, mtu=0)["mtu"] == 1450
    small = world.network(mtu=67)
    with refused(409, "NetworkMTUSubnetConflict", "minimum of 68"):
        world.subnet(small, "10.0.0.0/24")


@pytest.mark.parametrize("name", ["vxlan", "gre", "geneve"])
def test_tunnel_numbers(name: str) -> None:
    """Tunnel networks get the lowest free number; one that is taken is refused; a deleted network gives it back."""
    world = World(replace(SETTINGS, tenant_network_types=(name,), vni_ranges={name: ((10, 11), (20, 20))}))
    first, second, third = (world.network() for _ in range(3))
    assert [n["provider:segmentation_id"] for n in (first, second, third)] == [10, 11, 20]
    with refused(503, "NoNetworkAvailable", "No project network is available"):
        world.network()
    with refused(409, "TunnelIdInUse", "tunnel ID 11 is in use"):
        world.network(provider__network_type=name, provider__segmentation_id=11)
    world.delete("network", second)
    assert world.network()["provider:segmentation_id"] == 11
    assert (
        world.network(provider__network_type=name, provider__segmentation_id=4000)["provider:segmentation_id"] == 4000
    )


def test_vlan_numbers() -> None:
    """A VLAN belongs to one network of its physical network, and another physical network has its own."""
    world = World()
    vlan = {"provider:network_type": "vlan"}
    assert world.network(**vlan)["provider:segmentation_id"] == 100
    one = world.network(**vlan, provider__physical_network="physnet1", provider__segmentation_id=7)
    with refused(409, "VlanIdInUse", "VLAN 7 on physical network physnet1"):
        world.network(**vlan, provider__physical_network="physnet1", provider__segmentation_id=7)
    other = world.network(**vlan, provider__physical_network="physnet2", provider__segmentation_id=7)
    assert one["provider:segmentation_id"] == other["provider:segmentation_id"] == 7
    with refused(400, "InvalidInput", "out of range (1 through 4094)"):
        world.network(**vlan, provider__physical_network="physnet1", provider__segmentation_id=4095)
    with refused(400, "InvalidInput", "segmentation_id requires physical_network"):
        world.network(**vlan, provider__segmentation_id=8)
    with refused(400, "InvalidInput", "physical_network 'moon' unknown for VLAN"):
        world.network(**vlan, provider__physical_network="moon")


def test_flat_networks() -> None:
    """A physical network carries one flat network."""
    world = World(replace(SETTINGS, flat_networks=("physnet1",)))
    flat = {"provider:network_type": "flat", "provider:physical_network": "physnet1"}
    world.network(**flat)
    with refused(409, "FlatNetworkInUse", "physnet1 is in use"):
        world.network(**flat)
    with refused(400, "InvalidInput", "'physnet9' unknown for flat"):
        world.network(provider__network_type="flat", provider__physical_network="physnet9")
    with refused(400, "InvalidInput", "physical_network required"):
        world.network(provider__network_type="flat")
    with refused(400, "InvalidInput", "segmentation_id prohibited for flat"):
        world.network(**flat, provider__segmentation_id=3)


def test_what_segments_may_not_be() -> None:
    """A provider request that does not fit its type says what is wrong."""
    world = World()
    with refused(400, "InvalidInput", "network_type required"):
        world.network(provider__segmentation_id=7)
    with refused(400, "InvalidInput", "'moon' not supported"):
        world.network(provider__network_type="moon")
    with refused(400, "InvalidInput", "prohibited for local"):
        world.network(provider__network_type="local", provider__segmentation_id=7)
    with refused(400, "InvalidInput", "physical_network specified for vxlan"):
        world.network(provider__network_type="vxlan", provider__physical_network="physnet1")
    with refused(400, "SegmentsSetInConjunctionWithProviders"):
        world.network(provider__network_type="vxlan", segments=[{"provider:network_type": "local"}])
    with refused(400, "SegmentsContainDuplicateEntry"):
        world.network(segments=[{"provider:network_type": "vxlan", "provider:segmentation_id": 5}] * 2)
    assert not world.snapshot.count("segment")


def test_vlan_may_be_renumbered() -> None:
    """Only the segmentation_id of a VLAN network may change, to one that is free."""
    world = World()
    vlan = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    taken = world.network(provider__network_type="vlan", provider__physical_network="physnet1")
    moved = world.update("network", vlan, provider__segmentation_id=150)
    assert (moved["provider:segmentation_id"], moved["revision_number"]) == (150, 2)
    with refused(409, "VlanIdInUse"):
        world.update("network", vlan, provider__segmentation_id=taken["provider:segmentation_id"])
    with refused(400, "InvalidInput", "Plugin does not support updating"):
        world.update("network", vlan, provider__physical_network="physnet2")
    with refused(400, "InvalidInput", "Only VLAN type networks"):
        world.update("network", world.network(), provider__segmentation_id=9)


def test_sharing_ends_only_when_nobody_else_is_there() -> None:
    """A shared network with a foreign port stays shared; the network's own devices do not count."""
    world = World()
    network = world.network(shared=True, name="all")
    subnet = world.subnet(network, "10.0.0.0/24")
    assert world.get("subnet", subnet)["shared"] is True
    foreign = world.port(network, project_id="p2")
    world.port(network, project_id="p3", device_owner="network:dhcp")
    with refused(409, "InvalidSharedSetting", "network all"):
        world.update("network", network, shared=False)
    world.delete("port", foreign)
    assert world.update("network", network, shared=False)["shared"] is False
    assert world.get("subnet", subnet)["shared"] is False


def test_one_default_external_network() -> None:
    """There is one default external network at a time, and an internal one is never it."""
    world = World()
    assert world.network(is_default=True)["is_default"] is False
    first = world.network(is_default=True, router__external=True)
    assert first["is_default"] is True
    with refused(409, "DefaultExternalNetworkExists", first["id"]):
        world.network(is_default=True, router__external=True)
    world.update("network", first, router__external=False)
    assert world.get("network", first)["is_default"] is False
    assert world.network(is_default=True, router__external=True)["is_default"] is True


def test_delete_takes_what_belongs_to_it() -> None:
    """Deleting a network takes its subnets, segments and service ports with it, and refuses with a user's port."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    world.port(network, device_owner="network:dhcp")
    user = world.port(network)
    with refused(409, "NetworkInUse", user["id"], "ports still in use"):
        world.delete("network", network)
    world.delete("port", user)
    world.delete("network", network)
    assert [world.snapshot.count(kind) for kind in ("network", "subnet", "port", "segment")] == [0, 0, 0, 0]
    with refused(404, "NetworkNotFound", f"Network {network['id']} could not be found."):
        world.delete("network", network)


def test_numbers_are_reused() -> None:
    """The number that tells networks apart on hosts is the lowest free one, for a network's life."""
    world = World()
    networks = [world.network() for _ in range(3)]
    assert [n["number"] for n in networks] == [1, 2, 3]
    world.delete("network", networks[1])
    assert world.network()["number"] == 2
    assert world.update("network", networks[2], name="x")["number"] == 3


def test_zones() -> None:
    """A network is served in the zones of the agents, or in those that it asks for."""
    world = World()
    world.host("h1", "east")
    world.host("h2", "west")
    assert world.network()["availability_zones"] == ["east", "west"]
    assert world.network(availability_zone_hints=["west"])["availability_zones"] == ["west"]
    with refused(404, "AvailabilityZoneNotFound", "AvailabilityZone moon"):
        world.network(availability_zone_hints=["moon"])


def test_bulk_is_one() -> None:
    """A bulk create makes all of them, apart from each other, or none."""
    world = World(Settings(vni_ranges={"vxlan": ((1, 3),)}))
    answer = world.create("network", {"name": "a"}, {"name": "b"})
    assert [n["provider:segmentation_id"] for n in answer] == [1, 2]
    assert [n["number"] for n in answer] == [1, 2]
    with refused(503, "NoNetworkAvailable"):
        world.create("network", {"name": "c"}, {"name": "d"})
    assert world.snapshot.count("network") == 2


def test_missing_network() -> None:
    with refused(404, "NetworkNotFound"):
        World().update("network", {"id": MISSING}, name="x")


def test_every_type_is_known() -> None:
    """The types of the contract are all there."""
    assert set(TYPES) == {"local", "flat", "vlan", "vxlan", "gre", "geneve"}

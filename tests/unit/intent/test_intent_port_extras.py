"""What ports say to hosts, Nova and Cyborg, and private VLANs: stored, checked, and shown where others read it."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Doc, parse_create, parse_update
from tests.unit.intent.intent_kit import World, refused

PORT = CATALOG["port"]
STEER = {"openvswitch": {"other_config": {"tx-steering": "hash"}}}


def test_said_of_a_new_port() -> None:
    """A port that says nothing of these has null for each, and hands status on from its uplink."""
    port = make(World())
    nothing = ("data_plane_status", "device_profile", "hardware_offload_type", "hints", "numa_affinity_policy")
    assert [port[name] for name in (*nothing, "trusted", "pvlan_type", "pvlan_community")] == [None] * 8
    assert port["propagate_uplink_status"] is True
    assert port["binding:profile"] == {}


def make(world: World, **body: Any) -> Doc:
    return world.port(world.network(), **body)


def test_said_and_kept() -> None:
    """Each of them is kept as given; those that may change do."""
    world = World()
    port = make(world, device_profile="gpu", hints=STEER, numa_affinity_policy="socket", propagate_uplink_status=False)
    assert (port["device_profile"], port["hints"], port["numa_affinity_policy"]) == ("gpu", STEER, "socket")
    assert port["propagate_uplink_status"] is False
    port = world.update(
        "port", port, hints={}, numa_affinity_policy=None, data_plane_status="DOWN", propagate_uplink_status=True
    )
    assert (port["hints"], port["numa_affinity_policy"], port["data_plane_status"]) == (None, None, "DOWN")
    assert port["propagate_uplink_status"] is True


def test_trust_is_shown_to_those_who_plug() -> None:
    """Whether a port is trusted stands in its binding profile too, whatever else is written there."""
    world = World()
    port = make(world, trusted=True, binding__profile={"a": 1})
    assert port["binding:profile"] == {"a": 1, "trusted": True}
    assert world.update("port", port, binding__profile={"b": 2})["binding:profile"] == {"b": 2, "trusted": True}
    port = world.update("port", world.get("port", port), trusted=False)
    assert port["binding:profile"] == {"b": 2, "trusted": False}


def test_offload_is_a_capability() -> None:
    """A port that is to be offloaded says so in its binding profile, and is bound as such."""
    world = World()
    world.host()
    port = make(world, hardware_offload_type="switchdev", binding__vnic_type="direct", binding__host_id="h1")
    assert port["binding:profile"] == {"capabilities": ["switchdev"]}
    assert port["binding:vif_type"] == "ovs"
    given = {"capabilities": ["switchdev", "x"]}
    assert make(world, hardware_offload_type="switchdev", binding__profile=given)["binding:profile"] == given


def test_numa_policy_of_a_bound_port() -> None:
    """How near a NIC has to be cannot change once an instance was placed by it."""
    world = World()
    world.host()
    port = make(world, binding__host_id="h1")
    with refused(409, "PortBoundNUMAAffinityPolicy", port["id"], "h1", "legacy"):
        world.update("port", port, numa_affinity_policy="legacy")
    world.update("port", port, binding__host_id="")
    assert world.update("port", world.get("port", port), numa_affinity_policy="legacy")["numa_affinity_policy"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("hints", {"openvswitch": {"other_config": {"tx-steering": "x"}}}, "'x' is not in ['thread', 'hash']"),
        ("hints", {"ovn": {}}, "Unexpected keys supplied: ovn"),
        ("hints", {"openvswitch": 1}, "'1' is not a dictionary"),
        ("hints", [], "'[]' is not a dictionary"),
        ("numa_affinity_policy", "near", "'near' is not in ['required', 'preferred', 'legacy', 'socket', None]"),
        ("hardware_offload_type", "smart", "'smart' is not in ['switchdev']"),
        ("device_profile", "x" * 256, "exceeds maximum length of 255"),
        ("pvlan_type", "alone", "'alone' is not in"),
        ("pvlan_community", "1st", "'1st' is not a valid input"),
        ("pvlan_community", "", "'' is not a valid input"),
    ],
)
def test_what_they_may_not_say(name: str, value: Any, words: str) -> None:
    """A bad value is refused with the attribute's name and what it may be."""
    with refused(400, "HTTPBadRequest", f"Invalid input for {name}", words):
        parse_create(PORT, {"network_id": "00000000-0000-4000-8000-000000000001", name: value})


def test_what_may_not_change() -> None:
    """A device profile and an offload are for life; the status of the wire is not the creator's to say."""
    for name, value in (("device_profile", "x"), ("hardware_offload_type", "switchdev")):
        with refused(400, "HTTPBadRequest", f"Cannot update read-only attribute {name}"):
            parse_update(PORT, {name: value})
    with refused(400, "HTTPBadRequest", "Attribute 'data_plane_status' not allowed in POST"):
        parse_create(PORT, {"network_id": "00000000-0000-4000-8000-000000000001", "data_plane_status": "DOWN"})


# -- private VLANs -----------------------------------------------------------------------------------------------------


def shown(port: Doc) -> tuple[str | None, str | None]:
    return port["pvlan_type"], port["pvlan_community"]


def test_types_on_a_private_vlan() -> None:
    """A port of a private VLAN is promiscuous where it does not say otherwise, and of a community only by name."""
    world = World()
    network = world.network(pvlan=True)
    assert shown(world.port(network)) == ("promiscuous", None)
    assert shown(world.port(network, pvlan_type="isolated")) == ("isolated", None)
    port = world.port(network, pvlan_type="community", pvlan_community="blue")
    assert shown(port) == ("community", "blue")
    assert shown(world.update("port", port, pvlan_type="community")) == ("community", "blue")
    assert shown(world.update("port", port, name="x")) == ("community", "blue")
    assert shown(world.update("port", port, pvlan_type="isolated")) == ("isolated", None)


def test_what_does_not_go_together() -> None:
    """No type without a private VLAN, no community without its type, nor the type without a name."""
    world = World()
    network, private = world.network(), world.network(pvlan=True)
    for where, given, type in (
        (network, {"pvlan_type": "isolated"}, "PVLANNotEnabledOnNetwork"),
        (network, {"pvlan_community": "blue"}, "PVLANNotEnabledOnNetwork"),
        (private, {"pvlan_type": "community"}, "PVLANCommunityNameRequired"),
        (private, {"pvlan_type": "isolated", "pvlan_community": "blue"}, "PVLANCannotSetCommunityName"),
        (private, {"port_security_enabled": False}, "PVLANPortSecurityDisabled"),
    ):
        with refused(400, type):
            world.port(where, **given)
    with refused(400, "PVLANNetworkPortSecurityDisabled"):
        world.network(pvlan=True, port_security_enabled=False)
    port = world.port(private)
    with refused(400, "PVLANPortSecurityDisabled", port["id"]):
        world.update("port", port, port_security_enabled=False, security_groups=[])


def test_a_network_takes_its_ports_along() -> None:
    """Ports get a type when their network becomes a private VLAN and lose it when it is none any more."""
    world = World()
    network = world.network()
    port = world.port(network)
    world.update("network", network, pvlan=True)
    assert shown(world.get("port", port)) == ("promiscuous", None)
    world.update("network", world.get("network", network), pvlan=False)
    assert shown(world.get("port", port)) == (None, None)
    world.port(network, port_security_enabled=False)
    with refused(400, "PVLANPortSecurityDisabled"):
        world.update("network", world.get("network", network), pvlan=True)
    assert world.get("network", network)["pvlan"] is False

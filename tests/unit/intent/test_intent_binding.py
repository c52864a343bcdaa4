"""Binding, agents, zones and port status: where a port is, who carries it, and when it is ACTIVE."""

from __future__ import annotations

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.agents.availability_zone import list_zones
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import World, refused


def ack(world: World, host: str, *wired: Doc, revision: int | None = None) -> None:
    world.take(acknowledge(world.snapshot, world.context(), host, [p["id"] for p in wired], {}, revision))


def hold(world: World, host: str, port: Doc, reason: str) -> None:
    world.take(acknowledge(world.snapshot, world.context(), host, [], {port["id"]: reason}))


def test_bound_by_open_vswitch() -> None:
    """A port of a host with an agent is plugged into its integration bridge."""
    world = World()
    world.host(datapath_type="netdev", integration_bridge="br-x")
    port = world.port(world.network(), binding__host_id="h1")
    assert port["binding:vif_type"] == "ovs"
    assert port["binding:vif_details"] == {
        "port_filter": True,
        "connectivity": "l2",
        "ovs_hybrid_plug": False,
        "datapath_type": "netdev",
        "bridge_name": "br-x",
        "bound_drivers": {"0": "openvswitch"},
    }
    assert world.snapshot.get("segment", port["bound_segment"]) is not None


def test_why_a_binding_fails() -> None:
    """A port that its host cannot carry says why, and the request stands."""
    world = World()
    world.host("h1", tunnel_types=["gre"])
    world.host("h2")
    world.take(mark_alive(world.snapshot, world.context(), "h2", False))
    network = world.network()
    flat = world.network(provider__network_type="flat", provider__physical_network="physnet2")
    for on, host, words, more in (
        (network, "h1", "host h1 has no vxlan tunnels", {}),
        (network, "h2", "agent on host h2 is not alive", {}),
        (network, "h9", "no Open vSwitch agent on host h9", {}),
        (flat, "h1", "host h1 has no bridge for physical network physnet2", {}),
        (network, "h1", "does not plug ports of vnic_type direct", {"binding__vnic_type": "direct"}),
    ):
        port = world.port(on, binding__host_id=host, **more)
        assert (port["binding:vif_type"], port["status"], port["binding:vif_details"]) == ("binding_failed", "DOWN", {})
        assert words in port["waits_for"]


def test_several_segments() -> None:
    """A port is bound to the first segment that its host carries."""
    world = World()
    world.host(tunnel_types=["geneve"])
    network = world.network(segments=[{"provider:network_type": "vxlan"}, {"provider:network_type": "geneve"}])
    port = world.port(network, binding__host_id="h1")
    segment = world.snapshot.get("segment", port["bound_segment"])
    assert segment is not None
    assert segment["network_type"] == "geneve"


def test_failed_bindings_are_tried_again() -> None:
    """A binding that failed is made when the host's agent comes, or comes back, or by an update of the port."""
    world = World()
    network = world.network()
    port = world.port(network, binding__host_id="h1")
    world.host("h1", tunnel_types=[])
    assert "no vxlan tunnels" in world.get("port", port)["waits_for"]
    assert world.get("port", port)["revision_number"] == 2
    world.host("h1")
    assert world.get("port", port)["binding:vif_type"] == "ovs"

    world.take(mark_alive(world.snapshot, world.context(), "h1", False))
    other = world.port(network, binding__host_id="h1")
    assert world.update("port", other, name="x")["binding:vif_type"] == "binding_failed"
    world.take(mark_alive(world.snapshot, world.context(), "h1", True))
    assert world.get("port", other)["binding:vif_type"] == "ovs"


def test_active_when_acknowledged() -> None:
    """A port is ACTIVE when its host says so, and says before what it waits for."""
    world = World()
    world.host()
    port = world.port(world.network(), binding__host_id="h1")
    assert port["waits_for"] == "host h1 to acknowledge it"
    hold(world, "h1", port, "its interface to be plugged")
    assert world.get("port", port)["waits_for"] == "its interface to be plugged"
    assert world.get("port", port)["revision_number"] == 1
    ack(world, "h1", port)
    active = world.get("port", port)
    assert (active["status"], active["waits_for"], active["revision_number"]) == ("ACTIVE", "", 2)
    before = world.snapshot.revision
    ack(world, "h1", port)
    assert world.snapshot.revision == before
    hold(world, "h1", port, "its interface to be plugged")
    assert world.get("port", port)["status"] == "DOWN"


def test_old_acknowledgements_and_foreign_hosts_count_for_nothing() -> None:
    """What a host said of an older revision, or of a port that is elsewhere, makes nothing ACTIVE."""
    world = World()
    world.host("h1")
    world.host("h2")
    port = world.port(world.network(), binding__host_id="h1")
    seen = world.snapshot.revision
    ack(world, "h2", port)
    ack(world, "h1", port, revision=seen - 1)
    assert world.get("port", port)["status"] == "DOWN"
    ack(world, "h1", port, revision=seen)
    assert world.get("port", port)["status"] == "ACTIVE"
    moved = world.update("port", port, binding__host_id="h2")
    assert (moved["status"], moved["waits_for"]) == ("DOWN", "host h2 to acknowledge it")
    ack(world, "h1", port)
    ack(world, "h2", port, revision=seen)
    assert world.get("port", port)["status"] == "DOWN"
    ack(world, "h2", port)
    assert world.get("port", port)["status"] == "ACTIVE"


def test_switched_off() -> None:
    """A port that is switched off is DOWN whatever its host says, and waits for it again when switched on."""
    world = World()
    world.host()
    port = world.port(world.network(), binding__host_id="h1")
    ack(world, "h1", port)
    off = world.update("port", port, admin_state_up=False)
    assert (off["status"], off["waits_for"]) == ("DOWN", "to be switched on: admin_state_up is false")
    ack(world, "h1", port)
    assert world.get("port", port)["status"] == "DOWN"
    assert world.update("port", port, admin_state_up=True)["waits_for"] == "host h1 to acknowledge it"
    born_off = world.port(world.network(), binding__host_id="h1", admin_state_up=False)
    assert "admin_state_up" in born_off["waits_for"]


def test_unbinding() -> None:
    """A port without a host is unbound."""
    world = World()
    world.host()
    port = world.port(world.network(), binding__host_id="h1")
    for empty in ("", None):
        free = world.update("port", port, binding__host_id=empty)
        assert (free["binding:vif_type"], free["binding:vif_details"], free["binding:host_id"]) == ("unbound", {}, "")
        world.update("port", port, binding__host_id="h1")


def test_agents() -> None:
    """A host shows itself as the agents that clients look for; saying the same again changes nothing."""
    world = World()
    world.host("h1", "east")
    agents = {a["agent_type"]: a for a in world.snapshot.docs("agent")}
    assert set(agents) == {"Open vSwitch agent", "DHCP agent", "L3 agent", "Metadata agent"}
    assert agents["DHCP agent"]["availability_zone"] == "east"
    assert agents["Open vSwitch agent"]["configurations"]["tunneling_ip"] == "192.0.2.1"
    assert agents["Open vSwitch agent"]["created_at"] == "2026-11-21 00:00:00"
    before = world.snapshot.revision
    world.host("h1", "east")
    assert world.snapshot.revision == before
    world.take(mark_alive(world.snapshot, world.context(), "h1", False))
    assert [a["alive"] for a in world.snapshot.docs("agent")] == [False] * 4
    assert not mark_alive(world.snapshot, world.context(), "h1", False).changes
    assert not mark_alive(world.snapshot, world.context(), "h9", False).changes
    agent = agents["DHCP agent"]
    changed = world.update("agent", agent, description="rack 3", admin_state_up=False)
    assert (changed["description"], changed["admin_state_up"]) == ("rack 3", False)
    world.host("h1", "east")
    assert world.get("agent", agent)["description"] == "rack 3"
    with refused(400, "BadRequest", "Agent creation using API is not supported"):
        world.create("agent", {})
    world.delete("agent", agent)
    outcome = report_host(world.snapshot, world.context(), "h1", {"tunnel_types": ["vxlan"]}, "east")
    assert [c.doc["agent_type"] for c in outcome.changes if c.doc] == ["Open vSwitch agent", "DHCP agent"]


def test_zones() -> None:
    """Zones are what the agents say; one is available while one of its agents is enabled."""
    world = World()
    world.host("h1", "east")
    world.host("h2", "west")
    world.host("h3", None)
    dhcp = world.snapshot.lookup("agent", "host_type", ("h2", "DHCP agent"))
    assert dhcp is not None
    world.update("agent", dhcp, admin_state_up=False)
    assert list_zones(world.snapshot) == [
        {"name": "east", "resource": "network", "state": "available"},
        {"name": "east", "resource": "router", "state": "available"},
        {"name": "west", "resource": "network", "state": "unavailable"},
        {"name": "west", "resource": "router", "state": "available"},
    ]


def test_what_the_host_is_not_told_of_changes_no_status() -> None:
    """A change that its host does not see, such as of the binding profile, leaves an ACTIVE port ACTIVE."""
    world = World()
    world.host()
    port = world.port(world.network(), binding__host_id="h1")
    ack(world, "h1", port)
    changed = world.update("port", port, binding__profile={"os_vif_delegation": True}, name="x", device_id="i-1")
    assert (changed["status"], changed["binding:profile"]) == ("ACTIVE", {"os_vif_delegation": True})
    assert world.update("port", port, binding__vnic_type="smart-nic")["status"] == "DOWN"

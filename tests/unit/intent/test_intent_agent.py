"""Agents: what a host shows itself as, and which networks its DHCP agent serves."""

from __future__ import annotations

from dataclasses import replace

from netloom.intent.agents.agent import describe_agents, mark_alive, mark_synced
from netloom.intent.agents.availability_zone import list_zones
from netloom.intent.agents.dhcp_schedule import move_networks
from netloom.intent.catalog import CATALOG
from tests.unit.intent.intent_kit import MISSING, SETTINGS, refused
from tests.unit.intent.router_kit import RouterWorld

TYPES = ["DHCP agent", "L3 agent", "Metadata agent", "Open vSwitch agent"]


def test_a_host_shows_itself() -> None:
    """One process serves a host and is listed as the agents that clients look for, in zones where those have them."""
    world = RouterWorld()
    world.host("h1", "z1")
    agents = sorted(world.snapshot.docs("agent"), key=lambda agent: str(agent["agent_type"]))
    assert [agent["agent_type"] for agent in agents] == TYPES
    assert [agent["availability_zone"] for agent in agents] == ["z1", "z1", None, None]
    assert {(agent["host"], agent["alive"], agent["admin_state_up"]) for agent in agents} == {("h1", True, True)}
    assert world.agent("L3 agent")["configurations"]["agent_mode"] == "dvr_snat"
    assert [agent["resources_synced"] for agent in agents] == [None] * 4
    before = world.snapshot.revision
    world.host("h1", "z1")
    assert world.snapshot.revision == before


def test_zones_are_those_of_agents() -> None:
    """A zone is one for networks and one for routers; without an enabled agent it is unavailable."""
    world = RouterWorld()
    world.host("h1", "z1")
    world.update("agent", world.agent("L3 agent"), admin_state_up=False)
    assert list_zones(world.snapshot) == [
        {"name": "z1", "resource": "network", "state": "available"},
        {"name": "z1", "resource": "router", "state": "unavailable"},
    ]


def test_filter_by_type() -> None:
    """The type of an agent is found whatever its case, as in sites' databases."""
    parse = CATALOG["agent"].by_name["agent_type"].kind.parse_filter
    assert [parse(text) for text in ("DHCP Agent", "l3 agent", "x")] == ["DHCP agent", "L3 agent", "x"]


def test_networks_are_served() -> None:
    """A network with DHCP is on an agent, the one with the fewest; one without DHCP is on none."""
    world = RouterWorld()
    world.host("h1")
    world.host("h2")
    first, second = world.inside("10.0.0.0/24")[0], world.inside("10.0.0.0/24")[0]
    assert world.linked("network", "dhcp-agents", first) == [world.agent("DHCP agent", "h1")["id"]]
    assert world.linked("network", "dhcp-agents", second) == [world.agent("DHCP agent", "h2")["id"]]
    assert world.linked("agent", "dhcp-networks", world.agent("DHCP agent", "h1")) == [first["id"]]
    network = world.network()
    world.subnet(network, "10.0.0.0/24", enable_dhcp=False)
    world.port(network)
    assert world.linked("network", "dhcp-agents", network) == []


def test_more_agents_a_network() -> None:
    """dhcp_agents_per_network says how many there are to be, as far as there are."""
    world = RouterWorld(replace(SETTINGS, dhcp_agents_per_network=2))
    world.host("h1")
    network, _ = world.inside("10.0.0.0/24")
    assert len(world.linked("network", "dhcp-agents", network)) == 1
    world.host("h2")
    world.port(network)
    assert len(world.linked("network", "dhcp-agents", network)) == 2
    world.host("h3")
    world.port(network)
    assert len(world.linked("network", "dhcp-agents", network)) == 2


def test_zones_where_nothing_is_said() -> None:
    """default_availability_zones say where networks and routers are that name no zone."""
    world = RouterWorld(replace(SETTINGS, default_availability_zones=("b",)))
    with refused(404, "AvailabilityZoneNotFound", "b"):
        world.router()
    world.host("h1", "a")
    world.host("h2", "b")
    assert world.router()["availability_zone_hints"] == ["b"]
    network, _ = world.inside("10.0.0.0/24")
    assert world.linked("network", "dhcp-agents", network) == [world.agent("DHCP agent", "h2")["id"]]


def test_a_network_stays_in_its_zones() -> None:
    """Whoever comes, and whoever is lost: only agents of the zones that a network names are given it."""
    world = RouterWorld(replace(SETTINGS, dhcp_agents_per_network=2))
    world.host("a1", "a")
    world.host("b1", "b")
    network = world.network(availability_zone_hints=["b"])
    world.subnet(network, "10.0.0.0/24")

    def served() -> list[str]:
        ids = world.linked("network", "dhcp-agents", network)
        return [world.get("agent", {"id": id})["host"] for id in ids]

    assert served() == ["b1"]
    world.host("a2", "a")
    world.port(network)
    assert served() == ["b1"]
    world.take(mark_alive(world.snapshot, world.context(), "b1", False))
    world.take(move_networks(world.snapshot, world.context(), "b1"))
    assert served() == ["b1"], "nobody else is in its zone"
    world.host("b2", "b")
    world.take(move_networks(world.snapshot, world.context(), "b1"))
    assert served() == ["b2"]


def test_dhcp_agents_come_and_go() -> None:
    """Networks wait for an agent; one that is forgotten hands its networks on."""
    world = RouterWorld()
    network, _ = world.inside("10.0.0.0/24")
    assert world.linked("network", "dhcp-agents", network) == []
    world.host("h1")
    world.host("h2")
    assert world.linked("network", "dhcp-agents", network) == [world.agent("DHCP agent", "h1")["id"]]
    world.delete("agent", world.agent("DHCP agent", "h1"))
    assert world.linked("network", "dhcp-agents", network) == [world.agent("DHCP agent", "h2")["id"]]
    world.take(mark_alive(world.snapshot, world.context(), "h2", False))
    other, _ = world.inside("10.1.0.0/24")
    assert world.linked("network", "dhcp-agents", other) == []


def test_networks_by_hand() -> None:
    """An operator puts networks on DHCP agents and takes them off."""
    world = RouterWorld()
    world.host("h1")
    world.host("h2")
    network, _ = world.inside("10.0.0.0/24")
    one, two = world.agent("DHCP agent", "h1"), world.agent("DHCP agent", "h2")
    with refused(409, "NetworkHostedByDHCPAgent", network["id"], one["id"]):
        world.relate("agent", "dhcp-networks", one, network["id"], add=True)
    world.relate("agent", "dhcp-networks", two, network["id"], add=True)
    assert world.linked("network", "dhcp-agents", network) == sorted([one["id"], two["id"]])
    for agent in (one, two):
        world.relate("agent", "dhcp-networks", agent, network["id"], add=False)
    with refused(409, "NetworkNotHostedByDhcpAgent", network["id"]):
        world.relate("agent", "dhcp-networks", two, network["id"], add=False)
    with refused(404, "NetworkNotFound"):
        world.relate("agent", "dhcp-networks", two, MISSING, add=True)
    with refused(404, "InvalidDHCPAgent"):
        world.relate("agent", "dhcp-networks", world.agent("L3 agent"), network["id"], add=True)


def test_an_agent_says_whether_placement_knows() -> None:
    """It is noted once, and stays when the host comes again; an agent that is gone has nothing noted."""
    world = RouterWorld()
    world.host("h1", "z1")
    agent = world.agent("Open vSwitch agent")
    world.take(mark_synced(world.snapshot, world.context(), str(agent["id"]), True))
    before = world.snapshot.revision
    assert world.agent("Open vSwitch agent")["resources_synced"] is True
    world.host("h1", "z1")
    assert mark_synced(world.snapshot, world.context(), str(agent["id"]), True).changes == ()
    assert mark_synced(world.snapshot, world.context(), MISSING, True).changes == ()
    assert world.snapshot.revision == before


def test_what_a_host_says_of_its_nics_is_their_agents() -> None:
    """Placement is told of it as Neutron's agent of NICs would; the switch's agent does not repeat it."""
    told = {"device_mappings": {"p": ["eth1"]}, "nic_resource_providers": {"resource_provider_bandwidths": {"eth1": 1}}}
    agents = {body["agent_type"]: body for body in describe_agents("h1", told, None, RouterWorld().context())}
    assert agents["NIC Switch agent"]["configurations"] == {
        "device_mappings": {"p": ["eth1"]}, "resource_provider_bandwidths": {"eth1": 1},
    }  # fmt: skip
    assert agents["Open vSwitch agent"]["configurations"] == {"device_mappings": {"p": ["eth1"]}}

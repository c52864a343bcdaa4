"""Ports of DHCP servers: one for each agent of a network, with addresses as its subnets are."""

from __future__ import annotations

from dataclasses import replace

from netloom.intent.agents.agent import mark_alive
from netloom.intent.agents.dhcp_ports import name_device, settle_networks
from netloom.intent.agents.dhcp_schedule import DHCP_AGENT, add_network, move_networks, remove_network
from netloom.intent.l2.binding import HOST as HOST_ID
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import SETTINGS, World
from tests.unit.intent.router_kit import RouterWorld

CENTRAL = replace(SETTINGS, dhcp_driver="dnsmasq")


def make_world(hosts: int = 2, agents: int = 1) -> World:
    world = World(replace(CENTRAL, dhcp_agents_per_network=agents))
    for number in range(1, hosts + 1):
        world.host(f"h{number}", tunneling_ip=f"192.0.2.{number}")
    return world


def servers(world: World, network: Doc) -> dict[str, list[str]]:
    """By host, the addresses of its server's port."""
    found = world.snapshot.find("port", "network_owner", (network["id"], "network:dhcp"))
    return {doc[HOST_ID]: [fixed["ip_address"] for fixed in doc["fixed_ips"]] for doc in found}


def agent_of(world: World, host: str) -> Doc:
    found = world.snapshot.lookup("agent", "host_type", (host, DHCP_AGENT))
    assert found is not None
    return found


def test_a_network_gets_a_server_with_its_first_subnet() -> None:
    """None before, then one port on one host; a second subnet is an address more, one without DHCP is not."""
    world = make_world()
    network = world.network()
    assert servers(world, network) == {}
    world.subnet(network, cidr="10.0.0.0/24")
    assert servers(world, network) == {"h1": ["10.0.0.2"]}
    world.subnet(network, cidr="10.0.1.0/24")
    world.subnet(network, cidr="10.0.2.0/24", enable_dhcp=False)
    assert servers(world, network) == {"h1": ["10.0.0.2", "10.0.1.2"]}


def test_a_host_with_linux_bridges_has_a_server_like_any() -> None:
    """Also where a distributed router has the network's gateway: a server needs none."""
    world = RouterWorld(replace(CENTRAL, dhcp_agents_per_network=2, mechanism_drivers=("openvswitch", "linuxbridge")))
    world.host("h1", tunneling_ip="192.0.2.1")
    world.host("h2", tunneling_ip="192.0.2.2", switch="linuxbridge")
    network = world.network()
    subnet = world.subnet(network, cidr="10.0.0.0/24")
    with world.as_admin():
        world.plug(world.router(distributed=True), subnet)
    assert set(servers(world, network)) == {"h1", "h2"}
    (doc,) = world.snapshot.find("port", HOST_ID, "h2")
    assert doc["binding:vif_type"] == "bridge"


def test_each_agent_of_a_network_has_a_server() -> None:
    """dhcp_agents_per_network = 2: two ports with addresses of their own."""
    world = make_world(agents=2)
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    assert servers(world, network) == {"h1": ["10.0.0.2"], "h2": ["10.0.0.3"]}


def test_switching_dhcp_off_takes_the_server_away() -> None:
    """And on again brings it back."""
    world = make_world()
    network = world.network()
    subnet = world.subnet(network, cidr="10.0.0.0/24")
    world.update("subnet", subnet, enable_dhcp=False)
    assert servers(world, network) == {}
    world.update("subnet", subnet, enable_dhcp=True)
    assert servers(world, network) == {"h1": ["10.0.0.2"]}


def test_a_subnet_goes_with_its_servers_address() -> None:
    """A server's port does not keep a subnet from being deleted, nor a network."""
    world = make_world()
    network = world.network()
    first, second = (world.subnet(network, cidr=cidr) for cidr in ("10.0.0.0/24", "10.0.1.0/24"))
    world.delete("subnet", first)
    assert servers(world, network) == {"h1": ["10.0.1.2"]}
    world.delete("subnet", second)
    assert servers(world, network) == {}
    world.delete("network", network)


def test_a_host_that_is_gone_leaves_its_port_to_another() -> None:
    """The port moves with its address, so what clients know goes on; a host that is here keeps what it has."""
    world = make_world()
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    (before,) = world.snapshot.find("port", "network_owner", (network["id"], "network:dhcp"))
    world.take(move_networks(world.snapshot, world.context(), "h1"))
    assert servers(world, network) == {"h1": ["10.0.0.2"]}
    world.take(mark_alive(world.snapshot, world.context(), "h1", False))
    world.take(move_networks(world.snapshot, world.context(), "h1"))
    (after,) = world.snapshot.find("port", "network_owner", (network["id"], "network:dhcp"))
    assert (after["id"], after[HOST_ID], after["fixed_ips"]) == (before["id"], "h2", before["fixed_ips"])
    assert after["device_id"] == name_device("h2", network["id"])
    assert after["binding:vif_type"] == "ovs"


def test_nobody_takes_over_where_nobody_can() -> None:
    """With one host only, its networks wait for it."""
    world = make_world(hosts=1)
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    world.take(mark_alive(world.snapshot, world.context(), "h1", False))
    world.take(move_networks(world.snapshot, world.context(), "h1"))
    assert list(servers(world, network)) == ["h1"]


def test_an_operator_moves_a_network() -> None:
    """By the agent-scheduler calls: add to one agent, remove from the other."""
    world = make_world()
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    world.take(add_network(world.snapshot, agent_of(world, "h2"), network["id"], world.context()))
    assert servers(world, network) == {"h1": ["10.0.0.2"], "h2": ["10.0.0.3"]}
    world.take(remove_network(world.snapshot, agent_of(world, "h1"), network["id"], world.context()))
    assert servers(world, network) == {"h2": ["10.0.0.3"]}


def test_a_full_subnet_has_no_server_and_is_not_refused() -> None:
    """A subnet whose one address is taken is made all the same."""
    world = make_world()
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/30", gateway_ip="10.0.0.1", allocation_pools=[])
    assert servers(world, network) == {}


def test_settings_that_changed_are_caught_up_with() -> None:
    """From distributed to dnsmasq and back: servers come, and go; a port that somebody else made stays."""
    world = World(SETTINGS)
    world.host("h1")
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    world.port(network, device_owner="network:dhcp", device_id="mine")
    assert len(servers(world, network)) == 1
    world.settings = CENTRAL
    world.take(settle_networks(world.snapshot, world.context()))
    assert set(servers(world, network)) == {"", "h1"}
    world.settings = SETTINGS
    world.take(settle_networks(world.snapshot, world.context()))
    assert set(servers(world, network)) == {""}
    assert not settle_networks(world.snapshot, world.context()).changes

"""DHCP servers' ports follow agents, subnets and settings, whatever led there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.agents.agent import mark_alive
from netloom.intent.agents.dhcp_ports import name_device, settle_networks
from netloom.intent.agents.dhcp_schedule import move_networks
from netloom.intent.agents.dhcp_wait import is_server
from netloom.intent.l2.binding import HOST
from netloom.intent.schema import Doc
from netloom.testing.consistency import check_snapshot
from tests.unit.intent.intent_kit import SETTINGS, World

CENTRAL = replace(SETTINGS, dhcp_driver="dnsmasq", dhcp_agents_per_network=2)
HOSTS = ("h1", "h2", "h3")
STEPS = ("subnet", "subnet6", "drop", "toggle", "die", "live", "move", "port", "distributed", "central")
steps = st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 2)), max_size=14)


def take_step(world: World, network: Doc, step: str, number: int, count: int) -> None:
    subnets = sorted(world.get("network", network)["subnets"])
    one = world.snapshot.get("subnet", subnets[number % len(subnets)]) if subnets else None
    if step == "subnet":
        world.subnet(network, f"10.{count}.0.0/24")
    elif step == "subnet6":
        world.slaac(network, f"fd00:{count}::/64", "dhcpv6-stateful" if number else "slaac")
    elif step == "drop" and one is not None:
        if not any(p for p in world.snapshot.find("port", "subnet_id", one["id"]) if p["device_owner"] == ""):
            world.delete("subnet", one)
    elif step == "toggle" and one is not None and one["ip_version"] == 4:
        world.update("subnet", one, enable_dhcp=not one["enable_dhcp"])
    elif step in ("die", "live"):
        world.take(mark_alive(world.snapshot, world.context(), HOSTS[number], step == "live"))
    elif step == "move":
        world.take(move_networks(world.snapshot, world.context(), HOSTS[number]))
    elif step == "port":
        world.port(network)
    elif step in ("distributed", "central"):
        world.settings = replace(CENTRAL, dhcp_driver="dnsmasq" if step == "central" else "distributed")
        world.take(settle_networks(world.snapshot, world.context()))


@settings(max_examples=60, deadline=None)
@given(steps)
def test_law_1_there_is_one_port_for_each_server(history: list[tuple[str, int]]) -> None:
    """After any history: a port for each agent of the network, on its host, with an address of each DHCP subnet."""
    world = World(CENTRAL)
    for number, host in enumerate(HOSTS):
        world.host(host, tunneling_ip=f"192.0.2.{number + 1}")
    network = world.network()
    for count, (step, number) in enumerate(history, 1):
        take_step(world, network, step, number, count)
        doc = world.get("network", network)
        held = (port for port in world.snapshot.find("port", "network_id", network["id"]) if is_server(port))
        found = {port["device_id"]: port for port in held}
        subnets = {id for id in doc["subnets"] if (s := world.snapshot.get("subnet", id)) and s["enable_dhcp"]}
        agents = [world.snapshot.get("agent", id) for id in doc["dhcp_agents"]]
        hosts = [agent["host"] for agent in agents if agent] if subnets else []
        if world.settings.dhcp_driver != "dnsmasq":
            hosts = []
        assert {device: port[HOST] for device, port in found.items()} == {
            name_device(host, network["id"]): host for host in hosts
        }
        for port in found.values():
            assert subnets <= {fixed["subnet_id"] for fixed in port["fixed_ips"]}
        assert check_snapshot(world.snapshot) == []
    assert not settle_networks(world.snapshot, world.context()).changes

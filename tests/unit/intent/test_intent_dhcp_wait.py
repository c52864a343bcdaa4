"""Ports that wait for a DHCP server of their network to know them, where servers answer (dhcp_driver = dnsmasq)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.agents.agent import mark_alive
from netloom.intent.agents.dhcp_schedule import move_networks
from netloom.intent.agents.dhcp_wait import WORDS
from netloom.intent.l2.binding import HOST as HOST_ID
from netloom.intent.l2.port_status import acknowledge, is_news
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import SETTINGS, World

CENTRAL = replace(SETTINGS, dhcp_driver="dnsmasq")


class Served:
    """A network with DHCP servers on h1 (and h2), and a port bound to h3."""

    def __init__(self, agents: int = 1, **given: Any) -> None:
        self.world = World(replace(CENTRAL, dhcp_agents_per_network=agents))
        for number in (1, 2, 3):
            self.world.host(f"h{number}", tunneling_ip=f"192.0.2.{number}")
        self.network = self.world.network()
        self.subnet = self.world.subnet(self.network, cidr="10.0.0.0/24")
        self.port = self.world.port(self.network, binding__host_id="h3", **given)
        self.made = self.world.snapshot.revision

    def servers(self) -> dict[str, Doc]:
        found = self.world.snapshot.find("port", "network_owner", (self.network["id"], "network:dhcp"))
        return {doc[HOST_ID]: doc for doc in found}

    def hear(self, host: str, id: str, revision: int | None = None, reason: str = "") -> None:
        told = ([], {id: reason}) if reason else ([id], {})
        outcome = acknowledge(self.world.snapshot, self.world.context(), host, *told, revision)
        assert is_news(self.world.snapshot, host, *told) or not outcome.changes
        self.world.take(outcome)

    def carried(self) -> None:
        self.hear("h3", self.port["id"])

    def known(self, host: str = "h1", revision: int | None = None) -> None:
        self.hear(host, self.servers()[host]["id"], revision)

    def shown(self) -> tuple[str, str]:
        now = self.world.get("port", self.port)
        return now["status"], now["waits_for"]


def test_a_port_waits_for_a_server_to_know_it() -> None:
    """Its own host carries it, and then the server's host says that it has seen it: from then on it is ACTIVE."""
    one = Served()
    one.carried()
    assert one.shown() == ("DOWN", WORDS)
    one.known(revision=one.made - 1)
    assert one.shown() == ("DOWN", WORDS), "the server's host said so before there was the port"
    one.known(revision=one.made)
    assert one.shown() == ("ACTIVE", "")


def test_a_server_may_know_it_first() -> None:
    """Then the port is ACTIVE with the word of its own host, and not before."""
    one = Served()
    one.known(revision=one.made)
    assert one.shown() == ("DOWN", "host h3 to acknowledge it")
    one.carried()
    assert one.shown() == ("ACTIVE", "")


def test_one_of_several_servers_is_enough() -> None:
    """And a server that does not run yet is none."""
    one = Served(agents=2)
    one.carried()
    one.hear("h1", one.servers()["h1"]["id"], reason="there is no dnsmasq on this host")
    assert one.shown() == ("DOWN", WORDS)
    one.known("h2")
    assert one.shown() == ("ACTIVE", "")


def test_a_host_speaks_for_its_own_server() -> None:
    """Law 9: who carries no server of the network says nothing about its ports."""
    one = Served()
    one.carried()
    one.hear("h2", one.servers()["h1"]["id"])
    other = one.world.network()
    one.world.subnet(other, cidr="10.1.0.0/24")
    for doc in one.world.snapshot.find("port", "network_owner", (other["id"], "network:dhcp")):
        one.hear(doc[HOST_ID], doc["id"])
    assert one.shown() == ("DOWN", WORDS)


def test_a_port_that_is_known_stays_so_when_it_moves() -> None:
    """A server knows addresses and MACs, not hosts: on another host the port waits for that host alone."""
    one = Served()
    one.known()
    one.world.update("port", one.port, binding__host_id="h2")
    one.hear("h2", one.port["id"])
    assert one.shown() == ("ACTIVE", "")


def test_another_address_is_to_be_known_anew() -> None:
    """While the port is not ACTIVE; one that is stays so, as with Neutron."""
    one = Served()
    one.known()
    one.world.update("port", one.port, fixed_ips=[{"ip_address": "10.0.0.77"}])
    one.carried()
    assert one.shown() == ("DOWN", WORDS)
    one.known()
    assert one.shown() == ("ACTIVE", "")
    one.world.update("port", one.port, fixed_ips=[{"ip_address": "10.0.0.78"}])
    one.carried()
    assert one.shown() == ("ACTIVE", "")


def test_where_no_server_is_left_nobody_waits() -> None:
    """DHCP is switched off, or an administrator takes the server's port away or switches it off."""
    for way in ("subnet", "delete", "switch"):
        one = Served()
        one.carried()
        if way == "subnet":
            one.world.update("subnet", one.subnet, enable_dhcp=False)
        elif way == "delete":
            one.world.delete("port", one.servers()["h1"])
        else:
            one.world.update("port", one.servers()["h1"], admin_state_up=False)
        assert one.shown() == ("ACTIVE", ""), way


def test_the_next_host_of_a_server_speaks_for_it() -> None:
    """A server's host is lost: the port waits on, until another host has the server."""
    one = Served()
    one.carried()
    one.world.take(mark_alive(one.world.snapshot, one.world.context(), "h1", False))
    one.world.take(move_networks(one.world.snapshot, one.world.context(), "h1"))
    assert one.shown() == ("DOWN", WORDS)
    one.known("h2")
    assert one.shown() == ("ACTIVE", "")


@pytest.mark.parametrize("given", [{"device_owner": "network:floatingip_agent_gateway"}, {"fixed_ips": []}])
def test_who_asks_no_server_waits_for_none(given: dict[str, Any]) -> None:
    """Ports of the network's own, and those without an address."""
    one = Served(**given)
    one.carried()
    assert one.shown() == ("ACTIVE", "")


def test_where_hosts_answer_nobody_waits() -> None:
    """dhcp_driver = distributed: the port's host is the one that answers it."""
    world = World()
    world.host("h1")
    network = world.network()
    world.subnet(network, cidr="10.0.0.0/24")
    port = world.port(network, binding__host_id="h1")
    world.take(acknowledge(world.snapshot, world.context(), "h1", [port["id"]], {}))
    assert world.get("port", port)["status"] == "ACTIVE"

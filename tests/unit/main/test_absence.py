"""When the routers of a host that is gone are to move: told the time."""

from __future__ import annotations

import pytest

from netloom.intent.agents.agent import mark_alive
from netloom.main.servers.absence import Absence
from tests.unit.intent.router_kit import RouterWorld


@pytest.fixture
def world() -> RouterWorld:
    """A router on h1, and h2 with none."""
    found = RouterWorld()
    found.host("h1")
    _, (subnet,) = found.inside("10.0.0.0/24")
    found.plug(found.router(), subnet)
    found.host("h2")
    return found


def due(absence: Absence, world: RouterWorld, now_s: float, *here: str, elsewhere: bool = False) -> list[str]:
    return [agent["host"] for agent in absence.find_due(world.snapshot, here, elsewhere, now_s)]


def test_a_host_has_its_time(world: RouterWorld) -> None:
    """Nothing moves before it, and the host is tried again each time as much has passed; one without routers never."""
    absence = Absence(75)
    found = [due(absence, world, now) for now in (0, 74, 75, 76, 149, 150)]
    assert found == [[], [], ["h1"], [], [], ["h1"]]


def test_a_host_that_comes_back_begins_anew(world: RouterWorld) -> None:
    """However often it goes, it is the time that it stays away that counts."""
    absence = Absence(75)
    assert [due(absence, world, 0), due(absence, world, 74), due(absence, world, 74.5, "h1")] == [[], [], []]
    assert [due(absence, world, 76), due(absence, world, 150), due(absence, world, 151)] == [[], [], ["h1"]]


def test_a_short_visit_counts(world: RouterWorld) -> None:
    """A host that came and went again between two looks has all of its time again."""
    absence = Absence(75)
    assert due(absence, world, 0) == []
    absence.come("h1")
    assert [due(absence, world, 75), due(absence, world, 149), due(absence, world, 150)] == [[], [], ["h1"]]


def test_a_dhcp_agents_networks_count_as_work(world: RouterWorld) -> None:
    """A host without routers that serves a network by DHCP is looked for as well."""
    network = world.network()
    world.subnet(network, "10.77.0.0/24")
    (agent_id,) = world.get("network", network)["dhcp_agents"]
    host = world.get("agent", {"id": agent_id})["host"]
    absence = Absence(75)
    assert due(absence, world, 0) == []
    assert host in due(absence, world, 75)


def test_another_server_may_have_it(world: RouterWorld) -> None:
    """With several servers a host is gone when the one that had it says so."""
    absence = Absence(75)
    assert [due(absence, world, now, elsewhere=True) for now in (0, 100)] == [[], []]
    world.run(lambda s, c: mark_alive(s, c, "h1", False))
    assert [due(absence, world, now, elsewhere=True) for now in (101, 176)] == [[], ["h1"]]

"""The cloud of a swarm: the same seed, the same cloud; everything given away, evenly."""

from __future__ import annotations

from collections import Counter

import pytest

from netloom.lab.swarm_plan import (
    LARGEST,
    MOST_NETWORKS,
    Shape,
    find_concerned,
    make_tunnel_ip,
    name_host,
    plan_cloud,
)


def test_the_same_seed_gives_the_same_cloud() -> None:
    """What one person measured another can measure again."""
    shape = Shape(hosts=40, ports=2000)
    assert plan_cloud(shape) == plan_cloud(shape)
    assert plan_cloud(shape) != plan_cloud(Shape(hosts=40, ports=2000, seed=2))


@pytest.mark.parametrize(("hosts", "ports", "spread"), [(1, 1, 8), (3, 50, 8), (40, 2000, 8), (200, 10_000, 20)])
def test_all_ports_are_given_away_evenly(hosts: int, ports: int, spread: int) -> None:
    """As many ports as were asked for, on all hosts alike, and no project on more hosts than it may be."""
    plan = plan_cloud(Shape(hosts, ports, spread))
    placed = Counter(host for network in plan.networks for host in network.hosts)
    assert sum(placed.values()) == ports
    assert set(placed) <= set(plan.hosts)
    assert max(placed.values()) <= 4 * ports / hosts + LARGEST
    for project in plan.projects:
        assert 1 <= len(project.networks) <= MOST_NETWORKS
        assert len(find_concerned(project)) <= spread


def test_one_port_of_each_host_is_in_the_operators_group() -> None:
    """So that there is a change which every host needs."""
    plan = plan_cloud(Shape(hosts=40, ports=2000))
    common = [network.hosts[at] for network in plan.networks for at in network.common]
    assert len(common) == len(set(common)) == len({host for network in plan.networks for host in network.hosts})


def test_hosts_have_names_and_tunnel_addresses_of_their_own() -> None:
    """Up to more hosts than anybody simulates."""
    numbers = range(1, 70_000, 7)
    assert len({name_host(n) for n in numbers}) == len({make_tunnel_ip(n) for n in numbers}) == len(numbers)
    assert make_tunnel_ip(65536) == "10.1.0.0"

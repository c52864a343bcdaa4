"""A cloud of many hosts as a value: who rents what, and where it lies. Pure; the same seed gives the same cloud.

A project has one to three networks and a handful of hosts, as a scheduler that packs within an aggregate leaves it; a
network has 20 to 200 ports, small ones more often (the logarithm of the size is uniform). All ports of a project are in
its default security group, whose rules name the group itself; a third of the projects have a router. One port of each
host is also in a group of the operator's, which lets a set of addresses in: what changes there, every host needs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass

SMALLEST, LARGEST = 20, 200
"""Ports of a network."""
MOST_NETWORKS = 3
"""Networks of a project."""
ROUTED = 1 / 3
"""The share of projects that have a router."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How much of everything. `spread`: hosts that a project lies on."""

    hosts: int = 1000
    ports: int = 50_000
    spread: int = 8
    seed: int = 1


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """One network: its number in the cloud, and the host of each of its ports.

    common: of which ports are in the operator's group as well, by their place in `hosts`.
    """

    number: int
    hosts: tuple[str, ...]
    common: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class ProjectPlan:
    """One project: what it rents."""

    id: str
    networks: tuple[NetworkPlan, ...]
    routed: bool


@dataclass(frozen=True, slots=True)
class CloudPlan:
    """All of it. Hosts by name, in the order in which they are numbered."""

    hosts: tuple[str, ...]
    projects: tuple[ProjectPlan, ...]

    @property
    def networks(self) -> tuple[NetworkPlan, ...]:
        return tuple(network for project in self.projects for network in project.networks)


def name_host(number: int) -> str:
    """
    >>> name_host(7)
    'h00007'
    """
    return f"h{number:05d}"


def make_tunnel_ip(number: int) -> str:
    """The tunnel address of the host with that number, from 1 on.

    >>> make_tunnel_ip(1000)
    '10.0.3.232'
    """
    return f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"


def plan_cloud(shape: Shape) -> CloudPlan:
    """Projects until all ports are given away; every host carries about as many ports as every other."""
    chance = random.Random(shape.seed)
    hosts = tuple(name_host(number) for number in range(1, shape.hosts + 1))
    turns = take_turns(chance, hosts)
    seen: set[str] = set()
    projects: list[ProjectPlan] = []
    left, number = shape.ports, 1
    while left > 0:
        sizes = draw_sizes(chance, left)
        left -= sum(sizes)
        aggregate = [next(turns) for _ in range(min(shape.spread, shape.hosts))]
        networks = []
        for size in sizes:
            placed = tuple(place_ports(chance, aggregate, size))
            networks.append(NetworkPlan(number, placed, frozenset(find_first(placed, seen))))
            number += 1
        id = f"{shape.seed:08x}{len(projects) + 1:024x}"
        projects.append(ProjectPlan(id, tuple(networks), chance.random() < ROUTED))
    return CloudPlan(hosts, tuple(projects))


def draw_sizes(chance: random.Random, left: int) -> list[int]:
    """Of the networks of one project; no more than `left` ports in all."""
    sizes: list[int] = []
    for _ in range(chance.randint(1, MOST_NETWORKS)):
        size = round(math.exp(chance.uniform(math.log(SMALLEST), math.log(LARGEST))))
        sizes.append(min(size, left - sum(sizes)))
    return [size for size in sizes if size > 0]


def take_turns(chance: random.Random, hosts: tuple[str, ...]) -> Iterator[str]:
    """Hosts without end: all of them once, in any order, then all of them again."""
    while True:
        yield from chance.sample(hosts, len(hosts))


def place_ports(chance: random.Random, aggregate: list[str], size: int) -> Iterator[str]:
    """A host for each port: as even as may be, beginning anywhere."""
    start = chance.randrange(len(aggregate))
    return (aggregate[(start + n) % len(aggregate)] for n in range(size))


def find_first(placed: tuple[str, ...], seen: set[str]) -> Iterator[int]:
    """The ports that are the first on their host; those hosts are seen from then on."""
    for at, host in enumerate(placed):
        if host not in seen:
            seen.add(host)
            yield at


def find_concerned(project: ProjectPlan) -> frozenset[str]:
    """The hosts that hear of a port of the project that comes or goes: they follow its network or its group."""
    return frozenset(host for network in project.networks for host in network.hosts)

"""Law 6 in a fleet: what a change costs depends on who is concerned, not on how many hosts there are."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Operation, Outcome, Settings
from netloom.intent.operations import make_create
from netloom.intent.schema import parse_create
from netloom.intent.security.address_group import add_addresses, remove_addresses
from netloom.intent.snapshot import Snapshot
from netloom.lab.swarm_fill import ADMIN, COMMON, NO_QUOTAS, describe_host, fill_store, name_network
from netloom.lab.swarm_plan import Shape, find_concerned, plan_cloud
from netloom.model.slices import find_reached
from netloom.resolve.slices import SliceBook, find_touched
from netloom.store.engine import open_reader
from netloom.store.load import load_snapshot

SPREAD = 4


class Fleet:
    """Hosts that all follow what is theirs, as one server sees them. `plan` is what they carry."""

    def __init__(self, folder: Path, hosts: int) -> None:
        self.plan = plan_cloud(Shape(hosts, hosts * 12, SPREAD))
        url = f"sqlite:///{folder}/{hosts}.db"
        asyncio.run(fill_store(url, self.plan))
        opened = open_reader(url)
        self.snapshot: Snapshot = load_snapshot(opened, CATALOG)
        opened.close()
        self.book = SliceBook(self.snapshot)
        self.followers: dict[str, set[str]] = {}
        for host in self.plan.hosts:
            for name in find_reached(f"host/{host}", self._follow):
                self.followers.setdefault(name, set()).add(host)
        self._numbers = itertools.count(1)

    def _follow(self, name: str) -> frozenset[str]:
        self.book.follow(name)
        return self.book.leads(name)

    def run(self, operation: Operation) -> tuple[int, set[str], set[str]]:
        """Rows that are worked out anew, slices that changed, hosts that are told."""
        context = Context(ADMIN, "2026-11-21T00:00:00Z", self._make_id, self._make_mac, Settings(quotas=NO_QUOTAS))
        changes = operation(self.snapshot, context).changes
        after = self.snapshot.apply(changes, self.snapshot.revision + 1)
        touched = find_touched(self.snapshot, after, changes)
        deltas = self.book.advance(changes, after)
        self.snapshot = after
        told = {host for name in deltas for host in self.followers.get(name, ())}
        return len(touched), set(deltas), told

    def _make_id(self) -> str:
        return f"00000000-0000-4000-8000-{next(self._numbers):012x}"

    def _make_mac(self) -> str:
        return f"fa:16:3e:ff:00:{next(self._numbers):02x}"


@pytest.fixture(scope="module")
def fleets(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fleet, Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    return Fleet(folder, 8), Fleet(folder, 80)


def report(host: str, described: dict[str, Any]) -> Operation:
    return lambda snapshot, context: report_host(snapshot, context, host, described, None)


def meet(host: str, alive: bool) -> Operation:
    return lambda snapshot, context: mark_alive(snapshot, context, host, alive)


def make_port(fleet: Fleet) -> tuple[Operation, frozenset[str]]:
    """One port more, in a project without a router, and the hosts of that project."""
    project = next(project for project in fleet.plan.projects if not project.routed)
    name = name_network(project.networks[0])
    network = next(doc for doc in fleet.snapshot.docs("network") if doc["name"] == name)
    body: dict[str, Any] = {
        "network_id": network["id"], "project_id": project.id, "binding:host_id": project.networks[0].hosts[0],
        "device_owner": "compute:nova",
    }  # fmt: skip
    return make_create(CATALOG["port"], [parse_create(CATALOG["port"], body)]), find_concerned(project)


def test_a_port_costs_the_same_among_ten_times_as_many_hosts(fleets: tuple[Fleet, Fleet]) -> None:
    """As many rows worked out, as many slices changed; told are the hosts of its project and no other."""
    costs = []
    for fleet in fleets:
        operation, concerned = make_port(fleet)
        rows, slices, told = fleet.run(operation)
        assert told == concerned
        costs.append((rows, sorted(name.partition("/")[0] for name in slices)))
    assert costs[0] == costs[1]


def test_a_host_that_comes_or_goes_concerns_those_that_share_a_network_with_it(fleets: tuple[Fleet, Fleet]) -> None:
    """A new host is a row for nobody; one that goes and comes is no news to the others; a new address is, to some."""
    for fleet in fleets:
        host, number = fleet.plan.hosts[0], len(fleet.plan.hosts) + 1
        new = {**describe_host(number), "tunneling_ip": "10.9.9.9"}
        assert fleet.run(report(f"h{number:05d}", describe_host(number)))[1] == set()
        for alive in (False, True):
            assert fleet.run(meet(host, alive))[:2] == (0, set()), "rows were worked out anew"
        rows, slices, told = fleet.run(report(host, new))
        neighbours = {
            other for project in fleet.plan.projects if host in (hosts := find_concerned(project)) for other in hosts
        }
        assert told and told <= neighbours
        assert len(slices) <= rows <= 3 * len(fleet.book.leads(f"host/{host}"))


def test_an_address_more_costs_the_same_in_a_set_of_any_size(fleets: tuple[Fleet, Fleet]) -> None:
    """One row and one slice, told to those who follow the set; also when the address goes."""
    for fleet in fleets:
        group = next(doc["id"] for doc in fleet.snapshot.docs("address_group") if doc["name"] == COMMON)
        fleet.run(change_set(add_addresses, group, [f"203.0.113.{number}/32" for number in range(200)]))
        for change in (add_addresses, remove_addresses):
            found = fleet.run(change_set(change, group, ["198.51.100.1/32"]))
            assert found == (1, {f"addresses/{group}"}, fleet.followers[f"addresses/{group}"])


def change_set(change: Callable[..., Outcome], group: str, addresses: list[str]) -> Operation:
    def run(snapshot: Snapshot, context: Context) -> Outcome:
        held = snapshot.get("address_group", group)
        assert held is not None
        return change(snapshot, held, addresses, context)

    return run

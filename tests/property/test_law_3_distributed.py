"""Law 3 for distributed routers: while hosts change one after the other, op by op, no routed packet arrives where
neither what was nor what will be leads it."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.drivers.ovs.driver import NEEDS
from netloom.model.plan import Key, Put, State, Thing
from netloom.reconcile.plan import plan
from netloom.render.host import render_host
from netloom.testing.simulator import make_host, send
from netloom.testing.story_cloud import Cloud
from tests.examples import count_examples
from tests.property.test_distributed_oracle import (
    Step,
    attempt,
    find_legs,
    find_source,
    make_cloud,
    make_packet,
    steps,
)

TARGETS = ("10.1.0.11", "10.2.0.11", "10.2.0.12")
Delivery = tuple[str, str, frozenset[str]]
Sent = tuple[str, str, str, dict[str, int]]
"""(who sends it, from which host, what for, the packet)."""


def render_all(cloud: Cloud) -> dict[str, State]:
    out: dict[str, State] = {}
    for name, host in cloud.hosts.items():
        groups = render_host(host.slices, cloud.make_facts(host))
        out[name] = {thing.key: thing for things in groups.values() for thing in things}
    return out


def find_packets(cloud: Cloud) -> Iterable[Sent]:
    for name in cloud.ports:
        place = cloud.place(name)
        mine = find_source(cloud, name)
        for router, leg_mac in find_legs(cloud, name) if place and "." in mine else ():
            for address in TARGETS:
                yield name, place, f"{router} {address}", make_packet(cloud, name, leg_mac, mine, address)


def find_deliveries(cloud: Cloud, states: dict[str, State], packets: Iterable[Sent]) -> set[Delivery]:
    hosts = {name: make_host(cloud.make_facts(cloud.hosts[name]), held.values()) for name, held in states.items()}
    found = set()
    for name, place, what, packet in packets:
        if devices := send(hosts, place, f"tap-{name}", packet).devices:
            found.add((name, what, devices))
    return found


def is_flooded(delivery: Delivery, last: Step) -> bool:
    """Whether it went to ports of a new port's own network: a host that does not know the new one's MAC address yet
    treats it as unknown, and all ports here are without port security, so that any MAC may be behind them."""
    return last[0] == "port" and all(device.startswith(f"tap-{last[1]}-") for device in delivery[2])


@settings(max_examples=count_examples(25), deadline=None)
@given(st.lists(steps, max_size=4), steps)
def test_law_3_no_prefix_routes_to_where_neither_end_does(story: list[Step], last: Step) -> None:
    """Interfaces that come and go, routers that are switched, ports that come to a host."""
    cloud = make_cloud()
    for step in story:
        attempt(cloud, step)
    if last[0] == "move":
        return  # then the device of the packet's sender is at another host, which is no question of order
    packets = list(find_packets(cloud))
    at = render_all(cloud)
    allowed = find_deliveries(cloud, at, packets)
    attempt(cloud, last)
    after = render_all(cloud)
    allowed |= find_deliveries(cloud, after, packets)
    for name in cloud.hosts:
        for op in plan(after[name], at[name], NEEDS):
            at = {**at, name: change(at[name], op.thing, isinstance(op, Put))}
            found = find_deliveries(cloud, at, packets)
            wrong = {one for one in found - allowed if not is_flooded(one, last)}
            assert not wrong, (name, op, wrong)
        assert at[name].keys() == after[name].keys()


def change(state: State, thing: Thing, put: bool) -> State:
    out: dict[Key, Thing] = dict(state)
    if put:
        out[thing.key] = thing
    else:
        out.pop(thing.key)
    return out

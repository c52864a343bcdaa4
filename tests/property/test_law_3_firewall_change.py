"""A host changes who keeps its rules, the switch or iptables: at each step that passes which the rules let pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from hypothesis import example, given, settings

from netloom.drivers import merge_needs
from netloom.drivers.filter.iptables import IptablesDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.model.driver import Driver
from netloom.model.facts import HostFacts
from netloom.model.plan import State
from netloom.model.slices import RuleRow
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import apply_plan, plan, split_by_driver
from netloom.render.filters.hybrid import device
from netloom.render.host import render_host
from netloom.testing import iptables_simulator as iptables
from netloom.testing.connections import Connections
from netloom.testing.simulator import Packet, SimHost, make_host, render_sim_host, send
from netloom.testing.story_world import World, make_facts, make_slices
from tests.property.test_one_meaning import ID, PEER, Rules, make_said, make_world, states

DRIVERS: dict[str, Driver] = {"ovs": OvsDriver(Path("nowhere")), "iptables": IptablesDriver()}
NEEDS = merge_needs(DRIVERS.values())
OWNERS = {kind: name for name, driver in DRIVERS.items() for kind in driver.kinds}
SAID = ("tcp 80", "tcp 443", "udp 53", "ping", "protocol 47")


def plug_facts(world: World, hybrid: bool) -> HostFacts:
    """The port is plugged by a bridge of its own, whoever keeps its rules."""
    facts = make_facts(world, "h1")
    return replace(facts, hybrid=hybrid, interfaces={ID: replace(facts.interfaces[ID], name=device("qvo", ID))})


def make_state(world: World, hybrid: bool) -> State:
    return merge_groups(render_host(make_slices(world, "h1"), plug_facts(world, hybrid)))[0]


def find_steps(old: State, new: State) -> Iterator[State]:
    """What the devices hold before, after each driver had its turn, and in the end."""
    ops = plan(new, old, NEEDS)
    held: State = old
    yield held
    for _, run in split_by_driver(tuple(op for op in ops if op.thing.kind in OWNERS), OWNERS):
        held = apply_plan(held, run)
        yield held


def find_passing(world: World, held: State, packets: Sequence[tuple[Packet, bool]]) -> list[bool]:
    """Of each, as a first packet: whether it passes."""
    chains, far = iptables.make_chains(held.values()), make_slices(world, "h2")
    near = make_host(plug_facts(world, False), held.values())
    hosts = {"h1": near, "h2": render_sim_host(far, make_facts(world, "h2"))}
    return [passes(chains, hosts, packet, out) for packet, out in packets]


def passes(chains: iptables.Chains, hosts: Mapping[str, SimHost], packet: Packet, out: bool) -> bool:
    """Whether it passes the port's own bridge and the switch; without chains the bridge lets all pass."""
    ways = (device("tap", ID), device("qvb", ID))
    chains = replace(chains, connections=Connections())
    own = iptables.passes(chains, *(ways if out else ways[::-1]), packet)
    hosts = {name: replace(host, connections=Connections()) for name, host in hosts.items()}
    sender, target, at = (ID, PEER, "h1") if out else (PEER, ID, "h2")
    walk = send(hosts, at, hosts[at].facts.interfaces[sender].name, packet)
    into = hosts["h2" if out else "h1"].facts.interfaces[target].name
    return own and into in walk.devices


@settings(max_examples=15, deadline=None)
@example(Rules(((RuleRow("", "egress", 4), RuleRow("", "ingress", 4, 1, remote="members/g1")), ())))
@given(states)
def test_what_rules_allow_passes_at_each_step_and_nothing_else_does(state: Rules) -> None:
    """From the switch to iptables and back: nobody is cut off in between, and nobody gets in."""
    world = make_world(state)
    packets = [(make_said(world, words, out, False), out) for words in SAID for out in (True, False)]
    native, hybrid = make_state(world, False), make_state(world, True)
    allowed = find_passing(world, native, packets)
    for old, new in ((native, hybrid), (hybrid, native)):
        for held in find_steps(old, new):
            assert find_passing(world, held, packets) == allowed

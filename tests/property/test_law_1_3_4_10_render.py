"""What the laws say of render: state and not history, safe on the way, missing is a value, every flow has its why."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.device import FlowBody
from netloom.model.flow import Flow
from netloom.model.plan import Put, State, Thing
from netloom.model.slices import Slice, Slices
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import plan
from netloom.render.host import Renderer, render_host
from netloom.render.pipeline import check_flow
from netloom.testing.simulator import SimHost, make_host, send
from netloom.testing.story_packets import make_packet
from netloom.testing.story_world import World, make_facts, make_slices
from netloom.testing.strategies import worlds
from tests.examples import count_examples

NEEDS = {"flow": frozenset({"bridge", "switch_port"}), "switch_port": frozenset({"bridge"})}


def render_state(world: World, host: str) -> State:
    return merge_groups(render_host(make_slices(world, host), make_facts(world, host)))[0]


def make_sim(world: World, host: str, state: State) -> SimHost:
    return make_host(make_facts(world, host), state.values())


def gather(world: World) -> World:
    """The world with all its ports on one host, so that what it remembers is put to use."""
    return World(world.networks, world.subnets, world.ports, dict.fromkeys(world.ports, "h1"), world.unplugged)


@settings(max_examples=count_examples(40), deadline=None)
@given(st.lists(worlds, min_size=2, max_size=4))
def test_law_1_what_a_host_holds_depends_on_the_last_state_alone(history: list[World]) -> None:
    """A renderer that went through any history gives what one that saw only its end gives."""
    for order in (history, [*reversed(history), history[-1]]):
        renderer = Renderer()
        for world in map(gather, order):
            if world.hosts:
                came = renderer.render(make_slices(world, "h1"), make_facts(world, "h1"))
                assert came == render_host(make_slices(world, "h1"), make_facts(world, "h1"))


@settings(max_examples=count_examples(60), deadline=None)
@given(worlds)
def test_law_10_every_flow_carries_its_why_and_keeps_to_the_pipeline(world: World) -> None:
    """Of each flow one can say which port or network is its reason; and it matches and jumps as declared."""
    for host in set(world.hosts.values()):
        for name, things in render_host(make_slices(world, host), make_facts(world, host)).items():
            for thing in things:
                assert thing.why.by
                assert name == "base" or thing.why.ids, thing
                check_thing(thing)


def check_thing(thing: Thing) -> None:
    if thing.kind == "flow":
        _, bridge, table, priority, match = thing.key
        assert isinstance(thing.value, FlowBody)
        check_flow(Flow(bridge, table, priority, match, thing.value.actions), bridge.removeprefix("br-"))


@settings(max_examples=count_examples(60), deadline=None)
@given(worlds, st.randoms(use_true_random=False))
def test_law_4_a_row_that_is_missing_breaks_nothing(world: World, dice) -> None:  # type: ignore[no-untyped-def]
    """Whatever rows a host lacks, it renders the rest, and what it renders is not more than with all of them."""
    for host in set(world.hosts.values()):
        whole = make_slices(world, host)
        partial: Slices = {
            name: replace(found, rows={k: v for k, v in found.rows.items() if dice.random() < 0.7})
            for name, found in whole.items()
            if dice.random() < 0.9
        }
        things = merge_groups(render_host(partial, make_facts(world, host)))[0]
        for thing in things.values():
            check_thing(thing)
        admitted = {key for key in things if key[:3] == ("flow", "br-int", 10)}
        assert admitted <= render_state(world, host).keys()


def find_deliveries(world: World, hosts: dict[str, SimHost]) -> set[tuple[str, str, str]]:
    """(sender, what, device) of everything that arrives when each plugged port tries each sort of packet."""
    found = set()
    for name, host in world.hosts.items():
        if name in world.unplugged:
            continue
        port = world.ports[name]
        tries = [["broadcast"], ["unknown"], *(["ip", "to", other] for other in world.ports if other != name)]
        tries.append(["as", "fa:16:3e:00:00:99", "to", name])
        for words in tries:
            walk = send(hosts, host, f"tap-{name}", make_packet(world, port, words))
            found |= {(name, " ".join(words), device) for device in walk.devices}
    return found


def turn_off(world: World, names: set[str]) -> World:
    """The ports of one network on one host, some of them switched off: what two states of one world differ by."""
    ports = {n: replace(p, network_id="n0", admin_state_up=n not in names) for n, p in world.ports.items()}
    return World(world.networks, world.subnets, ports, dict.fromkeys(ports, "h1"))


@settings(max_examples=count_examples(40), deadline=None)
@given(worlds, st.sets(st.sampled_from([f"p{n}" for n in range(6)])), st.sets(st.sampled_from(["p0", "p1", "p2"])))
def test_law_3_no_prefix_of_a_plan_lets_through_what_neither_end_does(
    world: World, off_before: set[str], off_after: set[str]
) -> None:
    """On the way from one state to another nothing arrives that neither of the two lets arrive."""
    old, new = turn_off(world, off_before), turn_off(world, off_after)
    before, after = render_state(old, "h1"), render_state(new, "h1")
    ends = (find_deliveries(new, {"h1": make_sim(new, "h1", state)}) for state in (before, after))
    allowed = set().union(*ends)
    at = dict(before)
    for op in plan(after, before, NEEDS):
        if isinstance(op, Put):
            at[op.thing.key] = op.thing
        else:
            at.pop(op.thing.key)
        assert find_deliveries(new, {"h1": make_sim(new, "h1", at)}) <= allowed, op
    assert at == after


def test_law_1_slices_in_any_order() -> None:
    """The order in which rows and slices are held says nothing."""
    found = {"a": Slice("a", 1, {}), "b": Slice("b", 1, {})}
    assert render_host(found, make_facts(World(hosts={"x": "h1"}), "h1")) == render_host(
        dict(reversed(found.items())), make_facts(World(hosts={"x": "h1"}), "h1")
    )

"""What the laws say of security groups: safe on the way, missing is a value, state and not history."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.plan import Put, State
from netloom.model.slices import (
    Address,
    NetworkRow,
    PortRow,
    Row,
    RuleRow,
    Segment,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.reconcile.desired import merge_groups
from netloom.reconcile.plan import plan
from netloom.render.host import Renderer, render_host
from netloom.testing.connections import Connections
from netloom.testing.simulator import make_host, send
from netloom.testing.story_packets import make_packet
from netloom.testing.story_world import World, make_facts, make_slices
from tests.examples import count_examples
from tests.property.security_rows import make_group, make_members, make_prefixes

NEEDS = {"flow": frozenset({"bridge", "switch_port"}), "switch_port": frozenset({"bridge"})}
GROUPS = ("g0", "g1")
SETS = ("", "members/g0", "members/g1", "addresses/a0")
TRIES = ("tcp 80", "tcp 81", "udp 80")


@dataclass(frozen=True)
class State_:
    """What differs between two worlds: rules by group, the groups of each port, where the first port's address is."""

    rules: tuple[tuple[RuleRow, ...], ...]
    groups: tuple[tuple[str, ...], ...]
    free: bool
    first: int
    prefix: str


rules = st.builds(
    lambda number, direction, port, remote, prefix: RuleRow(
        str(number), direction, 4, 6 if port else -1, port or -1, port or -1, "" if remote else prefix, remote
    ),
    st.integers(0, 9), st.sampled_from(("ingress", "egress", "egress")), st.sampled_from((0, 80, 81)),
    st.sampled_from(SETS), st.sampled_from(("", "10.0.0.0/30", "10.0.0.6/32")),
)  # fmt: skip
states = st.builds(
    State_,
    st.tuples(*(st.lists(rules, max_size=4).map(tuple) for _ in GROUPS)),
    st.tuples(*(st.sampled_from(((), ("g0",), ("g1",), GROUPS)) for _ in range(3))),
    st.booleans(),
    st.sampled_from((1, 5)),
    st.sampled_from(("10.0.0.0/29", "10.0.0.6/32")),
)


def make_world(state: State_) -> World:
    world = World()
    world.networks["n0"] = NetworkRow("n0", 1, segments=(Segment("local"),))
    world.subnets["n0"] = [SubnetRow("s0", "n0", "10.0.0.0/24", 4)]
    for n, groups in enumerate(state.groups):
        address = Address(f"10.0.0.{n + 5 if n else state.first}")
        mac = f"fa:16:3e:00:00:{n:02x}"
        world.ports[f"p{n}"] = PortRow(f"p{n}", "n0", mac, addresses=(address,), groups=groups)
        world.hosts[f"p{n}"] = "h1"
    world.groups = make_groups(state, world)
    return world


def make_groups(state: State_, world: World) -> dict[str, dict[str, Row]]:
    found = {"addresses/a0": make_prefixes(state.prefix)}
    for name, given_rules in zip(GROUPS, state.rules, strict=True):
        named = (replace(rule, id=f"{name}{rule.id}") for rule in given_rules)
        found[f"group/{name}"] = make_group(name, named, not state.free)
        found[f"members/{name}"] = make_members(name, world.ports.values())
    return found


def render_state(world: World) -> State:
    return merge_groups(render_host(make_slices(world, "h1"), make_facts(world, "h1")))[0]


def find_deliveries(world: World, state: State) -> set[tuple[str, str, str]]:
    """(sender, what, device) of all that arrives, of the first packets of connections."""
    found, host = set(), make_host(make_facts(world, "h1"), state.values())
    for name in world.ports:
        for other in world.ports:
            for words in TRIES if other != name else ():
                anew = replace(host, connections=Connections())
                packet = make_packet(world, world.ports[name], [*words.split(), "to", other])
                walk = send({"h1": anew}, "h1", f"tap-{name}", packet)
                found |= {(name, words, device) for device in walk.devices}
    return found


def name_set(port: int, remote: str) -> RuleRow:
    return RuleRow(f"{port}{remote[-1:]}", "ingress", 4, 6, port, port, remote=remote)


def swap(mine: str, groups: tuple[str, ...]) -> State_:
    """The first port is in `groups`; the second lets the members of `mine` in on port 80, and all members on 81."""
    out, both = RuleRow("out", "egress", 4), (name_set(81, "members/g0"), name_set(81, "members/g1"))
    rules = (out, *both, replace(name_set(80, f"members/{mine}"), id="80"))
    return State_((rules, (out,)), (groups, ("g0",), ("g1",)), False, 1, "10.0.0.6/32")


@settings(max_examples=count_examples(25), deadline=None)
@example(swap("g0", ("g1",)), swap("g1", ("g0",)), 0)  # a rule and an address that change sets with one another
@given(states, states, st.sampled_from((0, 1)))
def test_law_3_no_prefix_of_a_plan_lets_through_what_neither_groups_do(old: State_, new: State_, moved: int) -> None:
    """Rules come and go, a port changes its groups or its address: nothing passes that neither end lets pass."""
    groups = tuple(new.groups[n] if n == moved else held for n, held in enumerate(old.groups))
    new = replace(new, groups=groups, free=old.free)
    one, other = make_world(old), make_world(new)
    before, after = render_state(one), render_state(other)
    allowed = [find_deliveries(world, before) | find_deliveries(world, after) for world in (one, other)]
    at = dict(before)
    for op in plan(after, before, NEEDS):
        if isinstance(op, Put):
            at[op.thing.key] = op.thing
        else:
            at.pop(op.thing.key)
        for world, found in zip((one, other), allowed, strict=True):  # packets to old addresses, and to new ones
            assert find_deliveries(world, at) <= found, op
    assert at == after


@settings(max_examples=count_examples(30), deadline=None)
@given(states, st.sets(st.sampled_from(("group/g0", "group/g1", "members/g0", "members/g1", "addresses/a0"))))
def test_law_4_a_group_or_a_set_that_is_not_here_yet_lets_nothing_through(state: State_, missing: set[str]) -> None:
    """Whatever slices of groups a host lacks, nothing passes that would not pass with all of them."""
    world = make_world(state)
    whole = make_slices(world, "h1")
    partial: Slices = {name: found for name, found in whole.items() if name not in missing}
    held = merge_groups(render_host(partial, make_facts(world, "h1")))[0]
    assert find_deliveries(world, held) <= find_deliveries(world, render_state(world))


@settings(max_examples=count_examples(60), deadline=None)
@given(st.lists(states, min_size=2, max_size=5))
def test_law_1_what_groups_become_depends_on_the_last_state_alone(history: list[State_]) -> None:
    """A renderer that took every change as a delta holds what one holds that sees only the end."""
    renderer = Renderer()
    held: dict[str, Slice] = {}
    for revision, state in enumerate(history, 2):
        world = make_world(state)
        wanted = make_slices(world, "h1")
        held = {name: advance(held.get(name), found, revision) for name, found in wanted.items()}
        assert renderer.render(held, make_facts(world, "h1")) == render_host(wanted, make_facts(world, "h1"))


def advance(old: Slice | None, new: Slice, revision: int) -> Slice:
    """As the feed does it: the rows that differ."""
    if old is None:
        return new
    put = {key: row for key, row in new.rows.items() if old.rows.get(key) != row}
    drop = tuple(key for key in old.rows if key not in new.rows)
    if not put and not drop:
        return old
    found = apply_delta(old, SliceDelta(new.name, old.revision, revision, put, drop))
    assert found is not None
    return found

"""Law 2: plan twice, act once; here for the plan itself, and through the bytes of OpenFlow."""

from __future__ import annotations

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.drivers.memory import NEEDS, MemoryDriver
from netloom.drivers.ovs.bridge import encode_op, make_thing
from netloom.drivers.ovs.openflow import messages as of
from netloom.model.device import Bridge, FlowBody, Guard, SwitchPort
from netloom.model.flow import (
    COOKIE_MAGIC,
    WIDTH,
    Action,
    Conjunction,
    Ct,
    Goto,
    Match,
    Move,
    Output,
    Resubmit,
    SetField,
    ToController,
    make_match,
)
from netloom.model.plan import Key, Plan, Put, State, Thing
from netloom.reconcile.plan import plan
from tests.examples import count_examples

_FIELDS = sorted(name for name in WIDTH if name.startswith("reg") or name in ("metadata", "tun_id", "pkt_mark"))


@st.composite
def field_tests(draw: st.DrawFn) -> tuple[str, tuple[int, int]]:
    name = draw(st.sampled_from(_FIELDS))
    full = (1 << WIDTH[name]) - 1
    return name, (draw(st.integers(0, full)), draw(st.one_of(st.just(full), st.integers(1, full))))


@st.composite
def writes(draw: st.DrawFn) -> SetField:
    name, (value, mask) = draw(field_tests())
    full = (1 << WIDTH[name]) - 1
    return SetField(name, value & mask, None if mask == full else mask)


matches: st.SearchStrategy[Match] = st.lists(field_tests(), max_size=3).map(lambda pairs: make_match(**dict(pairs)))
ports = st.integers(1, 0xFEFF)
simple: st.SearchStrategy[Action] = st.one_of(
    writes(),
    ports.map(Output),
    st.builds(ToController, st.integers(0, 255), st.integers(64, 0xFFFF)),
    st.builds(Resubmit, st.integers(0, 254), st.one_of(st.none(), ports)),
    st.builds(Move, st.just("reg1"), st.just("reg2"), st.integers(1, 16), st.integers(0, 16), st.integers(0, 16)),
    st.builds(Conjunction, st.integers(1, 0xFFFFFFFF), st.just(1), st.integers(2, 3)),
    st.builds(
        Ct, st.booleans(), st.just(False), st.one_of(st.integers(0, 0xFFFF), st.sampled_from(["reg6", "reg7"])),
        st.one_of(st.none(), st.integers(0, 254)), st.tuples(st.builds(SetField, st.just("ct_mark"), ports)),
    ),
)  # fmt: skip
bodies = st.builds(
    lambda cookie, body, last: FlowBody(COOKIE_MAGIC | cookie, (*body, *last)),
    st.integers(0, (1 << 48) - 1),
    st.lists(simple, max_size=3),
    st.one_of(st.just(()), st.integers(0, 254).map(lambda table: (Goto(table),))),
)
flows = st.builds(
    lambda table, priority, match, body: Thing(("flow", "br-int", table, priority, match), body),
    st.integers(0, 3), st.integers(0, 3), matches, bodies,
)  # fmt: skip
others = st.one_of(
    st.builds(lambda n: Thing(("bridge", f"br{n}"), Bridge()), st.integers(0, 3)),
    st.builds(
        lambda n, t: Thing(("switch_port", "br0", f"p{n}"), SwitchPort(t)), st.integers(0, 3), st.sampled_from("ab")
    ),
    st.builds(lambda n: Thing(("guard", f"tap{n}"), Guard()), st.integers(0, 3)),
)
states = st.lists(st.one_of(flows, others), max_size=12).map(lambda things: {thing.key: thing for thing in things})


def apply_by_wire(actual: State, ops: Plan) -> State:
    """What a switch holds after the ops went to it as OpenFlow, and what it holds came back as OpenFlow."""
    table: dict[Key, of.FlowEntry] = {}
    for key, thing in actual.items():
        table[key] = of.FlowEntry(key[2], key[3], key[4], thing.value.actions, thing.value.cookie)
    for op in ops:
        (message,) = of.split_messages(bytearray(encode_op(op)))
        command, flow = of.decode_flow_mod(message.body)
        key = make_thing("br-int", flow).key
        if command == of.ADD:
            table[key] = flow
        else:
            del table[key]
    (answer,) = of.split_messages(bytearray(of.encode_flow_stats(list(table.values()), 1)))
    things = [make_thing("br-int", flow) for flow in of.decode_flow_dump(answer.body)[0]]
    return {thing.key: thing for thing in things}


def is_half(thing: Thing) -> bool:
    """Whether it is a flow that is half a conjunction."""
    return thing.kind == "flow" and any(isinstance(action, Conjunction) for action in thing.value.actions)


@settings(max_examples=count_examples(150), deadline=None)
@given(states, states)
def test_law_2_after_a_plan_nothing_is_left_to_do(actual: State, desired: State) -> None:
    """An agent that has done its work finds nothing to do, and each difference cost it one op; two where half a
    conjunction changes, which loses first and gains later."""

    async def use() -> None:
        driver = MemoryDriver(dict(actual))
        ops = plan(desired, await driver.read(), NEEDS)
        for key, count in Counter(op.thing.key for op in ops).items():
            assert count == 1 or (count == 2 and is_half(actual[key]))
        await driver.apply(ops)
        assert await driver.read() == desired
        assert plan(desired, await driver.read(), NEEDS) == ()

    asyncio.run(use())


@settings(max_examples=count_examples(150), deadline=None)
@given(st.lists(flows, max_size=8), st.lists(flows, max_size=8))
def test_law_2_holds_through_the_bytes_of_openflow(before: list[Thing], after: list[Thing]) -> None:
    """What a switch dumps is what was rendered, so a restarted agent sends no flow."""
    actual, desired = ({thing.key: thing for thing in things} for things in (before, after))
    found = apply_by_wire(actual, plan(desired, actual, NEEDS))
    assert plan(desired, found, NEEDS) == ()


@settings(max_examples=count_examples(100), deadline=None)
@given(states, states)
def test_law_2_a_plan_cut_short_is_finished_by_the_next(actual: State, desired: State) -> None:
    """An agent that dies on any line goes on where it stopped, without doing anything twice."""
    ops = plan(desired, actual, NEEDS)
    for cut in range(len(ops) + 1):
        driver = MemoryDriver(dict(actual))
        asyncio.run(_apply(driver, ops[:cut]))
        rest = plan(desired, driver.device, NEEDS)
        assert {op.thing.key for op in rest} == {op.thing.key for op in ops[cut:]}


async def _apply(driver: MemoryDriver, ops: Plan) -> None:
    await driver.apply(ops)


def test_law_2_putting_twice_is_putting_once() -> None:
    """The same op again changes nothing."""
    thing = Thing(("guard", "tap1"), Guard())
    driver = MemoryDriver()
    asyncio.run(_apply(driver, (Put(thing), Put(thing))))
    assert driver.device == {thing.key: thing}

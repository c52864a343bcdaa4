"""Laws 1, 2 and 8 at the level of a host: any path leads to the same devices, and a restart sends nothing."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.plan import Key, Thing
from netloom.reconcile.desired import merge_groups
from tests.unit.agent.agent_kit import Host, find_pending, host_slice, network_slice, port_flow, render, settle

PORTS = ["a", "b", "c", "d"]
STEP = st.one_of(
    st.tuples(st.just("bind"), st.lists(st.sampled_from(PORTS), unique=True)),
    st.tuples(st.just("plug"), st.lists(st.sampled_from(PORTS), unique=True)),
    st.tuples(st.just("refuse"), st.lists(st.sampled_from(PORTS), unique=True, max_size=2)),
    st.tuples(st.just("restart"), st.just([])),
    st.tuples(st.just("wipe"), st.just([])),
    st.tuples(st.just("wait"), st.just([])),
)


def play(host: Host, step: str, ports: list[str]) -> None:
    if step == "bind":
        host.feed.say(host_slice(*ports, revision=host.feed.revision + 1))
    elif step == "plug":
        host.switch.facts = replace(host.switch.facts, interfaces={})
        for port in ports:
            host.switch.plug(port, 1 + PORTS.index(port))
    elif step == "refuse":
        host.device.refuse = {port_flow(port, 1 + PORTS.index(port)).key: "no" for port in ports}
    elif step == "wipe":
        host.device.held.clear()
        host.switch.epoch += 1
    else:
        host.now += 7.0


def wanted(host: Host) -> dict[Key, Thing]:
    return dict(merge_groups(render(host.feed.slices, host.switch.facts))[0])


async def walk(host: Host, steps: list[tuple[str, list[str]]]) -> None:
    agent = host.make_agent()
    for step, ports in steps:
        play(host, step, ports)
        agent = host.make_agent() if step == "restart" else agent
        await settle(agent)
    host.device.refuse = {}
    host.now += 100.0
    await settle(agent)


@settings(max_examples=60, deadline=None)
@given(st.lists(STEP, max_size=8))
def test_any_path_ends_in_what_is_wanted_and_a_restart_sends_nothing(steps: list[tuple[str, list[str]]]) -> None:
    """Ports come, go, are refused, the switch is emptied, the agent restarts: the end depends on the end alone."""
    host = Host()
    host.feed.say(host_slice("a"), network_slice())
    asyncio.run(walk(host, steps))
    assert host.device.held == wanted(host)

    host.device.take_ops()
    asyncio.run(settle(host.make_agent()))
    assert host.device.take_ops() == []

    bound = {key.removeprefix("port/") for key in host.feed.slices["host/h1"].rows if key.startswith("port/")}
    waiting = find_pending(host.feed.slices, host.switch.facts)
    assert host.feed.acks[-1] == (host.feed.revision, frozenset(bound - waiting.keys()), waiting)

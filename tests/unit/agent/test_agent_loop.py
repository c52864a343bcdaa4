"""The loop of a host, on a device that is a dict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from netloom.model.plan import Key, Put, Remove, Thing
from tests.unit.agent.agent_kit import BRIDGE, Host, host_slice, network_flow, network_slice, port_flow, settle
from tests.waiting import until

A_FLOW, B_FLOW, N_FLOW = port_flow("a", 1), port_flow("b", 2), network_flow("n1", 7)


def wired_host() -> Host:
    """A host with ports a and b bound and plugged, and nothing done yet."""
    host = Host()
    host.feed.say(host_slice("a", "b"), network_slice())
    host.switch.plug("a", 1)
    host.switch.plug("b", 2)
    return host


def play(story: Callable[[Host], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(story(wired_host()))


def test_a_fresh_host_is_wired_and_says_so() -> None:
    """Everything wanted is made, and both ports are acknowledged at the newest revision."""

    async def story(host: Host) -> None:
        await settle(host.make_agent())
        assert host.device.held == {thing.key: thing for thing in (BRIDGE, A_FLOW, B_FLOW, N_FLOW)}
        assert host.feed.acks[-1] == (5, frozenset({"a", "b"}), {})

    play(story)


def test_a_restart_sends_nothing() -> None:
    """An agent with an empty memory finds everything in place: no op, one acknowledgement."""

    async def story(host: Host) -> None:
        await settle(host.make_agent())
        host.device.take_ops()
        await settle(host.make_agent())
        assert host.device.take_ops() == []
        assert host.feed.acks[-1] == (5, frozenset({"a", "b"}), {})

    play(story)


def test_a_quiet_turn_neither_reads_nor_tells() -> None:
    """A wake with nothing behind it costs no dump of the switch and no message."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        reads, acks = host.device.reads, len(host.feed.acks)
        await settle(agent)
        assert (host.device.reads, len(host.feed.acks)) == (reads, acks)

    play(story)


def test_an_empty_cache_and_no_server_leave_the_data_plane() -> None:
    """A host that knows nothing sweeps nothing; what it needs for itself it adds."""

    async def story(host: Host) -> None:
        await settle(host.make_agent())
        host.device.take_ops()
        del host.device.held[BRIDGE.key]
        host.feed.slices = {}
        await settle(host.make_agent())
        assert host.device.take_ops() == [Put(BRIDGE)]

    play(story)


def test_half_of_the_slices_sweep_nothing() -> None:
    """Until every followed slice is known, what is there stays; then what nobody wants goes."""

    async def story(host: Host) -> None:
        await settle(host.make_agent())
        host.device.take_ops()
        host.feed.slices = {"host/h1": host_slice("a")}
        agent = host.make_agent()
        await settle(agent)
        assert host.device.take_ops() == []
        host.feed.say(network_slice())
        await settle(agent)
        assert host.device.take_ops() == [Remove(B_FLOW)]

    play(story)


def test_a_port_waits_for_its_device_and_then_is_acknowledged() -> None:
    """A port whose tap is not there yet is pending with the reason; the tap comes, and it is wired."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        host.feed.say(host_slice("a", "b", "c", revision=6))
        await settle(agent)
        assert host.feed.acks[-1] == (6, frozenset({"a", "b"}), {"c": "waits for its device"})
        host.switch.plug("c", 3)
        await settle(agent)
        assert host.feed.acks[-1] == (6, frozenset({"a", "b", "c"}), {})

    play(story)


def test_a_refused_flow_is_tried_again_and_its_port_is_pending() -> None:
    """The device's words reach the server; each try waits longer; no other port suffers."""

    async def story(host: Host) -> None:
        host.device.refuse = {B_FLOW.key: "table full"}
        agent = host.make_agent()
        assert await settle(agent) == 1.0
        assert host.feed.acks[-1] == (5, frozenset({"a"}), {"b": "table full"})
        host.device.take_ops()
        assert await settle(agent) == 1.0, "not before it is due"
        assert host.device.take_ops() == []
        host.now += 1.0
        assert await settle(agent) == 2.0
        assert host.device.take_ops() == [Put(B_FLOW)]
        host.device.refuse = {}
        host.now += 2.0
        await settle(agent)
        assert host.feed.acks[-1] == (5, frozenset({"a", "b"}), {})

    play(story)


def test_a_refused_network_flow_holds_all_its_ports_back() -> None:
    """What a network needs, its ports need."""

    async def story(host: Host) -> None:
        host.device.refuse = {N_FLOW.key: "no"}
        await settle(host.make_agent())
        assert host.feed.acks[-1] == (5, frozenset(), {"a": "no", "b": "no"})

    play(story)


def test_drift_is_healed_on_the_slow_clock() -> None:
    """A flow deleted by hand comes back within a minute, and one that a person added under our name goes."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        host.device.take_ops()
        stray = port_flow("x", 99)
        del host.device.held[A_FLOW.key]
        host.device.held[stray.key] = stray
        await settle(agent)
        assert host.device.take_ops() == []
        host.now += host.tuning.drift_s
        host.now += await settle(agent)  # A_FLOW was the last thing done: it waits one back-off
        await settle(agent)
        assert sorted(map(str, host.device.take_ops())) == sorted(map(str, [Remove(stray), Put(A_FLOW)]))

    play(story)


def test_what_somebody_changes_is_looked_into_when_the_device_tells() -> None:
    """At once, also where the same was done just before; and who goes on changing costs one reading a second."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        host.now += 5
        host.device.take_ops()
        del host.device.held[A_FLOW.key]
        host.meddlings += 1
        await settle(agent)
        assert host.device.take_ops() == [Put(A_FLOW)]
        reads = host.device.reads
        for _ in range(5):
            host.meddlings += 1
            wait_s = await settle(agent)
            host.now += 0.1
        assert (host.device.reads, 0 < wait_s <= 1) == (reads, True)
        host.now += wait_s
        await settle(agent)
        assert host.device.reads == reads + 1

    play(story)


def test_what_a_device_says_of_itself_is_told_when_it_changes() -> None:
    """Without a reading for it; and with all else that the server knows of the host."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        assert host.feed.reports == []
        reads, host.described = host.device.reads, {"vlan_limit": 2}
        for _ in range(2):
            await settle(agent)
        assert host.feed.reports == [{"tunneling_ip": "10.99.0.1", "vlan_limit": 2}]
        assert host.device.reads == reads

    play(story)


def test_a_restarted_switch_is_filled_again() -> None:
    """vswitchd came back empty: everything is read, planned and made in one go."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        host.device.held.clear()
        host.switch.epoch += 1
        await settle(agent)
        host.now += 1.0
        await settle(agent)
        assert host.device.held.keys() == {thing.key for thing in (BRIDGE, A_FLOW, B_FLOW, N_FLOW)}

    play(story)


def test_a_bridge_port_that_changed_number_has_the_switch_read() -> None:
    """Somebody made a patch port anew: the tables behind it are looked at, not remembered."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        await settle(agent)
        reads = host.device.reads
        host.switch.facts = replace(host.switch.facts, ofports={("br-int", "patch-tun"): 9})
        await settle(agent)
        assert host.device.reads == reads + 1

    play(story)


def test_a_switch_that_is_away_is_waited_for() -> None:
    """No facts, no turn: nothing is planned, and the loop comes back soon; a device that cannot be read holds ports."""

    async def story(host: Host) -> None:
        host.switch.down = True
        agent = host.make_agent()
        assert await agent.turn() == host.tuning.reconnect_s
        host.switch.down, host.device.down = False, "no socket"
        assert await agent.turn() == host.tuning.reconnect_s
        assert host.feed.acks[-1][2]["a"] == "device does not answer: no socket"
        host.device.down = ""
        await settle(agent)
        assert host.feed.acks[-1] == (5, frozenset({"a", "b"}), {})

    play(story)


def test_a_device_that_forgets_does_not_spin_the_loop() -> None:
    """What is taken and not kept is tried again at intervals, and its port is pending meanwhile."""

    async def story(host: Host) -> None:
        host.device.forget = {A_FLOW.key}
        agent = host.make_agent()
        assert await settle(agent) == 1.0
        assert host.feed.acks[-1][2] == {"a": "taken by the device, but gone when it was read"}
        host.device.forget = set()
        host.now += 1.0
        await settle(agent)
        assert host.feed.acks[-1][1] == {"a", "b"}

    play(story)


def test_a_lost_server_is_told_when_it_is_back() -> None:
    """An acknowledgement that found no server is repeated by the next turn."""

    async def story(host: Host) -> None:
        host.feed.down = True
        agent = host.make_agent()
        await settle(agent)
        host.feed.down = False
        await settle(agent)
        assert host.feed.acks == [(5, frozenset({"a", "b"}), {})]

    play(story)


def test_what_others_left_is_reported_once_and_when_it_is_gone() -> None:
    """The server hears of it with all that the host is; as long as nothing changes, no more."""

    async def story(host: Host) -> None:
        host.foreign = tuple(f"br-int has port p{n}" for n in range(150))
        agent = host.make_agent()
        await settle(agent)
        (told,) = host.feed.reports
        assert told["tunneling_ip"] == "10.99.0.1" and len(told["foreign"]) == 100
        host.now += 61
        await settle(agent)
        assert len(host.feed.reports) == 1
        host.foreign = ()
        host.now += 61
        await settle(agent)
        assert host.feed.reports[1:] == [{"tunneling_ip": "10.99.0.1"}]
        assert host.device.take_ops()

    play(story)


def test_it_runs_by_itself() -> None:
    """The running agent introduces itself, wakes for slices and for devices, and leaves the data plane when stopped."""

    async def story(host: Host) -> None:
        agent = host.make_agent()
        task = asyncio.create_task(agent.run())
        await until(lambda: len(host.feed.acks) > 0)
        host.feed.say(host_slice("a", "b", "c", revision=6), network_slice())
        await until(lambda: host.feed.acks[-1][0] == 6)
        host.switch.plug("c", 3)
        await until(lambda: host.feed.acks[-1][1] == {"a", "b", "c"})
        assert host.feed.reports == [{"tunneling_ip": "10.99.0.1"}]
        held = dict(host.device.held)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert host.device.held == held and len(held) == 5

    play(story)


def test_it_ends_when_a_device_swallows_that_it_should() -> None:
    """A device that has its answer just when the agent is told to end goes on as if nothing had been said: the turn is
    finished, and the agent ends then, not when the slow clock wakes it a minute later."""

    async def story(host: Host) -> None:
        reading, read = asyncio.Event(), host.device.read

        async def swallow() -> dict[Key, Thing]:
            reading.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            return await read()

        task = asyncio.create_task(host.make_agent().run())
        await until(lambda: len(host.feed.acks) > 0)
        host.device.read = swallow  # type: ignore[method-assign]
        host.switch.epoch += 1  # another switch, which is read
        host.switch.plug("c", 3)
        await reading.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # whatever else wakes the loop has done so
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=10)
        assert done == {task}

    play(story)

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from netloom.drivers.ovs.bridge import BridgeFlows
from netloom.drivers.ovs.channel import ChannelLost, open_channel
from netloom.drivers.ovs.openflow import messages as of
from netloom.model.device import FlowBody
from netloom.model.flow import Output, make_match
from netloom.model.plan import Put, Remove, Thing
from tests.dataplane.flow_samples import make_flow
from tests.unit.drivers.peers import FakeSwitch, serve


def flows(count: int, table: int = 1) -> list[Thing]:
    return [make_flow("br", table, 5, make_match(reg0=n + 1), Output(n + 1)) for n in range(count)]


def with_switch(tmp_path: Path, switch: FakeSwitch, use: Callable[[BridgeFlows], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with serve(tmp_path / "br.mgmt", switch.handle):
            bridge = BridgeFlows(tmp_path, "br", timeout_s=5.0)
            try:
                await use(bridge)
            finally:
                await bridge.close()

    asyncio.run(whole())


def test_one_call_is_one_bundle_and_a_dump_may_have_many_parts(tmp_path: Path) -> None:
    """A thousand flows change at one instant, and a dump in many pieces is one picture."""
    switch = FakeSwitch(part=37)

    async def use(bridge: BridgeFlows) -> None:
        things = flows(1000)
        assert await bridge.apply([Put(thing) for thing in things]) == []
        assert switch.commits == 1
        assert await bridge.read() == {thing.key: thing for thing in things}
        assert await bridge.apply([Remove(thing) for thing in things]) == []
        assert await bridge.read() == {}

    with_switch(tmp_path, switch, use)


@pytest.mark.parametrize("bad", [1, 3, 30])
def test_refused_flows_are_named_and_the_rest_goes_again(tmp_path: Path, bad: int) -> None:
    """However many flows the switch refuses, each is reported once and every other one is installed."""
    switch = FakeSwitch(refuse=lambda flow: flow.table == 9)

    async def use(bridge: BridgeFlows) -> None:
        good, wrong = flows(100), flows(bad, table=9)
        failures = await bridge.apply([Put(thing) for thing in (*good[:50], *wrong, *good[50:])])
        assert sorted(f.op.thing.key for f in failures) == sorted(thing.key for thing in wrong)
        assert len(switch.flows) == 100

    with_switch(tmp_path, switch, use)


def test_a_flow_that_openflow_cannot_say_never_leaves_the_host(tmp_path: Path) -> None:
    """A flow without our cookie, or with a forgotten prerequisite, is refused here and spoils no bundle."""
    switch = FakeSwitch()

    async def use(bridge: BridgeFlows) -> None:
        foreign = Thing(("flow", "br", 1, 1, ()), FlowBody(7, ()))
        lacking = make_flow("br", 1, 2, make_match(ip_dst="10.0.0.1"))
        failures = await bridge.apply([Put(foreign), Put(lacking), *(Put(thing) for thing in flows(3))])
        assert ["cookie" in failures[0].reason, "eth_type" in failures[1].reason, len(failures)] == [True, True, 2]
        assert switch.commits == 1 and len(switch.flows) == 3

    with_switch(tmp_path, switch, use)


def test_a_switch_that_speaks_nonsense_is_left(tmp_path: Path) -> None:
    """Bytes that are no OpenFlow end the connection with a reason, and the op can be tried again."""

    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()

    async def use() -> None:
        async with serve(tmp_path / "br.mgmt", babble):
            with pytest.raises(ChannelLost, match="OpenFlow"):
                await open_channel(tmp_path / "br.mgmt", 5.0)
            bridge = BridgeFlows(tmp_path, "br", timeout_s=5.0)
            failures = await bridge.apply([Put(flows(1)[0])])
            assert len(failures) == 1 and failures[0].retry

    asyncio.run(use())


def test_a_switch_that_does_not_answer_fails_in_time(tmp_path: Path) -> None:
    """A hung switch costs the time given, then the ops are reported to be tried again."""

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(1000):
            pass

    async def use() -> None:
        async with serve(tmp_path / "br.mgmt", hang):
            failures = await BridgeFlows(tmp_path, "br", timeout_s=0.05).apply([Put(flows(1)[0])])
            assert [failure.retry for failure in failures] == [True]

    asyncio.run(use())


def test_removing_a_flow_where_there_is_no_bridge_is_done(tmp_path: Path) -> None:
    """What should go went with the bridge; what should come waits for it."""

    async def use() -> None:
        bridge, (one, two) = BridgeFlows(tmp_path, "br"), flows(2)
        failures = await bridge.apply([Remove(one), Put(two)])
        assert [failure.op for failure in failures] == [Put(two)]

    asyncio.run(use())


def test_flows_of_others_are_counted_and_never_read(tmp_path: Path) -> None:
    """By cookie, so that a person can take them away; reading gives ours alone."""
    switch = FakeSwitch()

    async def use(bridge: BridgeFlows) -> None:
        (mine,) = flows(1)
        assert await bridge.apply([Put(mine)]) == []
        for table in (1, 2, 3):
            match = make_match(reg0=table)
            switch.flows[table, 1, match] = of.FlowEntry(table, 1, match, (), 7 if table < 3 else 9)
        assert await bridge.read() == {mine.key: mine}
        assert bridge.others == {7: 2, 9: 1}
        switch.flows = {key: entry for key, entry in switch.flows.items() if entry.cookie not in (7, 9)}
        await bridge.read()
        assert bridge.others == {}

    with_switch(tmp_path, switch, use)


def test_no_switch_is_a_failure_to_try_again(tmp_path: Path) -> None:
    """While the switch is away ops fail with its socket's name; reading says so too."""

    async def use() -> None:
        bridge = BridgeFlows(tmp_path, "br")
        assert "br.mgmt" in (await bridge.apply([Put(flows(1)[0])]))[0].reason
        with pytest.raises(ChannelLost):
            await bridge.read()

    asyncio.run(use())


def test_it_comes_back_when_the_switch_does(tmp_path: Path) -> None:
    """A switch that went away and came back is noticed without asking, and used again."""

    async def use() -> None:
        back = asyncio.Event()
        bridge = BridgeFlows(tmp_path, "br", back.set, 5.0)
        async with serve(tmp_path / "br.mgmt", FakeSwitch().handle):
            assert await bridge.apply([Put(flows(1)[0])]) == []
        (tmp_path / "br.mgmt").unlink(missing_ok=True)
        async with serve(tmp_path / "br.mgmt", FakeSwitch().handle):
            async with asyncio.timeout(5):
                await back.wait()
            assert await bridge.read() == {}
            await bridge.close()

    asyncio.run(use())

"""The Open vSwitch driver on a real switch: conformance, round trips, packets, refusals and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from netloom.drivers.ovs.bridge import UNKNOWN
from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.ovs.openflow.messages import PacketIn
from netloom.model.device import Bond, Bridge, Export, MeterBody, Mirror, SwitchPort, make_pairs
from netloom.model.driver import Driver
from netloom.model.flow import Goto, Group, Meter, Output, SetField, ToController, make_match
from netloom.model.plan import Op, Put, Remove, State, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.flow_samples import make_flow, make_samples
from tests.dataplane.ovs import PATIENCE_S, OvsHost

pytestmark = pytest.mark.dataplane

BR = Thing(("bridge", "br-int"), Bridge("netdev"))
TUN = Thing(("bridge", "br-tun"), Bridge("netdev", other_config=make_pairs(hwaddr="02:00:00:00:00:01")))


def make_port(bridge: str, name: str, type: str, number: int | None = None, **options: str) -> Thing:
    return Thing(("switch_port", bridge, name), SwitchPort(type, make_pairs(**options), number))


THINGS = (
    BR,
    TUN,
    make_port("br-int", "patch-tun", "patch", peer="patch-int"),
    make_port("br-tun", "patch-int", "patch", 7, peer="patch-tun"),
    make_port("br-tun", "vxlan0", "vxlan", remote_ip="flow", key="flow", local_ip="10.0.0.1"),
    make_flow("br-int", 0, 100, make_match(in_port=1), SetField("reg6", 5), Output(2)),
    make_flow("br-int", 0, 0, ()),
    Thing(("mirror", "br-int", "nl-a"), Mirror(("patch-tun",), (), "br-int")),
    Thing(("mirror", "br-int", "nl-b"), Mirror(("br-int",), ("br-int",), "patch-tun", (5, 7))),
    Thing(("export", "br-int", "netflow"), Export(("192.0.2.9:2055",))),
    Thing(("export", "br-int", "sflow"), Export(("192.0.2.8:6343", "192.0.2.9:6343"), make_pairs(sampling="64"))),
    Thing(("export", "br-tun", "ipfix"), Export(("192.0.2.9:4739",), make_pairs(obs_domain_id="7", sampling="64"))),
    Thing(("bond", "br-tun", "bond0"), Bond(("nlb0", "nlb1"), "active-backup", "off")),
    Thing(("meter", "br-int", 7), MeterBody("kbps", 1000, 800)),
    Thing(("meter", "br-int", 262144), MeterBody("pktps", 1000, 100)),
    make_flow("br-int", 1, 5, make_match(reg1=5), Meter(7), SetField("reg6", 6), Goto(2)),
    make_flow("br-tun", 20, 50, make_match(tun_id=9), Output(7)),
)
CHANGED = (
    Thing(("mirror", "br-int", "nl-a"), Mirror((), ("patch-tun",), "br-int", (9,))),
    Thing(("export", "br-int", "sflow"), Export(("192.0.2.7:6343",))),
    Thing(("bond", "br-tun", "bond0"), Bond(("nlb0", "nlb1"), "balance-slb", "passive")),
    Thing(("meter", "br-int", 7), MeterBody("pktps", 500, 50)),
    Thing(("bridge", "br-tun"), Bridge("netdev", other_config=make_pairs(hwaddr="02:00:00:00:00:02"))),
    make_port("br-tun", "vxlan0", "vxlan", remote_ip="flow", key="flow", local_ip="10.0.0.2"),
    make_flow("br-int", 0, 100, make_match(in_port=1), SetField("reg6", 6), Output(3), cookie=8),
)
IMPOSSIBLE = (
    Thing(("mirror", "br-int", "nl-c"), Mirror(("nowhere",), (), "br-int")),
    Thing(("export", "br-op", "netflow"), Export(("192.0.2.9:2055",))),
    Thing(("meter", "br-int", 8), MeterBody("kbps", 1 << 32, 1)),
    make_flow("br-int", 3, 1, make_match(reg0=1), Group(999)),
    make_flow("br-int", 3, 2, make_match(ip_src="10.0.0.1"), Output(1)),
    make_port("br-int", "theirs", "internal"),
)


def run_with(host: OvsHost, use: Callable[[OvsDriver], Awaitable[None]]) -> None:
    async def whole() -> None:
        driver = OvsDriver(host.rundir)
        try:
            await use(driver)
        finally:
            await driver.close()

    asyncio.run(whole())


async def make_so(driver: OvsDriver, desired: State) -> None:
    failures = await driver.apply(plan(desired, await driver.read(), driver.needs))
    assert not failures


def as_state(*things: Thing) -> State:
    return {thing.key: thing for thing in things}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_ovs_driver_conforms(ovs_host: OvsHost, check: Check) -> None:
    """The Open vSwitch driver keeps every promise of a driver, beside an operator's own bridge and flows."""
    ovs_host.vsctl("add-br", "br-op", "--", "set", "bridge", "br-op", "datapath_type=netdev")
    ovs_host.vsctl("add-port", "br-op", "theirs", "--", "set", "interface", "theirs", "type=internal")
    ovs_host.vsctl(
        "set", "bridge", "br-op", "netflow=@n", "--", "--id=@n", "create", "netflow", "targets=192.0.2.1\\:1"
    )
    for pair in (("nlb0", "nlp0"), ("nlb1", "nlp1")):
        ovs_host.inside("ip", "link", "add", pair[0], "type", "veth", "peer", "name", pair[1])
    ovs_host.ofctl("add-flow", "br-op", "cookie=0x5,table=3,priority=7,tcp,actions=drop")

    def look() -> object:
        flows = ovs_host.ofctl("--no-stats", "dump-flows", "br-op")
        return flows, ovs_host.vsctl("list-ports", "br-op"), ovs_host.vsctl("get", "bridge", "br-op", "external_ids")

    async def start() -> Driver:
        return OvsDriver(ovs_host.rundir)

    async def stop(driver: Driver) -> None:
        assert isinstance(driver, OvsDriver)
        await driver.close()

    asyncio.run(_run(check, Subject(start, stop, THINGS, CHANGED, IMPOSSIBLE, plan, look)))


async def _run(check: Check, subject: Subject) -> None:
    await check(subject)


def test_every_field_and_action_survives_the_switch(ovs_host: OvsHost) -> None:
    """A flow of any field and action that Netloom knows is dumped as it was rendered, so nothing is sent again."""

    async def use(driver: OvsDriver) -> None:
        desired = as_state(BR, *make_samples("br-int"))
        await make_so(driver, desired)
        assert plan(desired, await driver.read(), driver.needs) == ()

    run_with(ovs_host, use)


def test_a_flow_that_does_what_we_never_write_is_replaced(ovs_host: OvsHost) -> None:
    """Somebody who edits one of our flows by hand sees it put right."""

    async def use(driver: OvsDriver) -> None:
        desired = as_state(BR, make_flow("br-int", 5, 6, make_match(reg1=2), Output(4)))
        await make_so(driver, desired)
        cookie = "0x4e4c000000000001"
        ovs_host.ofctl("add-flow", "br-int", f"cookie={cookie},table=5,priority=6,reg1=2,actions=learn(table=9)")
        found = await driver.read()
        assert found[("flow", "br-int", 5, 6, make_match(reg1=2))].value == UNKNOWN
        await make_so(driver, desired)
        assert await driver.read() == desired

    run_with(ovs_host, use)


def test_one_refused_flow_in_a_bundle_is_named_and_the_rest_stands(ovs_host: OvsHost) -> None:
    """A flow that the switch refuses is reported in the switch's words; its five hundred neighbours are installed."""

    async def use(driver: OvsDriver) -> None:
        await make_so(driver, as_state(BR))
        good = [make_flow("br-int", 1, 1, make_match(reg0=n + 1), Output(1)) for n in range(500)]
        bad = [make_flow("br-int", 2, 1, make_match(reg0=n + 1), Group(n + 1)) for n in range(20)]
        failures = await driver.apply([Put(thing) for thing in (*good[:250], *bad, *good[250:])])
        assert [failure.op.thing for failure in failures] == bad
        assert all("group" in failure.reason and failure.retry for failure in failures)
        assert set(await driver.read()) == {BR.key, *(thing.key for thing in good)}

    run_with(ovs_host, use)


def test_packets_come_with_reason_and_registers_and_go_out(ovs_host: OvsHost) -> None:
    """A frame sent to the agent brings the reason, the port and the registers; what it sends enters the tables."""

    async def use(driver: OvsDriver) -> None:
        flow = make_flow("br-int", 0, 9, make_match(in_port=5), SetField("reg6", 77), ToController(3), cookie=9)
        await make_so(driver, as_state(BR, flow))
        packets: asyncio.Queue[PacketIn] = asyncio.Queue()
        await driver.follow_packets("br-int", packets.put_nowait)
        frame = bytes(range(64))
        await driver.send_packet("br-int", frame, (Output(0xFFFFFFF9),), 5)  # OFPP_TABLE: through the tables
        async with asyncio.timeout(PATIENCE_S):
            packet = await packets.get()
        assert (packet.data, packet.reason, packet.in_port, packet.fields["reg6"]) == (frame, 3, 5, 77)
        assert packet.cookie == flow.value.cookie

    run_with(ovs_host, use)


def test_a_restarted_switch_wakes_the_agent_and_is_filled_again(ovs_host: OvsHost) -> None:
    """When ovs-vswitchd is killed its flows are gone: the driver says so, reads none, and packets come again after."""

    async def use(driver: OvsDriver) -> None:
        flow = make_flow("br-int", 0, 9, make_match(in_port=5), ToController(3))
        desired = as_state(BR, flow)
        await make_so(driver, desired)
        packets: asyncio.Queue[PacketIn] = asyncio.Queue()
        await driver.follow_packets("br-int", packets.put_nowait)
        seen = await driver.wait_change(0)
        ovs_host.stop("ovs-vswitchd")
        ovs_host.start_switch()
        async with asyncio.timeout(PATIENCE_S):
            while plan(desired, await _read(driver), driver.needs) == ():
                seen = await driver.wait_change(seen)
            await make_so(driver, desired)
            await driver.send_packet("br-int", bytes(64), (Output(0xFFFFFFF9),), 5)
            assert (await packets.get()).reason == 3

    run_with(ovs_host, use)


async def _read(driver: OvsDriver) -> State:
    """What is there once the switch is back."""
    while True:
        try:
            return await driver.read()
        except ConnectionError:
            await asyncio.sleep(0.01)


def test_a_restarted_database_is_followed_again(ovs_host: OvsHost) -> None:
    """When ovsdb-server is killed and comes back the driver goes on with what is there."""

    async def use(driver: OvsDriver) -> None:
        await make_so(driver, as_state(BR))
        ovs_host.stop("ovsdb-server")
        ovs_host.start_database()
        port = make_port("br-int", "svc0", "internal")
        async with asyncio.timeout(PATIENCE_S):
            while await driver.apply([Put(port)]):
                await driver.wait_change(0)
        assert await driver.read() == as_state(BR, port)

    run_with(ovs_host, use)


def test_an_operators_bridge_is_adopted_and_left_as_it_was(ovs_host: OvsHost) -> None:
    """An operator's br-ex keeps its settings and ports and outlives Netloom; br-int only becomes secure."""
    for name in ("br-int", "br-ex"):
        ovs_host.vsctl("add-br", name, "--", "set", "bridge", name, "datapath_type=netdev", "fail_mode=standalone")

    async def use(driver: OvsDriver) -> None:
        assert await driver.read() == {}
        desired = as_state(Thing(("bridge", "br-int"), Bridge("system")), Thing(("bridge", "br-ex"), Bridge()))
        await make_so(driver, desired)
        assert plan(desired, await driver.read(), driver.needs) == ()
        assert ovs_host.vsctl("get-fail-mode", "br-ex") == "standalone"
        assert ovs_host.vsctl("get-fail-mode", "br-int") == "secure"
        assert ovs_host.vsctl("get", "bridge", "br-int", "datapath_type") == "netdev"
        ovs_host.vsctl("set-fail-mode", "br-int", "standalone")
        seen = 0
        async with asyncio.timeout(PATIENCE_S):
            while plan(desired, await driver.read(), driver.needs) == ():
                seen = await driver.wait_change(seen)
        await make_so(driver, {})
        assert ovs_host.vsctl("list-br").split() == ["br-ex", "br-int"]
        assert ovs_host.vsctl("get", "bridge", "br-ex", "external_ids") == "{}"

    run_with(ovs_host, use)


def test_plugged_devices_and_numbers_are_facts(ovs_host: OvsHost) -> None:
    """A device that Nova plugs is seen by its port id within moments, with its number and MAC, and a dead one too."""

    async def use(driver: OvsDriver) -> None:
        await make_so(driver, as_state(*THINGS[:5]))
        seen = await driver.wait_change(0)
        ids = ("external_ids:iface-id=p1", "external_ids:attached-mac=02:AA:00:00:00:01")
        ovs_host.vsctl("add-port", "br-int", "tap1", "--", "set", "interface", "tap1", "type=internal", *ids)
        ovs_host.vsctl(
            "--no-wait", "add-port", "br-int", "tap2", "--", "set", "interface", "tap2", "external_ids:iface-id=p2"
        )
        async with asyncio.timeout(PATIENCE_S):
            while len(found := await driver.read_interfaces("br-int")) < 2:
                seen = await driver.wait_change(seen)
        assert found["p1"].mac == "02:aa:00:00:00:01" and found["p1"].ofport > 0 and found["p1"].name == "tap1"
        assert found["p2"].ofport == -1 and "tap2" in found["p2"].error
        assert (await driver.read_ofports())[("br-tun", "patch-int")] == 7

    run_with(ovs_host, use)


def test_removing_what_went_with_its_bridge_is_fine(ovs_host: OvsHost) -> None:
    """Flows and ports of a bridge that somebody deleted are no failure to remove."""

    async def use(driver: OvsDriver) -> None:
        await make_so(driver, as_state(*THINGS))
        ovs_host.vsctl("del-br", "br-int")
        ops: list[Op] = [Remove(thing) for thing in reversed(THINGS)]
        async with asyncio.timeout(20):
            while ops := [failure.op for failure in await driver.apply(ops)]:
                await asyncio.sleep(0.05)  # the switch had let go of its channel before the database said why
        assert await driver.read() == {}

    run_with(ovs_host, use)

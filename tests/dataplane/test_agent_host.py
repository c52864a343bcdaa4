"""The agent of one host on a real switch: real clients get their addresses, and a switch that died is filled again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from netloom.agent.loop import Agent
from netloom.agent.ovs_host import OvsHost as SwitchView
from netloom.agent.parts import Parts, Tuning
from netloom.drivers.ovs.driver import OvsDriver
from netloom.model.facts import HostFacts
from netloom.model.plan import Op
from netloom.model.slices import (
    Address,
    FollowRow,
    NetworkRow,
    PlaceRow,
    PortRow,
    Route,
    Row,
    Segment,
    Slice,
    SubnetRow,
)
from netloom.render.answers import Settings
from netloom.render.host import Renderer
from netloom.render.status import find_pending
from tests.dataplane.dhcp_clients import get_note, make_script, read_note
from tests.dataplane.ovs import PATIENCE_S, OvsHost, run
from tests.unit.agent.agent_kit import FakeFeed

pytestmark = pytest.mark.dataplane

MAC = "fa:16:3e:00:00:05"
PORT = PortRow("port-a", "n1", MAC, addresses=(Address("10.0.0.5", "s4"), Address("2001:db8::5", "s6")), hostname="web")
NETWORK = NetworkRow("n1", 7, mtu=1442, segments=(Segment("local"),))
S4 = SubnetRow("s4", "n1", "10.0.0.0/24", 4, "10.0.0.1", True, ("9.9.9.9",), (Route("10.7.0.0/16", "10.0.0.7"),))
S6 = SubnetRow(
    "s6", "n1", "2001:db8::/64", 6, dns_nameservers=("2001:db8::53",),
    ipv6_ra_mode="dhcpv6-stateful", ipv6_address_mode="dhcpv6-stateful",
)  # fmt: skip
SLAAC = SubnetRow("s6", "n1", "2001:db8::/64", 6, ipv6_ra_mode="slaac", ipv6_address_mode="slaac")


class CountingDriver(OvsDriver):
    """The driver, with what it was asked."""

    def __init__(self, rundir: Path) -> None:
        super().__init__(rundir)
        self.ops: list[Op] = []

    async def apply(self, ops):  # type: ignore[no-untyped-def]
        self.ops += ops
        return await super().apply(ops)


@dataclass
class Running:
    """An agent on a real switch, with a feed of our own; and an instance behind a veth."""

    host: OvsHost
    driver: CountingDriver
    agent: Agent
    feed: FakeFeed = field(default_factory=FakeFeed)

    @property
    def instance(self) -> str:
        return f"{self.host.netns}-i"

    def inside(self, *command: str, check: bool = True) -> str:
        return run("ip", "netns", "exec", self.instance, *command, check=check)

    async def ask(self, *command: str, check: bool = True) -> str:
        """A command in the instance, while the agent goes on."""
        return await asyncio.to_thread(self.inside, *command, check=check)


def make_slices(*subnets: SubnetRow) -> tuple[Slice, Slice]:
    place = PlaceRow(PORT.id, MAC, "h1", PORT.addresses)
    rows: dict[str, Row] = {"network/n1": NETWORK, f"place/{PORT.id}": place, **{f"subnet/{s.id}": s for s in subnets}}
    return (
        Slice("host/h1", 3, {"port/port-a": PORT, "follow/network/n1": FollowRow("network/n1")}),
        Slice("network/n1", 3, rows),
    )


def make_running(host: OvsHost, *subnets: SubnetRow) -> Running:
    driver, feed = CountingDriver(host.rundir), FakeFeed()
    view = SwitchView(driver, HostFacts("h1", datapath_type="netdev"))
    parts = Parts(feed, view, view, {"ovs": driver}, Renderer().render, find_pending, time.monotonic, lambda: 0.5)
    feed.say(*make_slices(*subnets))
    return Running(host, driver, Agent(parts, Tuning(), Settings()), feed)


@pytest.fixture
def plugged(ovs_host: OvsHost) -> Iterator[OvsHost]:
    """A host with one instance: a namespace behind a veth whose end is on the integration bridge."""
    instance, n = f"{ovs_host.netns}-i", ovs_host.netns
    run("ip", "netns", "add", instance)
    run("ip", "-n", n, "link", "add", "tapa", "type", "veth", "peer", "name", "eth0", "netns", instance)
    run("ip", "-n", instance, "link", "set", "eth0", "address", MAC, "up")
    run("ip", "netns", "exec", instance, "ethtool", "-K", "eth0", "tx", "off")
    run("ip", "-n", n, "link", "set", "tapa", "up")
    yield ovs_host
    run("ip", "netns", "del", instance, check=False)


def plug(host: OvsHost) -> None:
    host.vsctl("add-port", "br-int", "tapa", "--", "set", "interface", "tapa", "external_ids:iface-id=port-a")


async def until(done: Callable[[], bool], timeout_s: float = PATIENCE_S) -> None:
    async with asyncio.timeout(timeout_s):
        while not done():
            await asyncio.sleep(0.01)


async def start(running: Running) -> asyncio.Task[None]:
    """The agent running, the instance plugged and acknowledged."""
    task = asyncio.create_task(running.agent.run())
    await until(lambda: bool(running.feed.acks))
    if "tapa" not in running.host.vsctl("list-ports", "br-int"):
        await asyncio.to_thread(plug, running.host)
    await until(lambda: PORT.id in running.feed.acks[-1][1])
    return task


async def stop(running: Running, task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await running.driver.close()


def test_udhcpc_gets_its_lease(plugged: OvsHost, tmp_path: Path) -> None:
    """BusyBox's client gets address, mask, MTU, name server, router and routes."""
    script = make_script(tmp_path)

    async def story() -> None:
        running = make_running(plugged, S4, S6)
        task = await start(running)
        try:
            await running.ask(
                "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "30", "-T", "1", "-s", str(script), "-O", "mtu",
                "-O", "staticroutes",
            )  # fmt: skip
        finally:
            await stop(running, task)

    asyncio.run(story())
    got = read_note(tmp_path, "bound")
    assert (got["ip"], got["subnet"], got["router"], got["mtu"]) == ("10.0.0.5", "255.255.255.0", "10.0.0.1", "1442")
    assert (got["dns"], got["hostname"], got["domain"]) == ("9.9.9.9", "web", "openstacklocal")
    assert got["staticroutes"] == "10.7.0.0/16 10.0.0.7 0.0.0.0/0 10.0.0.1"
    assert got["lease"] == "86400"


def test_dhclient_gets_and_renews_its_lease(plugged: OvsHost, tmp_path: Path) -> None:
    """ISC's client, for IPv4: bound, and after a restart bound again to the same address (init-reboot)."""
    bound, again = ask_dhclient(plugged, tmp_path, 4, "BOUND", "REBOOT")
    assert bound["new_ip_address"] == again["new_ip_address"] == "10.0.0.5"
    assert again["new_interface_mtu"] == "1442"


def test_dhclient_gets_its_ipv6_lease(plugged: OvsHost, tmp_path: Path) -> None:
    """ISC's client, for IPv6: four messages, one address, the name server."""
    (got,) = ask_dhclient(plugged, tmp_path, 6, "BOUND6")
    assert (got["new_ip6_address"], got["new_dhcp6_name_servers"]) == ("2001:db8::5", "2001:db8::53")


def ask_dhclient(plugged: OvsHost, folder: Path, version: int, *names: str) -> list[dict[str, str]]:
    """What it is told, one run after another, in a network with subnets of that version."""

    async def story() -> list[dict[str, str]]:
        running = make_running(plugged, S6 if version == 6 else S4)
        task = await start(running)
        try:
            return [
                await asyncio.to_thread(get_note, running.instance, "eth0", folder, version, name) for name in names
            ]
        finally:
            await stop(running, task)

    return asyncio.run(story())


def test_the_kernel_configures_itself_from_advertisements(plugged: OvsHost) -> None:
    """SLAAC: an instance that comes up has its address and MTU, and no default route while there is no router."""

    async def story() -> None:
        running = make_running(plugged, SLAAC)
        task = await start(running)
        try:
            for command in (("ip", "link", "set", "eth0", "down"), ("sysctl", "-qw", "net.ipv6.conf.eth0.accept_ra=2"),
                            ("ip", "link", "set", "eth0", "up")):  # fmt: skip
                await running.ask(*command)
            await until(
                lambda: "2001:db8::f816:3eff:fe00:5/64" in running.inside("ip", "-6", "addr", "show", "dev", "eth0")
            )
            assert (await running.ask("sysctl", "-n", "net.ipv6.conf.eth0.mtu")).strip() == "1442"
            assert (await running.ask("ip", "-6", "route", "show", "default")).strip() == ""
        finally:
            await stop(running, task)

    asyncio.run(story())


def test_a_restarted_agent_sends_nothing_and_a_dead_switch_is_filled(plugged: OvsHost) -> None:
    """Law 2 on a real switch; and after vswitchd was killed its tables are full again."""

    async def story() -> None:
        first = make_running(plugged, S4)
        await stop(first, await start(first))
        running = make_running(plugged, S4)
        task = await start(running)
        try:
            assert running.driver.ops == []
            flows = plugged.ofctl("dump-flows", "br-int").count("cookie")
            assert flows > 10
            await asyncio.to_thread(plugged.stop, "ovs-vswitchd")
            await asyncio.to_thread(plugged.start_switch)
            began = time.monotonic()
            await until(lambda: plugged.ofctl("dump-flows", "br-int").count("cookie") == flows)
            print(f"the switch was full {time.monotonic() - began:.2f} s after its start")
        finally:
            await stop(running, task)

    asyncio.run(story())


def test_a_restarted_database_is_followed_again(plugged: OvsHost) -> None:
    """ovsdb-server died: the agent finds the new one, and wires what is plugged from then on."""

    async def story() -> None:
        running = make_running(plugged, S4)
        task = asyncio.create_task(running.agent.run())
        try:
            await until(lambda: bool(running.feed.acks))
            await asyncio.to_thread(plugged.stop, "ovsdb-server")
            await asyncio.to_thread(plugged.start_database)
            await asyncio.to_thread(plug, plugged)
            await until(lambda: PORT.id in running.feed.acks[-1][1])
        finally:
            await stop(running, task)

    asyncio.run(story())

"""A port of vnic_type macvtap, on real devices: the kernel's macvtap, its character device, and frames on the wire.

The NIC is a device tree of files and a switch: a function's own device is a veth whose other end is a port of the
switch, and the VLAN that the function is set to is that port's tag. So the hands are the real ones but for the words
of `ip link set … vf`, which no device of this machine would take.
"""

from __future__ import annotations

import asyncio
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import netns as spaces

from netloom.agent.link_facts import LinkFacts
from netloom.agent.loop import Agent
from netloom.agent.parts import Parts, Tuning
from netloom.drivers.links import LinksDriver
from netloom.drivers.sriov import NO_MAC, SriovDriver, SriovError, run_ip
from netloom.model.facts import HostFacts
from netloom.model.slices import FollowRow, NetworkRow, PortRow, Segment, Slice
from netloom.render.answers import Settings
from netloom.render.functions import render_functions
from netloom.render.status import find_pending
from tests.dataplane.ovs import PATIENCE_S, OvsHost, happens, run, wait_until
from tests.dataplane.tagged import listen_tags, read_tagged
from tests.dataplane.wire import open_socket, to_bytes
from tests.unit.agent.agent_kit import FakeFeed, FakeSwitch

pytestmark = pytest.mark.dataplane

SLOT, MAC, OTHER, VLAN = "0000:03:10.0", "fa:16:3e:00:00:05", "fa:16:3e:00:00:09", 101
PORT = PortRow("p1", "n1", MAC, vnic_type="macvtap", pci_slot=SLOT)
NETWORK = NetworkRow("n1", 7, mtu=1400, segments=(Segment("vlan", "physnet", VLAN),))
HEADER = bytes(10)
"""virtio-net's, in front of each frame of a tap (tuntap.rst of the kernel: IFF_VNET_HDR)."""


@dataclass
class Nic:
    """What is simulated: the settings of function 0 of ens1."""

    host: OvsHost
    held: dict[str, str] = field(default_factory=lambda: {"mac": NO_MAC, "vlan": "0"})

    async def run(self, words: Sequence[str]) -> str:
        if "vf" not in words and "ens1" not in words:
            return await run_ip(words)
        if words[0] == "-json":
            told = {
                "vf": 0, "address": self.held["mac"], "vlan_list": [{"vlan": int(self.held["vlan"])}],
                "spoofchk": self.held.get("spoofchk") == "on", "link_state": self.held.get("state", "auto"),
            }  # fmt: skip
            return json.dumps([{"ifname": "ens1", "vfinfo_list": [told]}])
        if words[:6] != ["link", "set", "dev", "ens1", "vf", "0"]:
            raise SriovError(f"no such function: {words}")
        self.held = dict(zip(words[6::2], words[7::2], strict=True))
        await asyncio.to_thread(self.host.vsctl, "set", "port", "rep0", f"tag={self.held['vlan']}")
        return ""


@pytest.fixture
def nic(ovs_host: OvsHost, tmp_path: Path) -> Iterator[Nic]:
    host = ovs_host
    for one, other in (("vf0", "rep0"), ("uplink", "wire")):
        host.inside("ip", "link", "add", one, "up", "type", "veth", "peer", "name", other)
        host.inside("ip", "link", "set", other, "up")
    host.vsctl("add-br", "nic", "--", "set", "bridge", "nic", "datapath_type=netdev")
    for port in ("rep0", "uplink"):
        host.vsctl("add-port", "nic", port)
    (tmp_path / "devices" / SLOT / "net" / "vf0").mkdir(parents=True)
    folder = tmp_path / "class/net/ens1/device"
    folder.mkdir(parents=True)
    (folder / "virtfn0").symlink_to(tmp_path / "devices" / SLOT)
    yield Nic(host)


@dataclass
class Running:
    """An agent in the host's namespace, with a feed of our own."""

    nic: Nic
    feed: FakeFeed
    agent: Agent
    driver: SriovDriver
    facts: LinkFacts

    def say(self, *ports: PortRow) -> None:
        rows: dict[str, Any] = {f"port/{port.id}": port for port in ports}
        revision = self.feed.revision + 1
        self.feed.say(
            Slice("host/h1", revision, {**rows, "follow/network/n1": FollowRow("network/n1")}),
            Slice("network/n1", revision, {"network/n1": NETWORK}),
        )


def make_running(nic: Nic, sysfs: Path) -> Running:
    driver, feed = SriovDriver(("ens1",), sysfs, nic.run), FakeFeed()
    switch = FakeSwitch(HostFacts("h1", device_mappings={"physnet": ("ens1",)}))
    facts = LinkFacts(switch, {"taps": driver.read_taps})
    parts = Parts(
        feed,
        facts,
        switch,
        {"sriov": driver, "links": LinksDriver()},
        lambda slices, facts: {"functions": tuple(render_functions(slices, facts))},
        find_pending,
        asyncio.get_running_loop().time,
        lambda: 0.5,
    )
    return Running(nic, feed, Agent(parts, Tuning(), Settings()), driver, facts)


def read_link(host: OvsHost, name: str) -> dict[str, Any]:
    return dict(json.loads(host.inside("ip", "-json", "link", "show", "dev", name))[0])


def make_tap(host: OvsHost, folder: Path) -> int:
    """What a hypervisor does: the device, and its end for the instance."""
    host.inside("ip", "link", "add", "link", "vf0", "name", "mvt0", "type", "macvtap", "mode", "passthru")
    major, minor = host.inside("sh", "-c", "cat /sys/class/net/mvt0/macvtap/tap*/dev").split(":")
    path = folder / f"tap{os.urandom(2).hex()}"
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(int(major), int(minor)))
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def make_frame(target: str, source: str, mark: bytes) -> bytes:
    return to_bytes(target) + to_bytes(source) + b"\x88\xb5" + mark  # a local experiment's, IEEE 802: nobody's


def leaves(tap: int, host: OvsHost) -> int | None:
    """The tag under which a frame of the instance comes out of the NIC; None: it does not."""
    mark = os.urandom(46)
    with closing(open_socket(host.netns, "wire")) as wire:
        listen_tags(wire)
        try:
            os.write(tap, HEADER + make_frame(OTHER, MAC, mark))
        except OSError:  # ENETDOWN, or the device is gone
            return None
        return find_frame(lambda: read_tagged(wire), mark)


def comes(tap: int, host: OvsHost, vlan: int) -> bool:
    """Whether a frame with that tag comes to the instance."""
    mark = os.urandom(46)
    frame = make_frame(MAC, OTHER, mark)
    tagged = frame[:12] + b"\x81\x00" + vlan.to_bytes(2, "big") + frame[12:]
    with closing(open_socket(host.netns, "wire")) as wire:
        wire.send(tagged)
        return find_frame(lambda: (0, os.read(tap, 4096)[len(HEADER) :]), mark) is not None


def wait_traffic(tap: int, host: OvsHost) -> None:
    """Until frames go both ways under the network's VLAN."""
    wait_until(lambda: leaves(tap, host) == VLAN)
    wait_until(lambda: comes(tap, host, VLAN))


def find_frame(read: Callable[[], tuple[int, bytes]], mark: bytes) -> int | None:
    found: list[int] = []

    def came() -> bool:
        try:
            vlan, frame = read()
        except (BlockingIOError, OSError):
            return False
        if mark in frame:
            found.append(vlan)
        return bool(found)

    return found[0] if happens(came, 1) else None


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_macvtap_port_is_set_used_switched_off_and_given_back(nic: Nic, tmp_path: Path) -> None:
    """It waits for its device; then it has the port's MAC, the network's MTU and VLAN, follows its admin state, is set
    anew when the instance is booted anew, and at the end the function is as the NIC had it."""
    host = nic.host

    async def story() -> None:
        running = make_running(nic, tmp_path)
        acks = running.feed.acks
        running.say(PORT)
        task = asyncio.create_task(running.agent.run())
        try:
            await until(lambda: acks and "macvtap device on the function at PCI slot" in acks[-1][2].get("p1", ""))
            assert nic.held["vlan"] == str(VLAN)
            for _ in range(2):
                tap = await asyncio.to_thread(make_tap, host, tmp_path)
                await until(lambda: acks[-1][1] == {"p1"})
                link = read_link(host, "mvt0")
                assert (link["address"], link["mtu"], "UP" in link["flags"]) == (MAC, 1400, True)
                await asyncio.to_thread(wait_traffic, tap, host)
                assert not await asyncio.to_thread(comes, tap, host, VLAN + 1)
                running.say(replace(PORT, admin_state_up=False))
                await until(lambda: "UP" not in read_link(host, "mvt0")["flags"] and nic.held["state"] == "disable")
                assert await asyncio.to_thread(leaves, tap, host) is None
                running.say(PORT)
                await until(lambda: acks[-1][1] == {"p1"})
                await asyncio.to_thread(wait_traffic, tap, host)
                os.close(tap)
                host.inside("ip", "link", "del", "mvt0")
                await until(lambda: "p1" in acks[-1][2])
            os.close(await asyncio.to_thread(make_tap, host, tmp_path))
            await until(lambda: acks[-1][1] == {"p1"})
            running.say()
            await until(lambda: (nic.held["mac"], nic.held["vlan"]) == (NO_MAC, "0"))
            await until(lambda: "ifalias" not in read_link(host, "mvt0"))
            assert await running.driver.read() == {}
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            running.facts.close()

    spaces.pushns(host.netns)
    try:
        asyncio.run(story())
    finally:
        spaces.popns()


def test_a_refused_mtu_is_what_the_port_waits_for(nic: Nic, tmp_path: Path) -> None:
    """A network whose frames are longer than the NIC's: the kernel's words are the port's."""
    run("ip", "-n", nic.host.netns, "link", "set", "vf0", "mtu", "1300")

    async def story() -> None:
        running = make_running(nic, tmp_path)
        os.close(await asyncio.to_thread(make_tap, nic.host, tmp_path))
        running.say(PORT)
        task = asyncio.create_task(running.agent.run())
        try:
            await until(lambda: running.feed.acks and "Invalid argument" in running.feed.acks[-1][2].get("p1", ""))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            running.facts.close()

    spaces.pushns(nic.host.netns)
    try:
        asyncio.run(story())
    finally:
        spaces.popns()

"""What Open vSwitch's own datapath remembers of tables that were changed: nothing that packets would follow."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from netloom.drivers.ovs.driver import OvsDriver
from netloom.model.device import Bridge
from netloom.model.flow import IPV4, UDP, Output, make_match
from netloom.model.plan import State, Thing
from netloom.reconcile.plan import plan
from tests.dataplane.flow_samples import make_flow
from tests.dataplane.frames import encode_packet
from tests.dataplane.ovs import PATIENCE_S, OvsHost
from tests.dataplane.wire import open_socket

pytestmark = pytest.mark.dataplane

BR = Thing(("bridge", "br-int"), Bridge("netdev"))
BACK = make_flow("br-int", 0, 1, make_match(in_port=2), Output(1))
PACKET = {"eth_src": 2 << 40 | 1, "eth_dst": 2 << 40 | 2, "eth_type": IPV4, "ip_src": 0x0A000001}
ONE, OTHER = (
    encode_packet({**PACKET, "ip_dst": 0x0A000000 + n, "ip_proto": UDP, "udp_src": 1, "udp_dst": 2}, bytes(40))
    for n in (2, 9)
)


def make_tables(*flows: Thing) -> State:
    return {thing.key: thing for thing in (BR, BACK, *flows)}


def to_one(port: int) -> Thing:
    """What goes to the one address alone leaves by that port."""
    return make_flow("br-int", 0, 5, make_match(in_port=1, eth_type=0x800, ip_dst="10.0.0.2"), Output(port))


def to_all(port: int) -> Thing:
    return make_flow("br-int", 0, 1, make_match(in_port=1), Output(port))


@contextmanager
def plug_three(host: OvsHost) -> Iterator[dict[int, socket.socket]]:
    """Devices on br-int, with their other ends by number."""
    wires = {}
    for n in (1, 2, 3):
        host.inside("ip", "link", "add", f"v{n}", "type", "veth", "peer", "name", f"w{n}")
        for end in (f"v{n}", f"w{n}"):
            host.inside("ip", "link", "set", end, "up")
        host.vsctl("add-port", "br-int", f"v{n}", "--", "set", "interface", f"v{n}", f"ofport_request={n}")
        wires[n] = open_socket(host.netns, f"w{n}")
    try:
        yield wires
    finally:
        for wire in wires.values():
            wire.close()


async def wait_led(wires: dict[int, socket.socket], frame: bytes, into: int, out: int) -> None:
    """Send the frame, and again, until it leaves by that port."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            wires[into].send(frame)
            await asyncio.sleep(0.02)
            if frame in hear(wires[out]):
                return


def hear(wire: socket.socket) -> list[bytes]:
    """What came by now."""
    frames = []
    while True:
        try:
            frames.append(wire.recv(2048))
        except BlockingIOError:
            return frames


def test_a_flow_of_tables_that_were_changed_leads_nobody_astray(ovs_host: OvsHost) -> None:
    """Tables that ask for an address, for none, and again: who goes on sending is led as they say now."""

    async def use(driver: OvsDriver, wires: dict[int, socket.socket]) -> None:
        await make_so(driver, make_tables(to_one(2)))
        await wait_led(wires, OTHER, 2, 1)  # the datapath looks first at what asks for no address
        await wait_led(wires, ONE, 1, 2)
        await make_so(driver, make_tables(to_all(2)))
        await wait_led(wires, OTHER, 1, 2)
        await make_so(driver, make_tables(to_one(3)))
        await wait_led(wires, ONE, 1, 3)

    async def whole() -> None:
        driver = OvsDriver(ovs_host.rundir)
        try:
            await make_so(driver, {BR.key: BR})
            with plug_three(ovs_host) as wires:
                await use(driver, wires)
        finally:
            await driver.close()

    asyncio.run(whole())


async def make_so(driver: OvsDriver, desired: State) -> None:
    assert not await driver.apply(plan(desired, await driver.read(), driver.needs))

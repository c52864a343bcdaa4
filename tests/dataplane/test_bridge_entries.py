"""Thousands of entries in the tables of a bridge and a tunnel of the kernel, made and taken away."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from netloom.drivers.bridge.driver import BridgeDriver
from netloom.model.bridge import BridgePort, Leads, LinuxBridge, Neighbour, VxlanDevice
from netloom.model.plan import Put, Remove, Thing
from tests.dataplane.test_drivers_bridge import inside as inside
from tests.dataplane.test_drivers_bridge import pytestmark as pytestmark

ENDS = ("192.0.2.2", "192.0.2.3")
TUNNEL = Thing(("vxlan", "vxlan-7"), VxlanDevice(7, "192.0.2.1", 1450))
DEVICES = (
    Thing(("brq", "brq1"), LinuxBridge(1450)), TUNNEL,
    Thing(("bridge_port", "vxlan-7"), BridgePort("brq1")),
)  # fmt: skip


def make_entries(number: int) -> tuple[Thing, ...]:
    mac = f"fa:16:3e:00:{number >> 8:02x}:{number & 255:02x}"
    return (
        Thing(("bridge_fdb", "vxlan-7", mac), Leads()),
        Thing(("tunnel_fdb", "vxlan-7", mac, ENDS[number % 2]), Leads()),
        Thing(("neighbour", "vxlan-7", f"10.0.{number >> 8}.{number & 255}"), Neighbour(mac)),
        Thing(("neighbour", "vxlan-7", f"2001:db8::{number:x}"), Neighbour(mac)),
    )


ENTRIES = tuple(thing for number in range(1, 501) for thing in make_entries(number))
ASTRAY = tuple(Thing((thing.key[0], "nowhere", *thing.key[2:]), thing.value) for thing in make_entries(7))


def test_thousands_are_made_and_one_that_cannot_be_keeps_back_no_other(inside: str) -> None:
    """Of a device that is not there is said so; all else is there, also after the tunnel was made anew, and goes."""

    async def story() -> None:
        driver = BridgeDriver()
        try:
            wanted = {thing.key: thing.value for thing in (*DEVICES, *ENTRIES)}
            mixed = (*DEVICES, *ENTRIES[:900], *ASTRAY, *ENTRIES[900:])
            failures = await driver.apply([Put(thing) for thing in mixed])
            assert [failure.op.thing for failure in failures] == list(ASTRAY)
            assert {failure.reason for failure in failures} == {"there is no device nowhere"}
            assert {key: thing.value for key, thing in (await driver.read()).items()} == wanted
            other = Thing(TUNNEL.key, replace(TUNNEL.value, proxy=False))
            assert not await driver.apply([Put(other, TUNNEL)])
            wanted[other.key] = other.value
            assert {key: thing.value for key, thing in (await driver.read()).items()} == wanted
            assert not await driver.apply([*(Remove(thing) for thing in (*ENTRIES, *ASTRAY)), *map(Put, ENTRIES[:4])])
            held = await driver.read()
            assert {key for key in held if key[0] not in ("brq", "vxlan", "bridge_port")} == {
                thing.key for thing in ENTRIES[:4]
            }
        finally:
            await driver.close()

    asyncio.run(story())

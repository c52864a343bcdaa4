"""What a host with Linux bridges knows of its devices: read when the kernel told of a change, and not otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from netloom.agent.bridge_host import BridgeHost
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.bridge.links import Device
from netloom.model.facts import HostFacts
from netloom.model.slices import PortRow, Slice
from netloom.render.bridges.scene import tap_name
from tests.dataplane.ovs import PATIENCE_S, run

pytestmark = pytest.mark.dataplane

ID = "a0000000-0000-4000-8000-000000000000"
SLICES = {"host/h1": Slice("host/h1", 1, {f"port/{ID}": PortRow(ID, "n", "fa:16:3e:00:00:01")})}


class Counted(BridgeDriver):
    """It tells how often it was asked."""

    asked = 0

    async def read_devices(self) -> Mapping[str, Device]:
        self.asked += 1
        return await super().read_devices()


@pytest.mark.usefixtures("own_space")
def test_devices_are_read_when_one_was_changed() -> None:
    """A turn for something else asks the kernel nothing; one that comes, has another MTU or goes is known at once."""

    async def go() -> None:
        driver = Counted()
        host = BridgeHost(driver, HostFacts("h1", bridge_mappings={"physnet": "eth1"}), lambda: SLICES)
        try:
            seen = await host.wait_change(0)
            assert (await host.read_facts()).interfaces == {}
            for _ in range(3):
                assert (await host.read_facts()).interfaces == {}
            assert driver.asked == 1
            for command, there, mtus in (
                (("add", tap_name(ID), "type", "veth", "peer", "name", "eth1"), True, {"physnet": 1500}),
                (("set", "eth1", "mtu", "1400"), True, {"physnet": 1400}),
                (("del", "eth1"), False, {}),
            ):
                run("ip", "link", *command)
                async with asyncio.timeout(PATIENCE_S):
                    while ((facts := await host.read_facts()).mtus, ID in facts.interfaces) != (mtus, there):
                        seen = await host.wait_change(seen)
        finally:
            host.close()
            await driver.close()

    asyncio.run(go())

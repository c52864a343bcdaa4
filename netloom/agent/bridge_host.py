"""Linux bridges as the loop sees them: which instances have a device, and frames from and to them.

An instance's device is known by its name, which is made of its port's id; its number stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from netloom.agent.parts import Routed
from netloom.agent.view import find_ports
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.bridge.frames import Frames
from netloom.drivers.bridge.links import make_mark
from netloom.drivers.bridge.watch import LinkWatch
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Action
from netloom.model.slices import Slices
from netloom.render.bridges.scene import tap_name


class BridgeHost:
    """Facts and packets of one host. `base` holds what configuration tells; `find_slices` gives them as they are."""

    def __init__(self, driver: BridgeDriver, base: HostFacts, find_slices: Callable[[], Slices]) -> None:
        self._driver, self._base, self._find_slices = driver, base, find_slices
        self._watch, self._frames = LinkWatch(), Frames()
        self.epoch = 0  # grows when somebody else changed devices of ours

    async def read_facts(self) -> HostFacts:
        """OSError when the kernel does not answer."""
        devices = await self._driver.read_devices()
        mark = make_mark({device.index: device for device in devices.values()})
        if mark != self._driver.mark:
            self._driver.mark = mark
            self.epoch += 1
        found = {}
        for port in find_ports(self._find_slices(), self._base.host):
            device = devices.get(tap_name(port.id))
            if device is not None:
                found[port.id] = Interface(device.name, device.index, device.mac)
        return replace(self._base, interfaces=found)

    async def wait_change(self, seen: int) -> int:
        return await self._watch.wait(seen)

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        self._frames.follow(on_packet)

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        """To the instance whose device has that number."""
        self._frames.send(ofport, frame)

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None:
        """No router is spread over bridges of the kernel."""

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None:
        raise ConnectionError("there is no switch with flows here")

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        """Nothing goes: what is announced so are addresses of distributed routers, of which there are none here."""

    def close(self) -> None:
        self._frames.close()
        self._watch.close()

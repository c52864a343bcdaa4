"""Linux bridges as the loop sees them: which instances have a device, and frames from and to them.

An instance's device is known by its name, which is made of its port's id; its number stands for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from netloom.agent.packet_log import Logged, read_head
from netloom.agent.parts import Routed
from netloom.agent.view import find_ports
from netloom.drivers.bridge.driver import BridgeDriver
from netloom.drivers.bridge.frames import Frames
from netloom.drivers.bridge.links import Device, make_mark
from netloom.drivers.bridge.nflog import Head, PacketHeads
from netloom.drivers.bridge.watch import LinkWatch
from netloom.drivers.filter.nft import TABLE
from netloom.model.facts import HostFacts, Interface
from netloom.model.flow import Action
from netloom.model.slices import Slices
from netloom.render.bridges.logs import GROUP, HEAD
from netloom.render.bridges.scene import tap_name

LOG = logging.getLogger(__name__)


class BridgeHost:
    """Facts and packets of one host. `base` holds what configuration tells; `find_slices` gives them as they are."""

    def __init__(self, driver: BridgeDriver, base: HostFacts, find_slices: Callable[[], Slices]) -> None:
        self._driver, self._base, self._find_slices = driver, base, find_slices
        self._watch, self._frames, self._heads = LinkWatch(TABLE), Frames(), PacketHeads()
        self._changes = 0  # of devices of ours, by somebody else
        self._devices: Mapping[str, Device] = {}
        self._looked = 0  # what the watch had told when they were read
        self._on_logged: Callable[[Logged], None] = lambda packet: None

    @property
    def epoch(self) -> int:
        """Grows when somebody else changed devices of ours."""
        return self._changes

    @property
    def tunnel_ip(self) -> str:
        return self._base.tunnel_ip

    @property
    def meddlings(self) -> int:
        """Grows when somebody else changed rules of ours."""
        return self._watch.meddled

    async def read_facts(self) -> HostFacts:
        """OSError when the kernel does not answer."""
        devices = await self._read_devices()
        found = {}
        for port in find_ports(self._find_slices(), self._base.host):
            device = devices.get(tap_name(port.id))
            if device is not None:
                found[port.id] = Interface(device.name, device.index, device.mac)
        nics = self._base.bridge_mappings.items()
        return replace(
            self._base,
            interfaces=found,
            mtus={name: devices[nic].mtu for name, nic in nics if nic in devices},
        )

    async def _read_devices(self) -> Mapping[str, Device]:
        """As they were when the kernel last told of a change: to read one costs half a millisecond."""
        news = self._watch.news
        if not news or news != self._looked:
            self._devices = await self._driver.read_devices()
            self._looked = news
            mark = make_mark({device.index: device for device in self._devices.values()})
            if mark != self._driver.mark:
                self._driver.mark = mark
                self._changes += 1
        return self._devices

    async def wait_change(self, seen: int) -> int:
        return await self._watch.wait(seen)

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        self._frames.follow(on_packet)
        try:
            self._heads.follow(GROUP, HEAD, self._take_head)
        except OSError as error:
            LOG.warning("packets of ports with logs cannot be written down: %s", error)

    def follow_logged(self, on_packet: Callable[[Logged], None]) -> None:
        """From now on call `on_packet` for each that rules hand over to be written down."""
        self._on_logged = on_packet

    def _take_head(self, head: Head) -> None:
        if (found := read_head(head)) is not None:
            self._on_logged(found)

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        """To the instance whose device has that number."""
        self._frames.send(ofport, frame)

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None:
        """No router is spread over bridges of the kernel."""

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None:
        raise ConnectionError("there is no switch with flows here")

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        """To all that are on a device's network: as if it had come in by that device, and were for everybody."""
        for index in self._frames.find_neighbours(ofport):
            self._frames.send(index, frame)

    def close(self) -> None:
        self._frames.close()
        self._heads.close()
        self._watch.close()

"""Open vSwitch as the loop sees it: the facts of its host, and packets in and out of its integration bridge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.ovs.openflow.messages import PacketIn
from netloom.model.facts import HostFacts
from netloom.model.flow import CONTROLLER, Output


class OvsHost:
    """Facts and packets of one host. `base` holds what configuration tells; the rest is read from the switch."""

    def __init__(self, driver: OvsDriver, base: HostFacts) -> None:
        self._driver, self._base = driver, base

    @property
    def epoch(self) -> int:
        """Grows when a bridge came back, perhaps with empty tables."""
        return self._driver.epoch

    async def read_facts(self) -> HostFacts:
        """From the replica of the database, without asking anybody. ConnectionError when there is none."""
        return replace(
            self._base,
            interfaces=await self._driver.read_interfaces(self._base.integration_bridge),
            ofports=await self._driver.read_ofports(),
            strays=await self._driver.read_strays(self._base.tunnel_bridge),
            underlay_devices=await self._driver.read_underlay(),
        )

    async def wait_change(self, seen: int) -> int:
        return await self._driver.wait_change(seen)

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        """Give each packet that a flow sends to us, with the port that it came in by."""

        def take(packet: PacketIn) -> None:
            on_packet(packet.in_port, packet.data)

        await self._driver.follow_packets(self._base.integration_bridge, take)

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        """Put a frame out of one port, as from the controller: a switch sends nothing back where it came from."""
        await self._driver.send_packet(self._base.integration_bridge, frame, (Output(ofport),), CONTROLLER)

"""Open vSwitch as the loop sees it: the facts of its host, and packets in and out of its integration bridge."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from netloom.agent.packet_log import Logged, read_head
from netloom.agent.parts import Routed
from netloom.drivers.bridge.nflog import Head, PacketHeads
from netloom.drivers.ovs.driver import OvsDriver
from netloom.drivers.ovs.openflow.messages import PacketIn
from netloom.model.address import ip_text
from netloom.model.facts import HostFacts
from netloom.model.flow import CONTROLLER, TABLES, Action, Output
from netloom.render.bridges.logs import GROUP, HEAD
from netloom.render.pipeline import (
    REASON_ACCEPTED,
    REASON_DROPPED,
    REASON_EXPIRED,
    REASON_HEARD,
    REASON_LARGE,
    REASON_RESOLVE,
)
from netloom.render.registers import NETWORK, NEXT, ORIGIN, OUT, ROUTER, SENDER

LOG = logging.getLogger(__name__)
LOGGED = {REASON_ACCEPTED: "ACCEPT", REASON_DROPPED: "DROP"}
ROUTED = (REASON_EXPIRED, REASON_RESOLVE, REASON_HEARD, REASON_LARGE)


class OvsHost:
    """Facts and packets of one host. `base` holds what configuration tells; the rest is read from the switch."""

    def __init__(self, driver: OvsDriver, base: HostFacts) -> None:
        self._driver, self._base = driver, base
        self._on_routed: Callable[[Routed], None] = lambda packet: None
        self._on_logged: Callable[[Logged], None] = lambda packet: None
        self._heads = PacketHeads()

    @property
    def epoch(self) -> int:
        """Grows when a bridge came back, perhaps with empty tables."""
        return self._driver.epoch

    async def read_facts(self) -> HostFacts:
        """From the replica of the database, without asking anybody. ConnectionError when there is none."""
        mtus = await self._driver.read_mtus()
        return replace(
            self._base,
            interfaces=await self._driver.read_interfaces(self._base.integration_bridge),
            ofports=await self._driver.read_ofports(),
            strays=await self._driver.read_strays(self._base.tunnel_bridge),
            silent=await self._driver.read_silent(self._base.tunnel_bridge),
            underlay_devices=await self._driver.read_underlay(),
            vlan_limit=self._driver.read_vlan_limit(),
            dead_bonds=await self._driver.read_dead_bonds(),
            mtus={name: mtus[bridge] for name, bridge in self._base.bridge_mappings.items() if bridge in mtus},
        )

    async def wait_change(self, seen: int) -> int:
        return await self._driver.wait_change(seen)

    async def follow_packets(self, on_packet: Callable[[int, bytes], None]) -> None:
        """Give each packet that a flow sends to us, with the number of the port that sent it: a subport has its own."""

        def take(packet: PacketIn) -> None:
            if packet.reason in LOGGED:
                self._on_logged(read_logged(packet))
            elif packet.reason in ROUTED:
                self._on_routed(read_routed(packet))
            else:
                on_packet(packet.fields.get(SENDER) or packet.in_port, packet.data)

        if self._base.hybrid:
            self._follow_heads()
        await self._driver.follow_packets(self._base.integration_bridge, take)

    def _follow_heads(self) -> None:
        """What rules of iptables hand over is written down as what flows do."""
        try:
            self._heads.follow(GROUP, HEAD, self._take_head)
        except OSError as error:
            LOG.warning("packets of ports with logs cannot be written down: %s", error)

    def _take_head(self, head: Head) -> None:
        if (found := read_head(head)) is not None:
            self._on_logged(found)

    async def follow_routed(self, on_packet: Callable[[Routed], None]) -> None:
        self._on_routed = on_packet

    def follow_logged(self, on_packet: Callable[[Logged], None]) -> None:
        """From now on call `on_packet` for each that is to be written down, and not as others are."""
        self._on_logged = on_packet

    async def send_through(self, frame: bytes, actions: Sequence[Action], in_port: int) -> None:
        await self._driver.send_packet(self._base.integration_bridge, frame, actions, in_port)

    async def send_packet(self, ofport: int, frame: bytes) -> None:
        """Put a frame out of one port, as from the controller: a switch sends nothing back where it came from."""
        await self._driver.send_packet(self._base.integration_bridge, frame, (Output(ofport),), CONTROLLER)

    async def inject_packet(self, ofport: int, frame: bytes) -> None:
        """Let a frame take its way through the tables as if it had come in by that port."""
        await self._driver.send_packet(self._base.integration_bridge, frame, (Output(TABLES),), ofport)


def read_logged(packet: PacketIn) -> Logged:
    """The packet, and the port whose groups decided: the receiver's once there is one, else the sender's."""
    out, sender = packet.fields.get(OUT, 0), packet.fields.get(SENDER, 0)
    return Logged(LOGGED[packet.reason], "ingress" if out else "egress", out or sender, packet.data)


def read_routed(packet: PacketIn) -> Routed:
    """The packet, with what the registers of `render.registers` held."""
    network, origin, router = (packet.fields.get(name, 0) for name in (NETWORK, ORIGIN, ROUTER))
    hop = sum(packet.fields.get(name, 0) << 32 * at for at, name in enumerate(reversed(NEXT)))
    version = 6 if packet.data[12:14] == b"\x86\xdd" else 4
    address = ip_text(hop if version == 6 else hop & 0xFFFFFFFF, version)
    return Routed(packet.reason, packet.data, network, origin, router, address)

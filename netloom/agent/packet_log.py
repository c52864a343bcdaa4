"""What security groups let pass or drop, written down for the ports that have logs: one line a packet.

Law: a flood costs lines up to a rate, over all ports, and nothing else; what was left out is counted in the next line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address

from netloom.agent.bucket import Bucket
from netloom.drivers.bridge.nflog import Head
from netloom.model.flow import SCTP, TCP, UDP
from netloom.model.slices import PortRow

LOG = logging.getLogger("netloom.packets")
RATE, BURST = 100.0, 25.0
"""Lines a second, and at once: as Neutron's rate_limit and burst_limit."""
EVENTS = {"ACCEPT": ("ACCEPT", "ALL"), "DROP": ("DROP", "ALL")}


@dataclass(frozen=True, slots=True)
class Logged:
    """A packet that a flow handed over: what became of it, which way, at the port with this number."""

    event: str  # "ACCEPT" or "DROP"
    direction: str  # "ingress" or "egress"
    number: int
    frame: bytes


def read_head(head: Head) -> Logged | None:
    """What a rule with words of `render.bridges.logs` tells; None for what is none of ours."""
    event, _, rest = head.prefix.partition(" ")
    direction, _, number = rest.partition(" ")
    if event not in EVENTS or direction not in ("ingress", "egress") or not number.isdecimal():
        return None
    return Logged(event, direction, int(number), head.frame)


class PacketLog:
    """Lines of the logger `netloom.packets`. `find_port` gives the port that has a number here now."""

    def __init__(self, find_port: Callable[[int], PortRow | None], clock: Callable[[], float]) -> None:
        self._find_port, self._clock = find_port, clock
        self._bucket = Bucket(BURST, clock())
        self._left_out = 0

    def take(self, packet: Logged) -> None:
        """Write a line, if the port still has a log of such events."""
        port = self._find_port(packet.number)
        logs = [mark.id for mark in port.logs if mark.event in EVENTS[packet.event]] if port else []
        if port is None or not logs:
            return
        left = self._bucket.take(self._clock(), RATE, BURST)
        if left is None:
            self._left_out += 1
            return
        self._bucket = left
        missed = f" left_out={self._left_out}" if self._left_out else ""
        self._left_out = 0
        LOG.info(
            "action=%s direction=%s port=%s project=%s logs=%s %s%s", packet.event, packet.direction, port.id,
            port.project_id, ",".join(logs), describe_frame(packet.frame), missed,
        )  # fmt: skip


def describe_frame(frame: bytes) -> str:
    """Who speaks to whom by which protocol; of what is cut short as much as is there."""
    text = f"{frame[6:12].hex(':')} > {frame[:6].hex(':')}"
    kind, packet = frame[12:14], frame[14:]
    if kind == b"\x08\x00" and len(packet) >= 20:
        return f"{text} {describe_ip(packet[9], packet[12:16], packet[16:20], packet[4 * (packet[0] & 15) :])}"
    if kind == b"\x86\xdd" and len(packet) >= 40:
        return f"{text} {describe_ip(packet[6], packet[8:24], packet[24:40], packet[40:])}"
    return f"{text} ethertype={kind.hex()}"


def describe_ip(protocol: int, source: bytes, target: bytes, body: bytes) -> str:
    text = f"src={ip_address(source)} dst={ip_address(target)} protocol={protocol}"
    if protocol in (TCP, UDP, SCTP) and len(body) >= 4:
        return f"{text} sport={int.from_bytes(body[:2], 'big')} dport={int.from_bytes(body[2:4], 'big')}"
    return f"{text} type={body[0]} code={body[1]}" if protocol in (1, 58) and len(body) >= 2 else text

"""What QoS policies make of rates: limits as values, the meters and shapes that keep them, and how much at once.

What a port sends is dropped above the rate by a meter, for a switch has no queue there; what it receives waits in a
queue of its device. A port without a device of the host's own (a subport, an internal port) gets a meter both ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netloom.model.device import MeterBody, Shape, ShapeClass, fit_burst, fit_rate
from netloom.model.plan import Thing
from netloom.model.slices import QosRow, Slice, Slices
from netloom.model.why import Why

MOST = 0xFFFFFFFF
TIMES = {"kbps": (4, 5), "pktps": (1, 10)}
"""Of a second: how much of a meter's rate may come at once where the policy does not say. Four fifths of a second let
TCP reach the rate, as in Neutron's agent."""
SENT_BITS, SENT_PACKETS, RECEIVED_BITS, RECEIVED_PACKETS = range(4)
"""Meters of a port. With a port's number in the low 16 bits, ids end where Open vSwitch's do (262,144)."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: kbit/s and kbit, or packets/s and packets. burst 0: as the host thinks fit."""

    rate: int
    burst: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What a policy says of a port; None where it says nothing. `least`: kbit/s guaranteed to what it sends."""

    sent: Rate | None = None
    received: Rate | None = None
    sent_packets: Rate | None = None
    received_packets: Rate | None = None
    mark: int | None = None
    least: int = 0

    @property
    def marks(self) -> bool:
        """Whether what the port sends is looked at on its way."""
        return self.sent is not None or self.mark is not None


NOTHING = Limits()


def find_limits(slices: Slices, policy: str) -> Limits:
    """What a policy says; nothing where it is not known yet (law 4): a port is wired before it is limited."""
    found = slices.get(f"policy/{policy}") if policy else None
    return read_limits(found) if found else NOTHING


def read_limits(policy: Slice) -> Limits:
    rows = sorted((row for row in policy.rows.values() if isinstance(row, QosRow)), key=lambda row: row.id)
    marks = [row.mark for row in rows if row.kind == "dscp_marking"]
    least = [row.rate for row in rows if row.kind == "minimum_bandwidth" and row.direction == "egress"]
    return Limits(
        find_rate(rows, "bandwidth_limit", "egress"),
        find_rate(rows, "bandwidth_limit", "ingress"),
        find_rate(rows, "packet_rate_limit", "egress"),
        find_rate(rows, "packet_rate_limit", "ingress"),
        marks[0] if marks else None,
        least[0] if least else 0,
    )


def find_rate(rows: Iterable[QosRow], kind: str, direction: str) -> Rate | None:
    """A rate of 0 is none, as in Neutron's agents."""
    found = (row for row in rows if row.kind == kind and row.direction == direction and row.rate)
    return next((Rate(row.rate, row.burst) for row in found), None)


# -- meters ------------------------------------------------------------------------------------------------------------


def meter_id(kind: int, number: int) -> int:
    return kind << 16 | number


def make_meter(bridge: str, id: int, unit: str, limit: Rate, why: Why) -> Thing:
    part, whole = TIMES[unit]
    burst = limit.burst or max(limit.rate * part // whole, 1)
    return Thing(("meter", bridge, id), MeterBody(unit, min(limit.rate, MOST), min(burst, MOST)), why)


# -- shapes ------------------------------------------------------------------------------------------------------------


def make_class(limit: Rate, source: str = "", destination: str = "", mac: str = "") -> ShapeClass:
    """A class that gives `limit` and no more. A queue needs no burst to reach its rate but a clock tick's worth."""
    rate = fit_rate(limit.rate)
    burst = fit_burst(max(limit.burst, rate // 250, 13), rate)  # kbit: 4 ms, or a frame
    return ShapeClass(rate, rate, burst, source, destination, mac)


def make_shape(space: str, device: str, classes: Iterable[ShapeClass], why: Why) -> Thing:
    return Thing(("shape", space, device), Shape(tuple(classes)), why)


def share_uplink(device: str, capacity: int, least: Iterable[tuple[str, int]], why: Why) -> Thing | None:
    """The queue of a NIC that carries `capacity` kbit/s: each sender (MAC, kbit/s) has its own when all want more.

    None where nobody is guaranteed anything. What is guaranteed beyond the capacity is cut in proportion by the queue.
    """
    total, made = fit_rate(capacity), list[ShapeClass]()
    for mac, rate in sorted(least):
        made.append(ShapeClass(fit_rate(rate), total, fit_burst(max(rate // 250, 13), fit_rate(rate)), mac=mac))
    if not made or not capacity:
        return None
    rest = fit_rate(max(capacity - sum(one.rate for one in made), capacity // 100, 1))
    made.append(ShapeClass(rest, total, fit_burst(max(rest // 250, 13), rest)))
    return Thing(("shape", "", device), Shape(tuple(made), total), why)


# -- routers -----------------------------------------------------------------------------------------------------------


def find_sent(limited: Iterable[tuple[str, Limits]]) -> Iterator[ShapeClass]:
    """For the gateway's device in a router's namespace: what leaves from each address, translated already."""
    return (make_class(limits.sent, source=address) for address, limits in limited if limits.sent)


def find_received(limited: Iterable[tuple[str, Limits]]) -> Iterator[ShapeClass]:
    """For the host's end of that device: what comes to each address, not yet translated."""
    return (make_class(limits.received, destination=address) for address, limits in limited if limits.received)

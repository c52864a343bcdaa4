"""Flows, meters and the shape that keep a port to its QoS policy.

A meter drops the packet for all that is still to come of it, and a flood comes to several ports one after another; so
what a port receives is metered only where it is sent to the port's own addresses, and never where it is flooded.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.address import mac_int
from netloom.model.flow import IPV4, IPV6, Action, Flow, Goto, Match, Meter, SetField, make_match
from netloom.model.plan import Thing
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.trunks import render_ends
from netloom.render.make import make_cookie, make_flow, make_thing
from netloom.render.pipeline import DELIVER, GUARD, INGRESS, QOS
from netloom.render.qos import (
    RECEIVED_BITS,
    RECEIVED_PACKETS,
    SENT_BITS,
    SENT_PACKETS,
    Limits,
    make_class,
    make_meter,
    make_shape,
    meter_id,
)
from netloom.render.scene import Plugged

Rule = tuple[int, int, Match, tuple[Action, ...]]


def find_entry(plugged: Plugged, limits: Limits) -> tuple[tuple[Action, ...], int]:
    """(what is done first with what the port sends, the table that it goes to then)."""
    first = (Meter(meter_id(SENT_PACKETS, plugged.ofport)),) if limits.sent_packets else ()
    return first, QOS if limits.marks else GUARD


def render_limits(plugged: Plugged, limits: Limits, device: str, bridge: str, host: str) -> Iterator[Thing]:
    """All things of a port's policy but its entry. `device`: where what it receives can wait, empty: nowhere."""
    port, cookie = plugged.port, make_cookie(f"host/{host}")
    why = Why(port.revision, (f"port/{port.id}", f"policy/{port.policy}"), "limits.render_limits")
    if limits.sent:
        yield make_meter(bridge, meter_id(SENT_BITS, plugged.ofport), "kbps", limits.sent, why)
    if limits.sent_packets:
        yield make_meter(bridge, meter_id(SENT_PACKETS, plugged.ofport), "pktps", limits.sent_packets, why)
    if limits.received_packets:
        yield make_meter(bridge, meter_id(RECEIVED_PACKETS, plugged.ofport), "pktps", limits.received_packets, why)
    if limits.received and device:
        yield make_shape("", device, [make_class(limits.received)], why)
    elif limits.received:
        yield make_meter(bridge, meter_id(RECEIVED_BITS, plugged.ofport), "kbps", limits.received, why)
    for table, priority, match, actions in (*find_sent(plugged, limits), *find_received(plugged, limits, device)):
        yield make_thing(make_flow(bridge, table, priority, match, actions, cookie, why))


def find_sent(plugged: Plugged, limits: Limits) -> Iterator[Rule]:
    if not limits.marks:
        return
    meter = (Meter(meter_id(SENT_BITS, plugged.ofport)),) if limits.sent else ()
    sender = {reg.SENDER: plugged.ofport}
    yield QOS, 100, make_match(**sender), (*meter, Goto(GUARD))
    if limits.mark is not None:
        for version in (IPV4, IPV6):
            match = make_match(**sender, eth_type=version)
            yield QOS, 110, match, (*meter, SetField("ip_dscp", limits.mark), Goto(GUARD))


def find_received(plugged: Plugged, limits: Limits, device: str) -> Iterator[Rule]:
    macs = [mac_int(mac) for mac in dict.fromkeys((plugged.port.mac, *(pair.mac for pair in plugged.port.pairs)))]
    for table, priority, match, actions in find_metered(plugged, limits, device):
        for mac in macs:
            yield table, priority, tuple(sorted((*match, ("eth_dst", mac, None)))), actions


def find_metered(plugged: Plugged, limits: Limits, device: str) -> Iterator[Rule]:
    """The flows that the packet would meet, narrower by its address, with a meter first."""
    if limits.received and not device:
        meter = Meter(meter_id(RECEIVED_BITS, plugged.ofport))
        for table, priority, match, actions in render_ends(plugged):
            if table == DELIVER and actions and (reg.OUT, plugged.ofport, None) in match:
                yield table, priority + 5, match, (meter, *actions)


def meter_arrival(plugged: Plugged, limits: Limits, arrival: Flow) -> Iterator[Flow]:
    """The flow by which a packet comes to the port's own rules, again for its addresses alone and metered."""
    if not limits.received_packets or arrival.table != INGRESS:
        return
    meter = Meter(meter_id(RECEIVED_PACKETS, plugged.ofport))
    for mac in dict.fromkeys((plugged.port.mac, *(pair.mac for pair in plugged.port.pairs))):
        match = tuple(sorted((*arrival.match, ("eth_dst", mac_int(mac), None))))
        yield Flow(
            arrival.bridge, arrival.table, arrival.priority + 5, match, (meter, *arrival.actions), arrival.cookie,
            arrival.why,
        )  # fmt: skip

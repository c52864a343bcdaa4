"""What keeps a port on Linux bridges to its QoS policy: rules of nft for what it sends, a queue for what it gets.

The same as `flows.limits` says for Open vSwitch: above the rate what a port sends is dropped, what it receives waits.
nft counts a second's worth of bytes in its bucket whatever burst is asked for, so that much may come at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from netloom.model.facts import HostFacts
from netloom.model.filter import Way, make_chain
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.bridges.scene import tap_name
from netloom.render.qos import Limits, Rate, find_limits, make_class, make_shape, share_uplink
from netloom.render.scene import Plugged, choose_segment

LEAST_BURST = 2


def render_sent(limits: Limits) -> tuple[str, ...]:
    """The first rules of what a port sends; they let everything go on to the rest."""
    rules = []
    if limits.sent_packets:
        rules.append(f"{over_packets(limits.sent_packets)} drop")
    if limits.sent:
        rules.append(f"{over_bits(limits.sent)} drop")
    if limits.mark is not None:
        rules += [f"{family} dscp set {limits.mark}" for family in ("ip", "ip6")]
    return tuple(rules)


def over_packets(limit: Rate) -> str:
    burst = limit.burst or max(limit.rate // 10, LEAST_BURST)
    return f"limit rate over {limit.rate}/second burst {burst} packets"


def over_bits(limit: Rate) -> str:
    """kbit/s are 125 bytes a second."""
    burst = f" burst {limit.burst * 125} bytes" if limit.burst else ""
    return f"limit rate over {limit.rate * 125} bytes/second{burst}"


def render_received(plugged: Plugged, limits: Limits) -> Iterator[Thing]:
    """The queue of the port's device, and the packets that may come to it."""
    port, tap = plugged.port, tap_name(plugged.port.id)
    why = Why(port.revision, (f"port/{port.id}", f"policy/{port.policy}"), "bridges.render_received")
    if limits.received:
        yield make_shape("", tap, [make_class(limits.received)], why)
    if limits.received_packets:
        name = f"limit_{port.id[:11]}"
        rules = (f"{over_packets(limits.received_packets)} drop",)
        yield Thing(("filter_chain", "bridge", name), make_chain(rules), why)
        yield Thing(("filter_way", "bridge", "arrivals", tap), Way(f"jump {name}"), why)


def render_shares(
    plugged: Mapping[str, Sequence[Plugged]],
    networks: Mapping[str, tuple[NetworkRow, Slice]],
    slices: Slices,
    facts: HostFacts,
) -> Iterator[Thing]:
    """A queue for each NIC whose capacity is known, where a port is guaranteed some of it (see `render.uplinks`)."""
    wanted: dict[str, list[tuple[Plugged, int]]] = {}
    for id, members in plugged.items():
        segment = choose_segment(networks[id][0], facts)
        if segment and segment.physical_network in facts.bandwidths:
            least = ((one, find_limits(slices, one.port.policy).least) for one in members)
            wanted.setdefault(segment.physical_network, []).extend((one, rate) for one, rate in least if rate)
    for physical, held in sorted(wanted.items()):
        why = Why(
            max((one.port.revision for one, _ in held), default=0),
            tuple(f"port/{one.port.id}" for one, _ in held),
            "bridges.render_shares",
        )
        least_by_mac = [(one.port.mac, rate) for one, rate in held]
        shape = share_uplink(facts.bridge_mappings[physical], facts.bandwidths[physical], least_by_mac, why)
        if shape is not None:
            yield shape

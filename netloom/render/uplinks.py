"""Queues of devices: where what a port receives can wait, and how the ports of a host share its NICs.

A guarantee holds against those who share a NIC. On a flat or VLAN network a frame on the NIC has its sender's MAC, and
by that the queue of the NIC tells whose it is; in a tunnel it has not, so there is no guarantee there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.qos import find_limits, share_uplink
from netloom.render.scene import Plugged, choose_segment


def find_queue(plugged: Plugged, facts: HostFacts) -> str:
    """The device where what the port receives waits; empty for one that has none of the host's own."""
    held = facts.interfaces.get(plugged.port.id)
    return held.name if held and not plugged.trunk and held.type in ("", "system") else ""


def render_uplinks(
    plugged: Mapping[str, Sequence[Plugged]],
    networks: Mapping[str, tuple[NetworkRow, Slice]],
    slices: Slices,
    facts: HostFacts,
) -> Iterator[Thing]:
    """A queue for each NIC whose capacity is known, where a port is guaranteed some of it."""
    wanted: dict[str, list[Plugged]] = {}
    for id, members in plugged.items():
        segment = choose_segment(networks[id][0], facts)
        if segment and segment.physical_network in facts.bandwidths:
            wanted.setdefault(segment.physical_network, []).extend(members)
    for physical, members in sorted(wanted.items()):
        least = [(one.port, find_limits(slices, one.port.policy).least) for one in members if one.port.policy]
        least = [(port, rate) for port, rate in least if rate]
        ids = tuple(f"port/{port.id}" for port, _ in least)
        why = Why(max((port.revision for port, _ in least), default=0), ids, "uplinks.render_uplinks")
        for device in find_nics(physical, facts):
            shape = share_uplink(device, facts.bandwidths[physical], ((p.mac, rate) for p, rate in least), why)
            if shape is not None:
                yield shape


def find_nics(physical: str, facts: HostFacts) -> list[str]:
    """The host's own devices on the bridge of a physical network."""
    bridge = facts.bridge_mappings.get(physical, "")
    return [device for device in facts.underlay_devices if (bridge, device) in facts.ofports]

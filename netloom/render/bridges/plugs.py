"""Which ports have a device on a host with Linux bridges; and the devices of trunks' subports, which the agent makes.

A subport has a device of its own, named as any instance's: a VLAN of its parent's device, as Neutron's agent makes it.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.bridge import VlanDevice
from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import PortRow
from netloom.model.why import Why
from netloom.render.bridges.scene import tap_name
from netloom.render.scene import Plugged


def find_plugged(ports: tuple[PortRow, ...], facts: HostFacts) -> tuple[Plugged, ...]:
    """Ports that are on and whose device is there; a subport is off with its parent."""
    on = {port.id for port in ports if port.admin_state_up}
    return tuple(
        Plugged(port, held.ofport)
        for port in ports
        if port.id in on and (not port.parent_id or port.parent_id in on) and (held := facts.interfaces.get(port.id))
    )


def render_subports(ports: tuple[PortRow, ...], facts: HostFacts) -> Iterator[tuple[str, Thing]]:
    """(the subport, its device), for those whose parent's device is there."""
    known = {port.id: port for port in ports}
    for port in ports:
        parent = known.get(port.parent_id)
        if parent is not None and parent.id in facts.interfaces and port.admin_state_up and parent.admin_state_up:
            why = Why(port.revision, (f"port/{port.id}", f"network/{port.network_id}"), "bridges.render_subports")
            yield port.id, Thing(("vlan", tap_name(port.id)), VlanDevice(tap_name(parent.id), port.vlan), why)

"""Virtual functions (SR-IOV): the settings of a port that a NIC switches itself, past the host's switch."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.device import Link, VirtualFunction
from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, PortRow, Segment, Slices
from netloom.model.why import Why
from netloom.render.qos import find_limits
from netloom.render.scene import find_network, find_ports


def render_functions(slices: Slices, facts: HostFacts) -> Iterator[Thing]:
    """One for each port at a PCI slot whose network a NIC of this host carries."""
    holders = find_holders(slices, facts)
    for port in find_ports(slices, facts.host):
        held = bool(port.pci_slot) and holders[port.pci_slot] == port.id
        network = find_network(slices.get(f"network/{port.network_id}")) if held else None
        segment = find_segment(network, facts) if network else None
        if network is None or segment is None:
            continue
        limits = find_limits(slices, port.policy)
        value = VirtualFunction(
            port.mac,
            segment.segmentation_id,
            port.port_security,
            port.trusted,
            port.admin_state_up and network.admin_state_up,
            find_mbps(limits.sent.rate if limits.sent else 0),
            find_mbps(limits.least),
        )
        why = Why(port.revision, (f"port/{port.id}", f"network/{network.id}"), "functions.render_functions")
        yield Thing(("vf", port.pci_slot), value, why)
        if port.vnic_type == MACVTAP and port.pci_slot in facts.taps:
            yield Thing(("link", facts.taps[port.pci_slot].name), Link(value.up, network.mtu, port.mac), why)


WHOLE = ("direct-physical", "accelerator-direct-physical")
"""The vnic_types of a port whose instance has all of a NIC: nothing is left to be done on its host."""
MACVTAP = "macvtap"
"""The vnic_type of a port whose instance has not the function itself, but a device of the host's on it."""


def find_mbps(kbps: int) -> int:
    """As NICs have rates: in whole Mbit/s, and 0 is none; so less than one is one."""
    return -(-kbps // 1000)


def find_holders(slices: Slices, facts: HostFacts) -> dict[str, str]:
    """By PCI slot, the port that has the function: of several that say so the first by id, whoever came first."""
    found = ((port.pci_slot, port.id) for port in find_ports(slices, facts.host) if port.pci_slot)
    return dict(sorted(found, reverse=True))


def find_segment(network: NetworkRow, facts: HostFacts) -> Segment | None:
    kinds = ("flat", "vlan")
    found = (s for s in network.segments if s.network_type in kinds and s.physical_network in facts.device_mappings)
    return next(found, None)


def find_reason(port: PortRow, network: NetworkRow, slices: Slices, facts: HostFacts) -> str:
    """Why the function cannot be set; empty: it can, as far as the host knows."""
    if (holder := find_holders(slices, facts)[port.pci_slot]) != port.id:
        return f"the function at PCI slot {port.pci_slot} is port {holder}'s"
    if find_segment(network, facts) is None:
        return f"no NIC for SR-IOV of host {facts.host} carries network {network.id}"
    if port.vnic_type == MACVTAP and port.pci_slot not in facts.taps:
        return f"waiting for a macvtap device on the function at PCI slot {port.pci_slot}"
    return ""

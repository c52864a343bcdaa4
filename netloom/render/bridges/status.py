"""Which ports of a host with Linux bridges cannot carry traffic yet, and what each waits for, in words."""

from __future__ import annotations

from netloom.model.facts import HostFacts
from netloom.model.slices import PortRow, Slices
from netloom.render.bridges.mirrors import find_tap_reason
from netloom.render.bridges.scene import tap_name
from netloom.render.scene import choose_segment, find_network, find_ports
from netloom.render.status import ROUTER_OWNERS, find_mtu_reason, find_router_reason

MAKING = "its device is being made"
"""Of what the agent itself makes: where that was refused, the refusal says more."""


def find_pending(slices: Slices, facts: HostFacts) -> dict[str, str]:
    """Port id → reason, for the ports bound to this host that are not wired."""
    found = ((port.id, find_reason(port, slices, facts)) for port in find_ports(slices, facts.host))
    return {id: reason for id, reason in found if reason}


def find_reason(port: PortRow, slices: Slices, facts: HostFacts) -> str:
    """Why the port cannot carry traffic; empty: it can."""
    if not port.admin_state_up:
        return "the port is administratively down"
    network = find_network(slices.get(f"network/{port.network_id}"))
    if network is None:
        return f"the host does not know network {port.network_id} yet"
    if not network.admin_state_up:
        return f"network {network.id} is administratively down"
    if choose_segment(network, facts) is None:
        return f"network {network.id} has no segment that host {facts.host} can carry"
    if reason := find_mtu_reason(network, facts):
        return reason
    if port.device_owner in ROUTER_OWNERS and (reason := find_router_reason(port, slices, facts)):
        return reason
    if reason := find_tap_reason(port.id, slices, facts):
        return reason
    if port.parent_id and port.parent_id not in facts.interfaces:
        return f"waiting for a device named {tap_name(port.parent_id)}, of its trunk's parent port"
    if port.parent_id and port.id not in facts.interfaces:
        return MAKING
    if port.id not in facts.interfaces:
        return f"waiting for a device named {tap_name(port.id)}"
    return ""

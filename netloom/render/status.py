"""Which ports of a host cannot carry traffic yet, and what each waits for, in an operator's words."""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.encapsulation import explain_underlay
from netloom.model.facts import HostFacts
from netloom.model.slices import FloatingRow, HostRow, InterfaceRow, NetworkRow, PortRow, RouterRow, Slice, Slices
from netloom.render import functions
from netloom.render.router_scene import find_centre
from netloom.render.scene import TUNNELS, choose_segment, find_network, find_ports
from netloom.render.space_scene import find_router

SNAT_OWNER = "network:router_centralized_snat"
CENTRAL_OWNERS = frozenset({"network:router_gateway", "network:router_ha_interface"})
ROUTER_OWNERS = frozenset(
    {
        "network:router_interface", "network:ha_router_replicated_interface", "network:router_gateway",
        "network:router_ha_interface",
    }
)  # fmt: skip
"""Of ports that a router has on its host."""


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
    if port.vnic_type in functions.WHOLE:
        return ""
    if port.pci_slot:
        return functions.find_reason(port, network, slices, facts)
    if choose_segment(network, facts) is None:
        return f"network {network.id} has no segment that host {facts.host} can carry"
    if reason := find_bond_reason(network, facts) or find_mtu_reason(network, facts):
        return reason
    if port.device_owner in ROUTER_OWNERS and (reason := find_router_reason(port, slices, facts)):
        return reason
    if is_in_flows(port, slices):
        return ""
    if port.parent_id:
        return find_parent_reason(port, slices, facts)
    return find_device_reason(port.id, facts)


def find_bond_reason(network: NetworkRow, facts: HostFacts) -> str:
    """A bond that is left with no NIC leads nowhere; with one it goes on, and the agent says what it lacks."""
    segment = choose_segment(network, facts)
    bridge = facts.bridge_mappings.get(segment.physical_network, "") if segment is not None else ""
    return facts.dead_bonds.get(bridge, "")


def find_mtu_reason(network: NetworkRow, facts: HostFacts) -> str:
    """A NIC that carries less than the network's packets may have drops the long ones without a word to anybody."""
    segment = choose_segment(network, facts)
    if segment is None:
        return ""
    if segment.network_type in TUNNELS:
        return explain_underlay(network.mtu, segment.network_type, facts.tunnel_ip, facts.host, facts.underlay_mtu)
    carried = facts.mtus.get(segment.physical_network, 0)
    if not 0 < carried < network.mtu:
        return ""
    return (
        f"network {network.id} has packets of up to {network.mtu} bytes (MTU), and the NIC of physical network "
        f"{segment.physical_network} on host {facts.host} carries {carried}"
    )


def is_in_flows(port: PortRow, slices: Slices) -> bool:
    """A distributed router's ports have no device: they are flows of every host, and its central ones of this."""
    if port.device_owner == SNAT_OWNER:
        return True
    router = find_router(slices.get(f"router/{port.device_id}")) if port.device_owner in CENTRAL_OWNERS else None
    return router is not None and router.distributed


def find_parent_reason(port: PortRow, slices: Slices, facts: HostFacts) -> str:
    """A subport is carried by its parent's device, and is off with it."""
    own = slices.get(f"host/{facts.host}")
    parent = own.rows.get(f"port/{port.parent_id}") if own else None
    if not isinstance(parent, PortRow):
        return f"the host does not know its trunk's parent port {port.parent_id} yet"
    if not parent.admin_state_up:
        return f"its trunk's parent port {parent.id} is administratively down"
    return find_device_reason(parent.id, facts)


def find_router_reason(port: PortRow, slices: Slices, facts: HostFacts) -> str:
    """A router's port is there while its router is switched on."""
    router = find_router(slices.get(f"router/{port.device_id}"))
    if router is None:
        return f"the host does not know router {port.device_id} yet"
    return "" if router.admin_state_up else f"router {router.id} is administratively down"


def find_floating(slices: Slices, facts: HostFacts) -> dict[str, str]:
    """Floating IP → what it waits for, empty where it is carried; of those that this host is to translate."""
    found = {}
    for name, part in slices.items():
        router = find_router(part) if name.startswith("router/") else None
        for row in part.rows.values() if router is not None else ():
            if isinstance(row, FloatingRow) and router is not None and find_translator(router, row) == facts.host:
                found[row.id] = find_floating_reason(router, row, slices, facts)
    return found


def find_floating_reason(router: RouterRow, row: FloatingRow, slices: Slices, facts: HostFacts) -> str:
    if not router.admin_state_up:
        return f"router {router.id} is administratively down"
    network = find_network(slices.get(f"network/{row.network_id}"))
    if network is None:
        return f"the host does not know network {row.network_id} yet"
    carried = network.admin_state_up and choose_segment(network, facts) is not None
    return "" if carried else f"network {network.id} has no segment that host {facts.host} can carry"


def find_central(slices: Slices, facts: HostFacts) -> dict[str, str]:
    """Router → "active" where this host hides addresses for it, "standby" where it waits: of those that are distributed
    and redundant, and that it may hide them for. It is what tunnels say, as for flows."""
    found = {}
    for name, part in slices.items():
        router = find_router(part) if name.startswith("router/") else None
        if router is not None and router.distributed and router.ha and router.admin_state_up:
            names = [one.name for one in router.hosts]
            if facts.host in names:
                centre = find_centre(router, dict(find_ends(part, names, slices)), facts.silent)
                found[router.id] = "active" if centre == facts.host else "standby"
    return found


def find_ends(router: Slice, names: list[str], slices: Slices) -> Iterator[tuple[str, str]]:
    """(host, its tunnel address), of these hosts, as the router's networks know them."""
    for row in router.rows.values():
        network = slices.get(f"network/{row.network_id}") if isinstance(row, InterfaceRow) else None
        for name in names if network is not None else ():
            host = network.rows.get(f"host/{name}") if network is not None else None
            if isinstance(host, HostRow) and host.tunnel_ip:
                yield name, host.tunnel_ip


def find_translator(router: RouterRow, row: FloatingRow) -> str:
    """The host that translates a floating IP: that of the active copy where there are several."""
    if router.distributed:
        return row.host
    active = [one.name for one in router.hosts if one.state == "active"]
    return next(iter((*active, *(one.name for one in router.hosts))), "")


def find_device_reason(id: str, facts: HostFacts) -> str:
    held = facts.interfaces.get(id)
    if held is None:
        return f"waiting for a device with iface-id {id} on {facts.integration_bridge}"
    if held.ofport <= 0:
        return f"the switch could not open {held.name}: {held.error or 'no reason given'}"
    return ""

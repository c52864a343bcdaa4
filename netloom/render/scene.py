"""What render sees of one network on one host: which ports are plugged, and how it leaves the host."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netloom.model.facts import HostFacts
from netloom.model.slices import NetworkRow, PortRow, Segment, Slice, Slices
from netloom.render.subports import number_subports

TUNNELS = ("vxlan", "gre", "geneve")
VLAN_TAG, SERVICE_TAG = 0x8100, 0x88A8
"""IEEE 802.1Q, and 802.1ad: a tag around others."""


@dataclass(frozen=True, slots=True)
class Plugged:
    """A port of this host whose device, or whose parent's device, the switch has opened.

    ofport: its number in registers and zones: the device's, or of a subport one of its own (see `render.subports`).
    trunk: of a subport, the ofport of the device that carries it; else 0.
    """

    port: PortRow
    ofport: int
    trunk: int = 0

    @property
    def device(self) -> int:
        """The ofport of the device that its frames come and go by."""
        return self.trunk or self.ofport


@dataclass(frozen=True, slots=True)
class Tunnel:
    """How a network leaves by tunnel: the port on br-tun and the number in the header.

    strays: (remote address, number) of ports that others made for one remote host each.
    """

    ofport: int
    key: int
    strays: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """How a network leaves to a physical network: the patch port on br-int, and the VLAN, 0 for none.

    ethertype: what kind of tag that is.
    """

    ofport: int
    vlan: int
    ethertype: int = VLAN_TAG


@dataclass(frozen=True, slots=True)
class Scene:
    """One network on this host, whoever is on it: what all its flows depend on."""

    network: NetworkRow
    integration: str
    tunnel_bridge: str
    patch_tun: int  # on br-int; 0: none
    patch_int: int  # on br-tun; 0: none
    host: str = ""
    tunnel: Tunnel | None = None
    provider: Provider | None = None

    @property
    def slice(self) -> str:
        return f"network/{self.network.id}"


def patch_name(bridge: str) -> str:
    """The patch port on br-int that leads to a physical network's bridge."""
    return f"int-{bridge}"[:15]


def patch_peer(bridge: str) -> str:
    return f"phy-{bridge}"[:15]


def tunnel_port(network_type: str) -> str:
    """The one port on br-tun through which all tunnels of a type go."""
    return f"nl-{network_type}"


def find_ports(slices: Slices, host: str) -> tuple[PortRow, ...]:
    """The ports bound to this host, by id."""
    own = slices.get(f"host/{host}")
    found = [row for row in own.rows.values() if isinstance(row, PortRow)] if own else []
    return tuple(sorted(found, key=lambda row: row.id))


def find_network(found: Slice | None) -> NetworkRow | None:
    """The network of a slice; None while the slice or its network row is not there (law 4)."""
    if found is None:
        return None
    row = found.rows.get(found.name)
    return row if isinstance(row, NetworkRow) else None


def find_plugged(ports: tuple[PortRow, ...], facts: HostFacts) -> tuple[Plugged, ...]:
    """Ports that are on and whose device the switch opened; and the subports that such a port carries."""
    held = facts.interfaces
    here = [
        Plugged(port, held[port.id].ofport)
        for port in ports
        if not port.parent_id and port.admin_state_up and port.id in held and held[port.id].ofport > 0
    ]
    return (*here, *find_subports(ports, here, facts))


def find_subports(ports: tuple[PortRow, ...], here: Iterable[Plugged], facts: HostFacts) -> Iterator[Plugged]:
    carried = [port for port in ports if port.parent_id and port.admin_state_up]
    if not carried:
        return
    devices = {plugged.port.id: plugged.ofport for plugged in here}
    taken = {number for (bridge, _), number in facts.ofports.items() if bridge == facts.integration_bridge}
    taken.update(held.ofport for held in facts.interfaces.values())
    numbers = number_subports((port.id for port in carried), taken)
    for port in carried:
        if port.parent_id in devices and port.id in numbers:
            yield Plugged(port, numbers[port.id], devices[port.parent_id])


def choose_segment(network: NetworkRow, facts: HostFacts) -> Segment | None:
    """The first segment that this host carries."""
    return next((segment for segment in network.segments if carries(segment, facts)), None)


def carries(segment: Segment, facts: HostFacts) -> bool:
    if segment.network_type in TUNNELS:
        return bool(facts.tunnel_ip) and segment.network_type in facts.tunnel_types
    if segment.network_type in ("flat", "vlan"):
        return segment.physical_network in facts.bridge_mappings
    return segment.network_type == "local"


def make_scene(network: NetworkRow, facts: HostFacts) -> Scene:
    segment = choose_segment(network, facts)
    return Scene(
        network=network,
        integration=facts.integration_bridge,
        tunnel_bridge=facts.tunnel_bridge,
        patch_tun=max(facts.ofports.get((facts.integration_bridge, "patch-tun"), 0), 0),
        patch_int=max(facts.ofports.get((facts.tunnel_bridge, "patch-int"), 0), 0),
        host=facts.host,
        tunnel=find_tunnel(segment, facts),
        provider=find_provider(segment, facts, network.qinq),
    )


def find_tunnel(segment: Segment | None, facts: HostFacts) -> Tunnel | None:
    if segment is None or segment.network_type not in TUNNELS:
        return None
    ofport = facts.ofports.get((facts.tunnel_bridge, tunnel_port(segment.network_type)), 0)
    if ofport <= 0:
        return None
    strays = sorted((ip, number) for (kind, ip), number in facts.strays.items() if kind == segment.network_type)
    return Tunnel(ofport, segment.segmentation_id, tuple(strays))


def find_provider(segment: Segment | None, facts: HostFacts, outer: bool = False) -> Provider | None:
    """`outer`: its tag goes around those of who use it."""
    if segment is None or segment.network_type not in ("flat", "vlan"):
        return None
    bridge = facts.bridge_mappings[segment.physical_network]
    ofport = facts.ofports.get((facts.integration_bridge, patch_name(bridge)), 0)
    return Provider(ofport, segment.segmentation_id, SERVICE_TAG if outer else VLAN_TAG) if ofport > 0 else None

"""What render sees of one network on a host with Linux bridges; and the names of its devices, as they are known."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from netloom.model.facts import HostFacts
from netloom.model.slices import HostRow, NetworkRow, PlaceRow, PortRow, Segment, Slice, SubnetRow
from netloom.render.scene import Plugged, choose_segment

LONGEST = 15  # IFNAMSIZ - 1


@dataclass(frozen=True, slots=True)
class BridgeScene:
    """One network on this host. `remotes`: the other hosts with a tunnel endpoint, by name."""

    network: NetworkRow
    host: str
    segment: Segment
    plugged: tuple[Plugged, ...]
    subnets: tuple[SubnetRow, ...]
    places: tuple[PlaceRow, ...]
    remotes: tuple[HostRow, ...]
    nic: str = ""  # of a flat or VLAN network

    @property
    def bridge(self) -> str:
        return bridge_name(self.network.id)

    @property
    def uplink(self) -> str:
        """The device by which the network leaves this host; empty: it does not."""
        kind = self.segment.network_type
        if kind == "vxlan":
            return vxlan_name(self.segment.segmentation_id)
        return vlan_name(self.nic, self.segment.segmentation_id) if kind == "vlan" else self.nic


def bridge_name(network_id: str) -> str:
    return f"brq{network_id}"[:14]


def tap_name(port_id: str) -> str:
    return f"tap{port_id}"[:14]


def vxlan_name(vni: int) -> str:
    return f"vxlan-{vni}"


def vlan_name(nic: str, vlan: int) -> str:
    """`eth1.100`; where that is too long for a device, a digest of the NIC's name stands for it.

    >>> vlan_name("eth1", 100), len(vlan_name("enp129s0f1np1", 4000))
    ('eth1.100', 15)
    """
    name = f"{nic}.{vlan}"
    if len(name) <= LONGEST:
        return name
    short = blake2b(nic.encode(), digest_size=5).hexdigest()
    return f"{short}.{vlan}"[:LONGEST]


def make_scene(found: Slice, network: NetworkRow, plugged: tuple[Plugged, ...], facts: HostFacts) -> BridgeScene:
    """Of a network that has a segment for this host."""
    segment = choose_segment(network, facts) or Segment("local")
    rows = found.rows.values()
    remotes = [row for row in rows if isinstance(row, HostRow) and row.name != facts.host and row.tunnel_ip]
    return BridgeScene(
        network=network,
        host=facts.host,
        segment=segment,
        plugged=plugged,
        subnets=tuple(sorted((r for r in rows if isinstance(r, SubnetRow)), key=lambda r: r.id)),
        places=tuple(sorted((r for r in rows if isinstance(r, PlaceRow)), key=lambda r: r.id)),
        remotes=tuple(sorted(remotes, key=lambda r: r.name)),
        nic=facts.bridge_mappings.get(segment.physical_network, "") if segment.physical_network else "",
    )


def find_macs(row: PortRow | PlaceRow) -> tuple[str, ...]:
    """Its own MAC first, then those of its address pairs, each once."""
    return tuple(dict.fromkeys((row.mac, *(pair.mac for pair in row.pairs))))

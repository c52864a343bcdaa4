"""What render sees of one network on a host with Linux bridges; and the names of its devices, as they are known."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

from netloom.model.facts import HostFacts
from netloom.model.slices import NetworkRow, PlaceRow, PortRow, Segment
from netloom.render.scene import choose_segment

LONGEST = 15  # IFNAMSIZ - 1


@dataclass(frozen=True, slots=True)
class BridgeScene:
    """One network on this host, whoever is on it: what all its things depend on.

    `zone`: of its connections. `plain`: the kernel writes the checksums of what goes into devices of ours.
    """

    network: NetworkRow
    host: str
    segment: Segment
    zone: int = 0
    nic: str = ""  # of a flat or VLAN network
    tunnel_ip: str = ""
    plain: bool = False
    metadata: bool = False

    @property
    def slice(self) -> str:
        return f"network/{self.network.id}"

    @property
    def bridge(self) -> str:
        return bridge_name(self.network.id)

    @property
    def tunnelled(self) -> bool:
        return self.segment.network_type == "vxlan"

    @property
    def uplink(self) -> str:
        """The device by which the network leaves this host; empty: it does not."""
        if self.tunnelled:
            return vxlan_name(self.segment.segmentation_id)
        return vlan_name(self.nic, self.segment.segmentation_id) if self.segment.network_type == "vlan" else self.nic


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


def make_scene(network: NetworkRow, facts: HostFacts, zone: int) -> BridgeScene:
    """Of a network that has a segment for this host."""
    segment = choose_segment(network, facts) or Segment("local")
    return BridgeScene(
        network=network,
        host=facts.host,
        segment=segment,
        zone=zone,
        nic=facts.bridge_mappings.get(segment.physical_network, "") if segment.physical_network else "",
        tunnel_ip=facts.tunnel_ip,
        plain=facts.datapath_type == "netdev",
        metadata=facts.metadata,
    )


def find_macs(row: PortRow | PlaceRow) -> tuple[str, ...]:
    """Its own MAC first, then those of its address pairs, each once."""
    return tuple(dict.fromkeys((row.mac, *(pair.mac for pair in row.pairs))))

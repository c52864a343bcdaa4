"""What a host with Linux bridges holds, as values: bridges, tunnel and VLAN devices, their ports, and who is where.

Each is the value of a Thing; the key's shape is given with each class. Devices carry our word as their alias; addresses
on a device of ours are ours.
"""

from __future__ import annotations

from dataclasses import dataclass

VXLAN_PORT = 4789
"""RFC 7348; Open vSwitch and we send to the same, so a network may span both."""


@dataclass(frozen=True, slots=True)
class LinuxBridge:
    """A bridge, up, with no address. Key: ("brq", name)."""

    mtu: int


@dataclass(frozen=True, slots=True)
class VxlanDevice:
    """A tunnel device that learns nothing. Key: ("vxlan", name).

    `plain`: the kernel writes the checksums of what goes in, for hosts that switch in user space. `proxy`: it answers
    ARP and ND for neighbours that it knows, and lets no question nor ARP answer through.
    """

    vni: int
    local: str
    mtu: int
    plain: bool = False
    port: int = VXLAN_PORT
    proxy: bool = True


@dataclass(frozen=True, slots=True)
class VlanDevice:
    """A VLAN of a NIC as a device. Key: ("vlan", name)."""

    parent: str
    vlan: int


@dataclass(frozen=True, slots=True)
class BridgePort:
    """A device that is in a bridge. Key: ("bridge_port", device).

    `mtu`: of an instance's device; 0 leaves it alone. `learning`, `flood`: whether source addresses are learned there,
    and unicast to unknown ones goes there. `answers`: the bridge answers ARP for its neighbours whose MAC leads there.
    """

    bridge: str
    mtu: int = 0
    learning: bool = False
    flood: bool = False
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Leads:
    """A MAC leads somewhere. Keys:

    ("bridge_fdb", device, mac): to that port of its bridge. ("tunnel_fdb", device, mac, host's address): through the
    tunnel to that host; the MAC of zeros stands for broadcast and what is unknown.
    """


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Whose MAC an address has: what a tunnel device, or a bridge, answers. Key: ("neighbour", device, ip)."""

    mac: str


@dataclass(frozen=True, slots=True)
class Copy:
    """Copies of what a device sends or gets, to another. Key: ("copy", device, "sent" or "received", other device)."""

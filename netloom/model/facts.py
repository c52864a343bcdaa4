"""What one host is and has: read by its agent, given to render, and (the part that others need) told to the server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netloom.model.device import Bond, Export


@dataclass(frozen=True, slots=True)
class Interface:
    """A device on br-int that carries external_ids:iface-id, so somebody plugged it for a port."""

    name: str
    ofport: int  # -1: the switch could not open it
    mac: str = ""
    error: str = ""
    type: str = ""  # "" (system), "internal", …


@dataclass(frozen=True, slots=True)
class ConnectionSync:
    """How the copies of a router tell each other of connections; sizes as conntrackd has them (buffers in bytes)."""

    hash_size: int = 32768
    hash_limit: int = 131072
    backlog: int = 20
    buffer: int = 262142
    most_buffer: int = 655355
    group: str = "225.0.0.50"  # multicast
    port: int = 3780  # of the router with number 0
    send_buffer: int = 24985600
    receive_buffer: int = 24985600


@dataclass(frozen=True, slots=True)
class HostFacts:
    """Everything render needs to know of the host that intent cannot tell.

    interfaces: by port id (iface-id). ofports: (bridge, port name) → number, for patches and tunnels.
    """

    host: str
    tunnel_ip: str = ""
    tunnel_types: tuple[str, ...] = ()
    bridge_mappings: Mapping[str, str] = field(default_factory=dict)  # physical network → bridge
    datapath_type: str = "system"
    interfaces: Mapping[str, Interface] = field(default_factory=dict)
    ofports: Mapping[tuple[str, str], int] = field(default_factory=dict)
    # (type, remote address) → number: tunnel ports on br-tun for one host; what that host sends comes by them.
    strays: Mapping[tuple[str, str], int] = field(default_factory=dict)
    # (network, address) → MAC address, of neighbours of routers that are no port: the agent asked for them.
    neighbours: Mapping[tuple[str, str], str] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()  # tunnel addresses of hosts that were heard of by BFD, and are no more
    underlay_devices: tuple[str, ...] = ()  # NICs that a switch opened: to be guarded
    copies: Mapping[str, str] = field(default_factory=dict)  # router → "active", "standby" or "fault", of its copy here
    device_mappings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # physical network → SR-IOV NICs
    # PCI slot → the macvtap device on the function there, with its index as its number.
    taps: Mapping[str, Interface] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)  # "netflow", "sflow", "ipfix" → to whom, and how
    bonds: Mapping[tuple[str, str], Bond] = field(default_factory=dict)  # (bridge, name) → its members
    # Bridge → why the bond on it carries nothing: the switch could open none of its members.
    dead_bonds: Mapping[str, str] = field(default_factory=dict)
    bandwidths: Mapping[str, int] = field(default_factory=dict)  # physical network → kbit/s that its NIC sends at most
    mtus: Mapping[str, int] = field(default_factory=dict)  # physical network → bytes that its NIC carries in a packet
    underlay_mtu: int = 0  # bytes that the device with the tunnels' address carries in a packet; 0: not known
    integration_bridge: str = "br-int"
    tunnel_bridge: str = "br-tun"
    permitted_ethertypes: tuple[int, ...] = ()  # frames that security groups say nothing of, and that pass
    vlan_limit: int = 1  # how many tags of a frame the switch reads
    hybrid: bool = False  # ports plugged by way of a bridge of their own have their rules there, by iptables
    metadata: bool = False  # instances reach the metadata service on this host itself
    metadata_redirect: bool = False  # or in the namespaces of routers and DHCP servers on it
    connection_sync: ConnectionSync | None = None  # copies of routers tell each other of connections

"""What a host's devices hold, as values: bridges, switch ports, link settings, guards, and the actions of a flow.

Each is the value of a Thing; the key's shape is given with each class. Pairs are sorted tuples, so values compare.
"""

from __future__ import annotations

from dataclasses import dataclass

from netloom.model.flow import Action

Pairs = tuple[tuple[str, str], ...]


def make_pairs(**given: str) -> Pairs:
    return tuple(sorted(given.items()))


@dataclass(frozen=True, slots=True)
class Bridge:
    """An Open vSwitch bridge. Key: ("bridge", name)."""

    datapath_type: str = "system"  # "system" (kernel) or "netdev" (userspace)
    fail_mode: str = "secure"
    protocols: tuple[str, ...] = ("OpenFlow14",)
    other_config: Pairs = ()


@dataclass(frozen=True, slots=True)
class SwitchPort:
    """A port that Netloom makes on a bridge: a patch, a tunnel, a service. Key: ("switch_port", bridge, name).

    Ports of instances are made by whoever boots them and are only read (see HostFacts).
    """

    type: str  # "patch", "vxlan", "gre", "geneve", "internal", "system"
    options: Pairs = ()
    ofport_request: int | None = None
    external_ids: Pairs = ()
    bfd: Pairs = ()  # of a tunnel to one host: how it is watched (RFC 5880)


@dataclass(frozen=True, slots=True)
class FlowBody:
    """The part of a flow that may change in place. Key: ("flow", bridge, table, priority, match)."""

    cookie: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class MeterBody:
    """What drops the packets of the flows that name it above a rate. Key: ("meter", bridge, id), id 1 … 262,144."""

    unit: str  # "kbps" (rate kbit/s, burst kbit) or "pktps" (packets/s, packets)
    rate: int
    burst: int


@dataclass(frozen=True, slots=True)
class Mirror:
    """Copies of what comes in and goes out by some ports of a bridge, to another. Key: ("mirror", bridge, name).

    `vlans`: only frames with one of these tags; none: all.
    """

    sent: tuple[str, ...]  # ports, by name: what comes in by them
    received: tuple[str, ...]
    output: str
    vlans: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Export:
    """What a bridge tells collectors of its traffic. Key: ("export", bridge, "netflow", "sflow" or "ipfix")."""

    targets: tuple[str, ...]  # "address:port", sorted
    settings: Pairs = ()


@dataclass(frozen=True, slots=True)
class Bond:
    """Several devices as one port of a bridge. Key: ("bond", bridge, name)."""

    members: tuple[str, ...]  # sorted
    mode: str = "balance-tcp"  # or balance-slb, active-backup
    lacp: str = "active"  # or passive, off


@dataclass(frozen=True, slots=True)
class ShapeClass:
    """A part of what leaves a device: what matches all that is given, or without any test all that no other takes.

    `rate` is guaranteed, `ceil` the most; kbit/s. `burst`: kbit that may go at once.
    """

    rate: int
    ceil: int
    burst: int
    source: str = ""  # IPv4 address
    destination: str = ""
    mac: str = ""  # the sender's


@dataclass(frozen=True, slots=True)
class Shape:
    """What leaves a device, in classes with rates of their own. Key: ("shape", network namespace or "", device).

    `total`: what the device carries at most, kbit/s, shared by the classes; 0: each has its own. What no class takes is
    not limited.
    """

    classes: tuple[ShapeClass, ...]
    total: int = 0


def fit_rate(rate: int) -> int:
    """The least rate, kbit/s, not below `rate` that tc tells back as it was given: above 1 Gbit/s it says whole Mbit/s,
    above 1 Tbit/s whole Gbit/s."""
    step = 1 if rate <= 10**6 else 1000 if rate <= 10**9 else 10**6
    return -(-rate // step) * step


def fit_burst(burst: int, ceil: int) -> int:
    """The least burst, kbit, not below `burst` that a kernel tells back as it was given: it keeps them as times of
    64 ns at the rate `ceil` (kbit/s), so at high rates they have steps."""
    step = 1
    while step * 7_500_000 < ceil:  # a time cut off to its tick is then off by less than half a step
        step *= 2
    return -(-burst // step) * step


@dataclass(frozen=True, slots=True)
class VirtualFunction:
    """A function of a NIC that switches by itself (SR-IOV). Key: ("vf", PCI slot). Rates in Mbit/s, 0: none."""

    mac: str
    vlan: int = 0
    spoof_check: bool = True
    trusted: bool = False
    up: bool = True
    most_mbps: int = 0
    least_mbps: int = 0


@dataclass(frozen=True, slots=True)
class Guard:
    """The host's kernel must not see the frames of this device, the switch does; nor send any (nft, and IPv6 is off).

    Without it the kernel answers ARP and ND for the host's own addresses on an instance's port. Key: ("guard", device).
    """


@dataclass(frozen=True, slots=True)
class Link:
    """How a device that exists should be set. Key: ("link", device). None leaves a setting alone."""

    up: bool = True
    mtu: int | None = None
    mac: str | None = None

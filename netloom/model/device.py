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


@dataclass(frozen=True, slots=True)
class FlowBody:
    """The part of a flow that may change in place. Key: ("flow", bridge, table, priority, match)."""

    cookie: int
    actions: tuple[Action, ...]


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

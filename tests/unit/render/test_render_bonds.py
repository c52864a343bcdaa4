"""A bond that leads nowhere, as the ports behind it tell it."""

from __future__ import annotations

from dataclasses import replace

from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import NetworkRow, PortRow, Segment, Slice, Slices
from netloom.render.status import find_pending

REASON = "bond bond-ex of br-ex has no NIC that works: eth1: No such device"
FACTS = HostFacts(
    "h1",
    "192.0.2.1",
    ("vxlan",),
    {"physnet": "br-ex", "other": "br-b"},
    interfaces={"p": Interface("tapp", 7)},
    dead_bonds={"br-ex": REASON},
)


def make_slices(kind: str, physical: str = "") -> Slices:
    network = NetworkRow("n", 1, mtu=1400, segments=(Segment(kind, physical, 7),))
    return {
        "host/h1": Slice("host/h1", 1, {"port/p": PortRow("p", "n", "fa:16:3e:00:00:01")}),
        "network/n": Slice("network/n", 1, {"network/n": network}),
    }


def test_ports_of_its_physical_network_wait_for_a_nic() -> None:
    """In the switch's words; ports of other networks and of tunnels do not, and nobody does once it is healed."""
    assert find_pending(make_slices("vlan", "physnet"), FACTS) == {"p": REASON}
    assert find_pending(make_slices("vlan", "other"), FACTS) == {}
    assert find_pending(make_slices("vxlan"), FACTS) == {}
    assert find_pending(make_slices("vlan", "physnet"), replace(FACTS, dead_bonds={})) == {}

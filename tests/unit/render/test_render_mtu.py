"""A physical network whose NIC carries less than its networks' packets may have."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import NetworkRow, PortRow, Segment, Slice, Slices
from netloom.render import status
from netloom.render.bridges import status as bridge_status

FACTS = HostFacts(
    "h1", "192.0.2.1", ("vxlan",), {"physnet": "eth1"}, interfaces={"p": Interface("tapp", 7)}, mtus={"physnet": 1400}
)


def make_slices(mtu: int, kind: str = "vlan") -> Slices:
    segment = Segment(kind, "" if kind == "vxlan" else "physnet", 7)
    network = NetworkRow("n", 1, mtu=mtu, segments=(segment,))
    return {
        "host/h1": Slice("host/h1", 1, {"port/p": PortRow("p", "n", "fa:16:3e:00:00:01")}),
        "network/n": Slice("network/n", 1, {"network/n": network}),
    }


@pytest.mark.parametrize("find_pending", [status.find_pending, bridge_status.find_pending])
def test_a_port_says_that_its_network_does_not_fit_the_nic(find_pending: object) -> None:
    """Long packets would vanish without a word: the port is not ACTIVE, and says which NIC carries how much."""
    assert callable(find_pending)
    words = (
        "network n has packets of up to 1500 bytes (MTU), and the NIC of physical network physnet on host h1 carries"
    )
    assert find_pending(make_slices(1500), FACTS) == {"p": f"{words} 1400"}
    assert find_pending(make_slices(1400), FACTS) == {}
    assert find_pending(make_slices(1500), replace(FACTS, mtus={"physnet": 1500})) == {}
    assert find_pending(make_slices(1500), replace(FACTS, mtus={})) == {}, "nobody knows yet"
    assert find_pending(make_slices(1500, "vxlan"), FACTS) == {}, "that leaves by another NIC"

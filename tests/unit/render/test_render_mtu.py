"""A NIC, of a physical network or of the tunnels, that carries less than its networks' packets may have."""

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
    segment = Segment(kind, "physnet" if kind == "vlan" else "", 7)
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


@pytest.mark.parametrize("find_pending", [status.find_pending, bridge_status.find_pending])
@pytest.mark.parametrize(
    ("kind", "address", "needed"),
    [("vxlan", "192.0.2.1", 1550), ("vxlan", "2001:db8::1", 1570), ("gre", "192.0.2.1", 1542)],
)
def test_a_port_says_that_its_network_does_not_fit_the_underlay(
    find_pending: object, kind: str, address: str, needed: int
) -> None:
    """With what the tunnel puts around; one byte more on the underlay heals it, and a network that leaves elsewhere, or
    an underlay that nobody has looked at, holds nobody back."""
    assert callable(find_pending)
    slices = make_slices(1500, kind)
    facts = replace(FACTS, tunnel_ip=address, tunnel_types=(kind,), underlay_mtu=needed - 1, mtus={})
    told = find_pending(slices, facts)["p"]
    assert f"need {needed} bytes in {kind} tunnels, and the underlay of host h1 carries {needed - 1}" in told
    assert find_pending(slices, replace(facts, underlay_mtu=needed)) == {}
    assert find_pending(slices, replace(facts, underlay_mtu=0)) == {}
    assert find_pending(make_slices(1500), facts) == {}

"""What render does for a host where Neutron's agent ran before."""

from __future__ import annotations

from dataclasses import replace

from netloom.model.facts import HostFacts
from netloom.model.slices import HostRow, Segment
from netloom.render.flows.tunnels import find_arrivals
from netloom.render.pipeline import NEUTRONS, PIPELINE
from netloom.render.scene import Tunnel, find_tunnel

FACTS = HostFacts("h1", "192.0.2.1", ("vxlan",), ofports={("br-tun", "nl-vxlan"): 3})
SEGMENT = Segment("vxlan", segmentation_id=77)


def test_no_packet_of_ours_can_fall_to_a_flow_of_neutrons() -> None:
    """No table but the first, where ours have the say, has a number that Neutron's agent fills."""
    assert not {table.number for table in PIPELINE} & NEUTRONS


def test_what_a_host_sends_is_let_in_by_the_port_that_the_switch_gives_it_to() -> None:
    """A tunnel port that others made for a remote host takes what that host sends: it is let in there as well."""
    strays = {("vxlan", "192.0.2.2"): 7, ("vxlan", "192.0.2.3"): 8, ("gre", "192.0.2.2"): 9}
    tunnel = find_tunnel(SEGMENT, replace(FACTS, strays=strays))
    assert tunnel == Tunnel(3, 77, (("192.0.2.2", 7), ("192.0.2.3", 8)))
    ports = [{name: value for name, value, _ in match}["in_port"]
             for match in find_arrivals(tunnel, HostRow("h2", "192.0.2.2"))]  # fmt: skip
    assert ports == [3, 7]
    assert find_tunnel(SEGMENT, FACTS) == Tunnel(3, 77)

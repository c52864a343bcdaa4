"""Where MAC addresses lead: found at the same cost for each, however many ports and hosts there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netloom.model.slices import HostRow, NetworkRow, PlaceRow, PortRow
from netloom.render.flows.networks import render_network
from netloom.render.scene import Plugged, Provider, Scene, Tunnel


class Counted(tuple[object, ...]):
    """Counts how often somebody goes through it."""

    times = 0

    def __iter__(self) -> Iterator[object]:
        type(self).times += 1
        return super().__iter__()


def count_passes(ports: int, provider: Provider | None) -> int:
    """How often the ports and hosts of a network are gone through when its flows are made."""
    plugged = Counted(Plugged(PortRow(f"p{n}", "n", f"fa:16:3e:00:00:{n:02x}"), n + 10) for n in range(ports))
    remotes = Counted(HostRow(f"h{n}", f"192.0.2.{n}") for n in range(ports))
    places = tuple(PlaceRow(f"p{n}", f"fa:16:3e:00:00:{n:02x}", f"h{n}") for n in range(ports))
    scene = Scene(NetworkRow("n", 7), "br-int", "br-tun", 1, 2, plugged, (), places, remotes, Tunnel(3, 7), provider)  # type: ignore[arg-type]
    Counted.times = 0
    assert render_network(scene)
    return Counted.times


@pytest.mark.parametrize("provider", [None, Provider(5, 0)])
def test_the_cost_of_a_port_does_not_grow_with_the_others(provider: Provider | None) -> None:
    """On a tunnelled network and on a physical one."""
    assert count_passes(100, provider) == count_passes(10, provider)

"""Composition of what an agent hears of its host beside the switch: the underlay of tunnels, functions of NICs."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from netloom.agent.link_facts import LinkFacts, Read
from netloom.agent.parts import FactsSource
from netloom.drivers.links.underlay import read_underlay_mtu
from netloom.drivers.sriov import SriovDriver


def watch_links(facts: FactsSource, local_ip: str, nics: SriovDriver | None = None) -> LinkFacts:
    """The facts, with what the device of the tunnels carries, and macvtap devices where NICs have functions."""
    reads: dict[str, Read] = {}
    if local_ip:
        reads["underlay_mtu"] = partial(read_underlay_mtu, local_ip)
    if nics is not None:
        reads["taps"] = nics.read_taps
    return LinkFacts(facts, reads)


def describe_underlay(known: Mapping[str, Any]) -> dict[str, Any]:
    """What the server is told, which decides by it what can be bound here; nothing while no device has the address."""
    carried = known.get("underlay_mtu", 0)
    return {"tunnel_mtu": carried} if carried else {}

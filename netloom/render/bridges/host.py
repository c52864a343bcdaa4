"""All that a host with Linux bridges should hold, from its slices and its facts: things by what is their reason.

Law 1: what comes out depends on what goes in alone. `BridgeRenderer` only spares what would come out as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, PortRow, Slice, Slices
from netloom.render.bridges.filters import (
    render_combination,
    render_network_ways,
    render_port_filter,
    render_tables,
)
from netloom.render.bridges.networks import render_network
from netloom.render.bridges.scene import BridgeScene, make_scene
from netloom.render.filters.nft_sets import SetBook
from netloom.render.filters.zones import number_zones
from netloom.render.flows.groups import Combination, find_ids, find_sets, make_combinations
from netloom.render.flows.ports import is_trusted
from netloom.render.same import Same
from netloom.render.scene import Plugged, choose_segment, find_network, find_plugged, find_ports

Groups = dict[str, tuple[Thing, ...]]


def render_bridge_host(slices: Slices, facts: HostFacts) -> Groups:
    """Everything, computed anew."""
    return BridgeRenderer().render(slices, facts)


class BridgeRenderer:
    """Remembers what came of which input, by name."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[Any, ...], tuple[Thing, ...]]] = {}
        self._seen: set[str] = set()
        self._sets = SetBook()

    def render(self, slices: Slices, facts: HostFacts) -> Groups:
        self._seen = set()
        ports = tuple(port for port in find_ports(slices, facts.host) if not port.parent_id)
        networks = find_networks(slices, ports, facts)
        by_network = sort_plugged(find_plugged(ports, facts), networks)
        combinations = make_combinations(find_combinations(by_network), slices)
        zones = number_zones(networks)
        groups: Groups = {"base": self._keep("base", (), lambda: tuple(render_tables()))}
        for id, plugged in by_network.items():
            network, found = networks[id]
            groups |= self._render_network(network, found, tuple(plugged), facts, zones[id], combinations)
        groups |= self._render_combinations(combinations.values(), slices)
        self._held = {name: held for name, held in self._held.items() if name in self._seen}
        return groups

    def _render_network(
        self, network: NetworkRow, found: Slice, plugged: tuple[Plugged, ...], facts: HostFacts, zone: int,
        combinations: dict[tuple[str, ...], Combination],
    ) -> Groups:  # fmt: skip
        scenes: list[BridgeScene] = []

        def scene() -> BridgeScene:
            if not scenes:
                scenes.append(make_scene(found, network, plugged, facts))
            return scenes[0]

        host = (facts.host, facts.tunnel_ip, facts.tunnel_types, facts.datapath_type, facts.bridge_mappings)
        name = f"network/{network.id}"
        key = (Same(found), plugged, host, zone, tuple(one.port.revision for one in plugged))
        groups = {
            name: self._keep(name, key, lambda: (*render_network(scene(), facts), *render_network_ways(scene(), zone)))
        }
        for one in plugged:
            known = combinations.get(find_ids(one.port))
            number = known.number if known else 0
            name = f"host/{facts.host}/{one.port.id}"
            port_key = (Same(found), one, one.port.revision, host, number)
            groups[name] = self._keep(name, port_key, keep_port(one, scene, number))
        return groups

    def _render_combinations(self, combinations: Iterable[Combination], slices: Slices) -> Groups:
        groups: Groups = {}
        held = tuple(combinations)
        for one in held:
            name = f"combination/{one.number}"
            groups[name] = self._keep(name, (one.number, *map(Same, one.groups)), partial(render_combination, one))
        self._sets.update(slices, (remote for one in held for remote in find_sets(one)))
        return groups | self._sets.groups

    def _keep(self, name: str, key: tuple[Any, ...], make: Callable[[], tuple[Thing, ...]]) -> tuple[Thing, ...]:
        """What came of `key` last time, or what `make` gives; an equal result is the same object."""
        self._seen.add(name)
        held = self._held.get(name)
        if held is None or held[0] != key:
            things = make()
            if held is not None and held[1] == things and [t.why for t in held[1]] == [t.why for t in things]:
                things = held[1]
            held = self._held[name] = (key, things)
        return held[1]


def keep_port(one: Plugged, scene: Callable[[], BridgeScene], number: int) -> Callable[[], tuple[Thing, ...]]:
    return lambda: tuple(render_port_filter(one, scene(), number))


def find_combinations(by_network: dict[str, list[Plugged]]) -> set[tuple[str, ...]]:
    """What groups the ports with port security are in together."""
    plugged = (one for members in by_network.values() for one in members)
    return {find_ids(one.port) for one in plugged if not is_trusted(one.port)}


def find_networks(slices: Slices, ports: tuple[PortRow, ...], facts: HostFacts) -> dict[str, tuple[NetworkRow, Slice]]:
    """The networks that this host carries: known, switched on, and with a segment for it (law 4)."""
    networks = {}
    for id in dict.fromkeys(port.network_id for port in ports):
        found = slices.get(f"network/{id}")
        network = find_network(found)
        if found is not None and network is not None and network.admin_state_up and choose_segment(network, facts):
            networks[id] = (network, found)
    return networks


def sort_plugged(plugged: Iterable[Plugged], networks: dict[str, tuple[NetworkRow, Slice]]) -> dict[str, list[Plugged]]:
    by_network: dict[str, list[Plugged]] = {}
    for one in plugged:
        if one.port.network_id in networks:
            by_network.setdefault(one.port.network_id, []).append(one)
    return by_network

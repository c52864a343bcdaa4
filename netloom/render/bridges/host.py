"""All that a host with Linux bridges should hold, from its slices and its facts: things by what is their reason.

Law 1: what comes out depends on what goes in alone. `BridgeRenderer` only spares what would come out as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, PortRow, Slice, Slices, SubnetRow
from netloom.render.answers.scope import Settings
from netloom.render.bridges.filters import (
    render_combination,
    render_port_filter,
    render_tables,
)
from netloom.render.bridges.limits import render_shares
from netloom.render.bridges.logs import SILENT, Logging, find_combination, make_logging
from netloom.render.bridges.mirrors import render_mirrors
from netloom.render.bridges.network_book import BridgeBook
from netloom.render.bridges.plugs import find_plugged, render_subports
from netloom.render.bridges.scene import make_scene
from netloom.render.dhcp_server import DhcpBook
from netloom.render.filters.nft_sets import SetBook
from netloom.render.filters.zones import number_zones
from netloom.render.flows.groups import Combination, find_sets, make_combinations
from netloom.render.flows.ports import is_trusted
from netloom.render.memory import Memory
from netloom.render.metadata_space import LinkBook, render_redirects
from netloom.render.qos import Limits, find_limits
from netloom.render.same import Same
from netloom.render.scene import Plugged, choose_segment, find_network, find_ports
from netloom.render.space import SpaceBook

Groups = dict[str, tuple[Thing, ...]]


def render_bridge_host(slices: Slices, facts: HostFacts, settings: Settings | None = None) -> Groups:
    """Everything, computed anew."""
    return BridgeRenderer(settings).render(slices, facts)


class BridgeRenderer:
    """Remembers what came of which input, by name."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._held: dict[str, tuple[tuple[Any, ...], tuple[Thing, ...]]] = {}
        self._seen: set[str] = set()
        self._networks: dict[str, BridgeBook] = {}
        self._sets = SetBook()
        self._spaces = SpaceBook()
        self._servers = DhcpBook(settings or Settings())
        self._memory = Memory()
        self._links = LinkBook()
        self._named: frozenset[str] = frozenset()
        self._rest: Groups = {}

    def render(self, slices: Slices, facts: HostFacts) -> Groups:
        if not self._memory.has(slices, facts):
            self._rest = self._render_rest(slices, facts)
            self._memory.note(slices, facts)
        self._sets.update(slices, self._named)
        return self._rest | self._sets.groups

    def _render_rest(self, slices: Slices, facts: HostFacts) -> Groups:
        """All but the members of sets."""
        self._seen = set()
        ports = find_ports(slices, facts.host)
        networks = find_networks(slices, ports, facts)
        by_network = sort_plugged(find_plugged(ports, facts), networks)
        combinations = make_combinations(find_combinations(by_network), slices)
        zones = number_zones(networks)
        groups: Groups = {"base": self._keep("base", (), lambda: tuple(render_tables()))}
        for id, plugged in by_network.items():
            network, found = networks[id]
            groups |= self._render_network(network, found, tuple(plugged), slices, facts, zones[id], combinations)
        groups |= self._render_combinations(combinations.values(), find_loggings(by_network))
        groups |= self._render_devices(ports, by_network, networks, slices, facts)
        self._held = {name: held for name, held in self._held.items() if name in self._seen}
        self._networks = {id: book for id, book in self._networks.items() if id in by_network}
        return groups

    def _render_network(
        self, network: NetworkRow, found: Slice, plugged: tuple[Plugged, ...], slices: Slices, facts: HostFacts,
        zone: int, combinations: dict[tuple[str, ...], Combination],
    ) -> Groups:  # fmt: skip
        book = self._find_book(network, facts, zone)
        groups: Groups = dict(book.render(found, plugged))
        for one in plugged:
            known = combinations.get(find_combination(one.port))
            number, limits = known.number if known else 0, find_limits(slices, one.port.policy)
            name = f"host/{facts.host}/{one.port.id}"
            key = (Same(book.subnets), one, one.port.revision, number, limits)
            groups[name] = self._keep(name, key, keep_port(one, book.subnets, number, limits))
        return groups

    def _find_book(self, network: NetworkRow, facts: HostFacts, zone: int) -> BridgeBook:
        scene = make_scene(network, facts, zone)
        held = self._networks.get(network.id)
        if held is None or held.scene != scene or held.scene.network.revision != network.revision:
            held = self._networks[network.id] = BridgeBook(scene)
        return held

    def _render_combinations(self, combinations: Iterable[Combination], loggings: Mapping[str, Logging]) -> Groups:
        groups: Groups = {}
        held = tuple(combinations)
        for one in held:
            name, logging = f"combination/{one.number}", loggings.get(one.ids[-1] if one.ids else "", SILENT)
            key = (one.number, logging, *map(Same, one.groups))
            groups[name] = self._keep(name, key, partial(render_combination, one, logging))
        self._named = frozenset(remote for one in held for remote in find_sets(one))
        return groups

    def _render_devices(
        self, ports: tuple[PortRow, ...], by_network: dict[str, list[Plugged]],
        networks: dict[str, tuple[NetworkRow, Slice]], slices: Slices, facts: HostFacts,
    ) -> Groups:  # fmt: skip
        """What there is beside bridges and filters: namespaces, subports, shares of NICs, copies."""
        groups: Groups = {}
        for name, things in (*self._spaces.render(slices, facts).items(), *self._servers.render(slices, facts).items()):
            groups[name] = self._keep(name, (Same(things),), partial(drop_switch, things))
        for id, thing in render_subports(ports, facts):
            groups[f"subport/{id}"] = self._keep(f"subport/{id}", (thing, thing.why), partial(tuple, (thing,)))
        redirects = render_redirects(slices, facts, self._links)
        groups["metadata"] = self._keep("metadata", redirects, lambda: redirects)
        shares = tuple(render_shares(by_network, networks, slices, facts))
        groups["uplinks"] = self._keep("uplinks", shares, lambda: shares)
        copies = tuple(render_mirrors(slices, facts))
        groups["mirrors"] = self._keep("mirrors", copies, lambda: copies)
        return groups

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


def drop_switch(things: tuple[Thing, ...]) -> tuple[Thing, ...]:
    """Without the ports of Open vSwitch: here the devices' names tell whose they are."""
    return tuple(thing for thing in things if thing.kind != "switch_port")


def keep_port(
    one: Plugged, subnets: tuple[SubnetRow, ...], number: int, limits: Limits
) -> Callable[[], tuple[Thing, ...]]:
    return lambda: tuple(render_port_filter(one, subnets, number, limits))


def find_combinations(by_network: dict[str, list[Plugged]]) -> set[tuple[str, ...]]:
    """What groups the ports with port security are in together."""
    plugged = (one for members in by_network.values() for one in members)
    return {find_combination(one.port) for one in plugged if not is_trusted(one.port)}


def find_loggings(by_network: dict[str, list[Plugged]]) -> dict[str, Logging]:
    """By the last word of their combination, what is told of ports with logs."""
    plugged = (one for members in by_network.values() for one in members if one.port.logs)
    return {find_combination(one.port)[-1]: make_logging(one) for one in plugged}


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

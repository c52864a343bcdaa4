"""What a renderer remembers of distributed routers: the flows of each, and of the neighbours on each of their networks.

Law 1: `RouterBook` gives what a new one gives; what came of the same slices is not looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, Slice, Slices
from netloom.render.flows.neighbours import Ground
from netloom.render.flows.router_central import render_central
from netloom.render.flows.router_limits import limit_scenes, render_meters
from netloom.render.flows.router_nat import render_nat
from netloom.render.flows.router_scopes import render_scopes
from netloom.render.flows.router_standby import render_standby, render_watch
from netloom.render.flows.routers import render_router
from netloom.render.make import make_thing
from netloom.render.neighbour_book import NeighbourBook
from netloom.render.router_scene import (
    Known,
    find_routed_networks,
    find_routers,
    make_router_scene,
    number_routers,
    read_known,
    read_ports,
)

Things = tuple[Thing, ...]


class RouterBook:
    """`find_networks` and `render` after every change."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Slice, Known | None]] = {}
        self._routers: dict[str, tuple[Any, Things]] = {}
        self._neighbours: dict[str, NeighbourBook] = {}

    @property
    def rendered(self) -> int:
        """How many flows of neighbours were made since the beginning, on the networks that are here now."""
        return sum(book.rendered for book in self._neighbours.values())

    def find_networks(self, slices: Slices, facts: HostFacts) -> list[str]:
        """The networks that this host takes part in for routers' sake."""
        return list(dict.fromkeys(find_routed_networks(find_routers(slices).values(), facts.host)))

    def render(
        self, slices: Slices, networks: Mapping[str, tuple[NetworkRow, Slice]], facts: HostFacts
    ) -> dict[str, Things]:
        """`networks`: those that this host carries."""
        routers = find_routers(slices)
        numbers = number_routers(routers.keys(), facts)
        used = {port.network_id for _, found in routers.values() for port in read_ports(found)}
        known = {id: one for id in used if (one := self._read(slices, f"network/{id}"))}
        groups = {}
        scenes = {name: make_router_scene(*routers[name], known, numbers[name], facts) for name in routers}
        scenes = limit_scenes(scenes, slices, facts)
        for name, (row, found) in routers.items():
            scene = scenes[name]
            ways = tuple(render_standby(scene, known, facts))
            key = (found, scene, ways)
            held = self._routers.get(name)
            if held is None or held[0][0] is not found or held[0][1:] != key[1:]:
                flows = (
                    *render_router(scene),
                    *render_nat(scene),
                    *render_central(scene),
                    *render_scopes(scene),
                    *ways,
                )
                held = self._routers[name] = (key, (*map(make_thing, flows), *render_meters(scene)))
            groups[name] = held[1]
            if watched := tuple(render_watch(row, found, known, facts)):
                groups[f"watch/{row.id}"] = watched
        routed = sorted(used & networks.keys())
        for id in routed:
            groups |= self._render_neighbours(*networks[id], facts)
        self._forget(routers.keys(), routed, used)
        return groups

    def _read(self, slices: Slices, name: str) -> Known | None:
        found, held = slices.get(name), self._known.get(name)
        if found is None:
            return None
        if held is None or held[0] is not found:
            held = self._known[name] = (found, read_known(found, *(held or ())))
        return held[1]

    def _render_neighbours(self, network: NetworkRow, found: Slice, facts: HostFacts) -> Mapping[str, Things]:
        learned = {ip: mac for (id, ip), mac in facts.neighbours.items() if id == network.id}
        book = self._neighbours.setdefault(network.id, NeighbourBook())
        return book.render(found, Ground(network, facts.integration_bridge, facts.host), learned)

    def _forget(self, routers: Any, routed: list[str], used: set[str]) -> None:
        self._routers = {name: held for name, held in self._routers.items() if name in routers}
        self._neighbours = {id: held for id, held in self._neighbours.items() if id in routed}
        self._known = {name: held for name, held in self._known.items() if name.partition("/")[2] in used}

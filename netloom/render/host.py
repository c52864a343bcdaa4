"""All that a host should hold, from its slices and its facts: things by the slice that is their reason, and "base".

The host's own slice is cut by port, a network's by address and host, so that one more port is looked at alone, however
many are there.

Law 1: what comes out depends on what goes in alone. `Renderer` gives the same as `render_host` and only spares what
would come out as before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import NetworkRow, PortRow, Slice, Slices
from netloom.render.answers.scope import Settings
from netloom.render.devices import render_base
from netloom.render.dhcp_server import DhcpBook
from netloom.render.filters.hybrid import HybridBook, is_hybrid, skip_rules
from netloom.render.flows.groups import GroupIds, find_ids
from netloom.render.flows.limits import render_limits
from netloom.render.flows.ports import is_trusted, render_port
from netloom.render.functions import render_functions
from netloom.render.group_book import GroupBook
from netloom.render.make import make_thing
from netloom.render.memory import Memory, keep_groups
from netloom.render.metadata import find_door, render_service, render_way
from netloom.render.metadata_space import LinkBook, render_redirects
from netloom.render.mirrors import render_mirrors
from netloom.render.network_book import NetworkBook
from netloom.render.qos import find_limits
from netloom.render.router_book import RouterBook
from netloom.render.same import Same
from netloom.render.scene import Plugged, choose_segment, find_network, find_plugged, find_ports, make_scene
from netloom.render.space import SpaceBook
from netloom.render.uplinks import find_queue, render_uplinks

Groups = dict[str, tuple[Thing, ...]]


def render_host(slices: Slices, facts: HostFacts) -> Groups:
    """Everything, computed anew."""
    return Renderer().render(slices, facts)


class Renderer:
    """Remembers what came of which input; an input that is the same object needs no second look."""

    def __init__(self, settings: Settings | None = None) -> None:
        self._servers = DhcpBook(settings or Settings())
        self._networks: dict[str, tuple[Any, NetworkBook]] = {}
        self._ports: dict[str, tuple[Any, tuple[Thing, ...]]] = {}
        self._security = GroupBook()
        self._hybrid = HybridBook()
        self._spaces = SpaceBook()
        self._routers = RouterBook()
        self._links = LinkBook()
        self._base: tuple[Any, tuple[Thing, ...]] | None = None
        self._memory = Memory()
        self._rest: Groups = {}

    def render(self, slices: Slices, facts: HostFacts) -> Groups:
        if not self._memory.has(slices, facts):
            # A group that came out as before is the same object: whoever compares groups need not look inside.
            self._rest = keep_groups(self._rest, self._render_rest(slices, facts))
            self._memory.note(slices, facts)
        return self._rest | self._security.render_sets(slices) | self._hybrid.render_sets(slices)

    def _render_rest(self, slices: Slices, facts: HostFacts) -> Groups:
        """All but the addresses of sets."""
        ports = find_ports(slices, facts.host)
        networks = find_networks(slices, ports, facts, self._routers.find_networks(slices, facts))
        by_network: dict[str, list[Plugged]] = {id: [] for id in networks}
        for plugged in find_plugged(ports, facts):
            if plugged.port.network_id in networks:
                by_network.setdefault(plugged.port.network_id, []).append(plugged)
        everybody = [plugged for members in by_network.values() for plugged in members]
        wanted = find_combinations(plugged for plugged in everybody if not is_hybrid(plugged, facts))
        groups: Groups = {"base": self._render_base(slices, facts)}
        groups |= self._security.render(wanted, slices, facts.integration_bridge)
        groups |= self._hybrid.render(everybody, slices, facts)
        groups["mirrors"] = tuple(render_mirrors(slices, facts))
        groups["functions"] = tuple(render_functions(slices, facts))
        groups["uplinks"] = tuple(render_uplinks(by_network, networks, slices, facts))
        groups |= self._spaces.render(slices, facts)
        groups |= self._servers.render(slices, facts)
        if facts.metadata_redirect:
            groups["metadata"] = render_redirects(slices, facts, self._links)
        groups |= self._routers.render(slices, networks, facts)
        host = describe_host(facts)
        for id, members in by_network.items():
            network, found = networks[id]
            groups |= self._find_book(network, facts, host).render(found, tuple(members))
            for plugged in members:
                groups[f"host/{facts.host}/{plugged.port.id}"] = self._render_port(plugged, network, slices, facts)
        self._forget(by_network)
        return groups

    def _render_base(self, slices: Slices, facts: HostFacts) -> tuple[Thing, ...]:
        key = Same(slices.get(f"host/{facts.host}")), facts
        if self._base is None or self._base[0] != key:
            self._base = key, (*render_base(slices, facts), *render_service(facts))
        return self._base[1]

    def _find_book(self, network: NetworkRow, facts: HostFacts, host: tuple[Any, ...]) -> NetworkBook:
        key = (network, network.revision, host)
        held = self._networks.get(network.id)
        if held is None or held[0] != key:
            held = self._networks[network.id] = key, NetworkBook(make_scene(network, facts))
        return held[1]

    def _render_port(
        self, plugged: Plugged, network: NetworkRow, slices: Slices, facts: HostFacts
    ) -> tuple[Thing, ...]:
        combination = self._security.numbers.get(find_ids(plugged.port), 0)
        door, hybrid = find_door(facts), is_hybrid(plugged, facts)
        limits, device = find_limits(slices, plugged.port.policy), find_queue(plugged, facts)
        bridge, host = facts.integration_bridge, facts.host
        transparent, stacked = network.vlan_transparent or network.qinq, facts.vlan_limit > 1
        permitted = facts.permitted_ethertypes
        key = (
            plugged,
            transparent,
            stacked,
            permitted,
            network.number,
            bridge,
            host,
            combination,
            door,
            hybrid,
            limits,
            device,
        )
        held = self._ports.get(plugged.port.id)
        if held is None or held[0] != key or held[0][0].port.revision != plugged.port.revision:
            flows = render_port(
                plugged, network.number, bridge, host, combination, transparent, limits, stacked, permitted
            )
            flows = skip_rules(flows) if hybrid else flows
            flows = (*flows, *render_way(plugged, door, bridge, host))
            things = (*map(make_thing, flows), *render_limits(plugged, limits, device, bridge, host))
            held = self._ports[plugged.port.id] = (key, things)
        return held[1]

    def _forget(self, by_network: Mapping[str, list[Plugged]]) -> None:
        self._networks = {id: held for id, held in self._networks.items() if id in by_network}
        live = {plugged.port.id for members in by_network.values() for plugged in members}
        self._ports = {id: held for id, held in self._ports.items() if id in live}


def find_combinations(plugged: Iterable[Plugged]) -> set[GroupIds]:
    """What groups the ports with port security are in together."""
    return {find_ids(one.port) for one in plugged if not is_trusted(one.port)}


def find_networks(
    slices: Slices, ports: tuple[PortRow, ...], facts: HostFacts, routed: Iterable[str] = ()
) -> dict[str, tuple[NetworkRow, Slice]]:
    """The networks that this host carries: known, switched on, and with a segment for it (law 4)."""
    networks = {}
    for id in dict.fromkeys((*(port.network_id for port in ports), *routed)):
        found = slices.get(f"network/{id}")
        network = find_network(found)
        if found is not None and network is not None and network.admin_state_up and choose_segment(network, facts):
            networks[id] = (network, found)
    return networks


def describe_host(facts: HostFacts) -> tuple[Any, ...]:
    """What a network's flows depend on of the host, plugged ports apart."""
    switch = tuple(sorted((key, n) for key, n in facts.ofports.items() if is_ours(key[1])))
    return (
        facts.host, facts.tunnel_ip, facts.tunnel_types, tuple(sorted(facts.bridge_mappings.items())), switch,
        facts.integration_bridge, facts.tunnel_bridge, tuple(sorted(facts.strays.items())),
    )  # fmt: skip


def is_ours(name: str) -> bool:
    return name.startswith(("patch-", "int-", "phy-", "nl-"))

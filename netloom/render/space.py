"""The namespace of a router that is on one host, or has copies on several: devices, addresses, routes.

Law: what is in it depends on the router's slice and its networks' alone; each thing says which of them is the reason.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netloom.model.address import ip_version, parse_ip, parse_net
from netloom.model.device import SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.netns import Held, Hop, Namespace, Path, Rule, Veth
from netloom.model.plan import Thing
from netloom.model.slices import InterfaceRow, RouterRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.qos import Limits
from netloom.render.space_keeper import KEEPER, render_keeper
from netloom.render.space_limits import find_policies, read_policies, render_shapes
from netloom.render.space_nat import render_nat
from netloom.render.space_scene import Ground, Grounds, Leg, SpaceScene, find_carried, host_end, make_space_scene

MAIN, FIRST_TABLE = 254, 1000
EVERYWHERE = {4: "0.0.0.0/0", 6: "::/0"}


class SpaceBook:
    """The routers of this host, rendered anew where the slices that they are made of are other objects."""

    def __init__(self) -> None:
        self._held: dict[str, tuple[tuple[Any, ...], tuple[Thing, ...]]] = {}
        self._grounds = Grounds()
        self._names: dict[str, tuple[Slice, list[str]]] = {}

    def render(self, slices: Slices, facts: HostFacts) -> dict[str, tuple[Thing, ...]]:
        held = {}
        for router, found in find_carried(slices, facts.host):
            grounds = {name: self._grounds.find(name, slices) for name in self._find_names(found)}
            policies = find_policies(router, found, grounds)
            parts = (slices.get(f"policy/{id}") for id in policies)
            key = (*describe_host(facts), found, *grounds.values(), *parts)
            old = self._held.get(router.id)
            fresh = old is None or len(old[0]) != len(key) or any(a is not b for a, b in zip(old[0], key, strict=True))
            if fresh or old is None:
                limits = read_policies(policies, slices)
                old = (key, render_router(router, found, grounds, facts, limits))
            held[router.id] = old
        self._held = held
        self._names = {found.name: (found, names) for found, names in self._names.values() if found.name in slices}
        return {f"space/{id}": things for id, (_, things) in held.items()}

    def _find_names(self, found: Slice) -> list[str]:
        held = self._names.get(found.name)
        if held is None or held[0] is not found:
            held = self._names[found.name] = (found, find_names(found))
        return held[1]


def describe_host(facts: HostFacts) -> tuple[Any, ...]:
    """What a router's things depend on of the host; each stays the same object."""
    return facts.host, facts.integration_bridge, facts.datapath_type, facts.connection_sync, facts.metadata_redirect


def find_names(found: Slice) -> list[str]:
    """The slices of the networks that a router has ports on, however the host came by them."""
    return sorted({f"network/{row.network_id}" for row in found.rows.values() if isinstance(row, InterfaceRow)})


def render_router(
    router: RouterRow,
    found: Slice,
    grounds: Mapping[str, Ground | None],
    facts: HostFacts,
    limits: Mapping[str, Limits],
) -> tuple[Thing, ...]:
    scene = make_space_scene(router, found, grounds, facts, limits)
    addresses, routes = tuple(render_addresses(scene)), tuple(render_routes(scene))
    return (
        Thing(("netns", scene.netns), Namespace(KEEPER if router.ha else ""), make_why(scene)),
        *render_nat(scene),
        *render_devices(scene),
        *render_shapes(scene),
        *(hand_over(scene, addresses, routes) if router.ha else (*addresses, *routes)),
    )


def hand_over(scene: SpaceScene, addresses: tuple[Thing, ...], routes: tuple[Thing, ...]) -> Iterator[Thing]:
    """Addresses and routes as words for the daemon that keeps them; what the copies have alike stays ours."""
    words = [(str(thing.key[3]), str(thing.key[2])) for thing in addresses if thing.kind != "proxy"]
    ways = [(int(thing.key[2]), str(thing.key[3]), thing.value.hops) for thing in routes if thing.kind == "route"]
    yield from (thing for thing in addresses if thing.kind == "proxy")
    yield from (thing for thing in routes if thing.kind == "rule")
    yield from render_keeper(scene, words, ways)


def make_why(scene: SpaceScene, leg: Leg | None = None) -> Why:
    ids = (f"port/{leg.port.id}", scene.slice) if leg else (scene.slice,)
    return Why(leg.port.revision if leg else scene.router.revision, ids, "space.render_router")


def render_devices(scene: SpaceScene) -> Iterator[Thing]:
    """For each leg a pair of devices, and the port of the switch that its host's end is plugged into."""
    for leg in scene.legs:
        port, end = leg.port, host_end(leg.port.id)
        ids = make_pairs(**{"iface-id": port.id, "iface-status": "active", "attached-mac": port.mac})
        quiet = scene.router.ha and port.kind != "ha"
        veth = Veth(scene.netns, leg.device, port.mac, leg.network.mtu, scene.plain, quiet)
        yield Thing(("veth", end), veth, make_why(scene, leg))
        yield Thing(("switch_port", scene.integration, end), SwitchPort("system", (), None, ids), make_why(scene, leg))


# -- addresses ---------------------------------------------------------------------------------------------------------


def render_addresses(scene: SpaceScene) -> Iterator[Thing]:
    for leg in scene.served:
        for cidr in leg.cidrs:
            yield make_address(scene, leg.device, cidr, make_why(scene, leg))
    for device, ip, why in find_aliases(scene):
        yield make_address(scene, device, f"{ip}/32", why)
    if scene.router.enable_ndp_proxy:
        for leg in scene.gateways[:1]:
            for row in scene.neighbours:
                why = Why(row.revision, (f"ndp_proxy/{row.id}", scene.slice), "space.render_addresses")
                yield Thing(("proxy", scene.netns, leg.device, row.ip), Held(), why)


def make_address(scene: SpaceScene, device: str, cidr: str, why: Why) -> Thing:
    alone = parse_net(cidr).prefixlen == parse_net(cidr).max_prefixlen
    return Thing(("alias" if alone else "address", scene.netns, device, cidr), Held(), why)


def find_aliases(scene: SpaceScene) -> Iterator[tuple[str, str, Why]]:
    """(device, floating IP, reason): the router answers for them outside."""
    legs = {leg.network.id: leg for leg in reversed(scene.gateways)}
    forwarded = {row.floating_id for row in scene.forwardings}
    for row in scene.floating:
        leg = legs.get(row.network_id)
        if leg is not None and (row.fixed_ip or row.id in forwarded):
            yield leg.device, row.floating_ip, Why(row.revision, (f"floatingip/{row.id}", scene.slice), "space")


# -- routes ------------------------------------------------------------------------------------------------------------


def render_routes(scene: SpaceScene) -> Iterator[Thing]:
    """Out by the first gateway, or by all; what came by one that is marked goes back by that; then other subnets
    outside; extra routes."""
    routes: dict[tuple[int, str], tuple[tuple[Hop, ...], Why]] = {}
    for leg in scene.gateways:
        mark, why = scene.marks.get(leg.device, 0), make_why(scene, leg)
        for version, hops in find_ways_out(leg).items():
            if leg is scene.gateways[0] or scene.shared:
                before, _ = routes.get((MAIN, EVERYWHERE[version]), ((), why))
                routes[MAIN, EVERYWHERE[version]] = (*before, *hops), why
            if mark:
                routes[FIRST_TABLE + mark, EVERYWHERE[version]] = hops, why
                yield Thing(("rule", scene.netns, version, mark), Rule(FIRST_TABLE + mark), why)
        for cidr in find_side_subnets(leg):
            routes[MAIN, cidr] = (("", leg.device),), why
    for destination, hops in find_extra(scene).items():
        routes[MAIN, destination] = hops, make_why(scene)
    for (table, destination), (hops, why) in routes.items():
        yield Thing(("route", scene.netns, table, destination), Path(tuple(sorted(hops))), why)


def find_ways_out(leg: Leg) -> dict[int, tuple[Hop, ...]]:
    """IP version → the gateways of the subnets outside that the leg has an address of; one counts."""
    return {
        subnet.ip_version: ((subnet.gateway_ip, leg.device),)
        for subnet in reversed(leg.own_subnets)
        if subnet.gateway_ip
    }


def find_side_subnets(leg: Leg) -> Iterator[str]:
    """Subnets outside that the leg has no address of: they are on its link all the same."""
    own = {subnet.id for subnet in leg.own_subnets}
    versions = {subnet.ip_version for subnet in leg.own_subnets}
    return (s.cidr for s in leg.subnets if s.id not in own and s.ip_version in versions)


def find_extra(scene: SpaceScene) -> dict[str, tuple[Hop, ...]]:
    """The router's own routes; several of one destination share its traffic. One whose next hop is on no link of the
    router leads nowhere, and is not there."""
    found: dict[str, tuple[Hop, ...]] = {}
    for route in scene.router.routes:
        device = find_device(scene, route.nexthop)
        if device:
            destination = str(parse_net(route.destination))
            found[destination] = (*found.get(destination, ()), (route.nexthop, device))
    return found


def find_device(scene: SpaceScene, ip: str) -> str:
    """The leg on whose link the address is."""
    for leg in scene.served:
        for subnet in leg.subnets:
            net = parse_net(subnet.cidr)
            if net.version == ip_version(ip) and parse_ip(ip) in net:
                return leg.device
    return ""

"""The packet filter of a host with Linux bridges: a guard for each port, rules for each combination of groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.model.filter import FilterSet, Member, Way, make_chain
from netloom.model.plan import Thing
from netloom.model.slices import Slice
from netloom.model.why import HOST, Why
from netloom.render.bridges.scene import BridgeScene, tap_name
from netloom.render.filters.nft_base import BRIDGE, INET, OPEN, make_table
from netloom.render.filters.nft_guard import render_guard
from netloom.render.filters.nft_rules import chain_name, find_elements, render_rules, set_names
from netloom.render.flows.groups import Combination
from netloom.render.flows.ports import is_trusted
from netloom.render.scene import Plugged

TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}


def render_tables() -> Iterator[Thing]:
    yield Thing(("filter_table", "bridge"), make_table(BRIDGE), HOST)
    yield Thing(("filter_table", "inet"), make_table(INET), HOST)


def way(family: str, name: str, key: str, to: str, why: Why) -> Thing:
    return Thing(("filter_way", family, name, key), Way(to), why)


def render_network_ways(scene: BridgeScene, zone: int) -> Iterator[Thing]:
    """The network's bridge and its way out, and the zone of its connections."""
    why = Why(scene.network.revision, (f"network/{scene.network.id}",), "bridges.render_network_ways")
    yield way("inet", "bridges", scene.bridge, "", why)
    yield way("inet", "zones", scene.bridge, str(zone), why)
    if scene.uplink:
        yield way("bridge", "ports", scene.uplink, "", why)


def render_port_filter(plugged: Plugged, scene: BridgeScene, combination: int) -> Iterator[Thing]:
    port = plugged.port
    why = Why(port.revision, (f"port/{port.id}", f"network/{port.network_id}"), "bridges.render_port_filter")
    tap, name = tap_name(port.id), f"guard_{port.id[:11]}"
    mark = str(OPEN if is_trusted(port) else combination)
    yield Thing(("filter_chain", "bridge", name), make_chain(render_guard(port, scene.subnets)), why)
    yield way("bridge", "guards", tap, f"jump {name}", why)
    yield way("bridge", "ports", tap, "", why)
    yield way("bridge", "senders", tap, mark, why)
    yield way("bridge", "receivers", tap, mark, why)


def render_combination(combination: Combination) -> tuple[Thing, ...]:
    """Chains in both directions, by the combination's number."""
    ids = tuple(group.name for group in combination.groups)
    revision = max((group.revision for group in combination.groups), default=0)
    why = Why(revision, ids, "bridges.render_combination")
    out = []
    for direction in ("egress", "ingress"):
        name = chain_name(direction, combination.number)
        out.append(Thing(("filter_chain", "inet", name), make_chain(render_rules(combination, direction)), why))
        out.append(way("inet", direction, str(combination.number), f"jump {name}", why))
    return tuple(out)


def render_set(remote: str, found: Slice | None) -> tuple[Thing, ...]:
    """A set of addresses that rules name, in both IP versions."""
    why = Why(found.revision if found else 0, (remote,), "bridges.render_set")
    return tuple(thing for version in (4, 6) for thing in render_version(remote, version, found, why))


def render_version(remote: str, version: int, found: Slice | None, why: Why) -> Iterator[Thing]:
    for interval, name, elements in zip(
        (False, True), set_names(remote, version), find_elements(found, version), strict=True
    ):
        yield Thing(("filter_set", "inet", name), FilterSet(TYPES[version], interval), why)
        yield from render_members(name, elements, why)


def render_members(name: str, elements: Iterable[str], why: Why) -> Iterator[Thing]:
    return (Thing(("filter_member", "inet", name, element), Member(), why) for element in elements)

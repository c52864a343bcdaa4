"""The packet filter of a host with Linux bridges: a guard for each port, rules for each combination of groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.model.filter import Way, make_chain
from netloom.model.plan import Thing
from netloom.model.slices import SubnetRow
from netloom.model.why import HOST, Why
from netloom.render.bridges.limits import render_received, render_sent
from netloom.render.bridges.logs import SILENT, WORD, Logging
from netloom.render.bridges.scene import BridgeScene, tap_name
from netloom.render.filters.nft_base import BRIDGE, INET, OPEN, make_table
from netloom.render.filters.nft_guard import render_guard
from netloom.render.filters.nft_rules import chain_name, render_rules
from netloom.render.flows.groups import Combination
from netloom.render.flows.ports import is_trusted
from netloom.render.qos import NOTHING, Limits
from netloom.render.scene import Plugged

TYPES = {4: "ipv4_addr", 6: "ipv6_addr"}


def render_tables() -> Iterator[Thing]:
    yield Thing(("filter_table", "bridge"), make_table(BRIDGE), HOST)
    yield Thing(("filter_table", "inet"), make_table(INET), HOST)


def way(family: str, name: str, key: str, to: str, why: Why) -> Thing:
    return Thing(("filter_way", family, name, key), Way(to), why)


def render_network_ways(scene: BridgeScene) -> Iterator[Thing]:
    """The network's bridge and its way out, and the zone of its connections."""
    why = Why(scene.network.revision, (f"network/{scene.network.id}",), "bridges.render_network_ways")
    yield way("inet", "bridges", scene.bridge, "", why)
    yield way("inet", "zones", scene.bridge, str(scene.zone), why)
    if scene.uplink:
        yield way("bridge", "ports", scene.uplink, "", why)


def render_port_filter(
    plugged: Plugged, subnets: Iterable[SubnetRow], combination: int, limits: Limits = NOTHING
) -> Iterator[Thing]:
    port = plugged.port
    why = Why(port.revision, (f"port/{port.id}", f"network/{port.network_id}"), "bridges.render_port_filter")
    tap, name = tap_name(port.id), f"guard_{port.id[:11]}"
    mark = str(OPEN if is_trusted(port) else combination)
    yield Thing(("filter_chain", "bridge", name), make_chain((*render_sent(limits), *render_guard(port, subnets))), why)
    yield way("bridge", "guards", tap, f"jump {name}", why)
    yield way("bridge", "ports", tap, "", why)
    yield way("bridge", "senders", tap, mark, why)
    yield way("bridge", "receivers", tap, mark, why)
    yield from render_received(plugged, limits)


def render_combination(combination: Combination, logging: Logging = SILENT) -> tuple[Thing, ...]:
    """Chains in both directions, by the combination's number."""
    ids = tuple(map(describe_id, combination.ids)) or ("no group",)
    revision = max((group.revision for group in combination.groups), default=0)
    why = Why(revision, ids, "bridges.render_combination")
    out = []
    for direction in ("egress", "ingress"):
        name = chain_name(direction, combination.number)
        out.append(
            Thing(("filter_chain", "inet", name), make_chain(render_rules(combination, direction, logging)), why)
        )
        out.append(way("inet", direction, str(combination.number), f"jump {name}", why))
    return tuple(out)


def describe_id(id: str) -> str:
    """A group, or the port whose logs make rules its own."""
    return f"port/{id.removeprefix(WORD)}" if id.startswith(WORD) else f"group/{id}"

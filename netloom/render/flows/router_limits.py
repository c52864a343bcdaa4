"""How much may pass a distributed router's gateway, or a floating IP, here: meters where it is translated.

A meter drops what is above the rate, in both directions: flows have no queue. Its number is one that no port has, so
no meter of a port is meant. Law 4: a policy that is not known yet limits nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from netloom.model.facts import HostFacts
from netloom.model.flow import Action, Meter
from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.model.why import Why
from netloom.render.qos import NOTHING, RECEIVED_BITS, SENT_BITS, Limits, find_limits, make_meter, meter_id
from netloom.render.router_scene import RouterScene, choose_free, find_taken


def limit_scenes(scenes: Mapping[str, RouterScene], slices: Slices, facts: HostFacts) -> dict[str, RouterScene]:
    """The scenes, with what is limited in each: a floating IP by its id, the gateway by the router's."""
    policies = {scene.row.id: scene.row.gateway_policy for scene in scenes.values() if scene.central}
    policies |= {row.id: row.policy for scene in scenes.values() for row in scene.floating}
    limits = {id: found for id, policy in policies.items() if (found := find_limits(slices, policy)) != NOTHING}
    if not limits:
        return dict(scenes)
    taken = find_taken(facts) | {scene.zone for scene in scenes.values()}
    numbers = choose_free(limits.keys(), taken)
    limited = {id: (found, numbers[id]) for id, found in limits.items()}
    return {name: limit_scene(scene, limited) for name, scene in scenes.items()}


def limit_scene(scene: RouterScene, limited: Mapping[str, tuple[Limits, int]]) -> RouterScene:
    ids = (scene.row.id, *(row.id for row in scene.floating))
    return replace(scene, limits={id: limited[id] for id in ids if id in limited})


def meter_sent(scene: RouterScene, id: str) -> tuple[Action, ...]:
    """First of the actions with what leaves."""
    limits, number = scene.limits.get(id, (NOTHING, 0))
    return (Meter(meter_id(SENT_BITS, number)),) if limits.sent else ()


def meter_received(scene: RouterScene, id: str) -> tuple[Action, ...]:
    limits, number = scene.limits.get(id, (NOTHING, 0))
    return (Meter(meter_id(RECEIVED_BITS, number)),) if limits.received else ()


def render_meters(scene: RouterScene) -> Iterator[Thing]:
    for id, (limits, number) in sorted(scene.limits.items()):
        kind = "router" if id == scene.row.id else "floatingip"
        policy = next((row.policy for row in scene.floating if row.id == id), scene.row.gateway_policy)
        why = Why(scene.row.revision, (f"{kind}/{id}", f"policy/{policy}"), "router_limits.render_meters")
        for direction, limit in ((SENT_BITS, limits.sent), (RECEIVED_BITS, limits.received)):
            if limit:
                yield make_meter(scene.integration, meter_id(direction, number), "kbps", limit, why)

"""Address scopes of a distributed router: within one an address means one thing and is not translated; from one to
another nothing passes that was not translated.

Law: what is not translated goes on in a network of the scope that it came from, or not at all; networks without a scope
are as if in one of their own. A router without scopes has none of this: its packets pass by no such table.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.flow import CT_DNAT, CT_SNAT, Ct, Flow, Goto, Nat
from netloom.render import registers as reg
from netloom.render.flows.routers import FAMILIES, Rule, make_flows, name_port
from netloom.render.pipeline import INBOUND, NEIGHBOUR, OUTBOUND, ROUTE, SCOPE
from netloom.render.router_scene import Leg, RouterScene, find_scope


def render_scopes(scene: RouterScene) -> tuple[Flow, ...]:
    rules = [*find_staying(scene), *find_crossing(scene), *find_unhidden(scene)]
    return make_flows(scene, rules, "router_scopes.render_scopes")


def find_legs(scene: RouterScene, version: int) -> list[Leg]:
    return [leg for leg in (*scene.inner, *scene.outer) if version in leg.scoped]


def find_staying(scene: RouterScene) -> Iterator[Rule]:
    """From a network to one of the same scope."""
    for version, family in FAMILIES.items():
        legs = find_legs(scene, version)
        for leg, origin in ((leg, origin) for leg in legs for origin in legs):
            if find_scope(leg, version) == find_scope(origin, version):
                on = {reg.NETWORK: leg.network.number, reg.ORIGIN: origin.network.number}
                revision = max(leg.revision, origin.revision)
                yield SCOPE, 100, family.match(scene.number, **on), (Goto(NEIGHBOUR),), name_port(leg.port), revision


def find_crossing(scene: RouterScene) -> Iterator[Rule]:
    """What was translated has an address of where it goes."""
    v4 = FAMILIES[4]
    for bit in (CT_SNAT, CT_DNAT) if find_legs(scene, 4) else ():
        yield SCOPE, 90, v4.match(scene.number, ct_state=(bit, bit)), (Goto(NEIGHBOUR),), (), scene.row.revision


def find_unhidden(scene: RouterScene) -> Iterator[Rule]:
    """On the host that hides addresses: those of the gateway's own scope are met from outside as they are, and hidden
    from nobody. Answers of forwarded ports still get their address back."""
    v4 = FAMILIES[4]
    for leg in scene.outer if scene.central and scene.row.enable_snat else ():
        scope = find_scope(leg, 4)
        for inner in scene.inner if scope and leg.carried else ():
            if find_scope(inner, 4) == scope:
                on = {reg.NETWORK: leg.network.number, reg.ORIGIN: inner.network.number}
                ids, revision = name_port(inner.port), max(leg.revision, inner.revision)
                as_it_is = (Ct(zone=scene.zone, table=SCOPE, nat=Nat()),)
                yield OUTBOUND, 55, v4.match(scene.number, **on), as_it_is, ids, revision
                for subnet in inner.subnets:
                    if subnet.ip_version == 4:
                        yield INBOUND, 20, v4.match(scene.number, ip_dst=subnet.cidr), (Goto(ROUTE),), ids, revision

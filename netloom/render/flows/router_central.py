"""The host that hides addresses for a distributed router: what leaves by the gateway's address, and what comes to it.

With source NAT off addresses go out as they are, and what comes to the gateway is let in; with it on, only answers and
forwarded ports are. IPv6 goes as it is; where the router answers for single addresses outside (NDP proxy), no others
are met from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from netloom.model.address import ip_version, link_local
from netloom.model.flow import CT_EST, CT_NEW, CT_REL, CT_RPL, Ct, Flow, Goto, Nat
from netloom.render import registers as reg
from netloom.render.flows.router_limits import meter_received, meter_sent
from netloom.render.flows.router_nat import NOTE, V4, find_answers, find_helpers, forward, track
from netloom.render.flows.routers import FAMILIES, Rule, find_last, make_flows, name_port
from netloom.render.pipeline import INBOUND, KNOWN, NEIGHBOUR, OUTBOUND, ROUTE
from netloom.render.router_scene import Leg, RouterScene

V6 = FAMILIES[6]


def render_central(scene: RouterScene) -> tuple[Flow, ...]:
    rules: list[Rule] = []
    for leg in scene.outer if scene.central else ():
        if leg.carried:
            rules += [*find_own(scene, leg), *find_hidden(scene, leg), *find_plain(scene, leg)]
            rules += find_known(scene, leg)
            rules += [rule for row in scene.forwardings for rule in forward(scene, row)]
    return make_flows(scene, rules, "router_central.render_central")


def name_leg(scene: RouterScene, leg: Leg) -> tuple[tuple[str, ...], int]:
    """(ids of the reason, its revision)."""
    return name_port(leg.port), max(leg.port.revision, scene.row.revision)


def find_own(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """The gateway's own addresses: who asks for them is answered, and what comes to them may be an answer."""
    ids, revision = name_leg(scene, leg)
    if any(ip_version(address.ip) == 6 for address in leg.port.addresses):
        yield from find_answers(leg, link_local(leg.port.mac), ids, revision)
    for address in leg.port.addresses:
        yield from find_answers(leg, address.ip, ids, revision)
        if ip_version(address.ip) == 4:
            # What the router says of itself needs no other address.
            own = V4.match(scene.number, **{reg.NETWORK: leg.network.number}, ip_src=address.ip)
            yield OUTBOUND, 60, own, (Goto(NEIGHBOUR),), ids, revision
            known = Ct(zone=scene.zone, table=KNOWN, nat=Nat())
            match = V4.match(scene.number, ip_dst=address.ip)
            yield INBOUND, 100, match, (*meter_received(scene, scene.row.id), known), ids, revision


def find_hidden(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """IPv4 that has no address outside."""
    ids, revision = name_leg(scene, leg)
    tests: dict[str, Any] = {reg.NETWORK: leg.network.number}
    first = meter_sent(scene, scene.row.id)
    source = next((address.ip for address in leg.port.addresses if ip_version(address.ip) == 4), "")
    if scene.row.enable_snat and source:
        hide = Ct(True, zone=scene.zone, table=NEIGHBOUR, actions=NOTE, nat=Nat("src", source))
        for priority, on, ct in track(scene, 50, tests, hide):
            yield OUTBOUND, priority, V4.match(scene.number, **on), (*first, ct), ids, revision
    else:
        # Answers of forwarded ports still get their address back.
        plain = Ct(zone=scene.zone, table=find_last(leg, V4), nat=Nat())
        yield OUTBOUND, 50, V4.match(scene.number, **tests), (*first, plain), ids, revision
        yield INBOUND, 10, V4.match(scene.number), (Goto(ROUTE),), ids, revision


def find_plain(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """IPv6 as it is; with NDP proxies only to chosen addresses, and in answer to those inside."""
    ids, revision = name_leg(scene, leg)
    match = V6.match(scene.number, **{reg.NETWORK: leg.network.number})
    last = find_last(leg, V6)
    if not scene.row.enable_ndp_proxy:
        yield OUTBOUND, 50, match, (Goto(last),), ids, revision
        yield INBOUND, 10, V6.match(scene.number), (Goto(ROUTE),), ids, revision
        return
    yield OUTBOUND, 50, match, (Ct(True, zone=scene.zone, table=last, actions=NOTE),), ids, revision
    yield INBOUND, 10, V6.match(scene.number), (Ct(zone=scene.zone, table=KNOWN),), ids, revision
    for row in scene.neighbours if leg == scene.gate else ():
        named = (f"ndp_proxy/{row.id}", *ids)
        yield from find_answers(leg, row.ip, named, row.revision)
        yield INBOUND, 20, V6.match(scene.number, ipv6_dst=row.ip), (Goto(ROUTE),), named, row.revision


def find_known(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """What comes to the gateway's address goes on where it belongs to a connection from inside, or, with a helper, was
    announced by one."""
    ids, revision = name_leg(scene, leg)
    for family in (V4, V6) if scene.row.enable_ndp_proxy else (V4,):
        for state in (CT_EST | CT_RPL, CT_REL):
            yield KNOWN, 100, family.match(scene.number, ct_state=(state, state)), (Goto(ROUTE),), ids, revision
    if find_helpers(scene):
        begun = Ct(True, zone=scene.zone, table=ROUTE, actions=NOTE, nat=Nat())
        state = CT_REL | CT_NEW
        yield KNOWN, 110, V4.match(scene.number, ct_state=(state, state)), (begun,), ids, revision

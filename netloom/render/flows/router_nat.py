"""What a distributed router translates on this host, in OpenFlow: floating IPs and forwarded ports, and where it sends
what another host hides (see `router_central`).

A floating IP is translated on its port's own host where that carries the external network; all else that leaves goes
through the router's SNAT port on the host that hides addresses. Connections are kept in a zone of the router's. They
are marked REFUSED, so that they would mean nothing good to a port that once gets the zone's number for its own.

From outside, this host answers for the addresses that it translates: on a physical network nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from netloom.model.address import ip_version, mac_int
from netloom.model.flow import (
    ARP,
    ICMPV6,
    IN_PORT,
    IPV6,
    TCP,
    UDP,
    Action,
    Ct,
    Flow,
    Goto,
    Match,
    Nat,
    Output,
    Resubmit,
    SetField,
    make_match,
)
from netloom.model.slices import FloatingRow, ForwardingRow
from netloom.render import registers as reg
from netloom.render.flows.group_tests import cover_range
from netloom.render.flows.networks import answer_arp, answer_nd, tag_out
from netloom.render.flows.router_limits import meter_received, meter_sent
from netloom.render.flows.routers import FAMILIES, Rule, enter, make_flows, name_port
from netloom.render.pipeline import ADVERTISE, INBOUND, NEIGHBOUR, OUTBOUND, ROUTE, SWITCH
from netloom.render.router_scene import Leg, RouterScene, host_mac

V4 = FAMILIES[4]
NOTE = (SetField("ct_mark", reg.REFUSED),)
PROTOCOLS = {"tcp": (TCP, "tcp_dst"), "udp": (UDP, "udp_dst")}
ALGS = {("ftp", "tcp", 21): 21, ("tftp", "udp", 69): 69}
"""(helper, protocol, port) → what Open vSwitch calls it. At another port it would read one direction alone."""


def render_nat(scene: RouterScene) -> tuple[Flow, ...]:
    rules: list[Rule] = []
    for leg in scene.outer:
        rules += find_away(scene, leg)
        if leg.carried:
            rules += find_floating(scene, leg)
    return make_flows(scene, rules, "router_nat.render_nat")


def name_floating(row: FloatingRow) -> tuple[str, ...]:
    return (f"floatingip/{row.id}", f"port/{row.port_id}") if row.port_id else (f"floatingip/{row.id}",)


# -- floating IPs ------------------------------------------------------------------------------------------------------


def find_floating(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """In and out, for those on this leg's network."""
    for row in scene.floating:
        if row.network_id != leg.network.id:
            continue
        ids, revision = name_floating(row), row.revision
        on = make_match(**{reg.NETWORK: leg.network.number}, eth_dst=row.mac)
        yield SWITCH, 70, on, enter(scene), ids, revision
        yield make_arp(leg, row.floating_ip, row.mac, ids, revision)
        if row.fixed_ip:
            yield from translate(scene, leg, row)


def translate(scene: RouterScene, leg: Leg, row: FloatingRow) -> Iterator[Rule]:
    ids, revision = name_floating(row), row.revision
    inward = Ct(True, zone=scene.zone, table=ROUTE, actions=NOTE, nat=Nat("dst", row.fixed_ip))
    for priority, tests, ct in track(scene, 100, {"ip_dst": row.floating_ip}, inward):
        actions = (*meter_received(scene, row.id), ct)
        yield INBOUND, priority, V4.match(scene.number, **tests), actions, ids, revision
    outward = Ct(True, zone=scene.zone, table=NEIGHBOUR, actions=NOTE, nat=Nat("src", row.floating_ip))
    mine = {reg.NETWORK: leg.network.number, "ip_src": row.fixed_ip}
    first = (*meter_sent(scene, row.id), SetField("eth_src", mac_int(row.mac)))
    for priority, tests, ct in track(scene, 100, mine, outward):
        yield OUTBOUND, priority, V4.match(scene.number, **tests), (*first, ct), ids, revision


# -- connections ------------------------------------------------------------------------------------------------------


def track(
    scene: RouterScene, priority: int, tests: Mapping[str, Any], ct: Ct
) -> Iterator[tuple[int, Mapping[str, Any], Ct]]:
    """(priority, tests, action): for all, and for connections that announce others, where the router has a helper."""
    yield priority, tests, ct
    for protocol, port, alg in find_helpers(scene):
        number, field = PROTOCOLS[protocol]
        yield priority + 5, {**tests, "ip_proto": number, field: port}, replace(ct, alg=alg)


def find_helpers(scene: RouterScene) -> list[tuple[str, int, int]]:
    """(protocol, port, what Open vSwitch calls it), each once."""
    rows = [(row.helper, row.protocol, row.port) for row in scene.helpers]
    return sorted({(protocol, port, ALGS[key]) for key in rows if key in ALGS for _, protocol, port in (key,)})


# -- forwarded ports ---------------------------------------------------------------------------------------------------


def forward(scene: RouterScene, row: ForwardingRow) -> Iterator[Rule]:
    """A range that leads to the same ports is a few masks; one that leads elsewhere is a flow for each port."""
    protocol, field = PROTOCOLS[row.protocol]
    ids = (f"port_forwarding/{row.id}", f"floatingip/{row.floating_id}")
    for test, port in find_targets(row):
        nat = Nat("dst", row.internal_ip, port_first=port)
        inward = Ct(True, zone=scene.zone, table=ROUTE, actions=NOTE, nat=nat)
        match = V4.match(scene.number, ip_dst=row.floating_ip, ip_proto=protocol, **{field: test})
        yield INBOUND, 110, match, (inward,), ids, row.revision


def find_targets(row: ForwardingRow) -> Iterator[tuple[int | tuple[int, int], int]]:
    """(a test of outer ports, the inner port, 0 for the same)."""
    first, last = row.external_first, row.external_last
    if (first, last) == (row.internal_first, row.internal_last):
        yield from ((test, 0) for test in cover_range(first, last))
    elif row.internal_first == row.internal_last:
        yield from ((test, row.internal_first) for test in cover_range(first, last))
    else:
        yield from ((first + n, row.internal_first + n) for n in range(last - first + 1))


# -- the other hosts ---------------------------------------------------------------------------------------------------


def find_away(scene: RouterScene, leg: Leg) -> Iterator[Rule]:
    """What is to leave, and is not translated here, goes to the SNAT port of the network that it came by."""
    if scene.central:
        return
    for inner in scene.inner:
        for version, family in FAMILIES.items():
            port = next(
                (p for p in scene.hiding if p.network_id == inner.network.id and has(p.addresses, version)), None
            )
            if port is not None:
                on = {reg.NETWORK: leg.network.number, reg.ORIGIN: inner.network.number}
                actions: tuple[Action, ...] = (
                    reg.set_network(inner.network.number),
                    SetField("eth_src", host_mac(scene.host)),
                    SetField("eth_dst", mac_int(port.mac)),
                    SetField("nx_in_port", 0),
                    Goto(SWITCH),
                )
                match = family.match(scene.number, **on)
                yield OUTBOUND, 30, match, actions, name_port(port), max(port.revision, leg.revision)


def has(addresses: tuple[object, ...], version: int) -> bool:
    return any(ip_version(address.ip) == version for address in addresses)  # type: ignore[attr-defined]


# -- who has this address, asked from outside --------------------------------------------------------------------------


def find_answers(leg: Leg, ip: str, ids: tuple[str, ...], revision: int) -> Iterator[Rule]:
    if not leg.provider:
        return
    if ip_version(ip) == 4:
        yield make_arp(leg, ip, leg.port.mac, ids, revision)
    else:
        match = ask_outside(
            leg, eth_type=IPV6, ip_proto=ICMPV6, icmpv6_type=135, icmpv6_code=0, nd_target=ip, nd_options_type=1
        )
        actions = (*answer_nd(leg.port.mac, ip)[:-1], *tag(leg), Resubmit(ADVERTISE))
        yield SWITCH, 120, match, actions, ids, revision


def make_arp(leg: Leg, ip: str, mac: str, ids: tuple[str, ...], revision: int) -> Rule:
    match = ask_outside(leg, eth_type=ARP, arp_op=1, arp_tpa=ip)
    return SWITCH, 120, match, (*answer_arp(mac, ip)[:-1], *tag(leg), Output(IN_PORT)), ids, revision


def ask_outside(leg: Leg, **tests: int | str) -> Match:
    return make_match(**{reg.NETWORK: leg.network.number, reg.FROM: reg.FROM_PROVIDER}, **tests)


def tag(leg: Leg) -> tuple[Action, ...]:
    """Answers go back with the tag that was taken off when the question came."""
    return tag_out(leg.provider) if leg.provider else ()

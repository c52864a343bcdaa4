"""The last step of a routed packet: from the address of its next hop to a MAC address, one flow an address.

They are known from where the network's ports are, so nobody asks and no host is told twice. On external networks others
live, too: their addresses the agent finds out, and what is sent to one that is not known yet goes to the agent.
Between hosts a packet has its host's own source address, so that no switch sees a router's at two of its ports.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netloom.model.address import mac_int, parse_net
from netloom.model.flow import Action, DecTtl, Flow, Goto, Match, Resubmit, SetField, ToController, make_match
from netloom.model.slices import NetworkRow, PlaceRow
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.routers import FAMILIES, family_of
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import NEIGHBOUR, REASON_RESOLVE, SWITCH
from netloom.render.router_scene import host_mac

ROUTER_PREFIX = "network:router"
BY = "neighbours.render_neighbour"
MOST = 8
"""Of ports that may have one address, so many at most are sent a packet for it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A port that may have an address, and its MAC address for that. `own`: the address is the port's, and it uses it;
    else one that it may use beside its own, as others may."""

    mac: str
    place: PlaceRow
    own: bool


@dataclass(frozen=True, slots=True)
class Ground:
    """Where the neighbours are: a network, on this host."""

    network: NetworkRow
    integration: str
    host: str

    @property
    def slice(self) -> str:
        return f"network/{self.network.id}"


def find_claims(place: PlaceRow) -> Iterator[tuple[str, Claim]]:
    """(address, claim): of a port that is on some host, or a router's. An address that a port has for itself, and does
    not use anywhere, is theirs who may use it by an address pair; of a pair's prefix nobody can tell which of its
    addresses are used."""
    if place.host or place.device_owner.startswith(ROUTER_PREFIX):
        for address in place.addresses:
            yield address.ip, Claim(place.mac, place, True)
    for pair in place.pairs if place.host else ():
        net = parse_net(pair.ip)
        if net.prefixlen == net.max_prefixlen:
            yield str(net.network_address), Claim(pair.mac, place, False)


def render_neighbour(ip: str, claims: list[Claim], ground: Ground, learned: str) -> Flow | None:
    """The flow of one address; None where nobody has it. `learned`: the MAC address that the agent found out."""
    network = ground.network
    known = [claim for claim in claims if claim.own] or claims
    if known:
        ids = (*dict.fromkeys(f"port/{claim.place.id}" for claim in known), ground.slice)
        why = Why(max(claim.place.revision for claim in known), ids, BY)
        actions = find_last_step(known, ground)
        return make_flow(
            ground.integration, NEIGHBOUR, 100, match_hop(network, ip), actions, make_cookie(ground.slice), why
        )
    if not learned or not network.external:
        return None
    why = Why(network.revision, (ground.slice,), BY)
    actions = (DecTtl(), *send_to(learned), Goto(SWITCH))
    return make_flow(ground.integration, NEIGHBOUR, 90, match_hop(network, ip), actions, make_cookie(ground.slice), why)


def render_strangers(ground: Ground) -> Iterator[Flow]:
    """Who is not known, where others live: the agent asks for him."""
    network, why = ground.network, Why(ground.network.revision, (ground.slice,), BY)
    for family in FAMILIES.values() if network.external else ():
        match = make_match(**{reg.NETWORK: network.number}, eth_type=family.eth_type)
        resolve = (ToController(REASON_RESOLVE),)
        yield make_flow(ground.integration, NEIGHBOUR, 10, match, resolve, make_cookie(ground.slice), why)


def match_hop(network: NetworkRow, ip: str) -> Match:
    family = family_of(ip)
    return make_match(**{reg.NETWORK: network.number}, eth_type=family.eth_type, **family.is_next(ip))


def find_last_step(known: list[Claim], ground: Ground) -> tuple[Action, ...]:
    """To the one MAC address that has it. Where several ports may, as with the virtual address of redundant servers,
    to each, those of this host first: only who has it takes the packet, and nobody need know which that is."""
    away = {claim.mac: is_away(claim.place, ground) for claim in reversed(known)}
    macs = sorted(dict.fromkeys(claim.mac for claim in known), key=lambda mac: away[mac])[:MOST]
    sends = [send_to(mac, host_mac(ground.host) if away[mac] else 0) for mac in macs]
    copies = [action for send in sends[:-1] for action in (*send, Resubmit(SWITCH), SetField("vlan_tci", 0))]
    return DecTtl(), *copies, *sends[-1], Goto(SWITCH)


def is_away(place: PlaceRow, ground: Ground) -> bool:
    return bool(place.host) and place.host != ground.host and not ground.network.external


def send_to(mac: str, source: int = 0) -> tuple[Action, ...]:
    """As in the network's switch table. in_port is forgotten: a packet may leave by the port that it came in by."""
    sender = (SetField("eth_src", source),) if source else ()
    return (
        *sender,
        SetField("eth_dst", mac_int(mac)),
        SetField("nx_in_port", 0),
        SetField(reg.FROM, 0),
    )

"""The last step of a routed packet: from the address of its next hop to a MAC address, one flow an address.

They are known from where the network's ports are, so nobody asks and no host is told twice. On external networks others
live, too: their addresses the agent finds out, and what is sent to one that is not known yet goes to the agent.
Between hosts a packet has its host's own source address, so that no switch sees a router's at two of its ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netloom.model.address import mac_int, parse_net
from netloom.model.flow import Action, DecTtl, Flow, Goto, Match, SetField, ToController, make_match
from netloom.model.slices import NetworkRow, PlaceRow, Slice
from netloom.model.why import Why
from netloom.render import registers as reg
from netloom.render.flows.routers import FAMILIES, family_of
from netloom.render.make import make_cookie, make_flow
from netloom.render.pipeline import NEIGHBOUR, REASON_RESOLVE, SWITCH
from netloom.render.router_scene import host_mac

ROUTER_PREFIX = "network:router"
Owner = tuple[str, PlaceRow]
"""(MAC address, whose it is)."""


def render_neighbours(
    network: NetworkRow, found: Slice, learned: Mapping[str, str], integration: str, host: str
) -> tuple[Flow, ...]:
    """`learned`: what the agent found out on this network, address → MAC address."""
    cookie = make_cookie(found.name)
    flows = []
    owners = find_owners(found)
    for ip, known in owners.items():
        why = Why(
            max(place.revision for _, place in known), name_places(known, network), "neighbours.render_neighbours"
        )
        actions = find_last_step(known, network, host)
        flows.append(make_flow(integration, NEIGHBOUR, 100, match_hop(network, ip), actions, cookie, why))
    if network.external:
        why = Why(network.revision, (f"network/{network.id}",), "neighbours.render_neighbours")
        for ip, mac in sorted(learned.items()):
            if ip not in owners:
                hop = match_hop(network, ip)
                flows.append(make_flow(integration, NEIGHBOUR, 90, hop, send_to(mac), cookie, why))
        for family in FAMILIES.values():
            match = make_match(**{reg.NETWORK: network.number}, eth_type=family.eth_type)
            flows.append(make_flow(integration, NEIGHBOUR, 10, match, (ToController(REASON_RESOLVE),), cookie, why))
    return tuple(flows)


def match_hop(network: NetworkRow, ip: str) -> Match:
    family = family_of(ip)
    return make_match(**{reg.NETWORK: network.number}, eth_type=family.eth_type, **family.is_next(ip))


def find_owners(found: Slice) -> dict[str, list[Owner]]:
    """Who has which address: a port that is on some host, or a router's; else ports that may use it by an address pair.
    An address that a port has for itself, and does not use anywhere, is theirs."""
    places = sorted((row for row in found.rows.values() if isinstance(row, PlaceRow)), key=lambda row: row.id)
    owners: dict[str, list[Owner]] = {}
    for place in places:
        if place.host or place.device_owner.startswith(ROUTER_PREFIX):
            for address in place.addresses:
                owners.setdefault(address.ip, []).append((place.mac, place))
    shared: dict[str, list[Owner]] = {}
    for place in places:
        for ip, mac in find_pairs(place) if place.host else ():
            if ip not in owners:
                shared.setdefault(ip, []).append((mac, place))
    return owners | shared


def find_pairs(place: PlaceRow) -> Iterator[tuple[str, str]]:
    """Single addresses of allowed address pairs; of a prefix nobody can tell which of its addresses are used."""
    for pair in place.pairs:
        net = parse_net(pair.ip)
        if net.prefixlen == net.max_prefixlen:
            yield str(net.network_address), pair.mac


def name_places(known: list[Owner], network: NetworkRow) -> tuple[str, ...]:
    return (*dict.fromkeys(f"port/{place.id}" for _, place in known), f"network/{network.id}")


def find_last_step(known: list[Owner], network: NetworkRow, host: str) -> tuple[Action, ...]:
    """To the one MAC address that has it; where several may, as with a virtual address of redundant servers, to the
    first by port. Not to all: who forwards what is not its own would send each copy on."""
    mac, place = known[0]
    away = bool(place.host) and place.host != host and not network.external
    return send_to(mac, host_mac(host) if away else 0)


def send_to(mac: str, source: int = 0) -> tuple[Action, ...]:
    """On in the network's switch table. in_port is forgotten: a packet may leave by the port that it came in by."""
    sender = (SetField("eth_src", source),) if source else ()
    return (
        *sender,
        SetField("eth_dst", mac_int(mac)),
        DecTtl(),
        SetField("nx_in_port", 0),
        SetField(reg.FROM, 0),
        Goto(SWITCH),
    )

"""Who speaks for this host on external networks, and for its distributed routers: what the agent must know to ask who
has an address, to say where one came to, and to answer for a router.

Law 4: a network or a router that is not known here has no voice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netloom.model.address import ip_version, link_local
from netloom.model.facts import HostFacts
from netloom.model.slices import Slice, Slices
from netloom.render.router_scene import (
    Known,
    Leg,
    RouterScene,
    find_routers,
    make_router_scene,
    number_routers,
    read_known,
    read_ports,
)

Address = tuple[str, str]
"""(MAC address, IP address)."""


@dataclass(frozen=True, slots=True)
class Voice:
    """This host on an external network. `speaks`: by IP version, who asks; `own`: all that it answers for there.

    `gateways`: next hops that are always needed. `prefixes`: where neighbours are.
    """

    network_id: str
    number: int
    speaks: Mapping[int, Address]
    own: frozenset[Address]
    gateways: frozenset[str]
    prefixes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Outside:
    """`voices` by network number; `routers`: by number, the address that a router has on a network, by number of that
    and IP version; `mtus`: of routers' networks, by number; `outer`: the external ones of those."""

    voices: Mapping[int, Voice]
    routers: Mapping[int, Mapping[tuple[int, int], str]]
    mtus: Mapping[int, int] = field(default_factory=dict)
    outer: frozenset[int] = frozenset()


class OutsideBook:
    """`read` after every change; what comes of slices that are the same is not read again."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Slice, Known | None]] = {}

    def read(self, slices: Slices, facts: HostFacts) -> Outside:
        routers = find_routers(slices)
        numbers = number_routers(routers.keys(), facts)
        known = {}
        kept = {}
        for id in {port.network_id for _, found in routers.values() for port in read_ports(found)}:
            part = slices.get(f"network/{id}")
            if part is not None:
                held = self._known.get(part.name)
                kept[part.name] = held if held and held[0] is part else (part, read_known(part, *(held or ())))
                if (one := kept[part.name][1]) is not None:
                    known[id] = one
        self._known = kept
        scenes = [make_router_scene(*routers[name], known, numbers[name], facts) for name in routers]
        return Outside(
            find_voices(scenes),
            {scene.number: find_addresses(scene) for scene in scenes},
            {one.network.number: one.network.mtu for one in known.values()},
            frozenset(leg.network.number for scene in scenes for leg in scene.outer),
        )


def find_voices(scenes: list[RouterScene]) -> dict[int, Voice]:
    voices: dict[int, Voice] = {}
    for scene in scenes:
        for leg in scene.outer:
            own = frozenset(find_own(scene, leg)) if leg.carried else frozenset()
            if own:
                made = make_voice(leg, own)
                held = voices.get(leg.network.number)
                voices[leg.network.number] = join_voices(held, made) if held else made
    return voices


def find_own(scene: RouterScene, leg: Leg) -> list[Address]:
    own = [(leg.port.mac, address.ip) for address in leg.port.addresses] if scene.central else []
    if scene.central and scene.row.enable_ndp_proxy and leg == scene.gate:
        own += [(leg.port.mac, row.ip) for row in scene.neighbours]
    return own + [(row.mac, row.floating_ip) for row in scene.floating if row.network_id == leg.network.id]


def make_voice(leg: Leg, own: frozenset[Address]) -> Voice:
    speaks: dict[int, Address] = {}
    for mac, ip in sorted(own):
        speaks.setdefault(ip_version(ip), (mac, ip if ip_version(ip) == 4 else link_local(mac)))
    gateways = frozenset(s.gateway_ip for s in leg.subnets if s.gateway_ip and s.ip_version in speaks)
    prefixes = frozenset(subnet.cidr for subnet in leg.subnets)
    return Voice(leg.network.id, leg.network.number, speaks, own, gateways, prefixes)


def join_voices(one: Voice, other: Voice) -> Voice:
    """Of two routers on one network; the lower address speaks."""
    speaks = {
        version: min(said.speaks[version] for said in (one, other) if version in said.speaks)
        for version in one.speaks.keys() | other.speaks.keys()
    }
    return Voice(
        one.network_id, one.number, speaks, one.own | other.own, one.gateways | other.gateways,
        one.prefixes | other.prefixes,
    )  # fmt: skip


def find_addresses(scene: RouterScene) -> dict[tuple[int, int], str]:
    """The router's addresses, by the network that a packet came by."""
    found: dict[tuple[int, int], str] = {}
    for leg in (*scene.inner, *scene.outer):
        for address in leg.port.addresses:
            found.setdefault((leg.network.number, ip_version(address.ip)), address.ip)
    return found

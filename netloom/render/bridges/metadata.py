"""The way from an instance to the metadata service on a host with Linux bridges: a namespace on each network's bridge.

    instance ─▶ tap: to 169.254.169.254 or fe80::a9fe:a9fe, TCP 80, whatever MAC it has
                                          ─▶ nlm… ═ meta0 in qmeta-…, where the proxy listens

Law: who asks is told by the network and the address; the guard of the instance's port lets it use none but its own, and
nobody but the host's instances has a way there, nor hears that it is asked for. A port without port security may use
another's. By IPv6 an instance asks from the address that its MAC gives, or from one of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netloom.model.bridge import BridgePort, Leads
from netloom.model.facts import HostFacts
from netloom.model.filter import Way
from netloom.model.netns import Held, Namespace, Path, Veth
from netloom.model.plan import Thing
from netloom.model.slices import Slices, SubnetRow
from netloom.model.why import Why
from netloom.render.bridges.plugs import find_plugged
from netloom.render.bridges.scene import BridgeScene, tap_name
from netloom.render.caller_book import CallerBook
from netloom.render.metadata import DEVICE, FAMILIES, HTTP, MAIN, MTU, PROXY_MAC, SPACE, Caller, find_sources, is_served
from netloom.render.metadata_space import PORT as REDIRECTED
from netloom.render.metadata_space import find_space_callers
from netloom.render.scene import Plugged, find_ports

END = "nlm"
"""How the host's ends begin; nft's tables know them by it."""


def space_name(network: str) -> str:
    return f"{SPACE}-{network}"


def end_name(network: str) -> str:
    return f"{END}{network}"[:14]


def may_ask(scene: BridgeScene, one: Plugged) -> bool:
    """Whether the port is of an instance, on a host that has the service."""
    return scene.metadata and is_served(one.port)


def render_metadata(scene: BridgeScene, subnets: Iterable[SubnetRow]) -> Iterator[Thing]:
    """The namespace and the device of a network on which somebody may ask."""
    network, netns, end = scene.network, space_name(scene.network.id), end_name(scene.network.id)
    why = Why(network.revision, (f"network/{network.id}",), "bridges.render_metadata")
    yield Thing(("netns", netns), Namespace(), why)
    yield Thing(("veth", end), Veth(netns, DEVICE, PROXY_MAC, min(network.mtu, MTU), scene.plain), why)
    for address in (f"{FAMILIES[4].service}/32", f"{FAMILIES[6].service}/128"):
        yield Thing(("alias", netns, DEVICE, address), Held(), why)
    for cidr in sorted(subnet.cidr for subnet in subnets):
        yield Thing(("route", netns, MAIN, cidr), Path((("", DEVICE),)), why)
    yield Thing(("bridge_port", end), BridgePort(scene.bridge), why)
    yield Thing(("bridge_fdb", end, PROXY_MAC), Leads(), why)
    yield Thing(("filter_way", "bridge", "ports", end), Way(), why)


def render_asking(one: Plugged) -> Thing:
    """The way there, of one port."""
    why = Why(one.port.revision, (f"port/{one.port.id}",), "bridges.render_asking")
    return Thing(("filter_way", "bridge", "asks", tap_name(one.port.id)), Way(), why)


def find_bridge_callers(
    slices: Slices, facts: HostFacts, book: CallerBook | None = None
) -> dict[str, tuple[int, Mapping[str, Caller]]]:
    """By namespace, where the proxy listens and who may ask there, by address."""
    found: dict[str, dict[str, Caller]] = {}
    for one in find_plugged(find_ports(slices, facts.host), facts) if facts.metadata else ():
        if is_served(one.port):
            held = found.setdefault(space_name(one.port.network_id), {})
            held |= {
                ip: Caller(one.port.id, one.port.device_id, one.port.project_id, ip)
                for version in FAMILIES
                for ip in find_sources(one.port, version)
            }
    own: dict[str, tuple[int, Mapping[str, Caller]]] = {name: (HTTP, held) for name, held in found.items()}
    return own | {name: (REDIRECTED, held) for name, held in find_space_callers(slices, facts, book).items()}

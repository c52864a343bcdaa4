"""A network's DHCP server on this host: its namespace, and dnsmasq in it, where a port of it is bound here."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import blake2b
from typing import Any

from netloom.model.address import parse_net
from netloom.model.device import SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.netns import Held, Namespace, Path, Ruleset, Veth
from netloom.model.plan import Thing
from netloom.model.slices import PortRow, Slice, Slices
from netloom.model.why import Why
from netloom.render.answers.scope import Scope, Settings, read_scope
from netloom.render.dhcp_files import ID_LENGTH, OWNER, FileBook, Service
from netloom.render.scene import find_ports

MAIN = 254
EVERYWHERE = "0.0.0.0/0"
CLOSED = " chain forward {\n  type filter hook forward priority 0; policy drop;\n }"
"""It has one leg, and is no router."""


def space_name(network: str) -> str:
    return f"qdhcp-{network}"


def is_server(port: PortRow) -> bool:
    """Whether the port is one that the server made for a DHCP server, and switched on."""
    ours = port.device_id.startswith("dhcp") and port.device_id.endswith(f"-{port.network_id}")
    return port.device_owner == OWNER and ours and port.admin_state_up


class DhcpBook:
    """The servers of this host. Each is rendered anew where what it is made of is another object."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: dict[str, ServerBook] = {}

    def render(self, slices: Slices, facts: HostFacts) -> dict[str, tuple[Thing, ...]]:
        held, groups = {}, {}
        for port in find_ports(slices, facts.host):
            part = slices.get(f"network/{port.network_id}")
            if part is None or not is_server(port):
                continue
            book = held[port.id] = self._held.get(port.id) or ServerBook(self._settings)
            if things := book.render(port, part, facts):
                groups[f"dhcp/{port.id}"] = things
        self._held = held
        return groups


class ServerBook:
    """One server. A port more on its network costs its own lines, and its files put together anew."""

    def __init__(self, settings: Settings) -> None:
        self.files = FileBook()
        self._settings = settings
        self._key: tuple[Any, ...] = ()
        self._part: Slice | None = None
        self._scope: Scope | None = None
        self._things: tuple[Thing, ...] = ()

    def render(self, port: PortRow, part: Slice, facts: HostFacts) -> tuple[Thing, ...]:
        """Nothing where the network is not known, or off (law 4)."""
        key = (port, port.revision, facts.integration_bridge, facts.datapath_type)
        if part is not self._part or key != self._key:
            self._scope, self._part = read_scope(part, self._part, self._scope), part
            self._key, self._things = key, ()
            self.files.take(part)
            if self._scope is not None and self._scope.network.admin_state_up:
                plain = facts.datapath_type == "netdev"
                servers, bridge = self.files.servers, facts.integration_bridge
                service = Service(port, self._scope, servers, self._settings, bridge, plain)
                self._things = tuple(render_service(service, self.files))
        return self._things


def render_service(service: Service, files: FileBook) -> Iterator[Thing]:
    port, netns = service.port, space_name(service.network.id)
    revision = max(port.revision, service.network.revision)
    why = Why(revision, (f"port/{port.id}", f"network/{service.network.id}"), "dhcp_server.render_service")
    end = f"tap{port.id[:ID_LENGTH]}"
    ids = make_pairs(**{"iface-id": port.id, "iface-status": "active", "attached-mac": port.mac})
    yield Thing(("netns", netns), Namespace(), why)
    yield Thing(("ruleset", netns, "netloom"), Ruleset(digest(CLOSED), CLOSED), why)
    yield Thing(("veth", end), Veth(netns, service.device, port.mac, service.network.mtu, service.plain), why)
    yield Thing(("switch_port", service.integration, end), SwitchPort("system", (), None, ids), why)
    for cidr in find_cidrs(service):
        alone = parse_net(cidr).prefixlen == parse_net(cidr).max_prefixlen
        yield Thing(("alias" if alone else "address", netns, service.device, cidr), Held(), why)
    gateway = next((s.gateway_ip for s in service.served if s.ip_version == 4 and s.gateway_ip), "")
    if gateway:
        yield Thing(("route", netns, MAIN, EVERYWHERE), Path(((gateway, service.device),)), why)
    yield Thing(("dhcp_server", netns), files.render(service), why)


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def find_cidrs(service: Service) -> Iterator[str]:
    """The port's addresses with the lengths of their subnets."""
    lengths = {subnet.id: parse_net(subnet.cidr).prefixlen for subnet in service.scope.subnets}
    for address in service.port.addresses:
        if address.subnet_id in lengths:
            yield f"{address.ip}/{lengths[address.subnet_id]}"

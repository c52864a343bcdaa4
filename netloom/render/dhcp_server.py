"""A network's DHCP server on this host: its namespace, and the files of dnsmasq, where a port of it is bound here.

Law: what it says is what the hosts themselves would say (`render.answers`), so a network may go from one to the other.
A port is known by its MAC in the configuration and never by a tag in the list of hosts: with those dnsmasq dies when it
is told to read the list anew and somebody has a lease.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from netloom.model.address import ip_version, parse_net
from netloom.model.device import SwitchPort, make_pairs
from netloom.model.facts import HostFacts
from netloom.model.netns import FOLDER, DhcpServer, Held, Namespace, Path, Ruleset, Veth
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    DhcpOption,
    NetworkRow,
    PlaceRow,
    PortRow,
    Route,
    Slice,
    Slices,
    SubnetRow,
)
from netloom.model.why import Why
from netloom.render.answers.dhcp4 import Lease, render_routes
from netloom.render.answers.options import SERVER_IP_ADDRESS, find_option
from netloom.render.answers.scope import Scope, Settings, domain_of, name_servers, read_scope
from netloom.render.scene import find_ports

OWNER = "network:dhcp"
MAIN = 254
ID_LENGTH = 11
EVERYWHERE = "0.0.0.0/0"
MOST_LEASES = 1 << 16
"""Of one subnet. The number follows from the subnets alone, for another one needs a restart."""
CLOSED = " chain forward {\n  type filter hook forward priority 0; policy drop;\n }"
"""It has one leg, and is no router."""


def space_name(network: str) -> str:
    return f"qdhcp-{network}"


@dataclass(frozen=True, slots=True)
class Service:
    """One network's server here: its port, and the network around it."""

    port: PortRow
    scope: Scope
    places: tuple[PlaceRow, ...]
    settings: Settings
    integration: str
    plain: bool

    @property
    def network(self) -> NetworkRow:
        return self.scope.network

    @property
    def netns(self) -> str:
        return space_name(self.network.id)

    @property
    def device(self) -> str:
        return f"ns-{self.port.id[:ID_LENGTH]}"

    @property
    def served(self) -> tuple[SubnetRow, ...]:
        """The subnets whose addresses it hands out, or tells the rest about."""
        return tuple(subnet for subnet in self.scope.subnets if subnet.enable_dhcp)

    @property
    def domain(self) -> str:
        return domain_of(self.scope, self.settings)


def is_server(port: PortRow) -> bool:
    """Whether the port is one that the server made for a DHCP server, and switched on."""
    ours = port.device_id.startswith("dhcp") and port.device_id.endswith(f"-{port.network_id}")
    return port.device_owner == OWNER and ours and port.admin_state_up


class DhcpBook:
    """The servers of this host, rendered anew where what they are made of is another object."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._held: dict[str, tuple[tuple[Any, ...], tuple[Thing, ...]]] = {}

    def render(self, slices: Slices, facts: HostFacts) -> dict[str, tuple[Thing, ...]]:
        held = {}
        for port in find_ports(slices, facts.host):
            part = slices.get(f"network/{port.network_id}")
            if part is None or not is_server(port):
                continue
            key = (port, facts.integration_bridge, facts.datapath_type)
            old = self._held.get(port.id)
            if old is None or old[0][0] is not part or old[0][1:] != key:
                old = ((part, *key), render_server(port, part, facts, self._settings))
            held[port.id] = old
        self._held = held
        return {f"dhcp/{id}": things for id, (_, things) in held.items() if things}


def render_server(port: PortRow, part: Slice, facts: HostFacts, settings: Settings) -> tuple[Thing, ...]:
    """Nothing where the network is not known, or off (law 4)."""
    scope = read_scope(part)
    if scope is None or not scope.network.admin_state_up:
        return ()
    places = sorted((row for row in part.rows.values() if isinstance(row, PlaceRow)), key=lambda row: row.id)
    plain = facts.datapath_type == "netdev"
    return tuple(render_service(Service(port, scope, tuple(places), settings, facts.integration_bridge, plain)))


def render_service(service: Service) -> Iterator[Thing]:
    port, netns = service.port, service.netns
    revision = max(port.revision, service.network.revision)
    why = Why(revision, (f"port/{port.id}", f"network/{service.network.id}"), "dhcp_server.render_server")
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
    yield Thing(("dhcp_server", netns), render_files(service), why)


def digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()


def find_cidrs(service: Service) -> Iterator[str]:
    """The port's addresses with the lengths of their subnets."""
    lengths = {subnet.id: parse_net(subnet.cidr).prefixlen for subnet in service.scope.subnets}
    for address in service.port.addresses:
        if address.subnet_id in lengths:
            yield f"{address.ip}/{lengths[address.subnet_id]}"


# -- the files of dnsmasq ----------------------------------------------------------------------------------------------


def render_files(service: Service) -> DhcpServer:
    return DhcpServer(
        config=join_lines(list_config(service)),
        hosts=join_lines(list_hosts(service)),
        options=join_lines(list_options(service)),
        names=join_lines(list_names(service)),
    )


def join_lines(lines: Iterator[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def list_config(service: Service) -> Iterator[str]:
    yield from ("no-hosts", "no-resolv", "bind-dynamic", "dhcp-authoritative", "user=root", "except-interface=lo")
    yield f"interface={service.device}"
    yield f"pid-file={FOLDER}/pid"
    yield f"dhcp-hostsfile={FOLDER}/hosts"
    yield f"dhcp-optsfile={FOLDER}/options"
    yield f"addn-hosts={FOLDER}/names"
    yield f"dhcp-leasefile={FOLDER}/leases"
    yield f"dhcp-option-force=option:mtu,{service.network.mtu}"
    if service.domain:
        yield f"domain={service.domain}"
        yield f"local=/{service.domain}/"
    for server in service.settings.dns_servers:
        yield f"server={server}"
    ranges = [(subnet, render_range(subnet, service.settings)) for subnet in service.served]
    yield f"dhcp-lease-max={sum(min(parse_net(s.cidr).num_addresses, MOST_LEASES) for s in service.served)}"
    yield from (text for _, text in ranges if text)
    for place in service.places:
        if place.dhcp_options:
            yield f"dhcp-mac=set:port-{place.id},{place.mac}"


def render_range(subnet: SubnetRow, settings: Settings) -> str:
    """A range whose addresses go to known hosts alone. Empty: nothing is handed out there, and nobody is told more."""
    net = parse_net(subnet.cidr)
    lease = "infinite" if settings.lease_s < 0 else f"{settings.lease_s}s"
    if subnet.ip_version == 4:
        return f"dhcp-range=set:subnet-{subnet.id},{net.network_address},static,{net.netmask},{lease}"
    if subnet.ipv6_address_mode not in ("dhcpv6-stateful", "dhcpv6-stateless"):
        return ""
    return f"dhcp-range=set:subnet-{subnet.id},{net.network_address},static,{net.prefixlen},{lease}"


def list_hosts(service: Service) -> Iterator[str]:
    """One line for each address that is handed out."""
    leased = {s.id for s in service.served if s.ip_version == 4 or s.ipv6_address_mode == "dhcpv6-stateful"}
    for place in service.places:
        for address in place.addresses:
            if address.subnet_id not in leased:
                continue
            name = full_name(service, place, address)
            if ip_version(address.ip) == 4:
                yield f"{place.mac},{name},{address.ip}"
            else:
                yield f"{place.mac},tag:dhcpv6,{name},[{address.ip}]"


def list_names(service: Service) -> Iterator[str]:
    """What the server resolves itself."""
    for place in service.places:
        for address in place.addresses:
            short = short_name(place, address)
            yield " ".join(dict.fromkeys((address.ip, full_name(service, place, address), short)))


def short_name(place: PlaceRow, address: Address) -> str:
    return place.hostname or "host-" + address.ip.replace(".", "-").replace(":", "-")


def full_name(service: Service, place: PlaceRow, address: Address) -> str:
    return ".".join(filter(None, (short_name(place, address), service.domain)))


# -- options -----------------------------------------------------------------------------------------------------------


def list_options(service: Service) -> Iterator[str]:
    for subnet in service.served:
        tag = f"tag:subnet-{subnet.id}"
        lines = list_options4(service, subnet) if subnet.ip_version == 4 else list_options6(service, subnet)
        for line in lines:
            yield f"{tag},{line}"
    for place in service.places:
        for option in place.dhcp_options:
            if text := render_extra(option):
                yield f"tag:port-{place.id},{text}"


def list_options4(service: Service, subnet: SubnetRow) -> Iterator[str]:
    """An option without a value is one that is not to be sent."""
    router, routes = render_routes(Lease("", subnet, ""), service.scope, service.settings)
    yield join_values("option:dns-server", find_resolvers(service, subnet))
    yield join_values("option:router", (router,) if router else ())
    if routes:
        flat = tuple(word for route in routes for word in read_route(route))
        yield join_values("option:classless-static-route", flat)
        yield join_values("249", flat)


def read_route(route: Route) -> tuple[str, str]:
    return route.destination, route.nexthop


def list_options6(service: Service, subnet: SubnetRow) -> Iterator[str]:
    resolvers = find_resolvers(service, subnet)
    if resolvers:
        yield join_values("option6:dns-server", tuple(f"[{ip}]" for ip in resolvers))
    if service.domain:
        yield join_values("option6:domain-search", (service.domain,))


def join_values(name: str, values: tuple[str, ...]) -> str:
    return ",".join((name, *values))


def find_resolvers(service: Service, subnet: SubnetRow) -> tuple[str, ...]:
    """The subnet's own, else every DHCP server that has an address on it."""
    if subnet.dns_nameservers or service.settings.dns_servers:
        return name_servers(subnet, service.settings)
    servers = (place for place in service.places if place.device_owner == OWNER)
    return tuple(a.ip for place in servers for a in place.addresses if a.subnet_id == subnet.id)


def render_extra(option: DhcpOption) -> str:
    """An extra option of a port as dnsmasq reads it; empty for one that nobody knows, or that is more than a line."""
    known = find_option(option.name, option.ip_version)
    if known is None or not all(" " <= letter <= "~" for letter in option.value):
        return ""
    return join_values(name_option(known.code, option.ip_version), (option.value,) if option.value.strip() else ())


def name_option(code: int, version: int) -> str:
    if version == 6:
        return f"option6:{code}"
    return "option:server-ip-address" if code == SERVER_IP_ADDRESS else str(code)

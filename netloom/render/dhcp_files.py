"""The files of dnsmasq, of one network's server.

Law: what it says is what the hosts themselves would say (`render.answers`), so a network may go from one to the other.
A port is known by its MAC in the configuration and never by a tag in the list of hosts: with those dnsmasq dies when it
is told to read the list anew and somebody has a lease.
Law 6: a port that comes, changes or goes costs its own lines; the files are put together of them as they are.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netloom.model.address import ip_version, parse_net
from netloom.model.netns import FOLDER, DhcpServer
from netloom.model.slices import (
    Address,
    DhcpOption,
    NetworkRow,
    PlaceRow,
    PortRow,
    Route,
    Slice,
    SubnetRow,
    find_changed,
)
from netloom.render.answers.dhcp4 import Lease, render_routes
from netloom.render.answers.options import SERVER_IP_ADDRESS, find_option
from netloom.render.answers.scope import Scope, Settings, domain_of, name_servers

OWNER = "network:dhcp"
ID_LENGTH = 11
MOST_LEASES = 1 << 16
"""Of one subnet. The number follows from the subnets alone, for another one needs a restart."""


@dataclass(frozen=True, slots=True)
class Service:
    """A network's server here: its port, and the network around it. `servers`: the ports of all of them, by id."""

    port: PortRow
    scope: Scope
    servers: tuple[PlaceRow, ...]
    settings: Settings
    integration: str
    plain: bool

    @property
    def network(self) -> NetworkRow:
        return self.scope.network

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


# -- what is of one port -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ground:
    """What the lines of every port depend on. `leased`: the subnets whose addresses are handed out."""

    domain: str
    leased: frozenset[str]


def find_ground(service: Service) -> Ground:
    leased = (s.id for s in service.served if s.ip_version == 4 or s.ipv6_address_mode == "dhcpv6-stateful")
    return Ground(service.domain, frozenset(leased))


def list_hosts(place: PlaceRow, ground: Ground) -> Iterator[str]:
    """One line for each address that is handed out."""
    for address in place.addresses:
        if address.subnet_id not in ground.leased:
            continue
        name = full_name(ground, place, address)
        if ip_version(address.ip) == 4:
            yield f"{place.mac},{name},{address.ip}"
        else:
            yield f"{place.mac},tag:dhcpv6,{name},[{address.ip}]"


def list_names(place: PlaceRow, ground: Ground) -> Iterator[str]:
    """What the server resolves itself."""
    for address in place.addresses:
        short = short_name(place, address)
        yield " ".join(dict.fromkeys((address.ip, full_name(ground, place, address), short)))


def list_tags(place: PlaceRow, ground: Ground) -> Iterator[str]:
    """In the configuration: the port has options of its own."""
    if place.dhcp_options:
        yield f"dhcp-mac=set:port-{place.id},{place.mac}"


def list_extras(place: PlaceRow, ground: Ground) -> Iterator[str]:
    for option in place.dhcp_options:
        if text := render_extra(option):
            yield f"tag:port-{place.id},{text}"


def short_name(place: PlaceRow, address: Address) -> str:
    return place.hostname or "host-" + address.ip.replace(".", "-").replace(":", "-")


def full_name(ground: Ground, place: PlaceRow, address: Address) -> str:
    return ".".join(filter(None, (short_name(place, address), ground.domain)))


# -- what the book remembers -------------------------------------------------------------------------------------------


class Lines:
    """What each of many has in a file, in the order of their ids."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._held: dict[str, str] = {}

    def put(self, id: str, text: str) -> None:
        """Empty: there is nothing of it any more."""
        if text and id not in self._held:
            insort(self._ids, id)
        elif not text and id in self._held:
            del self._ids[bisect_left(self._ids, id)]
        if text:
            self._held[id] = text
        else:
            self._held.pop(id, None)

    def join(self) -> str:
        return "".join(map(self._held.__getitem__, self._ids))


class FileBook:
    """The files of one network's server. Law 1: what comes out is what a new book would give."""

    def __init__(self) -> None:
        self.read = 0
        """How many rows were looked at since the beginning."""
        self.rendered = 0
        """How many ports' lines were made since the beginning."""
        self._found: Slice | None = None
        self._places: dict[str, PlaceRow] = {}
        self._servers: dict[str, PlaceRow] = {}
        self._dirty: set[str] = set()
        self._ground: Ground | None = None
        self._hosts, self._names, self._tags, self._extras = Lines(), Lines(), Lines(), Lines()

    def take(self, found: Slice) -> None:
        """Take over the rows that changed."""
        for key in find_changed(self._found, found):
            self.read += 1
            kind, _, id = key.partition("/")
            if kind == "place":
                self._take_place(id, found.rows.get(key))
        self._found = found

    def _take_place(self, id: str, row: object) -> None:
        self._dirty.add(id)
        for held in (self._places, self._servers):
            held.pop(id, None)
        if isinstance(row, PlaceRow):
            self._places[id] = row
            if row.device_owner == OWNER:
                self._servers[id] = row

    @property
    def servers(self) -> tuple[PlaceRow, ...]:
        """Every port of a DHCP server on the network, by id."""
        return tuple(self._servers[id] for id in sorted(self._servers))

    def render(self, service: Service) -> DhcpServer:
        ground = find_ground(service)
        if ground != self._ground:
            self._ground, self._dirty = ground, self._dirty | self._places.keys()
        for id in self._dirty:
            self._render_place(id, self._places.get(id), ground)
        self._dirty = set()
        return DhcpServer(
            config=join_lines(list_config(service)) + self._tags.join(),
            hosts=self._hosts.join(),
            options=join_lines(list_options(service)) + self._extras.join(),
            names=self._names.join(),
        )

    def _render_place(self, id: str, place: PlaceRow | None, ground: Ground) -> None:
        self.rendered += 1
        of = (
            (self._hosts, list_hosts),
            (self._names, list_names),
            (self._tags, list_tags),
            (self._extras, list_extras),
        )
        for lines, listed in of:
            lines.put(id, join_lines(listed(place, ground)) if place else "")


def join_lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# -- what is for all ports ---------------------------------------------------------------------------------------------


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


def render_range(subnet: SubnetRow, settings: Settings) -> str:
    """A range whose addresses go to known hosts alone. Empty: nothing is handed out there, and nobody is told more."""
    net = parse_net(subnet.cidr)
    lease = "infinite" if settings.lease_s < 0 else f"{settings.lease_s}s"
    if subnet.ip_version == 4:
        return f"dhcp-range=set:subnet-{subnet.id},{net.network_address},static,{net.netmask},{lease}"
    if subnet.ipv6_address_mode not in ("dhcpv6-stateful", "dhcpv6-stateless"):
        return ""
    return f"dhcp-range=set:subnet-{subnet.id},{net.network_address},static,{net.prefixlen},{lease}"


# -- options -----------------------------------------------------------------------------------------------------------


def list_options(service: Service) -> Iterator[str]:
    for subnet in service.served:
        tag = f"tag:subnet-{subnet.id}"
        lines = list_options4(service, subnet) if subnet.ip_version == 4 else list_options6(service, subnet)
        for line in lines:
            yield f"{tag},{line}"


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
    return tuple(a.ip for place in service.servers for a in place.addresses if a.subnet_id == subnet.id)


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

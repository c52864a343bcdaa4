"""What an answer is made from: the network around a port, the host's settings, and who the server seems to be.

All of it is a function of slices and settings, the same on every host; so a port that moves meets the same server.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from immutables import Map

from netloom.model.address import Mac, ip_text, link_local, parse_net
from netloom.model.slices import NetworkRow, PlaceRow, PortRow, Slice, SubnetRow, find_changed

SERVER_MAC = Mac("02:4e:4c:00:00:01")
"""The locally administered MAC that every answer comes from, on every host. Frames with it never leave a host."""

SERVER_LINK_LOCAL = link_local(SERVER_MAC)

ROUTER_OWNERS = frozenset(
    {
        "network:router_interface",
        "network:router_interface_distributed",
        "network:ha_router_replicated_interface",
    }
)
"""Owners of ports through which a router serves a network."""

FOREVER = 0xFFFFFFFF
"""The lifetime that means infinity in DHCP, DHCPv6 and ND."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator may set. Times in seconds; a lease of -1 never ends, as with Neutron's dhcp_lease_duration."""

    lease_s: int = 86400
    domain: str = "openstacklocal"
    dns_servers: tuple[str, ...] = ()  # offered where a subnet names none
    ra_interval_s: int = 100
    ra_router_lifetime_s: int = 1800
    prefix_valid_s: int = 86400
    prefix_preferred_s: int = 14400
    metadata_route: str = ""  # who is told the way to the metadata service: "all", "isolated" subnets, or nobody


@dataclass(frozen=True, slots=True)
class Scope:
    """A network as the answers see it: subnets in order of id, every address in use with how many ports have it, and
    its routers' ports."""

    network: NetworkRow
    subnets: tuple[SubnetRow, ...] = ()
    taken: Mapping[str, int] = field(default_factory=Map)
    routers: tuple[PlaceRow, ...] = ()


def make_scope(network: NetworkRow, subnets: tuple[SubnetRow, ...], places: tuple[PlaceRow, ...]) -> Scope:
    routers = tuple(sorted((p for p in places if p.device_owner in ROUTER_OWNERS), key=lambda p: p.id))
    return Scope(network, tuple(sorted(subnets, key=lambda s: s.id)), count_addresses(Map(), (), places), routers)


def read_scope(part: Slice, old: Slice | None = None, known: Scope | None = None) -> Scope | None:
    """The scope of a `network/<id>` slice; None when the network's own row is not there (law 4).

    `known`: that of an earlier state `old` of it, which spares a look at each port that is there as before.
    """
    places = find_moved(old, part) if old is not None and known is not None else None
    if places is not None and known is not None:
        return replace(known, taken=count_addresses(known.taken, *places)) if any(places) else known
    rows = tuple(part.rows.values())
    network = next((row for row in rows if isinstance(row, NetworkRow)), None)
    if network is None:
        return None
    subnets = tuple(row for row in rows if isinstance(row, SubnetRow))
    return make_scope(network, subnets, tuple(row for row in rows if isinstance(row, PlaceRow)))


def find_moved(old: Slice, new: Slice) -> tuple[list[PlaceRow], list[PlaceRow]] | None:
    """The ports that went and those that came, a change as both; None where something else changed, or a router."""
    keys = tuple(find_changed(old, new))
    gone, came = ([rows[key] for key in keys if key in rows] for rows in (old.rows, new.rows))
    places = [row for row in (*gone, *came) if isinstance(row, PlaceRow) and row.device_owner not in ROUTER_OWNERS]
    if len(places) != len(gone) + len(came):
        return None
    return places[: len(gone)], places[len(gone) :]


def count_addresses(taken: Mapping[str, int], gone: Iterable[PlaceRow], came: Iterable[PlaceRow]) -> Mapping[str, int]:
    edit = (taken if isinstance(taken, Map) else Map(taken)).mutate()
    for places, step in ((gone, -1), (came, 1)):
        for ip in (address.ip for place in places for address in place.addresses):
            count = edit.get(ip, 0) + step
            if count:
                edit[ip] = count
            else:
                edit.pop(ip, None)
    counted: Mapping[str, int] = edit.finish()
    return counted


def lease_time(settings: Settings) -> int:
    return FOREVER if settings.lease_s < 0 else min(settings.lease_s, FOREVER - 1)


def domain_of(scope: Scope, settings: Settings) -> str:
    return (scope.network.dns_domain or settings.domain).strip(".")


def name_servers(subnet: SubnetRow, settings: Settings) -> tuple[str, ...]:
    """The subnet's DNS servers of its own family. One of 0.0.0.0 or :: says: offer none (as the API has it)."""
    given = subnet.dns_nameservers or settings.dns_servers
    ours = tuple(ip for ip in given if (":" in ip) == (subnet.ip_version == 6))
    return () if any(ip in ("0.0.0.0", "::") for ip in ours) else ours


def server_address(subnet: SubnetRow, taken: Container[str]) -> str:
    """The v4 server identifier: the gateway, else the first address of the subnet that no port has, else nothing.

    The same on all hosts, each of which answers for it.
    """
    return subnet.gateway_ip or next((ip for ip in islice(usable_addresses(subnet), 65536) if ip not in taken), "")


def is_isolated(subnet: SubnetRow, scope: Scope) -> bool:
    """Whether no router of Netloom's is the subnet's gateway, as Neutron's DHCP agent has it."""
    gateways = {address.ip for place in scope.routers for address in place.addresses}
    return not subnet.gateway_ip or subnet.gateway_ip not in gateways


def is_way_told(subnet: SubnetRow, scope: Scope, settings: Settings) -> bool:
    """Whether instances on the subnet are told that the metadata service is on their link."""
    told = settings.metadata_route
    return told == "all" or (told == "isolated" and is_isolated(subnet, scope))


def usable_addresses(subnet: SubnetRow) -> Iterator[str]:
    """The subnet's addresses that a host could have, in order."""
    net = parse_net(subnet.cidr)
    first, last = int(net.network_address), int(net.broadcast_address)
    edge = 0 if net.prefixlen >= net.max_prefixlen - 1 else 1
    return (ip_text(number, net.version) for number in range(first + edge, last + 1 - edge))


def leased_addresses(port: PortRow, scope: Scope, version: int) -> tuple[tuple[str, SubnetRow], ...]:
    """The port's addresses that DHCP may hand out, in the port's order, each with its subnet."""
    by_id = {s.id: s for s in scope.subnets if s.ip_version == version and s.enable_dhcp}
    if version == 6:
        by_id = {id: s for id, s in by_id.items() if s.ipv6_address_mode == "dhcpv6-stateful"}
    return tuple((a.ip, by_id[a.subnet_id]) for a in port.addresses if a.subnet_id in by_id)


def client_macs(port: PortRow) -> frozenset[str]:
    """Who may ask through this port: its own MAC and those of its allowed address pairs."""
    return frozenset((port.mac, *(pair.mac for pair in port.pairs)))


def host_name(port: PortRow, ip: str) -> str:
    """The name given with an address: the port's, else host-10-0-0-5 as OpenStack clouds have always named them."""
    return port.hostname or "host-" + ip.replace(".", "-").replace(":", "-")

"""Subnets: the prefixes of a network, and which of their addresses are handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import addresses, kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict, invalid_operation, not_found
from netloom.intent.network import MIRRORED, check_mtu
from netloom.intent.operation import Context, Outcome, Settings
from netloom.intent.part import Part, find_fields, find_filters, find_indexes, resolve_update
from netloom.intent.policy_rules import (
    ADMIN,
    NETWORK_MEMBER,
    NETWORK_READER,
    PROJECT_MEMBER,
    PROJECT_READER,
    SERVICE,
    any_of,
)
from netloom.intent.pools import check_gateway_outside, check_pools, make_pools, net_range
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Filter, Index, Kind, Resource, Rules, Sharing
from netloom.intent.snapshot import Snapshot
from netloom.model.address import ip_int, ip_text, ip_version, parse_net

PARTS: tuple[Part, ...] = ()
"""What other features add to a subnet, in the order in which they decide."""
MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
ROUTER_OWNERS = addresses.ROUTER_OWNERS


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "subnet", bodies)
    return draft.finish([("subnet", create_subnet(draft, body)["id"]) for body in bodies])


def create_subnet(draft: Draft, body: Doc) -> Doc:
    context = draft.context
    cidr = require_cidr(draft, body)
    network = draft.get("network", body["network_id"])
    if network is None:
        raise not_found("network", body["network_id"])
    given = {**body, "cidr": cidr}
    check_subnet(given, None, context.settings)
    check_mtu(network["id"], network["mtu"], given["ip_version"])
    check_overlap(draft, network, cidr)
    given["gateway_ip"] = body["gateway_ip"] if "gateway_ip" in body else make_gateway(cidr)
    given["allocation_pools"] = decide_pools(given)
    mirrored = {name: network[name] for name in MIRRORED}
    given.setdefault("project_id", context.requester.project_id)
    given.pop("prefixlen", None)
    subnet = stamp.make_created(context.new_id(), {**given, **mirrored}, context)
    for part in PARTS:
        subnet |= part.create(draft, subnet)
    draft.put("subnet", subnet)
    draft.put("network", stamp.make_updated(network, {"subnets": [*network["subnets"], subnet["id"]]}, context))
    if addresses.is_auto(subnet):
        add_auto_addresses(draft, subnet)
    return subnet


def require_cidr(draft: Draft, body: Doc) -> str:
    """The prefix that the request names. There are no subnet pools to take one from yet."""
    cidr: str | None = body["cidr"]
    if body.get("prefixlen") is not None and cidr:
        raise bad_resource("subnets", "cidr and prefixlen must not be supplied together")
    if body["segment_id"] is not None:
        raise bad_resource("subnets", "segment_id: a subnet of one segment of a network is not supported")
    if body["subnetpool_id"] == "prefix_delegation":
        raise bad_resource("subnets", "subnetpool_id: prefix delegation is not supported")
    if body["subnetpool_id"] is not None:
        raise ApiError(404, "SubnetPoolNotFound", f"Subnet pool {body['subnetpool_id']} could not be found.")
    if not cidr:
        raise bad_resource("subnets", "a subnetpool must be specified in the absence of a cidr")
    return cidr


def make_gateway(cidr: str) -> str:
    """The gateway of a subnet that names none: IPv4's first host, IPv6's subnet-router anycast (RFC 4291, 2.6.1)."""
    first, last = net_range(cidr)
    version = ip_version(cidr)
    return ip_text(first if version == 6 or first == last else first + 1, version)


def decide_pools(subnet: Doc) -> list[dict[str, str]]:
    pools: list[dict[str, str]] | None = subnet.get("allocation_pools")
    if pools is None:
        return make_pools(subnet["cidr"], subnet["gateway_ip"])
    check_pools(subnet["cidr"], pools)
    check_gateway_outside(subnet["gateway_ip"], pools)
    return pools


def check_overlap(draft: Draft, network: Doc, cidr: str) -> None:
    """Two subnets of one network have no address in common."""
    first, last = net_range(cidr)
    for id in network["subnets"]:
        other = draft.get("subnet", id)
        if other is None or other["ip_version"] != ip_version(cidr):
            continue
        low, high = net_range(other["cidr"])
        if first <= high and low <= last:
            raise invalid_operation(
                f"Requested subnet with cidr: {cidr} for network: {network['id']} overlaps with another subnet"
            )


# -- what a subnet may be ----------------------------------------------------------------------------------------------


def check_subnet(new: Doc, old: Doc | None, settings: Settings) -> None:
    """Raises InvalidInput and its kin, in the order in which Neutron looks. `new` is the subnet as it would be."""
    check_version(new, "cidr", new["cidr"])
    net = parse_net(new["cidr"])
    if net.prefixlen == 0:
        raise invalid_operation("0 is not allowed as CIDR prefix length")
    if new["ip_version"] == 6 and int(net.network_address) == 0:
        raise invalid_operation("IPv6 subnet '::' is not supported")
    if new["enable_dhcp"] and not (old and old["enable_dhcp"]):
        check_dhcp(new)
    if new.get("gateway_ip"):
        check_gateway(new)
    check_limits(new, old, settings)
    check_modes(new, old)


def check_version(subnet: Doc, name: str, value: str) -> None:
    version = subnet["ip_version"]
    if ip_version(value) != version:
        raise invalid_operation(f"{name} '{value}' does not match the ip_version '{version}'")


def check_dhcp(subnet: Doc) -> None:
    net = parse_net(subnet["cidr"])
    if net.prefixlen > net.max_prefixlen - 2:
        raise invalid_operation("Subnet has a prefix length that is incompatible with DHCP service enabled")
    for name, refused in (("Multicast", net.is_multicast), ("Loopback", net.is_loopback)):
        if refused:
            raise invalid_operation(f"{name} IP subnet is not supported if enable_dhcp is True")
    if net.version == 4 and int(net.network_address) == 0:
        raise invalid_operation("First IP '0.0.0.0' of network is not supported if enable_dhcp is True")


def check_gateway(subnet: Doc) -> None:
    """A gateway outside the subnet is allowed; inside, it is no IPv4 network or broadcast address."""
    gateway = subnet["gateway_ip"]
    check_version(subnet, "gateway_ip", gateway)
    first, last = net_range(subnet["cidr"])
    if subnet["ip_version"] == 4 and last - first > 1 and ip_int(gateway) in (first, last):
        raise invalid_operation("Gateway is not valid on subnet")


def check_limits(new: Doc, old: Doc | None, settings: Settings) -> None:
    name = old["id"] if old else "new subnet"
    for attribute, kind, text, limit in (
        ("dns_nameservers", "DNSNameServersExhausted", "DNS nameservers", settings.max_dns_nameservers),
        ("host_routes", "HostRoutesExhausted", "host routes", settings.max_subnet_host_routes),
    ):
        if len(new[attribute]) > limit:
            raise ApiError(
                400, kind, f"Unable to complete operation for {name}. The number of {text} exceeds the limit {limit}."
            )
    for host in new["dns_nameservers"]:
        check_version(new, "dns_nameserver", host)
    for route in new["host_routes"]:
        check_version(new, "destination", route["destination"])
        check_version(new, "nexthop", route["nexthop"])


def check_modes(new: Doc, old: Doc | None) -> None:
    """The IPv6 modes: both equal where both are set, only with DHCP on, and a /64 where hosts make their address."""
    modes = {name: new[name] for name in ("ipv6_ra_mode", "ipv6_address_mode") if new[name] is not None}
    if new["ip_version"] == 4:
        for name in modes:
            raise invalid_operation(f"{name} is not valid when ip_version is 4")
    if modes and not new["enable_dhcp"]:
        if old:
            raise invalid_operation("Cannot disable enable_dhcp with ipv6 attributes set")
        raise invalid_operation("ipv6_ra_mode or ipv6_address_mode cannot be set when enable_dhcp is set to False")
    if len(set(modes.values())) > 1:
        raise invalid_operation(
            f"ipv6_ra_mode set to '{modes['ipv6_ra_mode']}' with ipv6_address_mode set to "
            f"'{modes['ipv6_address_mode']}' is not valid. If both attributes are set, they must be the same value"
        )
    if addresses.is_auto(new) and parse_net(new["cidr"]).prefixlen != 64:
        raise invalid_operation(
            f"Invalid CIDR {new['cidr']} for IPv6 address mode. OpenStack uses the EUI-64 address format, which "
            "requires the prefix to be /64"
        )


# -- update and delete -------------------------------------------------------------------------------------------------


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = {**old, **changes}
    check_subnet(new, old, context.settings)
    if new["segment_id"] != old["segment_id"]:
        raise bad_resource("subnets", "segment_id: a subnet of one segment of a network is not supported")
    if "allocation_pools" in changes:
        check_pools(old["cidr"], changes["allocation_pools"])
    if new["gateway_ip"] != old["gateway_ip"]:
        check_gateway_free(draft, old)
    if new["gateway_ip"] != old["gateway_ip"] or "allocation_pools" in changes:
        check_gateway_outside(new["gateway_ip"], new["allocation_pools"])
    changes = resolve_update(PARTS, draft, old, changes)
    draft.put("subnet", stamp.make_updated(old, changes, context))
    return draft.finish([("subnet", old["id"])])


def check_gateway_free(draft: Draft, subnet: Doc) -> None:
    """A gateway that a router's port has stays as it is."""
    gateway = subnet["gateway_ip"]
    if gateway is None:
        return
    port = draft.lookup("port", "ip", (subnet["network_id"], gateway))
    if port is not None and port["device_owner"] in ROUTER_OWNERS:
        raise conflict(
            "GatewayIpInUse", f"Current gateway ip {gateway} already in use by port {port['id']}. Unable to update."
        )


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Delete the subnet. Ports that got their address of themselves lose it; any other address in use refuses."""
    draft = Draft(snapshot, context)
    ports = list(draft.find("port", "subnet_id", old["id"]))
    keeps = ROUTER_OWNERS if addresses.is_auto(old) else None
    for port in ports:
        owner = port["device_owner"]
        if owner in keeps if keeps else owner not in addresses.AUTO_DELETED_OWNERS:
            raise conflict(
                "SubnetInUse",
                f"Unable to complete operation on subnet {old['id']}: "
                "One or more ports have an IP allocation from this subnet.",
            )
    for part in PARTS:
        part.delete(draft, old)
    for port in ports:
        left = [fixed for fixed in port["fixed_ips"] if fixed["subnet_id"] != old["id"]]
        draft.put("port", stamp.make_updated(port, addresses.show_addresses(port, left, context.settings), context))
    network = draft.get("network", old["network_id"])
    if network is not None:
        rest = [id for id in network["subnets"] if id != old["id"]]
        draft.put("network", stamp.make_updated(network, {"subnets": rest}, context))
    draft.remove("subnet", old["id"])
    return draft.finish()


def add_auto_addresses(draft: Draft, subnet: Doc) -> None:
    """The ports that are there already make themselves an address in a new SLAAC subnet; routers' ports do not."""
    for port in list(draft.find("port", "network_id", subnet["network_id"])):
        if port["device_owner"] in ROUTER_OWNERS or not addresses.find_candidates([subnet], port["device_owner"]):
            continue
        found = addresses.auto_address(subnet, port["mac_address"])
        if addresses.is_taken(draft, found):
            continue
        fixed = [*port["fixed_ips"], found]
        draft.put(
            "port",
            stamp.make_updated(port, addresses.show_addresses(port, fixed, draft.context.settings), draft.context),
        )


def mirror_filter(name: str) -> Filter:
    """A filter by what a subnet does not show, but has of its network."""

    def matches(doc: Doc, values: Sequence[str]) -> bool:
        return doc[name] in [kinds.parse_bool(value) for value in values]

    def check(values: Sequence[str]) -> None:
        for value in values:
            kinds.parse_bool(value)

    return Filter(name, matches, f"By {name} of its network.", check)


def parse_ip_version(value: Any) -> int:
    number = kinds.parse_any_int(value)
    if number not in (4, 6):
        raise ValueError(f"{kinds.show(value)} is not in [4, 6]")
    return number


def parse_pool_id(value: Any) -> str | None:
    return value if value is None or value == "prefix_delegation" else kinds.parse_uuid(value)


def parse_service_types(value: Any) -> list[str]:
    """Owners of ports that may have addresses here: network:… , compute:… and the like."""
    types: list[str] = kinds.list_parser(kinds.parse_short_text, unique=True)(value)
    for one in types:
        if not one.startswith(("network:", "compute:", "baremetal:", "neutron:", "manila:", "trunk:")):
            raise invalid_operation(
                f"Subnet service type {kinds.show(one)} does not correspond to a valid device owner",
                type="InvalidSubnetServiceType",
            )
    return types


_MEMBER = any_of(PROJECT_MEMBER, ADMIN, NETWORK_MEMBER)
_VERSION = Kind("ip_version", parse_ip_version, {"type": "integer", "enum": [4, 6]}, kinds.filter_int)
_POOL_ID = Kind("subnetpool_id", parse_pool_id, {"type": ["string", "null"]})
_TYPES = Kind("service_types", parse_service_types, {"type": "array", "uniqueItems": True, "items": {"type": "string"}})
_MODE = kinds.choice_kind(*MODES, None)
_PREFIX_LENGTH = kinds.int_kind(0, 128)

FIELDS = stamp.standard_fields(
    Field("network_id", kinds.UUID, "The network it is on, for life.", REQUIRED, sort=True),
    Field("ip_version", _VERSION, "4 or 6.", REQUIRED, sort=True),
    Field("cidr", kinds.CIDR_OR_NONE, "Its prefix, for life. Host bits are dropped.", None, sort=True),
    Field("prefixlen", _PREFIX_LENGTH, "The length of a prefix from a pool.", GENERATED, visible=False, filter=False),
    Field("subnetpool_id", _POOL_ID, "The pool that its prefix is from.", None, sort=True),
    Field(
        "gateway_ip",
        kinds.IP_OR_NONE,
        "Its router; the first address where nothing is said, none where null.",
        GENERATED,
        put=True,
        sort=True,
    ),
    Field("allocation_pools", kinds.POOLS, "Addresses that ports are given.", GENERATED, put=True, filter=False),
    Field("dns_nameservers", kinds.NAMESERVERS, "Resolvers that DHCP names.", [], put=True, filter=False),
    Field("host_routes", kinds.HOST_ROUTES, "Routes that DHCP names.", [], put=True, filter=False),
    Field("enable_dhcp", kinds.BOOL, "Whether DHCP answers.", True, put=True, sort=True),
    Field("ipv6_ra_mode", _MODE, "How router advertisements say addresses come.", None, sort=True),
    Field("ipv6_address_mode", _MODE, "How hosts get their address.", None, sort=True),
    Field(
        "service_types",
        _TYPES,
        "Owners of the ports it is for; empty: any.",
        [],
        put=True,
        filter=False,
        set=ADMIN,
        change=ADMIN,
        alias="subnet-service-types",
    ),
    Field(
        "segment_id",
        kinds.UUID_OR_NONE,
        "The one segment it is on.",
        None,
        put=True,
        sort=True,
        set=ADMIN,
        change=ADMIN,
        see=ADMIN,
    ),
    *find_fields(PARTS),
    Field("shared", kinds.BOOL, "Whether its network is shared.", GENERATED, post=False, visible=False),
    Field("router:external", kinds.BOOL, "Whether its network is external.", GENERATED, post=False, visible=False),
    Field("external_to_all", kinds.BOOL, "Whether that is so for all.", GENERATED, post=False, visible=False),
    tag_rules=(_MEMBER, any_of(PROJECT_READER, "rule:shared", "rule:external_network", ADMIN, NETWORK_READER)),
)

SUBNET = Resource(
    "subnet",
    "subnets",
    "A prefix of a network, and which of its addresses are handed out.",
    FIELDS,
    Rules(
        any_of(ADMIN, NETWORK_MEMBER),
        any_of(PROJECT_READER, "rule:shared", "rule:external_network", ADMIN, NETWORK_READER, SERVICE),
        _MEMBER,
        _MEMBER,
    ),
    indexes=(
        Index("project_id", lambda doc: (doc["project_id"],)),
        Index("network_id", lambda doc: (doc["network_id"],)),
        Index("name", lambda doc: (doc["name"],) if doc["name"] else ()),
        Index("public", lambda doc: (True,) if doc["shared"] or doc["router:external"] else ()),
        *find_indexes(PARTS),
    ),
    filters=(
        mirror_filter("shared"),
        mirror_filter("router:external"),
        *stamp.STANDARD_FILTERS,
        *find_filters(PARTS),
    ),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["subnet"],
    sharing=(
        Sharing(kind="network", key="network_id"),
        Sharing("access_as_external", "router:external", "external_to_all", "network", "network_id"),
    ),
)

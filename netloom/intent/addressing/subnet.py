"""Subnets: the prefixes of a network, and which of their addresses are handed out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.addressing import addresses
from netloom.intent.addressing.address_scope import find_scopes
from netloom.intent.addressing.dns import SUBNET_PART as DNS_PART
from netloom.intent.addressing.pools import check_gateway_outside, check_pools, make_pools, net_range
from netloom.intent.addressing.routed import is_in_reach
from netloom.intent.addressing.routed_subnet import SUBNET_PART as SEGMENT_PART
from netloom.intent.addressing.subnet_checks import check_subnet
from netloom.intent.addressing.subnet_prefix import (
    DELEGATED,
    choose,
    find_prefix,
    first_router,
    prefix_keys,
    share_keys,
)
from netloom.intent.agents.dhcp_ports import sync_ports
from netloom.intent.agents.dhcp_schedule import serve_network
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_request, conflict, invalid_operation, not_found
from netloom.intent.l2.network import MIRRORED, check_mtu
from netloom.intent.l3.router_gateway import follow_new_subnet, follow_ports
from netloom.intent.operation import Context, Outcome
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
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Doc,
    Field,
    Filter,
    Index,
    Kind,
    Resource,
    Rules,
    Sharing,
    index_by,
    index_where_set,
)
from netloom.intent.snapshot import Snapshot
from netloom.model.address import ip_text, ip_version

PARTS: tuple[Part, ...] = (SEGMENT_PART, DNS_PART)
"""What other features add to a subnet, in the order in which they decide."""
OWNERS = ("network:", "neutron:", "baremetal:", "manila:", *"compute:")
"""How service types begin. Neutron takes each letter of "compute:" for a beginning, and clients rely on it."""
MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")
ROUTER_OWNERS = addresses.ROUTER_OWNERS


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "subnet", bodies)
    return draft.finish([("subnet", create_subnet(draft, body)["id"]) for body in bodies])


def create_subnet(draft: Draft, body: Doc) -> Doc:
    context = draft.context
    choice = choose(draft, body)
    network = draft.get("network", body["network_id"])
    if network is None:
        raise not_found("network", body["network_id"])
    if choice.cidr:
        check_subnet({**body, "cidr": choice.cidr}, None, context.settings)
    check_mtu(network["id"], network["mtu"], body["ip_version"])
    given = {**body, "subnetpool_id": choice.pool_id, "cidr": find_prefix(draft, network, body, choice)}
    if "gateway_ip" not in body:
        given["gateway_ip"] = first_router(given["cidr"]) if choice.is_cut else make_gateway(given["cidr"])
    if not (choice.cidr or choice.is_delegated):
        check_subnet(given, None, context.settings)
    given["allocation_pools"] = decide_pools(given)
    given |= {name: network[name] for name in MIRRORED}
    for name in ("prefixlen", "use_default_subnetpool"):
        given.pop(name, None)
    subnet = stamp.make_created(context.new_id(), given, context)
    for part in PARTS:
        subnet |= part.create(draft, subnet)
    draft.put("subnet", subnet)
    add_to_network(draft, network, subnet)
    if addresses.is_auto(subnet):
        add_auto_addresses(draft, subnet)
    follow_new_subnet(draft, subnet)
    serve_network(draft, network["id"])
    sync_ports(draft, network["id"])
    return subnet


def add_to_network(draft: Draft, network: Doc, subnet: Doc) -> None:
    network = draft.get("network", network["id"]) or network
    ids = [*network["subnets"], subnet["id"]]
    draft.put("network", stamp.make_updated(network, {"subnets": ids, **find_scopes(draft, ids)}, draft.context))


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


# -- update and delete -------------------------------------------------------------------------------------------------


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = {**old, **changes}
    check_subnet(new, old, context.settings)
    if "allocation_pools" in changes:
        check_pools(old["cidr"], changes["allocation_pools"])
    if new["gateway_ip"] != old["gateway_ip"]:
        check_gateway_free(draft, old)
    if new["gateway_ip"] != old["gateway_ip"] or "allocation_pools" in changes:
        check_gateway_outside(new["gateway_ip"], new["allocation_pools"])
    changes = resolve_update(PARTS, draft, old, changes)
    draft.put("subnet", stamp.make_updated(old, changes, context))
    if new["enable_dhcp"] != old["enable_dhcp"]:
        serve_network(draft, old["network_id"])
        sync_ports(draft, old["network_id"])
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
                f"One or more ports have an IP allocation from this subnet, port {port['id']} for one.",
            )
    for part in PARTS:
        part.delete(draft, old)
    for port in ports:
        left = [fixed for fixed in port["fixed_ips"] if fixed["subnet_id"] != old["id"]]
        draft.put("port", stamp.make_updated(port, addresses.show_addresses(port, left, context.settings), context))
    network = draft.get("network", old["network_id"])
    if network is not None:
        rest = [id for id in network["subnets"] if id != old["id"]]
        draft.put("network", stamp.make_updated(network, {"subnets": rest, **find_scopes(draft, rest)}, context))
    draft.remove("subnet", old["id"])
    follow_ports(draft, ports)
    sync_ports(draft, old["network_id"])
    return draft.finish()


def add_auto_addresses(draft: Draft, subnet: Doc) -> None:
    """The ports that are there already make themselves an address in a new SLAAC subnet; routers' ports do not."""
    for port in list(draft.find("port", "network_id", subnet["network_id"])):
        if port["device_owner"] in ROUTER_OWNERS or not addresses.find_candidates([subnet], port["device_owner"]):
            continue
        found = addresses.auto_address(subnet, port["mac_address"])
        if addresses.is_taken(draft, found) or not is_in_reach(draft, subnet, port):
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


def parse_pool_id(value: Any) -> str | None:
    return value if value is None or value == DELEGATED else kinds.parse_uuid(value)


def parse_service_types(value: Any) -> list[str]:
    """Owners of ports that may have addresses here: network:… , compute:… and the like; null is none."""
    if not value:
        return []
    if not isinstance(value, list):
        raise bad_request("Subnet service types must be a list.")
    for one in value:
        if not isinstance(one, str):
            raise invalid_operation(
                f"Subnet service type {kinds.show(one)} is not a string", type="InvalidInputSubnetServiceType"
            )
        if not one.startswith(OWNERS):
            raise invalid_operation(
                f"Subnet service type {kinds.show(one)} does not correspond to a valid device owner",
                type="InvalidSubnetServiceType",
            )
    types: list[str] = kinds.list_parser(kinds.parse_short_text, unique=True)(value)
    return types


_MEMBER = any_of(PROJECT_MEMBER, ADMIN, NETWORK_MEMBER)
_POOL_ID = Kind("subnetpool_id", parse_pool_id, {"type": ["string", "null"]})
_TYPES = Kind("service_types", parse_service_types, {"type": "array", "uniqueItems": True, "items": {"type": "string"}})
_MODE = kinds.choice_kind(*MODES, None)
_PREFIX_LENGTH = kinds.int_kind(0, 128)

FIELDS = stamp.standard_fields(
    Field("network_id", kinds.UUID, "The network it is on, for life.", REQUIRED, sort=True),
    Field("ip_version", kinds.IP_VERSION, "4 or 6.", REQUIRED, sort=True),
    Field("cidr", kinds.CIDR_OR_NONE, "Its prefix, for life. Host bits are dropped.", None, sort=True),
    Field("prefixlen", _PREFIX_LENGTH, "The length of a prefix from a pool.", GENERATED, visible=False, filter=False),
    Field("subnetpool_id", _POOL_ID, "The pool that its prefix is from.", None, sort=True),
    Field(
        "use_default_subnetpool",
        kinds.BOOL,
        "Take the prefix from the default pool of the IP version.",
        False,
        visible=False,
        filter=False,
        alias="default-subnetpools",
    ),
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
        alias="subnet-service-types",
    ),
    *find_fields(PARTS),
    Field("shared", kinds.BOOL, "Whether its network is shared.", GENERATED, post=False, visible=False),
    Field(
        "router:external",
        kinds.BOOL,
        "Whether its network is external.",
        GENERATED,
        post=False,
        alias="subnet-external-network",
    ),
    Field("external_to_all", kinds.BOOL, "Whether that is so for all.", GENERATED, post=False, visible=False),
    tag_rules=(_MEMBER, any_of(PROJECT_READER, "rule:shared", "rule:external_network", ADMIN, NETWORK_READER), None),
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
        index_by("project_id"),
        index_by("network_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] or doc["router:external"] else ()),
        index_where_set("subnetpool_id"),
        Index("prefix", prefix_keys, "blocks"),
        Index("pool_share", share_keys),
        *find_indexes(PARTS),
    ),
    filters=(
        mirror_filter("shared"),
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

"""Networks: what ports are on. A create makes its segments, gives it its number and works out its MTU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, rbac, stamp
from netloom.intent.addressing import dns
from netloom.intent.addressing.address_scope import NETWORK_PART as SCOPE_PART
from netloom.intent.addressing.addresses import AUTO_DELETED_OWNERS
from netloom.intent.agents import availability_zone
from netloom.intent.agents.dhcp_schedule import DHCP_AGENTS
from netloom.intent.agents.dhcp_schedule import NETWORK_PART as DHCP_PART
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_request, conflict, invalid_operation
from netloom.intent.l2 import multi_provider
from netloom.intent.l2.port import remove_port
from netloom.intent.l2.pvlan import NETWORK_PART as PVLAN_PART
from netloom.intent.l2.qinq import NETWORK_PART as QINQ_PART
from netloom.intent.l2.segments import (
    NETWORK_TYPE,
    PHYSICAL_NETWORK,
    PROVIDER,
    SEGMENTATION_ID,
    allocate_segments,
    change_vlan,
    find_max_mtu,
    find_segments,
    find_wanted,
    provider_values,
    release_segments,
)
from netloom.intent.l2.vlan_transparent import NETWORK_PART as TRANSPARENT_PART
from netloom.intent.l3.auto_topology import NETWORK_PART as TOPOLOGY_PART
from netloom.intent.l3.floatingip import NETWORK_PART as FLOATINGIP_PART
from netloom.intent.l3.router_find import GATEWAY
from netloom.intent.l3.router_network import NETWORK_PART as HA_PART
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import Part, find_fields, find_filters, find_indexes, resolve_update
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_READER, ADVSVC, SERVICE, any_of
from netloom.intent.qos.qos_use import NETWORK_PART as QOS_PART
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    Doc,
    Field,
    Index,
    Kind,
    Resource,
    Rules,
    Sharing,
    index_by,
    index_where_set,
)
from netloom.intent.security.security_group_port import NETWORK_PART as SECURITY_PART
from netloom.intent.snapshot import Snapshot

PARTS: tuple[Part, ...] = (
    TOPOLOGY_PART,
    multi_provider.NETWORK_PART,
    SCOPE_PART,
    SECURITY_PART,
    FLOATINGIP_PART,
    QOS_PART,
    HA_PART,
    DHCP_PART,
    PVLAN_PART,
    TRANSPARENT_PART,
    QINQ_PART,
)
"""What other features add to a network, in the order in which they decide."""
MAX_NUMBER = 2**24 - 1
MIRRORED = ("shared", "router:external", "external_to_all")
"""What subnets copy of their network, for filters and rules."""
IPV4_MIN_MTU, IPV6_MIN_MTU = 68, 1280
"""RFC 791 and RFC 8200 section 5."""


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "network", bodies)
    return draft.finish([("network", create_network(draft, body)["id"]) for body in bodies])


def create_network(draft: Draft, body: Doc) -> Doc:
    context = draft.context
    wanted = find_wanted(body)
    plain = {name: value for name, value in body.items() if name not in (*PROVIDER, "segments")}
    network = stamp.make_created(context.new_id(), plain, context)
    segments = allocate_segments(draft, network, wanted)
    network |= provider_values(segments)
    network["mtu"] = decide_mtu(body["mtu"], find_max_mtu(segments, context.settings))
    hints = availability_zone.find_hints(body["availability_zone_hints"], context.settings)
    network["number"] = allocate_number(draft)
    network["is_default"] = decide_default(draft, network)
    network |= share_network(draft, network)
    network["availability_zones"] = availability_zone.find_serving(draft, hints)
    for part in PARTS:
        network |= part.create(draft, network)
    return draft.put("network", network)


def allocate_number(draft: Draft) -> int:
    """The lowest free number: what tells the network from others in a host's registers, for as long as it lives."""
    number = draft.first_free("network", "number", "number", 1, MAX_NUMBER)
    if number is None:
        raise conflict(
            "NoNetworkAvailable", f"There are {MAX_NUMBER} networks, which is all that hosts can tell apart."
        )
    return number


def decide_mtu(wanted: int, most: int) -> int:
    if wanted and most and wanted > most:
        raise invalid_operation(f"Requested MTU is too big, maximum is {most}")
    return wanted or most


def decide_default(draft: Draft, network: Doc) -> bool:
    """is_default means something on an external network, and on one at a time."""
    if not (network["is_default"] and network["router:external"]):
        return False
    for id in draft.find_ids("network", "is_default", True):
        if id != network["id"]:
            raise conflict("DefaultExternalNetworkExists", f"A default external network already exists: {id}.")
    return True


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    network = {**old, **changes}
    changes = {**changes, **update_provider(draft, old, changes), **update_sharing(draft, old, changes)}
    network |= changes
    if "mtu" in changes:
        changes["mtu"] = decide_mtu(changes["mtu"], find_max_mtu(find_segments(draft, old["id"]), context.settings))
        for id in old["subnets"]:
            subnet = draft.get("subnet", id)
            check_mtu(old["id"], changes["mtu"], subnet["ip_version"] if subnet else 4)
    if "is_default" in changes or "router:external" in changes:
        changes["is_default"] = decide_default(draft, network)
    changes = resolve_update(PARTS, draft, old, changes)
    draft.put("network", stamp.make_updated(old, changes, context))
    mirror_subnets(draft, network)
    return draft.finish([("network", old["id"])])


def check_mtu(network_id: str, mtu: int, ip_version: int) -> None:
    """Raises NetworkMTUSubnetConflict where a subnet of this version cannot live on a network of this MTU."""
    for least, applies in ((IPV4_MIN_MTU, True), (IPV6_MIN_MTU, ip_version == 6)):
        if applies and 0 < mtu < least:
            raise conflict(
                "NetworkMTUSubnetConflict", f"MTU of {network_id} is not valid, subnet requires a minimum of {least}"
            )


def share_network(draft: Draft, network: Doc) -> dict[str, Any]:
    """The grants to everyone that shared and router:external stand for, and what the document says of them."""
    for name, action in (("shared", rbac.SHARED), ("router:external", rbac.EXTERNAL)):
        if network[name]:
            rbac.share_with_all(draft, "network", network, action)
    return {"external_to_all": network["router:external"]}


def update_sharing(draft: Draft, old: Doc, changes: Doc) -> dict[str, Any]:
    """As `share_network`, where a request changes what is shared. Raises where other projects use it."""
    new, found = {**old, **changes}, {}
    if new["shared"] != old["shared"]:
        if new["shared"]:
            rbac.share_with_all(draft, "network", old)
        else:
            check_unshared(draft, old)
            rbac.unshare_with_all(draft, "network", old)
    if new["router:external"] != old["router:external"]:
        found["external_to_all"] = new["router:external"]
        if new["router:external"]:
            rbac.share_with_all(draft, "network", old, rbac.EXTERNAL)
        else:
            check_not_used_outside(draft, old)
            rbac.drop_grants(draft, "network", old["id"], rbac.EXTERNAL)
    return found


def find_users(draft: Draft, network: Doc) -> set[str]:
    """The projects that have ports of their own on a network, or subnets."""
    ports = draft.find("port", "network_id", network["id"])
    found = {port["project_id"] for port in ports if not port["device_owner"].startswith("network:")}
    subnets = (draft.get("subnet", id) for id in network["subnets"])
    return found | {subnet["project_id"] for subnet in subnets if subnet}


def find_outside_users(draft: Draft, network: Doc) -> set[str]:
    """The projects whose routers have their gateway on a network. A floating IP that leads somewhere has one too."""
    found = set()
    for port in draft.find("port", "network_id", network["id"]):
        router = draft.get("router", port["device_id"]) if port["device_owner"] == GATEWAY else None
        if router is not None:
            found.add(router["project_id"])
    return found


def find_grantees(draft: Draft, network: Doc) -> set[str]:
    """As `find_outside_users`, when the grant to everyone is gone; the default external network keeps that one."""
    if network["is_default"]:
        raise conflict(
            "RbacPolicyInUse",
            f"RBAC policy on object {network['id']} cannot be removed because other objects depend on it.\n"
            "Details: Default external networks must be shared to everyone.",
        )
    return find_outside_users(draft, network)


def check_unshared(draft: Draft, network: Doc) -> None:
    """A network that other projects use stays shared."""
    others = find_users(draft, network) - {network["project_id"]}
    if any(not rbac.is_granted(draft, "network", network["id"], rbac.SHARED, project) for project in others):
        raise conflict(
            "InvalidSharedSetting",
            f"Unable to reconfigure sharing settings for network {network['name']}. Multiple projects are using it.",
        )


def check_not_used_outside(draft: Draft, network: Doc) -> None:
    """A network that routers use stays external."""
    if find_outside_users(draft, network):
        raise conflict(
            "ExternalNetworkInUse",
            f"External network {network['id']} cannot be updated to be made non-external, since it has existing "
            "gateway ports.",
        )


def update_provider(draft: Draft, old: Doc, changes: Doc) -> dict[str, Any]:
    """What the network shows of its segments after the update. Only a VLAN's segmentation_id may change."""
    for name in (NETWORK_TYPE, PHYSICAL_NETWORK):
        if changes.get(name) and changes[name] != old.get(name):
            raise cannot_update(name)
    if changes.get("segments") and changes["segments"] != old.get("segments"):
        raise cannot_update("segments")
    number = changes.get(SEGMENTATION_ID)
    if number and number != old.get(SEGMENTATION_ID):
        change_vlan(draft, old, number)
    elif not any(name in changes for name in (*PROVIDER, "segments")):
        return {}
    shown = provider_values(find_segments(draft, old["id"]))
    return {name: shown[name] for name in (*PROVIDER, "segments") if name in shown}


def cannot_update(name: str) -> Exception:
    return invalid_operation(f"Plugin does not support updating the following provider network attributes: {name}")


def mirror_subnets(draft: Draft, network: Doc) -> None:
    for id in network["subnets"]:
        mirror_network(draft, id, network)


def mirror_network(draft: Draft, subnet_id: str, network: Doc) -> None:
    """Keep what a subnet mirrors of its network, for filters and rules on it, in step. No revision of the subnet's."""
    subnet = draft.get("subnet", subnet_id)
    mirrored = {name: network[name] for name in MIRRORED}
    if subnet is not None and any(subnet[name] != value for name, value in mirrored.items()):
        draft.put("subnet", {**subnet, **mirrored})


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Delete the network with its subnets, segments and the ports that nobody asked for."""
    draft = Draft(snapshot, context)
    for part in PARTS:
        part.delete(draft, old)
    ports = list(draft.find("port", "network_id", old["id"]))
    used = sorted(port["id"] for port in ports if port["device_owner"] not in AUTO_DELETED_OWNERS)
    if used:
        raise conflict(
            "NetworkInUse",
            f"Unable to complete operation on network {old['id']}. There are one or more ports still in use on the "
            f"network, id for these ports is: {','.join(used)}.",
        )
    release_segments(draft, old["id"])
    for port in ports:
        remove_port(draft, port)
    for subnet in list(draft.find("subnet", "network_id", old["id"])):
        draft.remove("subnet", subnet["id"])
    rbac.drop_grants(draft, "network", old["id"])
    draft.remove("network", old["id"])
    return draft.finish()


def parse_segments(value: Any) -> list[dict[str, Any]]:
    """Several segments of one network; null is none."""
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise ValueError(f"'{kinds.show(value)}' is not a list of segments")
    return [parse_segment(one) for one in value]


def parse_segment(value: dict[str, Any]) -> dict[str, Any]:
    unknown = sorted(kinds.show(name) for name in value if name not in PROVIDER)
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{', '.join(unknown)}'")
    return {name: SEGMENT_VALUES[name].parse(value[name]) if name in value else None for name in PROVIDER}


_TYPE = kinds.text_kind(32, nullable=True)
_PHYSICAL = kinds.text_kind(64, nullable=True)
_NUMBER = kinds.int_kind(0, 2**32 - 1, nullable=True)
SEGMENT_VALUES = {NETWORK_TYPE: _TYPE, PHYSICAL_NETWORK: _PHYSICAL, SEGMENTATION_ID: _NUMBER}
_SEGMENTS = Kind(
    "segments", parse_segments, kinds.array_of({n: k.schema for n, k in SEGMENT_VALUES.items()}, nullable=True)
)
_MTU = kinds.int_kind(0, 2**31 - 1)


def provider_field(name: str, kind: Kind, doc: str) -> Field:
    return Field(name, kind, doc, GENERATED, put=True, set=ADMIN, change=ADMIN, see=ADMIN, alias="provider")


FIELDS = stamp.standard_fields(
    Field("admin_state_up", kinds.BOOL, "Whether frames pass.", True, put=True, sort=True),
    Field("status", kinds.NAME, "ACTIVE once it exists.", "ACTIVE", post=False, sort=True),
    Field("shared", kinds.BOOL, "Whether every project may use it.", False, put=True, set=ADMIN, change=ADMIN),
    Field("subnets", kinds.TEXTS, "The ids of its subnets.", [], post=False, filter=False),
    Field(
        "router:external",
        kinds.BOOL,
        "Whether routers may have their gateway here.",
        False,
        put=True,
        set=ADMIN,
        change=ADMIN,
        alias="external-net",
    ),
    Field(
        "is_default",
        kinds.BOOL,
        "Whether it is the external network that others mean.",
        False,
        put=True,
        set=ADMIN,
        change=ADMIN,
        alias="auto-allocated-topology",
    ),
    provider_field(NETWORK_TYPE, multi_provider.TYPE, "local, flat, vlan, vxlan, gre or geneve."),
    provider_field(PHYSICAL_NETWORK, multi_provider.PHYSICAL, "The physical network of flat and vlan."),
    provider_field(SEGMENTATION_ID, multi_provider.NUMBER, "The VLAN, VNI or key."),
    Field(
        "segments",
        _SEGMENTS,
        "Several segments, instead of the provider attributes.",
        GENERATED,
        put=True,
        filter=False,
        set=ADMIN,
        change=ADMIN,
        see=ADMIN,
        alias="multi-provider",
    ),
    Field(
        "mtu",
        _MTU,
        "The largest packet, bytes; 0: as large as the segments carry.",
        0,
        put=True,
        sort=True,
        alias="net-mtu-writable",
    ),
    Field(
        "port_security_enabled",
        kinds.BOOL,
        "What its new ports have.",
        True,
        put=True,
        filter=False,
        set=ADMIN_OR_MEMBER,
        change=ADMIN_OR_MEMBER,
        alias="port-security",
    ),
    Field(
        "availability_zone_hints",
        kinds.TEXTS,
        "Zones to serve it in.",
        [],
        filter=False,
        sort=True,
        alias="network_availability_zone",
    ),
    Field(
        "availability_zones",
        kinds.TEXTS,
        "Zones whose hosts serve it.",
        GENERATED,
        post=False,
        filter=False,
        alias="network_availability_zone",
    ),
    Field(
        "l2_adjacency",
        kinds.BOOL,
        "Whether all its ports are in one Ethernet.",
        True,
        post=False,
        filter=False,
        alias="l2_adjacency",
    ),
    Field(
        "dns_domain",
        dns.DNS_DOMAIN,
        "The domain of its ports' names.",
        "",
        put=True,
        filter=False,
        alias="dns-integration",
    ),
    *find_fields(PARTS),
    Field(
        "external_to_all",
        kinds.BOOL,
        "Whether every project may use it as external.",
        GENERATED,
        post=False,
        visible=False,
    ),
    Field(
        "number", kinds.COUNT, "What tells it from others in a host's registers.", GENERATED, post=False, visible=False
    ),
    tag_rules=(ADMIN_OR_MEMBER, any_of(ADMIN_OR_READER, "rule:shared", "rule:external", ADVSVC), None),
)

NETWORK = Resource(
    "network",
    "networks",
    "An Ethernet that ports are on, across all the hosts that have one.",
    FIELDS,
    Rules(
        ADMIN_OR_MEMBER,
        any_of(ADMIN_OR_READER, SERVICE, "rule:shared", "rule:external", ADVSVC),
        ADMIN_OR_MEMBER,
        ADMIN_OR_MEMBER,
    ),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] or doc["router:external"] else ()),
        Index("is_default", lambda doc: (True,) if doc["is_default"] else ()),
        Index("number", lambda doc: (("number", doc["number"]),), "bits"),
        *find_indexes(PARTS),
    ),
    filters=(*stamp.STANDARD_FILTERS, *find_filters(PARTS)),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["network"],
    linked=(DHCP_AGENTS,),
    sharing=(
        Sharing(users=find_users, mirror=mirror_subnets),
        Sharing(rbac.EXTERNAL, "router:external", "external_to_all", users=find_grantees, mirror=mirror_subnets),
    ),
)

"""Ports: where something meets a network. A create gives it a MAC and addresses and binds it, in one write."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.addressing import addresses, dns, routed
from netloom.intent.addressing.dns import PORT_PART as DNS_PART
from netloom.intent.agents.dhcp_schedule import PORT_PART as DHCP_PART
from netloom.intent.agents.dhcp_wait_part import PORT_PART as DHCP_WAIT_PART
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict, not_found
from netloom.intent.l2 import binding, port_parts
from netloom.intent.l2.binding import HOST, PROFILE, VIF_DETAILS, VIF_TYPE, VNIC_TYPE, VNIC_TYPES, is_bound
from netloom.intent.l2.mac import decide_mac, find_device_mac, override_mac
from netloom.intent.l2.port_binding_part import PORT_PART as BINDING_PART
from netloom.intent.l2.port_extras import PORT_PART as EXTRAS_PART
from netloom.intent.l2.port_filters import PORT_FILTERS
from netloom.intent.l2.pvlan import PORT_PART as PVLAN_PART
from netloom.intent.l2.taas_port import PORT_PART as TAP_PART
from netloom.intent.l2.trunk_port import PORT_PART as TRUNK_PART
from netloom.intent.l3.floatingip_parts import PORT_PART as FLOATINGIP_PART
from netloom.intent.l3.local_ip_parts import PORT_PART as LOCAL_IP_PART
from netloom.intent.l3.ndp_proxy_parts import PORT_PART as NDP_PROXY_PART
from netloom.intent.l3.port_forwarding import PORT_PART as FORWARDING_PART
from netloom.intent.l3.router_guard import PORT_PART as ROUTER_PART
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import Part, find_fields, find_filters, find_indexes
from netloom.intent.policy_rules import (
    ADMIN,
    ADMIN_OR_MEMBER,
    ADMIN_OR_SERVICE,
    ADVSVC,
    NETWORK_MANAGER,
    NETWORK_MEMBER,
    NETWORK_READER,
    PROJECT_MEMBER,
    PROJECT_READER,
    SERVICE,
    any_of,
)
from netloom.intent.qos.qos_use import PORT_PART as QOS_PART
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Doc,
    Field,
    Index,
    Kind,
    Resource,
    Rules,
    index_by,
    index_where_set,
)
from netloom.intent.security.log import PORT_PART as LOG_PART
from netloom.intent.security.security_group_port import PORT_PART as SECURITY_PART
from netloom.intent.snapshot import Snapshot
from netloom.model.address import ip_int

PARTS: tuple[Part, ...] = (
    DNS_PART,
    ROUTER_PART,
    SECURITY_PART,
    TRUNK_PART,
    FLOATINGIP_PART,
    FORWARDING_PART,
    QOS_PART,
    NDP_PROXY_PART,
    LOCAL_IP_PART,
    DHCP_PART,
    DHCP_WAIT_PART,
    EXTRAS_PART,
    PVLAN_PART,
    LOG_PART,
    TAP_PART,
    BINDING_PART,
)
"""What other features add to a port, in the order in which they decide."""
REBINDING = (HOST, VNIC_TYPE, PROFILE, "mac_address")
"""What a binding is decided by."""
TOLD = (HOST, VNIC_TYPE, "mac_address", VIF_TYPE, VIF_DETAILS, "bound_segment")
"""What a host has to know of a binding."""


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "port", bodies)
    return draft.finish([("port", create_port(draft, body)["id"]) for body in bodies])


def create_port(draft: Draft, body: Doc) -> Doc:
    """Raises ApiError where the network is not there, or an address or MAC is not to be had."""
    settings = draft.context.settings
    network = draft.get("network", body["network_id"])
    if network is None:
        raise not_found("network", body["network_id"])
    port = stamp.make_created(draft.context.new_id(), body, draft.context)
    port.setdefault("port_security_enabled", network["port_security_enabled"])
    mac = port["mac_address"] = decide_mac(draft, network["id"], find_device_mac(port) or body.get("mac_address"))
    wanted = body.get("fixed_ips")
    fixed_ips = addresses.allocate(draft, network, wanted, port["device_owner"], mac, port[HOST])
    port |= addresses.show_addresses(port, fixed_ips, settings)
    port["ip_allocation"] = decide_allocation(draft, network, wanted, fixed_ips)
    port["allowed_address_pairs"] = port_parts.decide_pairs(
        port["allowed_address_pairs"], mac, port["port_security_enabled"], settings
    )
    port["extra_dhcp_opts"] = port_parts.merge_options((), port["extra_dhcp_opts"])
    for part in PARTS:
        port |= part.create(draft, port)
    port |= binding.bind_port(draft, port)
    return draft.put("port", port)


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    change_port(draft, old, changes)
    return draft.finish([("port", old["id"])])


def change_port(draft: Draft, old: Doc, changes: Doc) -> Doc:
    """The port after an update, with all that follows from it for itself and others."""
    new = draft.put("port", stamp.make_updated(old, resolve_update(draft, old, changes), draft.context))
    for part in PARTS:
        part.follow(draft, old, new)
    return new


def resolve_update(draft: Draft, old: Doc, changes: Doc) -> dict[str, Any]:
    """Everything that an update changes, what follows from what was given included."""
    changed = dict(changes)
    if "mac_address" in changes and changes["mac_address"] != old["mac_address"]:
        changed["mac_address"] = decide_new_mac(draft, old, changes["mac_address"])
    changed |= override_mac(draft, old, {**old, **changed})
    new = {**old, **changed}
    moved = new["mac_address"] != old["mac_address"] or new["device_owner"] != old["device_owner"]
    if "fixed_ips" not in changes and new[HOST] not in ("", old[HOST]):
        changed |= addresses.resolve_host(draft, old, new)
        new |= changed
    if "fixed_ips" in changes or (moved and "fixed_ips" not in changed):
        new["fixed_ips"] = changed["fixed_ips"] = resolve_addresses(draft, old, new, changes.get("fixed_ips"))
    if "fixed_ips" in changes:
        changed["ip_allocation"] = "immediate" if changed["fixed_ips"] else "none"
    if "fixed_ips" in changed or "dns_name" in changes:
        changed |= addresses.show_addresses(new, new["fixed_ips"], draft.context.settings)
    changed |= resolve_pairs(draft, old, new, changes)
    if "extra_dhcp_opts" in changes:
        changed["extra_dhcp_opts"] = port_parts.merge_options(old["extra_dhcp_opts"], changes["extra_dhcp_opts"])
    for part in PARTS:
        changed |= part.update(draft, old, {**new, **changed}, changes)
    return changed | resolve_binding(draft, old, {**new, **changed})


def decide_allocation(draft: Draft, network: Doc, wanted: Any, fixed_ips: Sequence[Any]) -> str:
    """How a new port gets its addresses: now, not at all, or (on a routed network) once it has a host."""
    if fixed_ips:
        return "immediate"
    if wanted is not None:
        return "none"
    return routed.DEFERRED if routed.is_routed(addresses.find_subnets(draft, network)) else "immediate"


def resolve_addresses(draft: Draft, old: Doc, new: Doc, wanted: list[dict[str, str]] | None) -> list[dict[str, str]]:
    """The addresses after an update that names them, or that changes what automatic ones are made of."""
    network = draft.get("network", old["network_id"])
    if network is None:
        raise not_found("network", old["network_id"])
    owner, mac = new["device_owner"], new["mac_address"]
    if wanted is not None:
        addresses.check_count(wanted, owner, draft.context.settings)
    kept = old["fixed_ips"] if wanted is None else wanted
    return addresses.reallocate(draft, network, old, kept, owner, mac, new[HOST])


def decide_new_mac(draft: Draft, old: Doc, mac: str | None) -> str:
    """Another MAC for a port; None: make one. Raises where the port must keep the one it has: its guest has it too.

    A port of bare metal may change even while it is bound (its NIC was exchanged).
    """
    if old["device_owner"].startswith("network:"):
        raise conflict(
            "UnsupportedPortDeviceOwner",
            f"Operation mac address update is not supported for device_owner {old['device_owner']} on port "
            f"{old['id']}.",
        )
    if is_bound(old) and old[VNIC_TYPE] not in ("direct-physical", "baremetal"):
        raise conflict(
            "PortBound",
            f"Unable to complete operation on port {old['id']}, port is already bound, port type: {old[VIF_TYPE]}, "
            f"old_mac {old['mac_address']}, new_mac {mac}.",
        )
    return decide_mac(draft, old["network_id"], mac)


def resolve_pairs(draft: Draft, old: Doc, new: Doc, changes: Doc) -> dict[str, Any]:
    if not changes.keys() & {"allowed_address_pairs", "port_security_enabled"}:
        return {}
    pairs = port_parts.decide_pairs(
        new["allowed_address_pairs"], new["mac_address"], new["port_security_enabled"], draft.context.settings
    )
    return {"allowed_address_pairs": pairs}


def resolve_binding(draft: Draft, old: Doc, new: Doc) -> dict[str, Any]:
    """The binding and status after an update. A binding that failed is tried again by any update, as in Neutron.

    Where the host is told nothing new there is nothing for it to acknowledge, and the status stays.
    """
    found: dict[str, Any] = {}
    if old[VIF_TYPE] == binding.FAILED or any(new[name] != old[name] for name in REBINDING):
        found = binding.bind_port(draft, new)
        if all({**new, **found}[name] == old[name] for name in TOLD):
            found = {} if is_bound(old) else {"waits_for": found["waits_for"]}
    if new["admin_state_up"] != old["admin_state_up"] and is_bound({**new, **found}):
        found |= binding.wait_for_host(new, draft.base.revision + 1)
    return found


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    remove_port(draft, old)
    return draft.finish()


def remove_port(draft: Draft, old: Doc) -> None:
    """Take a port away with all that its features keep for it. Raises ApiError 409 where one of them still needs it."""
    for part in PARTS:
        part.delete(draft, old)
    draft.remove("port", old["id"])


# -- indexes -----------------------------------------------------------------------------------------------------------


def address_keys(doc: Doc) -> tuple[tuple[str, int], ...]:
    return tuple((f["subnet_id"], ip_int(f["ip_address"])) for f in doc["fixed_ips"])


def ip_keys(doc: Doc) -> tuple[Hashable, ...]:
    return tuple((doc["network_id"], f["ip_address"]) for f in doc["fixed_ips"])


INDEXES = (
    index_by("project_id"),
    index_by("network_id"),
    index_where_set("name"),
    index_where_set("device_id"),
    Index(HOST, lambda doc: (doc[HOST],) if doc[HOST] else ()),
    Index("network_host", lambda doc: ((doc["network_id"], doc[HOST]),) if is_bound(doc) else ()),
    Index(
        "network_owner",
        lambda doc: ((doc["network_id"], doc["device_owner"]),) if doc["device_owner"].startswith("network:") else (),
    ),
    index_by("mac_address"),
    Index("ip_address", lambda doc: tuple({f["ip_address"] for f in doc["fixed_ips"]})),
    Index("subnet_id", lambda doc: tuple({f["subnet_id"] for f in doc["fixed_ips"]})),
    Index("mac", lambda doc: ((doc["network_id"], doc["mac_address"]),), "unique"),
    Index("ip", ip_keys, "unique"),
    Index("address", address_keys, "bits"),
    *find_indexes(PARTS),
)

_NETWORK_MEMBER = any_of(ADMIN, SERVICE, NETWORK_MEMBER)
_PAIR_RULE = any_of(ADMIN, NETWORK_MEMBER, SERVICE)
_OWNER_RULE = any_of("not rule:network_device", ADMIN, SERVICE, NETWORK_MEMBER)
_VNIC_TYPE = kinds.choice_kind(*VNIC_TYPES)
_HOST = Kind(
    "host",
    lambda value: "" if value is None else kinds.parse_short_text(value),
    {"type": ["string", "null"], "maxLength": 255},
)

FIELDS = stamp.standard_fields(
    Field("network_id", kinds.UUID, "The network it is on, for life.", REQUIRED, sort=True),
    Field("admin_state_up", kinds.BOOL, "Whether frames pass.", True, put=True, sort=True),
    Field(
        "status", kinds.NAME, "ACTIVE once its host has acknowledged it, else DOWN.", GENERATED, post=False, sort=True
    ),
    Field(
        "mac_address",
        kinds.MAC_OR_NONE,
        "Its Ethernet address; made where none is given.",
        GENERATED,
        put=True,
        sort=True,
        set=_NETWORK_MEMBER,
        change=any_of(ADMIN, SERVICE, NETWORK_MANAGER),
    ),
    Field(
        "fixed_ips",
        kinds.FIXED_IPS,
        "Its addresses: ip_address, subnet_id or both of each; [] for none; one of each "
        "IP version where nothing is said.",
        GENERATED,
        put=True,
        filter=False,
        set=any_of(ADMIN, SERVICE, NETWORK_MEMBER, "rule:shared"),
        change=_NETWORK_MEMBER,
    ),
    Field(
        "device_id",
        kinds.TEXT,
        "What is plugged in: an instance, a router.",
        "",
        put=True,
        sort=True,
        set=any_of(ADMIN_OR_MEMBER, SERVICE),
        change=any_of(ADMIN_OR_MEMBER, SERVICE),
    ),
    Field(
        "device_owner",
        kinds.TEXT,
        "Whose that is: compute:<zone>, network:dhcp …",
        "",
        put=True,
        sort=True,
        set=_OWNER_RULE,
        change=_OWNER_RULE,
    ),
    Field(
        "port_security_enabled",
        kinds.BOOL,
        "Whether spoofed frames are dropped; as its network says where nothing is said.",
        GENERATED,
        put=True,
        filter=False,
        set=_NETWORK_MEMBER,
        change=_NETWORK_MEMBER,
        alias="port-security",
    ),
    Field(
        "allowed_address_pairs",
        port_parts.PAIRS,
        "Addresses it may use besides its own.",
        [],
        put=True,
        filter=False,
        set=_PAIR_RULE,
        change=_PAIR_RULE,
        alias="allowed-address-pairs",
    ),
    Field(
        "extra_dhcp_opts",
        port_parts.OPTIONS,
        "DHCP options of its own; a null value takes one away.",
        [],
        put=True,
        filter=False,
        alias="extra_dhcp_opt",
    ),
    Field(
        HOST,
        _HOST,
        "The host it is on.",
        "",
        put=True,
        sort=False,
        set=ADMIN_OR_SERVICE,
        change=ADMIN_OR_SERVICE,
        see=ADMIN_OR_SERVICE,
        alias="binding",
    ),
    Field(
        VNIC_TYPE,
        _VNIC_TYPE,
        "How it wants to be plugged.",
        "normal",
        put=True,
        filter=False,
        set=any_of(ADMIN_OR_MEMBER, SERVICE),
        change=any_of(ADMIN_OR_SERVICE, PROJECT_MEMBER),
        alias="binding",
    ),
    Field(
        PROFILE,
        kinds.OBJECT,
        "What the host needs to know to plug it.",
        {},
        put=True,
        filter=False,
        set=SERVICE,
        change=SERVICE,
        see=ADMIN_OR_SERVICE,
        alias="binding",
    ),
    Field(
        VIF_TYPE,
        kinds.TEXT,
        "How it is plugged: ovs, unbound, binding_failed.",
        GENERATED,
        post=False,
        filter=False,
        see=ADMIN_OR_SERVICE,
        alias="binding",
    ),
    Field(
        VIF_DETAILS,
        kinds.OBJECT,
        "What the host is told to plug it.",
        GENERATED,
        post=False,
        filter=False,
        see=ADMIN_OR_SERVICE,
        alias="binding",
    ),
    Field(
        "ip_allocation",
        kinds.TEXT,
        "immediate; deferred until its host is known; none for a port without addresses.",
        GENERATED,
        post=False,
        sort=True,
        alias="ip_allocation",
    ),
    Field("dns_name", dns.DNS_NAME, "Its host name.", "", put=True, filter=False, alias="dns-integration"),
    Field(
        "dns_assignment",
        dns.DNS_ASSIGNMENT,
        "The names of its addresses.",
        GENERATED,
        post=False,
        filter=False,
        alias="dns-integration",
    ),
    Field(
        "propagate_uplink_status",
        kinds.BOOL,
        "Kept for the host; Open vSwitch ports have no uplink.",
        True,
        put=True,
        filter=False,
        alias="uplink-status-propagation",
    ),
    Field(
        "waits_for",
        kinds.TEXT,
        "What it waits for while it is not ACTIVE. Netloom's own; Neutron has none.",
        GENERATED,
        post=False,
        filter=False,
    ),
    *find_fields(PARTS),
    Field("described_at", kinds.COUNT, "The revision that its host has to acknowledge.", 0, post=False, visible=False),
    Field(
        "bound_segment", kinds.TEXT, "The segment that its host carries it on.", GENERATED, post=False, visible=False
    ),
    tag_rules=(
        any_of(ADMIN_OR_MEMBER, ADVSVC),
        any_of(ADVSVC, ADMIN, NETWORK_READER, PROJECT_READER),
        any_of(ADVSVC, PROJECT_MEMBER, ADMIN, NETWORK_MEMBER),
    ),
)

# The port of an instance is its service's to delete, or its owner's when a service asks on the owner's behalf.
_DELETE = any_of(
    ADMIN,
    SERVICE,
    f"service_roles:service and ({any_of(NETWORK_MEMBER, PROJECT_MEMBER)})",
    "not rule:compute_device and not rule:baremetal_device and not rule:manila_device and "
    f"({any_of(NETWORK_MEMBER, PROJECT_MEMBER)})",
)

PORT = Resource(
    "port",
    "ports",
    "Where something meets a network.",
    FIELDS,
    Rules(
        any_of(ADMIN, SERVICE, NETWORK_MEMBER, "rule:shared"),
        any_of(ADMIN, SERVICE, NETWORK_READER, PROJECT_READER),
        any_of(ADMIN, SERVICE, PROJECT_MEMBER),
        _DELETE,
    ),
    indexes=INDEXES,
    filters=(*PORT_FILTERS, *find_filters(PARTS)),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["port"],
)

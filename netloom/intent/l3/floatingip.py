"""Floating IPs: addresses of an external network that lead to a port inside, by way of a router.

Each has a port of its own on the external network, which holds the address and belongs to no project.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.addressing import dns
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.extension import Extension
from netloom.intent.l2.port import PORT, create_port, remove_port
from netloom.intent.l3.floatingip_assoc import NO_PORT, associate, is_ipv4, refuse
from netloom.intent.l3.floatingip_parts import DOWN
from netloom.intent.l3.router_access import find_network
from netloom.intent.l3.router_find import FLOATING_IP
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import Part, find_fields, find_filters, find_indexes, resolve_update
from netloom.intent.policy_rules import ADMIN_OR_MANAGER, ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.qos.qos_use import FLOATINGIP_PART as QOS_PART
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Doc,
    Field,
    Kind,
    Resource,
    Rules,
    index_by,
    index_where_set,
    parse_create,
)
from netloom.intent.snapshot import Snapshot

PARTS: tuple[Part, ...] = (QOS_PART,)
"""What other features add to a floating IP, in the order in which they decide."""


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "floatingip", bodies)
    return draft.finish([("floatingip", create_floatingip(draft, body)["id"]) for body in bodies])


def create_floatingip(draft: Draft, body: Doc) -> Doc:
    """Raises ApiError where the network is not external, has no address to give, or the port cannot be reached."""
    check_external(draft, body["floating_network_id"])
    given = {name: value for name, value in body.items() if name != "subnet_id"}
    fip = stamp.make_created(draft.context.new_id(), given, draft.context)
    port = create_floating_port(draft, fip, body)
    fip |= {"floating_ip_address": find_address(port), "floating_port_id": port["id"], "status": DOWN}
    fip |= {**NO_PORT, "port_forwardings": []}
    check_pair(body, "fixed_ip_address", "port_id")
    if body["port_id"]:
        fip |= associate(draft, fip, body)
    check_pair(body, "dns_domain", "dns_name")
    check_pair(body, "dns_name", "dns_domain")
    for part in PARTS:
        fip |= part.create(draft, fip)
    return draft.put("floatingip", fip)


def check_pair(given: Doc, name: str, other: str) -> None:
    if given.get(name) and not given.get(other):
        raise refuse(f"{name} cannot be specified without a {other}")


def check_external(draft: Draft, id: str) -> None:
    """The network is there for the requester, external, and has an IPv4 subnet."""
    network = find_network(draft, id)
    if not network["router:external"]:
        raise refuse(f"Network {id} is not a valid external network")
    subnets = [draft.get("subnet", subnet_id) for subnet_id in network["subnets"]]
    if not any(subnet and subnet["ip_version"] == 4 for subnet in subnets):
        raise refuse(f"Network {id} does not contain any IPv4 subnet")


def create_floating_port(draft: Draft, fip: Doc, body: Doc) -> Doc:
    """The port that holds the address. It is nobody's, and no host carries it."""
    wanted = {"subnet_id": body["subnet_id"], "ip_address": body["floating_ip_address"]}
    fixed = {name: value for name, value in wanted.items() if value}
    port = parse_create(
        PORT,
        {
            "network_id": fip["floating_network_id"], "device_id": fip["id"], "device_owner": FLOATING_IP,
            "project_id": "", **({"fixed_ips": [fixed]} if fixed else {}),
        },
    )  # fmt: skip
    return draft.put("port", {**create_port(draft, port), "status": "N/A", "waits_for": ""})


def find_address(port: Doc) -> str:
    for fixed in port["fixed_ips"]:
        if is_ipv4(fixed):
            address: str = fixed["ip_address"]
            return address
    raise ApiError(
        400, "ExternalIpAddressExhausted",
        f"Unable to find any IP address on external network {port['network_id']}.",
    )  # fmt: skip


# -- update and delete -------------------------------------------------------------------------------------------------


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    plain = {name: value for name, value in changes.items() if name not in ("port_id", "fixed_ip_address", "router_id")}
    changed = resolve_update(PARTS, draft, old, plain) | resolve_port(draft, old, changes)
    draft.put("floatingip", stamp.make_updated(old, changed, context))
    return draft.finish([("floatingip", old["id"])])


def resolve_port(draft: Draft, old: Doc, changes: Doc) -> dict[str, Any]:
    """Where the floating IP leads after an update. An update that gives nothing lets go of the port, as in Neutron."""
    check_pair(changes, "fixed_ip_address", "port_id")
    if changes.get("port_id"):
        check_not_forwarding(old)
        return associate(draft, old, changes)
    if "port_id" not in changes and changes and old["port_id"]:
        if not changes.get("router_id"):
            return {}
        return associate(
            draft, old, {"port_id": old["port_id"], "fixed_ip_address": old["fixed_ip_address"], **changes}
        )
    if not old["port_id"]:  # its router is that of its port forwardings
        return {}
    return {**NO_PORT, "status": DOWN, "waits_for": ""}


def check_not_forwarding(fip: Doc) -> None:
    if fip["port_forwardings"]:
        raise conflict("FipInUseByPortForwarding", f"Floating IP {fip['id']} in use by Port Forwarding resources.")


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    remove_floatingip(draft, old)
    return draft.finish()


def remove_floatingip(draft: Draft, old: Doc) -> None:
    """Take it away with its port. Raises FipInUseByPortForwarding."""
    check_not_forwarding(old)
    for part in PARTS:
        part.delete(draft, old)
    draft.remove("floatingip", old["id"])
    port = draft.get("port", old["floating_port_id"])
    if port is not None:
        remove_port(draft, port)


def delete_network(draft: Draft, old: Doc) -> None:
    """A network goes with the floating IPs that lead nowhere."""
    for fip in list(draft.find("floatingip", "floating_network_id", old["id"])):
        if not fip["port_id"] and not fip["router_id"]:
            remove_floatingip(draft, fip)


NETWORK_PART = Part(delete=delete_network)


# -- declaration -------------------------------------------------------------------------------------------------------

_DETAILS = Kind("port_details", lambda value: value, {"type": ["object", "null"], "additionalProperties": True})
_FORWARDINGS = Kind("port_forwardings", lambda value: value, {"type": "array", "items": {"type": "object"}})

FIELDS = stamp.standard_fields(
    Field("floating_network_id", kinds.UUID, "The external network that its address is of.", REQUIRED, sort=True),
    Field(
        "floating_ip_address", kinds.IP_OR_NONE, "Its address; the next free one where none is given.", None,
        sort=True, set=ADMIN_OR_MANAGER,
    ),
    Field("subnet_id", kinds.UUID_OR_NONE, "The subnet to take the address of.", None, visible=False, filter=False),
    Field("port_id", kinds.UUID_OR_NONE, "The port it leads to.", None, put=True),
    Field(
        "fixed_ip_address", kinds.IP_OR_NONE, "The port's address; needed where it has several of IPv4.", None,
        put=True, sort=True,
    ),
    Field(
        "router_id", kinds.UUID_OR_NONE, "The router that translates; found where none is given.", None, put=True,
        sort=True, set=ADMIN_OR_MEMBER, change=ADMIN_OR_MEMBER,
    ),
    Field("status", kinds.NAME, "ACTIVE where a host translates it, else DOWN.", GENERATED, post=False, sort=True),
    Field(
        "port_details", _DETAILS, "What there is to know of its port.", GENERATED, post=False, filter=False,
        alias="fip-port-details",
    ),
    Field(
        "port_forwardings", _FORWARDINGS, "Its port forwardings.", GENERATED, post=False, filter=False,
        alias="expose-port-forwarding-in-fip",
    ),
    Field("dns_name", dns.RELATIVE_NAME, "Its host name.", "", filter=False, alias="dns-integration"),
    Field("dns_domain", dns.DNS_DOMAIN, "The domain of its name.", "", filter=False, alias="dns-integration"),
    *find_fields(PARTS),
    Field(
        "waits_for",
        kinds.TEXT,
        "What it waits for while it is not ACTIVE. Netloom's own; Neutron has none.",
        "",
        post=False,
        filter=False,
    ),
    Field("floating_port_id", kinds.UUID, "The port that holds its address.", GENERATED, post=False, visible=False),
    Field("described_at", kinds.COUNT, "The revision that its host has to acknowledge.", 0, post=False, visible=False),
    name=False,
    tag_rules=(ADMIN_OR_MEMBER, ADMIN_OR_READER, None),
)  # fmt: skip


FLOATINGIP = Resource(
    "floatingip",
    "floatingips",
    "An address of an external network that leads to a port.",
    FIELDS,
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_where_set("port_id"),
        index_where_set("router_id"),
        index_where_set("floating_network_id"),
        index_where_set("floating_ip_address"),
        *find_indexes(PARTS),
    ),
    filters=(*stamp.STANDARD_FILTERS, *find_filters(PARTS)),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["floatingip"],
    alias="router",
)

EXTENSIONS = (
    Extension(
        "fip-port-details", "Floating IP Port Details Extension", "A floating IP says what its port is.",
        "2018-04-09T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-router-writable", "Floating IP Router (writable)",
        "The router that translates a floating IP may be named.", "2026-08-05T00:00:00-00:00",
    ),
)  # fmt: skip

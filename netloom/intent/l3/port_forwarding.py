"""Port forwardings: transport ports of a floating IP that lead to ports of several machines.

Law: no two forwardings of one floating IP share an outer port of a protocol, and no two of one inner address an inner
port. A floating IP that forwards has a router and no port of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l3.floatingip_assoc import already_associated, is_ipv4
from netloom.intent.l3.port_ranges import PORT_RANGE, overlap, read_range, write_range
from netloom.intent.l3.protocols import PROTOCOL
from netloom.intent.l3.router_access import find_port
from netloom.intent.l3.router_find import find_router_for_floatingip
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.policy_rules import ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER
from netloom.intent.schema import GENERATED, REQUIRED, ApiError, Doc, Field, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SIDES = ("internal", "external")
PORTS = tuple(f"{side}_port{end}" for side in SIDES for end in ("", "_range"))
SHOWN = ("id", "protocol", "internal_ip_address", "internal_port_id", "internal_port", "external_port")
"""What a floating IP shows of each."""


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("port_forwarding", create_forwarding(draft, body)["id"]) for body in bodies])


def create_forwarding(draft: Draft, body: Doc) -> Doc:
    fip = find_floatingip(draft, body["floatingip_id"])
    project = body.get("project_id") or draft.context.requester.project_id
    forwarding = {"id": draft.context.new_id(), **body, "project_id": project}
    forwarding |= decide_ports(forwarding)
    check_collisions(draft, forwarding)
    check_port_free(draft, fip, forwarding)
    if fip["port_id"]:
        raise already_associated(fip, forwarding["internal_port_id"], forwarding["internal_ip_address"])
    router_id = find_router(draft, fip, forwarding)
    check_router(fip, router_id, forwarding)
    draft.put("port_forwarding", forwarding)
    show_forwardings(draft, fip, router_id)
    return forwarding


def find_floatingip(draft: Draft, id: str) -> Doc:
    fip = draft.get("floatingip", id)
    if fip is None:
        raise not_found("floatingip", id)
    return fip


def refuse(reason: str) -> ApiError:
    return bad_resource("port_forwarding", reason)


# -- ports -------------------------------------------------------------------------------------------------------------


def decide_ports(given: Doc) -> dict[str, Any]:
    """Both forms of both sides' ports, from whichever was given: the single port (null for a range) and the range."""
    found: dict[str, Any] = {}
    for side in SIDES:
        ports = read_side(given, side)
        found |= {f"{side}_port_range": write_range(ports), f"{side}_port": ports[0] if ports[0] == ports[1] else None}
    check_widths(found)
    return found


def read_side(given: Doc, side: str) -> tuple[int, int]:
    single, text = given.get(f"{side}_port"), given.get(f"{side}_port_range")
    if single is None and text is None:
        raise refuse(f"{side}_port or {side}_port_range must be given")
    ports = read_range(str(single) if text is None else text)
    if single is not None and ports != (single, single):
        raise refuse(f"{side}_port {single} and {side}_port_range {text} do not agree")
    return ports


def check_widths(forwarding: Doc) -> None:
    inner, outer = (read_range(forwarding[f"{side}_port_range"]) for side in SIDES)
    if inner[1] > inner[0] and inner[1] - inner[0] != outer[1] - outer[0]:
        raise refuse(
            "Invalid ranges of internal and/or external ports. The relation between internal and external ports must "
            "be N-N or 1-N"
        )


def check_collisions(draft: Draft, new: Doc) -> None:
    same_inside = [
        other
        for other in draft.find("port_forwarding", "internal_port_id", new["internal_port_id"])
        if other["internal_ip_address"] == new["internal_ip_address"]
    ]
    check_side("internal", new, same_inside)
    check_side("external", new, draft.find("port_forwarding", "floatingip_id", new["floatingip_id"]))


def check_side(side: str, new: Doc, others: Any) -> None:
    key = f"{side}_port_range"
    for other in others:
        if other["id"] == new["id"] or other["protocol"] != new["protocol"]:
            continue
        if overlap(read_range(other[key]), read_range(new[key])):
            raise refuse(
                f"There is a port collision with the {key}. The following ranges collide: {other[key]} and {new[key]}"
            )


# -- the port inside ---------------------------------------------------------------------------------------------------


def check_port_free(draft: Draft, fip: Doc, forwarding: Doc) -> None:
    """Raises PortHasBindingFloatingIP where the inner port has a floating IP that leads to it."""
    port_id = forwarding["internal_port_id"]
    for other in draft.find("floatingip", "port_id", port_id):
        raise conflict(
            "PortHasBindingFloatingIP",
            f"Cannot create port forwarding to floating IP {other['floating_ip_address']} ({other['id']}) with port "
            f"{port_id} using fixed IP {forwarding['internal_ip_address']}, as that port already has a binding "
            "floating IP.",
        )


def find_router(draft: Draft, fip: Doc, forwarding: Doc) -> str:
    port = find_port(draft, forwarding["internal_port_id"])
    known = [fixed for fixed in port["fixed_ips"] if is_ipv4(fixed)]
    ip = forwarding["internal_ip_address"]
    if not known:
        raise refuse(f"Requested internal port {port['id']} must allocate an IPv4 address at least")
    subnets = [fixed["subnet_id"] for fixed in known if fixed["ip_address"] == ip]
    if not subnets:
        raise refuse(
            f"Requested internal IP address {ip} is not suitable for internal neutron port {port['id']}, as its "
            f"fixed_ips are {known}"
        )
    return find_way(draft, fip, subnets[0], port)


def find_way(draft: Draft, fip: Doc, subnet_id: str, port: Doc) -> str:
    network_id = fip["floating_network_id"]
    try:
        return find_router_for_floatingip(draft, subnet_id, network_id, port)
    except ApiError:
        raise refuse(
            f"External network {network_id} is not reachable from subnet {subnet_id}. Cannot set Port forwarding for "
            f"port {port['id']} with Floating IP {fip['id']}"
        ) from None


def check_router(fip: Doc, router_id: str, forwarding: Doc) -> None:
    """All forwardings of a floating IP go through one router."""
    if fip["router_id"] and fip["router_id"] != router_id:
        raise refuse(
            f"The Floating IP {fip['id']} had been set on router {fip['router_id']}, the internal Neutron port "
            f"{forwarding['internal_port_id']} can not reach it"
        )


def show_forwardings(draft: Draft, fip: Doc, router_id: str | None) -> None:
    """What the floating IP shows of its forwardings, and the router that they go through."""
    found = sorted(draft.find("port_forwarding", "floatingip_id", fip["id"]), key=lambda one: one["id"])
    shown = [{name: one[name] for name in SHOWN if one[name] is not None} for one in found]
    values = {"port_forwardings": shown, "router_id": router_id if found else None}
    draft.put("floatingip", make_updated(fip, values, draft.context))


# -- update and delete -------------------------------------------------------------------------------------------------


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    fip = find_floatingip(draft, old["floatingip_id"])
    new = {**old, **changes}
    if changes.keys() & set(PORTS):
        new |= decide_ports(merge_ports(old, changes))
    if new["internal_port_id"] != old["internal_port_id"]:
        check_port_free(draft, fip, new)
        if "internal_ip_address" not in changes:
            new["internal_ip_address"] = find_first_ip(draft, new["internal_port_id"])
    moved = any(new[name] != old[name] for name in ("internal_port_id", "internal_ip_address"))
    if moved:
        check_router(fip, find_router(draft, fip, new), new)
    check_collisions(draft, new)
    if new != old:
        draft.put("port_forwarding", new)
        show_forwardings(draft, fip, fip["router_id"])
    return draft.finish([("port_forwarding", old["id"])])


def merge_ports(old: Doc, changes: Doc) -> dict[str, Any]:
    """The ports that are given, and those of the sides that are not."""
    found: dict[str, Any] = {}
    for side in SIDES:
        names = (f"{side}_port", f"{side}_port_range")
        given = {name: changes[name] for name in names if changes.get(name) is not None}
        found |= given or {name: old[name] for name in names}
    return found


def find_first_ip(draft: Draft, port_id: str) -> str:
    port = find_port(draft, port_id)
    for fixed in port["fixed_ips"]:
        if is_ipv4(fixed):
            ip: str = fixed["ip_address"]
            return ip
    raise refuse(f"Requested internal port {port_id} must allocate an IPv4 address at least")


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    remove_forwarding(draft, old)
    return draft.finish()


def remove_forwarding(draft: Draft, old: Doc) -> None:
    draft.remove("port_forwarding", old["id"])
    fip = draft.get("floatingip", old["floatingip_id"])
    if fip is not None:
        show_forwardings(draft, fip, fip["router_id"])


# -- what ports bring about --------------------------------------------------------------------------------------------


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """A port that loses an address loses the forwardings to it."""
    if new["fixed_ips"] != old["fixed_ips"]:
        remove_to_port(draft, old, {fixed["ip_address"] for fixed in new["fixed_ips"]})
    return NOTHING


def delete_port(draft: Draft, old: Doc) -> None:
    remove_to_port(draft, old, set())


def remove_to_port(draft: Draft, port: Doc, kept: set[str]) -> None:
    for forwarding in list(draft.find("port_forwarding", "internal_port_id", port["id"])):
        if forwarding["internal_ip_address"] not in kept:
            remove_forwarding(draft, forwarding)


PORT_PART = Part(update=update_port, delete=delete_port)

_PORT = kinds.int_kind(1, 65535, nullable=True)
_RANGES = "floating-ip-port-forwarding-port-ranges"

PORT_FORWARDING = Resource(
    "port_forwarding",
    "port_forwardings",
    "Transport ports of a floating IP that lead to a port.",
    (
        Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, visible=False, filter=False),
        Field("floatingip_id", kinds.UUID, "The floating IP.", GENERATED, post=False, visible=False, filter=False),
        Field("external_port", _PORT, "The outer port.", None, put=True, sort=True),
        Field("internal_port", _PORT, "The inner port.", None, put=True, filter=False),
        Field("internal_ip_address", kinds.IP, "The inner address.", REQUIRED, put=True, filter=False),
        Field("protocol", PROTOCOL, "tcp, udp, …", REQUIRED, put=True, sort=True),
        Field("internal_port_id", kinds.UUID, "The port that has the inner address.", REQUIRED, put=True, sort=True),
        Field(
            "external_port_range", PORT_RANGE, "The outer ports, as first:last.", None, put=True, sort=True,
            alias=_RANGES,
        ),
        Field(
            "internal_port_range", PORT_RANGE, "The inner ports: one, or as many as the outer ones.", None, put=True,
            filter=False, alias=_RANGES,
        ),
        Field(
            "description", kinds.LONG_TEXT, "Words for people.", "", put=True,
            alias="floating-ip-port-forwarding-description",
        ),
    ),
    Rules(ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER, ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_MEMBER),
    indexes=(
        index_by("floatingip_id"),
        index_by("internal_port_id"),
    ),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="floating-ip-port-forwarding",
    parent="floatingip",
    url="port_forwardings",
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "floating-ip-port-forwarding", "Floating IP Port Forwarding", "One address for services of several machines.",
        "2018-01-19T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-description", "Floating IP Port Forwarding new attribute description",
        "Words for people on port forwardings.", "2019-11-01T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-port-ranges", "Floating IP Port Forwarding support port ranges",
        "Many ports in one forwarding.", "2020-07-01T10:00:00-00:00",
    ),
    Extension(
        "floating-ip-port-forwarding-detail", "Floating IP port forwarding detail",
        "A floating IP says which ports its forwardings lead to.", "2022-05-06T10:00:00-00:00",
    ),
    Extension(
        "expose-port-forwarding-in-fip", "Expose Floating IP port forwardings",
        "A floating IP lists its port forwardings.", "2018-06-28T16:00:00-00:00",
    ),
)  # fmt: skip

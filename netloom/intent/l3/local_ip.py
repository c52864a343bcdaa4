"""Local IPs: an address that leads to another port on each host, so that its traffic never leaves the host.

Law: a Local IP's address is an address of the port that it names, and that port stays as long as the Local IP does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource, conflict, invalid_operation
from netloom.intent.extension import Extension
from netloom.intent.l2.port import PORT, create_port, remove_port
from netloom.intent.l3.local_ip_parts import LOCAL_IP_OWNER
from netloom.intent.l3.router_access import find_network, owns
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.schema import GENERATED, ApiError, Doc, Field, Resource, Rules, index_by, parse_create
from netloom.intent.snapshot import Snapshot

TRANSLATE, PASSTHROUGH = "translate", "passthrough"


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("local_ip", create_local_ip(draft, body)["id"]) for body in bodies])


def create_local_ip(draft: Draft, body: Doc) -> Doc:
    """On a port that is there, or on one that is made on a network."""
    local_ip = stamp.make_created(draft.context.new_id(), body, draft.context, tags=False)
    if body.get("local_port_id"):
        port = find_own_port(draft, body["local_port_id"])
        address = pick_address(port, body.get("local_ip_address"))
    elif body.get("network_id"):
        port = create_local_port(draft, local_ip)
        address = port["fixed_ips"][0]["ip_address"]
    else:
        raise invalid_operation(
            "Either Port ID or Network ID must be specified for Local IP create", type="LocalIPPortOrNetworkRequired"
        )
    local_ip |= {"local_port_id": port["id"], "network_id": port["network_id"], "local_ip_address": address}
    return draft.put("local_ip", local_ip)


def find_own_port(draft: Draft, id: str) -> Doc:
    port = draft.get("port", id)
    if port is None or not owns(draft, port):
        raise bad_resource("local_ip", f"Port {id} not found")
    return port


def pick_address(port: Doc, wanted: str | None) -> str:
    """The address of the port that is meant: the one named, or the only one."""
    known: list[str] = [fixed["ip_address"] for fixed in port["fixed_ips"]]
    if not known:
        raise refuse("LocalIPNoIP", f"Specified Port {port['id']} has no fixed IPs configured.")
    if wanted and wanted not in known:
        raise refuse(
            "LocalIPRequestedIPNotFound",
            f"Specified Port {port['id']} does not have requested IP address: {wanted}.",
        )
    if not wanted and len(known) > 1:
        raise refuse(
            "LocalIPNoRequestedIP",
            f"Specified Port {port['id']} has several IPs, should specify exact IP address to use for Local IP.",
        )
    return wanted or known[0]


def refuse(type: str, message: str) -> ApiError:
    return ApiError(400, type, message)


def create_local_port(draft: Draft, local_ip: Doc) -> Doc:
    """The port that holds the address of a Local IP that names none. No host carries it."""
    network = find_network(draft, local_ip["network_id"])
    subnets = [draft.get("subnet", id) for id in network["subnets"]]
    if not any(subnet and subnet["ip_version"] == 4 for subnet in subnets):
        raise bad_resource("local_ip", f"Network {network['id']} does not contain any IPv4 subnet")
    body: dict[str, Any] = {
        "network_id": network["id"], "device_id": local_ip["id"], "device_owner": LOCAL_IP_OWNER,
        "project_id": local_ip["project_id"],
    }  # fmt: skip
    if local_ip.get("local_ip_address"):
        body["fixed_ips"] = [{"ip_address": local_ip["local_ip_address"]}]
    port = create_port(draft, parse_create(PORT, body))
    return draft.put("port", {**port, "status": "N/A", "waits_for": ""})


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("local_ip", stamp.make_updated(old, changes, context))
    return draft.finish([("local_ip", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if draft.count_in("port_association", "local_ip_id", old["id"]):
        raise conflict("LocalIPInUse", f"Local IP {old['id']} is still associated with one or more ports.")
    draft.remove("local_ip", old["id"])
    port = draft.get("port", old["local_port_id"])
    if port is not None and port["device_owner"] == LOCAL_IP_OWNER:
        remove_port(draft, port)
    return draft.finish()


LOCAL_IP = Resource(
    "local_ip",
    "local_ips",
    "An address that leads to another port on each host.",
    stamp.standard_fields(
        Field("local_port_id", kinds.UUID, "The port that has the address; made where none is named.", GENERATED,
              sort=True),
        Field("network_id", kinds.UUID, "The network that the port is on.", GENERATED, sort=True),
        Field("local_ip_address", kinds.IP_OR_NONE, "The address.", GENERATED, sort=True),
        Field(
            "ip_mode", kinds.choice_kind(TRANSLATE, PASSTHROUGH),
            "Whether the port that is led to sees its own address (translate) or the Local IP's.", TRANSLATE, sort=True,
        ),
        tags=False,
        description=Field("description", kinds.LONG_TEXT, "Words for people.", "", put=True, sort=True),
    ),
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_by("local_port_id"),
        index_by("network_id"),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="local_ip",
    url="local_ips",
)  # fmt: skip

EXTENSIONS = (
    Extension("local_ip", "Local IP", "Addresses that are answered on every host.", "2021-07-26T10:00:00-00:00"),
)

"""Port associations of Local IPs: which port the address leads to on the host where that port is."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource, conflict, not_found
from netloom.intent.l2.binding import HOST
from netloom.intent.l3.local_ip import pick_address
from netloom.intent.l3.router_access import owns
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot


def make_association_id(local_ip_id: str, port_id: str) -> str:
    """What an association is stored under: it has no id of its own."""
    return f"{local_ip_id}/{port_id}"


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("port_association", create_association(draft, body)["id"]) for body in bodies])


def create_association(draft: Draft, body: Doc) -> Doc:
    local_ip = draft.get("local_ip", body["local_ip_id"])
    if local_ip is None:
        raise not_found("local_ip", body["local_ip_id"])
    port = draft.get("port", body["fixed_port_id"])
    if port is None or not owns(draft, port):
        raise bad_resource("local_ip_port_association", f"Port {body['fixed_port_id']} not found")
    address = pick_address(port, body["fixed_ip"])
    id = make_association_id(local_ip["id"], port["id"])
    if draft.get("port_association", id) is not None:
        raise conflict(
            "LocalIPAssociationExists", f"Local IP {local_ip['id']} is associated with port {port['id']} already."
        )
    project = body.get("project_id") or draft.context.requester.project_id
    values = {"fixed_ip": address, "local_ip_address": local_ip["local_ip_address"], "host": port[HOST]}
    return draft.put("port_association", {"id": id, **body, "project_id": project, **values})


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("port_association", old["id"])
    return draft.finish()


PORT_ASSOCIATION = Resource(
    "port_association",
    "port_associations",
    "A port that a Local IP leads to.",
    (
        Field("id", kinds.TEXT, "What it is stored under.", GENERATED, post=False, visible=False, filter=False),
        Field("local_ip_id", kinds.UUID, "The Local IP.", GENERATED, post=False, filter=False),
        Field("local_ip_address", kinds.IP, "The Local IP's address.", GENERATED, post=False, sort=True),
        Field("fixed_port_id", kinds.UUID, "The port that it leads to.", REQUIRED, sort=True),
        Field("fixed_ip", kinds.IP_OR_NONE, "The port's address; needed where it has several.", None, sort=True),
        Field("host", kinds.TEXT, "The host that the port is on.", GENERATED, post=False, sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, visible=False, filter=False),
    ),
    Rules(ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER, None, ADMIN_OR_PARENT_MEMBER),
    indexes=(
        index_by("local_ip_id"),
        index_by("fixed_port_id"),
    ),
    create=create,
    delete=delete,
    tags=False,
    alias="local_ip",
    parent="local_ip",
    url="port_associations",
    key="fixed_port_id",
    make_id=make_association_id,
)

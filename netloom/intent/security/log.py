"""Logs: which packets of which ports hosts are to write down, by what security groups decide about them."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, invalid_operation
from netloom.intent.extension import Extension
from netloom.intent.l2.binding import FAILED, UNBOUND, VIF_TYPE, VNIC_TYPE
from netloom.intent.operation import Context, Outcome, Requester, Settings
from netloom.intent.part import Part
from netloom.intent.policy_rules import ADMIN_OR_MANAGER
from netloom.intent.schema import REQUIRED, Doc, Field, Index, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot

SECURITY_GROUP = "security_group"
LOGGABLE = (SECURITY_GROUP,)
"""What hosts can log: as Neutron's Open vSwitch driver."""
EVENTS = ("ACCEPT", "DROP", "ALL")
VIF_TYPES, VNIC_TYPES = ("ovs", "vhostuser", "bridge"), ("normal",)


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("log", create_log(draft, body)["id"]) for body in bodies])


def create_log(draft: Draft, body: Doc) -> Doc:
    check_type(body["resource_type"])
    check_objects(draft, body["resource_id"], body["target_id"])
    log = stamp.make_created(draft.context.new_id(), body, draft.context)
    log.pop("tags", None)
    return draft.put("log", log)


def check_type(resource_type: str) -> None:
    if resource_type not in LOGGABLE:
        raise ApiError(
            400, "InvalidLogResourceType",
            f"Invalid log resource_type: {kinds.show(resource_type)}. It is one of {', '.join(LOGGABLE)}.",
        )  # fmt: skip


def check_objects(draft: Draft, group_id: str | None, port_id: str | None) -> None:
    """The security group and the port are there, go together, and the port's host can log."""
    if group_id and draft.get("security_group", group_id) is None:
        raise ApiError(404, "ResourceNotFound", f"Resource {group_id} could not be found.")
    if not port_id:
        return
    port = draft.get("port", port_id)
    if port is None:
        raise ApiError(404, "TargetResourceNotFound", f"Target resource {port_id} could not be found.")
    if not can_log(port):
        raise conflict("LoggingTypeNotSupported", f"Logging type {SECURITY_GROUP} is not supported on port {port_id}.")
    if group_id and group_id not in (port.get("security_groups") or ()):
        raise invalid_operation(
            f"Invalid resource constraint between resource ({SECURITY_GROUP} {group_id}) and target resource "
            f"(port {port_id})",
            type="InvalidResourceConstraint",
        )


def can_log(port: Doc) -> bool:
    """By how the port is plugged, or, before that, by its vnic_type."""
    vif_type = port[VIF_TYPE]
    return vif_type in VIF_TYPES if vif_type not in (UNBOUND, FAILED) else port[VNIC_TYPE] in VNIC_TYPES


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("log", stamp.make_updated(old, changes, context))
    return draft.finish([("log", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("log", old["id"])
    return draft.finish()


def drop_logs(draft: Draft, id: str) -> None:
    """The security group or the port is gone, and so are the logs of it."""
    for log_id in list(draft.find_ids("log", "of", id)):
        draft.remove("log", log_id)


def delete_target(draft: Draft, old: Doc) -> None:
    drop_logs(draft, old["id"])


def derive_loggable(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> list[Doc]:
    return [{"type": name} for name in LOGGABLE if id in (None, name)]


LOG = Resource(
    "log",
    "logs",
    "What hosts are to write down of packets that security groups accept or drop.",
    stamp.standard_fields(
        Field("resource_type", kinds.text_kind(255), "What decides: security_group.", REQUIRED, sort=True),
        Field("resource_id", kinds.UUID_OR_NONE, "The security group; null: every one.", None, sort=True),
        Field("target_id", kinds.UUID_OR_NONE, "The port; null: every one.", None, sort=True),
        Field("event", kinds.choice_kind(*EVENTS), "ACCEPT, DROP or ALL.", "ALL"),
        Field("enabled", kinds.BOOL, "Whether hosts log.", True, put=True, sort=True),
        tags=False,
    ),
    Rules(ADMIN_OR_MANAGER, ADMIN_OR_MANAGER, ADMIN_OR_MANAGER, ADMIN_OR_MANAGER),
    indexes=(
        index_by("project_id"),
        Index("of", lambda doc: tuple(id for id in (doc["resource_id"], doc["target_id"]) if id)),
    ),
    filters=tuple(one for one in stamp.STANDARD_FILTERS if "tags" not in one.name),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="logging",
    url="log/logs",
    loose_marker=True,
)

LOGGABLE_RESOURCE = Resource(
    "loggable_resource",
    "loggable_resources",
    "What hosts can log.",
    (Field("type", kinds.TEXT, "Its name.", REQUIRED, post=False, filter=False),),
    Rules(None, ADMIN_OR_MANAGER, None, None),
    tags=False,
    alias="logging",
    url="log/loggable-resources",
    key="type",
    derive=derive_loggable,
)

PORT_PART = Part(delete=delete_target)
SECURITY_GROUP_PART = Part(delete=delete_target)
RESOURCES = (LOG, LOGGABLE_RESOURCE)
EXTENSIONS = (
    Extension("logging", "Logging API Extension", "Packets written down by hosts.", "2017-01-01T10:00:00-00:00"),
)

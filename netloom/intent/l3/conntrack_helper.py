"""Conntrack helpers of routers: which application protocols a router follows, such as FTP on port 21.

Law: a router shows the helpers that it has; they go with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, not_found
from netloom.intent.extension import Extension
from netloom.intent.l3.protocols import PROTOCOL
from netloom.intent.operation import Context, Outcome, Settings
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Field, Kind, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SHOWN = ("protocol", "port", "helper")


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("conntrack_helper", create_helper(draft, body)["id"]) for body in bodies])


def create_helper(draft: Draft, body: Doc) -> Doc:
    check_helper(body, draft.context.settings)
    if draft.get("router", body["router_id"]) is None:
        raise not_found("router", body["router_id"])
    project = body.get("project_id") or draft.context.requester.project_id
    helper = {"id": draft.context.new_id(), **body, "project_id": project}
    check_new(draft, helper)
    draft.put("conntrack_helper", helper)
    show_helpers(draft, helper["router_id"])
    return helper


def check_helper(helper: Doc, settings: Settings) -> None:
    """The option allowed_conntrack_helpers says which there are, and the protocols that each follows."""
    name, protocol = helper["helper"], helper["protocol"]
    allowed = [known for one, known in settings.allowed_conntrack_helpers if one == name]
    if not allowed:
        raise ApiError(400, "ConntrackHelperNotAllowed", f"Conntrack Helper {kinds.show(name)} is not allowed.")
    if protocol not in allowed:
        raise ApiError(
            400,
            "InvalidProtocolForHelper",
            f"Conntrack Helper {name} does not support: {protocol}. Supported protocols are: {', '.join(allowed)}",
        )


def check_new(draft: Draft, helper: Doc) -> None:
    """No router has the same helper twice."""
    values = {name: helper[name] for name in ("router_id", *SHOWN)}
    for other in draft.find("conntrack_helper", "router_id", helper["router_id"]):
        if other["id"] != helper["id"] and all(other[name] == value for name, value in values.items()):
            raise bad_resource(
                "conntrack_helper",
                f"A duplicate conntrack helper entry with same attributes already exists, conflicting values are "
                f"{values}",
            )


def show_helpers(draft: Draft, router_id: str) -> None:
    """What the router shows of its helpers."""
    router = draft.get("router", router_id)
    if router is not None:
        found = sorted(draft.find("conntrack_helper", "router_id", router_id), key=lambda helper: helper["id"])
        shown = [{name: helper[name] for name in SHOWN} for helper in found]
        draft.put("router", make_updated(router, {"conntrack_helpers": shown}, draft.context))


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = {**old, **changes}
    check_helper(new, context.settings)
    check_new(draft, new)
    if new != old:
        draft.put("conntrack_helper", new)
        show_helpers(draft, old["router_id"])
    return draft.finish([("conntrack_helper", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("conntrack_helper", old["id"])
    show_helpers(draft, old["router_id"])
    return draft.finish()


# -- what routers have of it -------------------------------------------------------------------------------------------


def create_router(draft: Draft, doc: Doc) -> Values:
    return {"conntrack_helpers": []}


def delete_router(draft: Draft, old: Doc) -> None:
    for id in list(draft.find_ids("conntrack_helper", "router_id", old["id"])):
        draft.remove("conntrack_helper", id)


_SHOWN = Kind("conntrack_helpers", lambda value: value, {"type": "array", "items": {"type": "object"}})

ROUTER_PART = Part(
    fields=(
        Field(
            "conntrack_helpers", _SHOWN, "The application protocols that it follows.", GENERATED, post=False,
            filter=False, alias="expose-l3-conntrack-helper",
        ),
    ),
    create=create_router,
    delete=delete_router,
)  # fmt: skip


def parse_helper(value: Any) -> str:
    """A number or a truth value is taken as its text, as in Neutron."""
    text: str = kinds.text_parser(64)(str(value) if isinstance(value, int | float) else value)
    return text


_HELPER = Kind("helper", parse_helper, {"type": "string", "maxLength": 64})

CONNTRACK_HELPER = Resource(
    "conntrack_helper",
    "conntrack_helpers",
    "An application protocol that a router follows.",
    (
        Field("id", kinds.UUID, "The object's id.", GENERATED, post=False, sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, visible=False, filter=False),
        Field("router_id", kinds.UUID, "The router.", GENERATED, post=False, visible=False, filter=False),
        Field("protocol", PROTOCOL, "The transport protocol.", REQUIRED, put=True, sort=True),
        Field("port", kinds.int_kind(1, 65535), "The transport port.", REQUIRED, put=True, sort=True),
        Field("helper", _HELPER, "The application protocol: ftp, sip, …", REQUIRED, put=True, sort=True),
    ),
    Rules(ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_READER, ADMIN_OR_PARENT_MEMBER, ADMIN_OR_PARENT_MEMBER),
    indexes=(index_by("router_id"),),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="l3-conntrack-helper",
    parent="router",
    url="conntrack_helpers",
)

EXTENSIONS = (
    Extension(
        "l3-conntrack-helper", "L3 Conntrack helper", "Routers follow application protocols.",
        "2019-04-04T10:00:00-00:00",
    ),
    Extension(
        "expose-l3-conntrack-helper", "Expose CT target rules for conntrack helper",
        "A router lists its conntrack helpers.", "2019-04-04T10:00:00-00:00",
    ),
)  # fmt: skip

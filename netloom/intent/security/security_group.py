"""Security groups: ports that are let through alike. Every project has one called default, made when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, rbac, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER, any_of
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
from netloom.intent.security.log import drop_logs
from netloom.intent.security.security_group_make import (
    DEFAULT,
    GROUP,
    RULE,
    drop_rules,
    ensure_default_group,
    make_group,
)
from netloom.intent.security.security_group_rule import ENSURE_DEFAULT_GROUP
from netloom.intent.snapshot import Snapshot


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, GROUP, bodies)
    return draft.finish([(GROUP, create_group(draft, body)["id"]) for body in bodies])


def create_group(draft: Draft, body: Doc) -> Doc:
    """A group, after the project's default one."""
    ensure_default_group(draft, body.get("project_id") or draft.context.requester.project_id)
    return make_group(draft, body)


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if changes.get("stateful", old["stateful"]) != old["stateful"]:
        check_unused(draft, old)
    if old["is_default"] and "name" in changes:
        raise conflict("SecurityGroupCannotUpdateDefault", "Updating default security group not allowed.")
    draft.put(GROUP, stamp.make_updated(old, changes, context))
    return draft.finish([(GROUP, old["id"])])


def check_unused(draft: Draft, group: Doc) -> None:
    if draft.count_in("port", "security_groups", group["id"]):
        raise conflict("SecurityGroupInUse", f"Security Group {group['id']} in use.")


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Delete the group, its rules, and those of other groups that let its ports in."""
    draft = Draft(snapshot, context)
    check_unused(draft, old)
    if old["is_default"] and not context.requester.is_admin:
        raise conflict("SecurityGroupCannotRemoveDefault", "Insufficient rights for removing default security group.")
    own = list(draft.find(RULE, "security_group_id", old["id"]))
    others = [r for r in draft.find(RULE, "remote_group_id", old["id"]) if r["security_group_id"] != old["id"]]
    rbac.drop_grants(draft, GROUP, old["id"])
    drop_logs(draft, old["id"])
    draft.remove(GROUP, old["id"])
    drop_rules(draft, [*own, *others])
    return draft.finish()


def find_users(draft: Draft, group: Doc) -> set[str]:
    """The projects that have ports in the group."""
    return {port["project_id"] for port in draft.find("port", "security_groups", group["id"])}


def parse_group_name(value: Any) -> str:
    """A name; that of the default group is not to be had."""
    name: str = kinds.parse_short_text(value)
    if name.lower() == DEFAULT:
        raise conflict("SecurityGroupDefaultAlreadyExists", "Default security group already exists.")
    return name


_NAME = Kind("group_name", parse_group_name, {"type": "string", "maxLength": 255})
_RULES = Kind("rules", lambda value: value, {"type": "array", "items": {"type": "object"}})
_GET = any_of(ADMIN_OR_READER, "rule:shared_security_group")

SECURITY_GROUP = Resource(
    GROUP,
    "security_groups",
    "Ports that are let through alike.",
    (
        *stamp.standard_fields(
            Field("name", _NAME, "A name for people; it need not be unique.", "", put=True, sort=True),
            Field(
                "stateful",
                kinds.BOOL,
                "Whether answers are let through because the question was.",
                GENERATED,
                put=True,
                alias="stateful-security-group",
            ),
            Field(
                "shared",
                kinds.BOOL,
                "Whether other projects' ports may be in it.",
                False,
                post=False,
                alias="security-groups-shared-filtering",
            ),
            Field("security_group_rules", _RULES, "Its rules, whole.", GENERATED, post=False, filter=False),
            name=False,
            tag_rules=(ADMIN_OR_MEMBER, _GET, None),
        ),
        Field("is_default", kinds.BOOL, "Whether it is its project's own.", False, post=False, visible=False),
    ),
    Rules(ADMIN_OR_MEMBER, _GET, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
        Index("default", lambda doc: (doc["project_id"],) if doc["is_default"] else (), "unique"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS[GROUP],
    alias="security-group",
    sharing=(Sharing(users=find_users),),
    ensure=ENSURE_DEFAULT_GROUP,
)

EXTENSIONS = (
    Extension("security-group", "security-group", "Who may speak with a port.", "2012-10-05T10:00:00-00:00"),
    Extension(
        "port-security-groups-filtering",
        "Port filtering on security groups",
        "Ports by the groups that they are in.",
        "2018-01-09T09:00:00-00:00",
    ),
    Extension(
        "rbac-security-groups",
        "Add security_group type to network RBAC",
        "Security groups may be opened to other projects.",
        "2019-02-14T00:00:00-00:00",
    ),
    Extension(
        "security-groups-shared-filtering",
        "Security group filtering on the shared field",
        "Security groups by whether they are shared.",
        "2021-10-05T09:00:00-00:00",
    ),
    Extension(
        "stateful-security-group",
        "Stateful security group",
        "Whether a group keeps track of connections.",
        "2019-11-26T09:00:00-00:00",
    ),
)

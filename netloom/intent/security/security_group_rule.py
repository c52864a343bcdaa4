"""Rules of security groups: whom a group's ports may speak with. A rule is made and deleted, and never changed."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict, invalid_operation
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome, Requester
from netloom.intent.policy_rules import ADMIN, any_of
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Doc,
    Ensure,
    Field,
    Index,
    Resource,
    Rules,
    index_by,
    index_where_set,
)
from netloom.intent.security.security_group_make import (
    ADDRESS_GROUP,
    GROUP,
    RULE,
    add_rules,
    drop_rules,
    ensure_default_group,
    find_usable,
    make_rule,
)
from netloom.intent.security.security_group_values import PREFIX, check_rule, rule_fields, same_key
from netloom.intent.snapshot import Snapshot


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    """The rules of one bulk request are of one group and of one project, as in Neutron."""
    draft = Draft(snapshot, context)
    check_quota(draft, RULE, bodies)
    owned = [{**body, "project_id": body.get("project_id") or context.requester.project_id} for body in bodies]
    check_one_group(owned)
    ready = [check_body(draft, body) for body in owned]
    check_new(draft, ready)
    if not ready:
        return draft.finish()
    group = find_usable(draft, GROUP, ready[0]["security_group_id"], ready[0]["project_id"])
    rules = [make_rule(draft, group, body) for body in ready]
    add_rules(draft, group, rules)
    return draft.finish([(RULE, rule["id"]) for rule in rules])


def check_one_group(bodies: Sequence[Doc]) -> None:
    if len({body["security_group_id"] for body in bodies}) > 1:
        raise invalid_operation(
            "Only allowed to update rules for one security profile at a time", type="SecurityGroupNotSingleGroupRules"
        )
    if len({body["project_id"] for body in bodies}) > 1:
        raise invalid_operation(
            "Multiple project_ids in bulk security group rule create not allowed",
            type="SecurityGroupRulesNotSingleProject",
        )


def check_body(draft: Draft, body: Doc) -> Doc:
    """The rule in its canonical form. Raises 400 where it contradicts itself, 404 where it names what is not there."""
    rule = check_rule(body)
    for name, kind in (
        ("remote_group_id", GROUP), ("remote_address_group_id", ADDRESS_GROUP), ("security_group_id", GROUP),
    ):  # fmt: skip
        if rule[name]:
            find_usable(draft, kind, rule[name], rule["project_id"])
    return rule


def check_new(draft: Draft, rules: Sequence[Doc]) -> None:
    """Raises where a rule is there already, in the group or in the request itself."""
    keys = [group_key(rule) for rule in rules]
    if len(set(keys)) < len(keys):
        raise conflict("DuplicateSecurityGroupRuleInPost", "Duplicate Security Group Rule in POST.")
    for key in keys:
        same = draft.lookup(RULE, "same", key)
        if same is not None:
            raise conflict("SecurityGroupRuleExists", f"Security group rule already exists. Rule id is {same['id']}.")


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    drop_rules(draft, [old])
    return draft.finish()


def group_key(doc: Doc) -> tuple[object, ...]:
    return (doc["security_group_id"], *same_key(doc))


def lacks_default_group(snapshot: Snapshot, requester: Requester, id: str | None) -> bool:
    project_id = requester.project_id
    return bool(project_id) and snapshot.lookup(GROUP, "default", project_id) is None


def run_ensure(snapshot: Snapshot, context: Context, id: str | None) -> Outcome:
    draft = Draft(snapshot, context)
    ensure_default_group(draft, context.requester.project_id)
    return draft.finish()


ENSURE_DEFAULT_GROUP = Ensure(lacks_default_group, run_ensure)
"""Who looks at groups or rules finds at least those of the own default group."""
_GROUP_MEMBER = any_of(ADMIN, "role:member and rule:sg_owner")
_GROUP_READER = any_of(ADMIN, "role:reader and rule:sg_owner")

SECURITY_GROUP_RULE = Resource(
    RULE,
    "security_group_rules",
    "Whom the ports of a security group may speak with.",
    (
        *stamp.standard_fields(
            Field("security_group_id", kinds.text_kind(36), "The group that it is of.", REQUIRED, sort=True),
            *rule_fields("Whom it lets speak: the ports of a security group."),
            Field(
                "normalized_cidr",
                PREFIX,
                "remote_ip_prefix without host bits.",
                None,
                post=False,
                sort=True,
                alias="security-groups-normalized-cidr",
            ),
            Field(
                "belongs_to_default_sg",
                kinds.BOOL,
                "Whether it is a rule of a project's default group.",
                GENERATED,
                post=False,
                alias="security-groups-rules-belongs-to-default-sg",
            ),
            name=False,
            tags=False,
        ),
    ),
    Rules(_GROUP_MEMBER, _GROUP_READER, None, _GROUP_MEMBER),
    indexes=(
        index_by("project_id"),
        index_by("security_group_id"),
        index_where_set("remote_group_id"),
        Index(
            "remote_address_group_id",
            lambda doc: (doc["remote_address_group_id"],) if doc["remote_address_group_id"] else (),
        ),
        Index("same", lambda doc: (group_key(doc),), "unique"),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    delete=delete,
    quota=DEFAULTS[RULE],
    tags=False,
    alias="security-group",
    ensure=ENSURE_DEFAULT_GROUP,
)

EXTENSIONS = (
    Extension(
        "security-groups-normalized-cidr",
        "Normalized CIDR field for security group rules",
        "A rule's prefix without host bits.",
        "2020-07-28T10:00:00-00:00",
    ),
    Extension(
        "security-groups-remote-address-group",
        "Remote address group id field for security group rules",
        "Rules for the addresses of an address group.",
        "2020-08-25T10:00:00-00:00",
    ),
    Extension(
        "security-groups-rules-belongs-to-default-sg",
        "Security group rule belongs to the project's default security group",
        "Which rules are those of the default group.",
        "2023-05-23T10:00:00-00:00",
    ),
)

"""QoS policies, their rules, and the rules again without their policy (aliases)."""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds, rbac, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome, Requester, Settings
from netloom.intent.policy_rules import ADMIN_OR_MANAGER, ADMIN_OR_READER, any_of
from netloom.intent.qos.qos_rules import TYPES, RuleType, check_conflicts, make_fields, show_rule, show_type, sort_rules
from netloom.intent.qos.qos_use import check_unused, find_policy, find_users, refresh_ports
from netloom.intent.schema import (
    GENERATED,
    Create,
    Delete,
    Doc,
    Field,
    Filter,
    Index,
    Kind,
    Resource,
    Rules,
    Sharing,
    Update,
    index_by,
    index_where_set,
)
from netloom.intent.snapshot import Snapshot

# -- policies ----------------------------------------------------------------------------------------------------------


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("policy", create_policy(draft, body)["id"]) for body in bodies])


def create_policy(draft: Draft, body: Doc) -> Doc:
    policy = stamp.make_created(draft.context.new_id(), {**body, "rules": []}, draft.context)
    check_default(draft, policy)
    if policy["shared"]:
        rbac.share_with_all(draft, "policy", policy)
    return draft.put("policy", policy)


def check_default(draft: Draft, policy: Doc) -> None:
    """A project has one default policy. Raises QoSPolicyDefaultAlreadyExists."""
    if not policy["is_default"]:
        return
    for id in draft.find_ids("policy", "default", policy["project_id"]):
        if id != policy["id"]:
            raise conflict(
                "QoSPolicyDefaultAlreadyExists", f"A default QoS policy exists for project {policy['project_id']}."
            )


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = stamp.make_updated(old, changes, context)
    check_default(draft, new)
    if new["shared"] and not old["shared"]:
        rbac.share_with_all(draft, "policy", new)
    elif old["shared"] and not new["shared"]:
        check_unshared(draft, old)
        rbac.unshare_with_all(draft, "policy", old)
    draft.put("policy", new)
    return draft.finish([("policy", old["id"])])


def check_unshared(draft: Draft, policy: Doc) -> None:
    """A policy that is used by the grant to everyone keeps it; its own project's use counts too, as in Neutron."""
    users = find_users(draft, policy)
    left = sorted(p for p in users if not rbac.is_granted(draft, "policy", policy["id"], rbac.SHARED, p))
    if left:
        raise conflict(
            "RbacPolicyInUse",
            f"RBAC policy on object {policy['id']} cannot be removed because other objects depend on it.\n"
            f"Details: it is used by {rbac.summarise(left)}",
        )


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_unused(draft, old)
    for rule in old["rules"]:
        draft.remove(TYPES[rule["type"]].kind, rule["id"])
    rbac.drop_grants(draft, "policy", old["id"])
    draft.remove("policy", old["id"])
    return draft.finish()


# -- rules -------------------------------------------------------------------------------------------------------------


def make_create(rule: RuleType) -> Create:
    def create_rules(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        return draft.finish([(rule.kind, create_rule(draft, rule, body)["id"]) for body in bodies])

    return create_rules


def create_rule(draft: Draft, rule: RuleType, body: Doc) -> Doc:
    policy = find_policy(draft, body["qos_policy_id"])
    new = {"id": draft.context.new_id(), **body, "project_id": policy["project_id"]}
    check_conflicts(policy, rule, body, new)
    draft.put(rule.kind, new)
    change_rules(draft, policy, rule, [*policy["rules"], show_rule(rule, new)])
    return new


def make_update(rule: RuleType) -> Update:
    def update_rule(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        policy, new = find_policy(draft, old["qos_policy_id"]), {**old, **changes}
        check_conflicts(policy, rule, changes, new)
        if new != old:
            draft.put(rule.kind, new)
            shown = show_rule(rule, new)
            change_rules(draft, policy, rule, [shown if r["id"] == old["id"] else r for r in policy["rules"]])
        return draft.finish([(rule.kind, old["id"])])

    return update_rule


def make_delete(rule: RuleType) -> Delete:
    def delete_rule(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
        draft = Draft(snapshot, context)
        policy = find_policy(draft, old["qos_policy_id"])
        draft.remove(rule.kind, old["id"])
        change_rules(draft, policy, rule, [r for r in policy["rules"] if r["id"] != old["id"]])
        return draft.finish()

    return delete_rule


def change_rules(draft: Draft, policy: Doc, rule: RuleType, rules: Sequence[Doc]) -> None:
    """The policy with these rules, one of type `rule` being new, changed or gone, and its ports as they are then."""
    new = draft.put("policy", stamp.make_updated(policy, {"rules": sort_rules(rules)}, draft.context))
    refresh_ports(draft, new, rule.placed)


# -- rule types --------------------------------------------------------------------------------------------------------


def derive_types(snapshot: Snapshot, settings: Settings, requester: Requester, id: str | None) -> list[Doc]:
    """The list says names; one type says what hosts make of it, to administrators."""
    if id is None:
        return [{"type": name} for name in TYPES]
    if not requester.is_admin:
        raise ApiError(403, "NotAuthorized", "Not authorized.")
    if id not in TYPES:
        raise not_found("rule_type", id)
    return [show_type(TYPES[id])]


def find_every_type(values: Sequence[str]) -> None:
    """No index; refuses what is no boolean."""
    for value in values:
        kinds.parse_bool(value)


def type_filter(name: str, doc: str) -> Filter:
    """All that there are is supported by the one driver, so the filter leaves every type in."""
    return Filter(name, lambda doc, values: True, doc, find_every_type)


# -- declarations ------------------------------------------------------------------------------------------------------

_SHARED = any_of(ADMIN_OR_READER, "rule:shared_qos_policy")
_RULES = Kind("rules", lambda value: value, {"type": "array", "items": {"type": "object"}})
_READ = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"
_WRITE = "(rule:admin_only) or (role:manager and rule:ext_parent_owner)"

POLICY = Resource(
    "policy",
    "policies",
    "What of a network's capacity its ports may use, and what they are guaranteed.",
    stamp.standard_fields(
        Field("shared", kinds.BOOL, "Whether every project may use it.", False, put=True),
        Field(
            "is_default", kinds.BOOL, "Whether its project's new networks have it.", False, put=True,
            alias="qos-default",
        ),
        Field("rules", _RULES, "Its rules, each with its type.", GENERATED, post=False, filter=False),
        tag_rules=(ADMIN_OR_MANAGER, _SHARED, None),
    ),
    Rules(ADMIN_OR_MANAGER, _SHARED, ADMIN_OR_MANAGER, ADMIN_OR_MANAGER),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
        Index("default", lambda doc: (doc["project_id"],) if doc["is_default"] else ()),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=create,
    update=update,
    delete=delete,
    alias="qos",
    url="qos/policies",
    loose_marker=True,
    sharing=(Sharing(users=find_users),),
)  # fmt: skip

RULE_TYPE = Resource(
    "rule_type",
    "rule_types",
    "A type of QoS rule, and what hosts make of it.",
    (
        Field("type", kinds.TEXT, "Its name.", GENERATED, post=False, filter=False),
        Field(
            "drivers", kinds.ANY, "The drivers that enforce it, and what each of its attributes may be.", GENERATED,
            post=False, filter=False, alias="qos-rule-type-details",
        ),
    ),
    Rules(None, "role:reader", None, None),
    filters=(
        type_filter("all_supported", "Those that some driver enforces."),
        type_filter("all_rules", "Those that there are."),
    ),
    tags=False,
    alias="qos",
    url="qos/rule-types",
    key="type",
    derive=derive_types,
)  # fmt: skip


def make_rule_resource(rule: RuleType) -> Resource:
    return Resource(
        rule.kind,
        f"{rule.kind}s",
        f"A rule of a QoS policy. {rule.doc}",
        make_fields(rule),
        Rules(_WRITE, _READ, _WRITE, _WRITE),
        indexes=(
            index_by("qos_policy_id"),
            index_by("project_id"),
        ),
        create=make_create(rule),
        update=make_update(rule),
        delete=make_delete(rule),
        tags=False,
        alias=rule.alias,
        url=f"{rule.kind}s",
        parent="policy",
        parent_key="qos_policy_id",
    )


def make_alias_resource(rule: RuleType) -> Resource:
    name = f"alias_{rule.kind}"
    return Resource(
        name,
        f"{name}s",
        f"A rule of a QoS policy, by its own id alone. {rule.doc}",
        make_fields(rule, post=False),
        Rules(None, ADMIN_OR_READER, ADMIN_OR_MANAGER, ADMIN_OR_MANAGER),
        indexes=(index_by("project_id"),),
        update=make_update(rule),
        delete=make_delete(rule),
        tags=False,
        alias=rule.short,
        url=f"qos/{name}s".replace("_", "-"),
        stored_as=rule.kind,
    )


RESOURCES: tuple[Resource, ...] = (
    POLICY,
    RULE_TYPE,
    *(make_rule_resource(rule) for rule in TYPES.values()),
    *(make_alias_resource(rule) for rule in TYPES.values() if rule.short),
)

EXTENSIONS = (
    Extension("qos", "Quality of Service", "Limits and guarantees for ports.", "2015-06-08T10:00:00-00:00"),
    Extension(
        "qos-bw-limit-direction",
        "Direction for QoS bandwidth limit rule",
        "A bandwidth limit is for what a port sends or for what it receives.",
        "2017-04-10T10:00:00-00:00",
    ),
    Extension(
        "qos-bw-minimum-ingress",
        "Ingress direction for QoS minimum bandwidth rule",
        "Bandwidth may be guaranteed for what a port receives.",
        "2018-07-09T10:00:00-00:00",
    ),
    Extension(
        "qos-default",
        "QoS default policy",
        "A project's new networks have its default policy.",
        "2017-041-06T10:00:00-00:00",
    ),
    Extension("qos-fip", "Floating IP QoS", "A floating IP has a policy.", "2017-07-20T00:00:00-00:00"),
    Extension(
        "qos-gateway-ip",
        "Router gateway IP QoS",
        "The gateway of a router has a policy.",
        "2018-02-24T00:00:00-00:00",
    ),
    Extension(
        "qos-port-network-policy",
        "QoS port network policy ID",
        "A port shows its network's policy.",
        "2019-11-01T10:00:00-00:00",
    ),
    Extension(
        "qos-pps",
        "QoS Rule Type Packet per Second Extension",
        "Limits in packets a second.",
        "2021-05-12T10:00:00-00:00",
    ),
    Extension(
        "qos-pps-minimum",
        "QoS minimum packet rate rule",
        "Guarantees in packets a second.",
        "2021-07-14T10:00:00-00:00",
    ),
    Extension(
        "qos-pps-minimum-rule-alias",
        "QoS minimum packet rate rule alias",
        "Guarantees in packets a second by their own id alone.",
        "2021-10-22T10:00:00-00:00",
    ),
    Extension(
        "qos-rules-alias",
        "Quality of Service rules alias API",
        "Rules by their own id alone.",
        "2018-10-07T10:00:00-00:00",
    ),
    Extension(
        "qos-rule-type-details",
        "Details of QoS rule types",
        "What hosts make of each type of rule.",
        "2017-06-22T10:00:00-00:00",
    ),
    Extension(
        "qos-rule-type-filter",
        "Allow to filter the list of QoS rule types",
        "all_rules and all_supported choose among the types.",
        "2022-02-02T10:00:00-00:00",
    ),
    Extension(
        "port-resource-request",
        "Port Resource Request",
        "What a port's policy guarantees, as Placement is asked for it.",
        "2018-05-08T10:00:00-00:00",
    ),
    Extension(
        "port-resource-request-groups",
        "Port Resource Request Groups",
        "Guarantees of several sorts are asked for in groups.",
        "2021-08-02T10:00:00-00:00",
    ),
)

"""Templates: the rules that new security groups start with, for all projects alike.

Law: until an administrator looks at them or changes them, the initial ones hold without being stored; from then on
only what is stored does. So a cloud that never touches them pays nothing, and one that deletes them all has none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome, Requester
from netloom.intent.policy_rules import ADMIN
from netloom.intent.schema import GENERATED, REQUIRED, Doc, Ensure, Field, Index, Resource, Rules
from netloom.intent.security.security_group_values import EGRESS, ETHERTYPES, INGRESS, check_rule, rule_fields, same_key
from netloom.intent.snapshot import Snapshot

KIND = "default_security_group_rule"
PARENT = "PARENT"
"""As remote_group_id: the group that the rule is made in."""
IN_DEFAULT, IN_OTHERS = "used_in_default_sg", "used_in_non_default_sg"
USES = (IN_DEFAULT, IN_OTHERS)
SETTLED = ("settled", "default_security_group_rules")
"""(kind, id) of the mark that the initial templates are stored. No resource of the API shows it."""


def make_initial(number: int, direction: str, ethertype: str) -> dict[str, Any]:
    return {
        "id": f"5ec00000-0000-4000-8000-{number:012x}",
        "direction": direction,
        "ethertype": ethertype,
        "protocol": None,
        "port_range_min": None,
        "port_range_max": None,
        "remote_ip_prefix": None,
        "remote_group_id": PARENT if direction == INGRESS else None,
        "remote_address_group_id": None,
        IN_DEFAULT: True,
        IN_OTHERS: direction == EGRESS,
        "description": f"Legacy default SG rule for {direction} traffic",
        "project_id": "",
    }


INITIAL: tuple[Doc, ...] = tuple(
    make_initial(number, direction, ethertype)
    for number, (direction, ethertype) in enumerate(
        ((direction, ethertype) for direction in (EGRESS, INGRESS) for ethertype in ETHERTYPES), 1
    )
)
"""All may leave; only the members of a project's default group may come in. As in Neutron."""
INITIAL_IDS = frozenset(template["id"] for template in INITIAL)


def find_templates(draft: Draft, use: str) -> Iterable[Doc]:
    """The templates in force for default groups (IN_DEFAULT) or for all others (IN_OTHERS)."""
    if draft.get(*SETTLED) is None:
        return (template for template in INITIAL if template[use])
    return sorted(
        draft.find(KIND, use, True), key=lambda doc: (doc["id"] not in INITIAL_IDS, doc["created_at"], doc["id"])
    )


def settle(draft: Draft) -> None:
    """Store the initial templates, once and for all."""
    if draft.get(*SETTLED) is not None:
        return
    draft.put(SETTLED[0], {"id": SETTLED[1]})
    for template in INITIAL:
        draft.put(KIND, stamp.make_created(template["id"], template, draft.context, tags=False))


def is_unsettled(snapshot: Snapshot, requester: Requester, id: str | None) -> bool:
    return snapshot.get(*SETTLED) is None


def run_settle(snapshot: Snapshot, context: Context, id: str | None) -> Outcome:
    draft = Draft(snapshot, context)
    settle(draft)
    return draft.finish()


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    settle(draft)
    return draft.finish([(KIND, create_template(draft, body)["id"]) for body in bodies])


def create_template(draft: Draft, body: Doc) -> Doc:
    rule = check_rule(body)
    for key in use_keys(rule):
        same = draft.lookup(KIND, "same", key)
        if same is not None:
            raise conflict(
                "DefaultSecurityGroupRuleExists",
                f"Default Security group rule already exists. Rule id is {same['id']}.",
            )
    return draft.put(KIND, stamp.make_created(draft.context.new_id(), rule, draft.context, tags=False))


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    settle(draft)
    draft.remove(KIND, old["id"])
    return draft.finish()


def use_keys(doc: Doc) -> tuple[tuple[Any, ...], ...]:
    """One for each sort of group that gets the rule."""
    return tuple((use, *same_key(doc)) for use in USES if doc[use])


_STANDARD = stamp.standard_fields(
    *rule_fields("Whom it lets speak: a security group; PARENT: the one that the rule is made in."),
    Field(IN_DEFAULT, kinds.BOOL, "Whether the default group of a project starts with it.", REQUIRED),
    Field(IN_OTHERS, kinds.BOOL, "Whether every other group starts with it.", REQUIRED),
    name=False,
    tags=False,
)

_DESCRIPTION = kinds.text_kind(1024)

DEFAULT_SECURITY_GROUP_RULE = Resource(
    KIND,
    "default_security_group_rules",
    "A rule that new security groups start with.",
    (
        *(
            replace(f, kind=_DESCRIPTION, alias="") if f.name == "description" else f
            for f in _STANDARD
            if f.name != "project_id"
        ),
        Field("project_id", kinds.PROJECT, "Who made it; it is nobody's.", GENERATED, visible=False, filter=False),
    ),
    Rules(ADMIN, "role:reader", None, ADMIN),
    indexes=(
        Index("same", use_keys, "unique"),
        Index(IN_DEFAULT, lambda doc: (doc[IN_DEFAULT],)),
        Index(IN_OTHERS, lambda doc: (doc[IN_OTHERS],)),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    delete=delete,
    tags=False,
    alias="security-groups-default-rules",
    ensure=Ensure(is_unsettled, run_settle),
)

EXTENSIONS = (
    Extension(
        "security-groups-default-rules",
        "Default rules for security groups",
        "What new security groups start with.",
        "2022-12-19T10:00:00-00:00",
    ),
)

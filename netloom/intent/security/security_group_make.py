"""How security groups and their rules are put into a draft: for requests, and for the default group of a project.

Law: a group's own document shows its rules whole, and is rewritten here and nowhere else, once for each change of its
rules; its revision grows by one with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netloom.intent import rbac, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import not_found
from netloom.intent.quota import check_quota
from netloom.intent.schema import Doc
from netloom.intent.security.default_security_group_rule import IN_DEFAULT, IN_OTHERS, PARENT, find_templates
from netloom.intent.security.security_group_statefulness import find_statefulness
from netloom.intent.security.security_group_values import normalize_prefix

GROUP, RULE, ADDRESS_GROUP = "security_group", "security_group_rule", "address_group"
DEFAULT = "default"
TEMPLATE_ONLY = (IN_DEFAULT, IN_OTHERS, "id", "revision_number", "created_at", "updated_at")


def find_default_group(draft: Draft, project_id: str) -> Doc | None:
    return draft.lookup(GROUP, "default", project_id)


def ensure_default_group(draft: Draft, project_id: str) -> Doc | None:
    """The project's default group, made where there is none yet. Nobody's objects have none."""
    if not project_id:
        return None
    found = find_default_group(draft, project_id)
    if found is not None:
        return found
    body = {
        "name": DEFAULT, "project_id": project_id, "description": "Default security group", "stateful": True,
    }  # fmt: skip
    return make_group(draft, body, is_default=True)


def make_group(draft: Draft, body: Doc, *, is_default: bool = False) -> Doc:
    """A group with the rules that the templates give it. Raises OverQuota where there is no room for the rules."""
    context = draft.context
    group = stamp.make_created(context.new_id(), body, context)
    project_id = group["project_id"]
    if "stateful" not in group:
        group["stateful"] = find_statefulness(draft, project_id)
    group |= {"shared": False, "is_default": is_default, "security_group_rules": []}
    wanted = find_starting_rules(draft, group)
    check_quota(draft, RULE, wanted)
    rules = [make_rule(draft, group, body) for body in wanted]
    return draft.put(GROUP, {**group, "security_group_rules": [show_rule(rule) for rule in rules]})


def find_starting_rules(draft: Draft, group: Doc) -> list[dict[str, Any]]:
    """What the templates ask for in a group; a template that names a group which is gone asks for nothing."""
    templates = find_templates(draft, IN_DEFAULT if group["is_default"] else IN_OTHERS)
    bodies = [read_template(template, group) for template in templates]
    return [body for body in bodies if is_whole(draft, group, body)]


def read_template(template: Doc, group: Doc) -> dict[str, Any]:
    body = {name: value for name, value in template.items() if name not in TEMPLATE_ONLY}
    remote = group["id"] if template["remote_group_id"] == PARENT else template["remote_group_id"]
    return {**body, "description": "", "remote_group_id": remote, "project_id": group["project_id"]}


def is_whole(draft: Draft, group: Doc, body: Doc) -> bool:
    remote, addresses = body["remote_group_id"], body["remote_address_group_id"]
    return (not remote or remote == group["id"] or draft.get(GROUP, remote) is not None) and (
        not addresses or draft.get(ADDRESS_GROUP, addresses) is not None
    )


def make_rule(draft: Draft, group: Doc, body: Doc) -> Doc:
    """A rule of a group, from a body in its canonical form. The group's own document is for the caller to rewrite."""
    rule = stamp.make_created(draft.context.new_id(), body, draft.context, tags=False)
    rule["security_group_id"] = group["id"]
    rule["normalized_cidr"] = normalize_prefix(rule["remote_ip_prefix"])
    rule["belongs_to_default_sg"] = group["is_default"]
    return draft.put(RULE, rule)


def show_rule(rule: Doc) -> dict[str, Any]:
    """A rule as its group shows it."""
    return {**rule, "tenant_id": rule["project_id"]}


def add_rules(draft: Draft, group: Doc, rules: Iterable[Doc]) -> None:
    shown = [*group["security_group_rules"], *(show_rule(rule) for rule in rules)]
    draft.put(GROUP, stamp.make_updated(group, {"security_group_rules": shown}, draft.context))


def drop_rules(draft: Draft, rules: Iterable[Doc]) -> None:
    """Take rules away, and out of the groups that show them."""
    gone: dict[str, set[str]] = {}
    for rule in rules:
        draft.remove(RULE, rule["id"])
        gone.setdefault(rule["security_group_id"], set()).add(rule["id"])
    for group_id, ids in gone.items():
        group = draft.get(GROUP, group_id)
        if group is not None:
            left = [rule for rule in group["security_group_rules"] if rule["id"] not in ids]
            draft.put(GROUP, stamp.make_updated(group, {"security_group_rules": left}, draft.context))


# -- who may use them --------------------------------------------------------------------------------------------------


def is_usable(draft: Draft, kind: str, doc: Doc, project_id: str) -> bool:
    """Whether a project may name the group (or address group): its own, a shared one, or anything by an admin."""
    if draft.context.requester.is_admin or doc["project_id"] == project_id or doc["shared"]:
        return True
    return rbac.is_granted(draft, kind, doc["id"], rbac.SHARED, project_id)


def find_usable(draft: Draft, kind: str, id: str, project_id: str) -> Doc:
    """Raises the kind's 404 for one that is not there, and for one that the project may not name."""
    doc = draft.get(kind, id)
    if doc is None or not is_usable(draft, kind, doc, project_id):
        raise not_found(kind, id)
    return doc

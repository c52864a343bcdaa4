"""Each policy rule, and which roles it lets through: the table policy_roles.txt.

    python -m tests.unit.api.policy_table       writes it anew, to be looked at before it is committed

The objects are those of a little cloud, the project demo's. `below`: the object is a third project's, and what it
belongs to (its network, its group, its parent) is demo's. `shared`: whatever can be shared is shared with everyone.
`outside`: every network is external.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from netloom.api.rules import find_resource_rules, find_rules, make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester
from netloom.intent.policy_rules import POLICY_RULES
from netloom.intent.schema import Doc, Resource
from netloom.intent.snapshot import Change, Snapshot
from tests.unit.api.full_cloud import FullCloud

TABLE = Path(__file__).with_name("policy_roles.txt")
ROLES: Mapping[str, tuple[str, ...]] = {
    "manager": ("manager", "member", "reader"), "member": ("member", "reader"), "reader": ("reader",),
}  # fmt: skip
REQUESTERS: Mapping[str, Requester] = {
    "admin": Requester("u0", "admin", ("admin", *ROLES["manager"])),
    **{name: Requester("u1", "demo", roles) for name, roles in ROLES.items()},
    "service": Requester("u2", "services", ("service",)),
    **{f"other {name}": Requester("u3", "other", roles) for name, roles in ROLES.items()},
}
"""Those who ask, by the names that the table has for them."""
HEAD = f"{'rule':58} {'object':7} " + " ".join(f"{name:13}" for name in REQUESTERS)


@dataclass(frozen=True)
class Case:
    """A rule asked of an object as it is in a snapshot."""

    rule: str
    resource: Resource
    variant: str
    target: Doc
    snapshot: Snapshot


@cache
def find_cloud() -> FullCloud:
    return FullCloud()


OPENED: Mapping[str, Mapping[str, bool]] = {
    "shared": {"shared": True}, "outside": {"router:external": True, "external_to_all": True},
}  # fmt: skip
"""What objects say of themselves in the variants in which everyone may use them."""
ABOVE = ("network_id", "security_group_id")
"""Attributes that name what an object belongs to, where it is not below another in the URL."""


@cache
def open_all(variant: str) -> Snapshot:
    """The cloud with all of it opened that can be."""
    start, opened = find_cloud().start, OPENED[variant]
    changes = [
        Change(kind, id, {**record.doc, **opened})
        for kind in CATALOG
        for id, record in start.records(kind).items()
        if opened.keys() <= record.doc.keys()
    ]
    return start.apply(changes, start.revision + 1)


def find_target(resource: Resource, snapshot: Snapshot) -> Doc:
    """The project's first object of the resource; of what is not stored, as much as a rule may ask."""
    docs = [record.doc for _, record in sorted(snapshot.records(resource.kind).items())]
    own = next((doc for doc in docs if doc.get("project_id") == "demo"), None)
    return own or next(iter(docs), {"id": "x", "project_id": "demo"})


def find_guarded() -> Iterator[tuple[str, Resource]]:
    """Every rule that guards a request, and the resource that it is about."""
    for resource in CATALOG.values():
        yield from ((name, resource) for name, _ in find_resource_rules(resource))
    verbs = {f"{verb}_{resource.rule}": resource for resource in CATALOG.values() for verb in ("create", "update")}
    for name in POLICY_RULES:
        if ":" in name:
            yield name, verbs[name.partition(":")[0]]


def find_variants(rule: str, resource: Resource) -> Iterator[Case]:
    start = find_cloud().start
    target = find_target(resource, start)
    yield Case(rule, resource, "own", target, start)
    if "project_id" in target and (resource.parent or any(name in target for name in ABOVE)):
        yield Case(rule, resource, "below", {**target, "project_id": "third"}, start)
    for variant in OPENED:
        snapshot = open_all(variant)
        yield Case(rule, resource, variant, find_target(resource, snapshot), snapshot)


def find_cases() -> Iterator[Case]:
    for rule, resource in find_guarded():
        yield from find_variants(rule, resource)


def decide(case: Case) -> dict[str, bool]:
    """The verdict of our engine for each requester."""
    policy = find_policy()
    return {
        name: policy.allows(case.rule, policy.recognise(requester), case.target, case.snapshot)
        for name, requester in REQUESTERS.items()
    }


@cache
def find_policy() -> Any:
    return make_policy_source(CATALOG).current()


def render_table() -> str:
    """A line for each rule, and one for each variant in which others may than of the project's own."""
    lines = [HEAD]
    own: Mapping[str, bool] = {}
    for case in find_cases():
        verdicts = decide(case)
        if case.variant == "own":
            own = verdicts
        elif verdicts == own:
            continue
        lines.append(render_line(case, verdicts))
    return "\n".join(line.rstrip() for line in lines) + "\n"


def render_line(case: Case, verdicts: Mapping[str, bool]) -> str:
    cells = " ".join(f"{'yes' if may else '-':13}" for may in verdicts.values())
    return f"{case.rule:58} {case.variant:7} {cells}"


def find_rule_names() -> Sequence[str]:
    """Every rule of ours that guards a request."""
    return [*dict(find_rules(CATALOG)), *(name for name in POLICY_RULES if ":" in name)]


if __name__ == "__main__":
    TABLE.write_text(render_table())
    print(f"wrote {TABLE}")

"""Who may do what: oslo.policy reads the rules, this module decides by them.

A rule is evaluated in two steps. What depends on the requester alone is decided once for each requester; what is
left is a small test of the object, or nothing. So a list of many objects costs one short comparison each.
Law: the verdict is the one that oslo.policy's own checks would give.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from oslo_policy import _checks as checks

from netloom.api.elsewhere import ask_elsewhere
from netloom.api.sharing import Granted, ParentGranted, Test, find_opened, make_granted
from netloom.intent.operation import Requester
from netloom.intent.schema import Catalog, Doc, Resource
from netloom.intent.snapshot import Snapshot

Verdict = bool | Test

MAX_VERDICTS = 20_000
"""Verdicts that are remembered; when there are more, all are forgotten."""
PUBLIC = ("shared", "router:external")
"""Attributes whose true values the index "public" holds, under True."""
MISSING = object()
"""What no text equals."""
TEMPLATE = re.compile(r"%\(([^)]*)\)s")
TARGET = re.compile(r"^%\(([^)]*)\)s$")
ALIASES = {"tenant_id": "project_id", "tenant": "project_id", "user": "user_id"}


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, and of which resource: what a check is read against. `creds` as oslo.policy has them."""

    creds: dict[str, Any]
    project_id: str
    resource: Resource | None
    catalog: Catalog


class Policy:
    """The rules in force. `rules`: oslo.policy's parsed checks by name; `enforcer`: for checks that only it knows.

    `catalog`: what tells which resource a rule is about, for grants and for parents.
    """

    def __init__(self, rules: Mapping[str, Any], enforcer: Any = None, catalog: Catalog | None = None) -> None:
        self.rules = rules
        self.enforcer = enforcer
        self.catalog: Catalog = catalog or {}
        self._guarded = find_guarded(self.catalog)
        self._verdicts: dict[tuple[str, Requester], Verdict] = {}
        self._recognised: dict[Requester, Requester] = {}
        self._sub_rules = find_sub_rules(rules)

    def decide(self, rule: str, requester: Requester) -> Verdict:
        """True, False, or a test of the object. A missing rule is the rule "default". Administrators may all."""
        if requester.is_admin:
            return True
        key = (rule, requester)
        found = self._verdicts.get(key)
        if found is None:
            if len(self._verdicts) >= MAX_VERDICTS:
                self._verdicts.clear()
            resource = self._guarded.get(rule.partition(":")[0])
            asked = Asked(make_credentials(requester), requester.project_id, resource, self.catalog)
            found = self._verdicts[key] = self._reduce_rule(rule, asked, ())
        return found

    def allows(self, rule: str, requester: Requester, target: Doc, snapshot: Snapshot) -> bool:
        verdict = self.decide(rule, requester)
        return verdict if isinstance(verdict, bool) else verdict(target, snapshot)

    def recognise(self, requester: Requester) -> Requester:
        """The requester, marked as administrator where the rule context_is_admin says so; it looks at nothing else."""
        if requester.is_admin:
            return requester
        found = self._recognised.get(requester)
        if found is None:
            if len(self._recognised) >= MAX_VERDICTS:
                self._recognised.clear()
            is_admin = self.decide("context_is_admin", requester) is True
            found = self._recognised[requester] = replace(requester, is_admin=True) if is_admin else requester
        return found

    def refused(
        self, action: str, given: Iterable[tuple[str, Any]], requester: Requester, target: Doc, snapshot: Snapshot
    ) -> str | None:
        """The rule, as Neutron prints it, that forbids `action` with the attributes `given`; None: it is allowed."""
        if requester.is_admin:
            return None
        names = self.names(action, given)
        if all(self.allows(name, requester, target, snapshot) for name in names):
            return None
        return format_rules(names)

    def names(self, action: str, given: Iterable[tuple[str, Any]]) -> list[str]:
        """The rules that guard `action` with the attributes `given`, in the order of the attributes."""
        names = [action]
        for attribute, value in given:
            rule = f"{action}:{attribute}"
            if rule in self.rules:
                names.append(rule)
            if rule in self._sub_rules:
                names += [f"{rule}:{sub}" for sub in find_keys(value) if f"{rule}:{sub}" in self.rules]
        return names

    # -- the first step: what the requester decides ------------------------------------------------------------------

    def _reduce_rule(self, rule: str, asked: Asked, above: tuple[str, ...]) -> Verdict:
        check = self.rules.get(rule, self.rules.get("default"))
        if check is None or rule in above:
            return False
        return self._reduce(check, asked, (*above, rule))

    def _reduce(self, check: Any, asked: Asked, above: tuple[str, ...]) -> Verdict:
        kind = type(check)
        if kind is checks.TrueCheck:
            return True
        if kind is checks.FalseCheck:
            return False
        if kind is checks.RuleCheck:
            return self._reduce_rule(check.match, asked, above)
        if kind is checks.NotCheck:
            return negate(self._reduce(check.rule, asked, above))
        if kind is checks.AndCheck:
            return join_all([self._reduce(one, asked, above) for one in check.rules])
        if kind is checks.OrCheck:
            return join_any([self._reduce(one, asked, above) for one in check.rules])
        if kind is checks.RoleCheck and "%(" not in check.match:
            return check.match.lower() in asked.creds["roles"]
        if kind is checks.GenericCheck:
            return reduce_generic(check.kind, check.match, asked)
        return self._opaque(check, asked.creds, above[0])

    def _opaque(self, check: Any, creds: dict[str, Any], rule: str) -> Test:
        """A check that oslo.policy alone understands (http:, a plugin's): asked every time, and aside."""

        def ask(target: Doc, snapshot: Snapshot) -> bool:
            given = {**target, "tenant_id": target.get("project_id")}
            return ask_elsewhere(lambda: check(given, dict(creds), self.enforcer, rule), self.enforcer, rule)

        return ask


def make_credentials(requester: Requester) -> dict[str, Any]:
    """The requester as rules name it. What is empty is left out: having no project is not having the same one."""
    given = {
        "user_id": requester.user_id,
        "project_id": requester.project_id,
        "tenant_id": requester.project_id,
        "tenant": requester.project_id,
        "user": requester.user_id,
        "user_name": requester.user_name,
        "project_name": requester.project_name,
        "domain_id": requester.domain_id,
        "system_scope": requester.system_scope,
    }
    roles = [role.lower() for role in requester.roles]
    by_service = {"service_roles": list(requester.service_roles)} if requester.service_roles else {}
    return {**{k: v for k, v in given.items() if v}, **by_service, "roles": roles, "is_admin": requester.is_admin}


def negate(verdict: Verdict) -> Verdict:
    return not verdict if isinstance(verdict, bool) else lambda target, snapshot: not verdict(target, snapshot)


@dataclass(frozen=True, slots=True)
class AllOf:
    tests: tuple[Test, ...]

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        return all(test(target, snapshot) for test in self.tests)


@dataclass(frozen=True, slots=True)
class AnyOf:
    tests: tuple[Test, ...]

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        for test in self.tests:  # noqa: SIM110 (any() of a generator costs as much again as the tests)
            if test(target, snapshot):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Has:
    """The target's `name` has one of the texts `values`."""

    name: str
    values: tuple[str, ...]

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        return str(target.get(self.name, MISSING)) in self.values


@dataclass(frozen=True, slots=True)
class ParentHas:
    """`parent`'s `attribute` has one of `values`, the parent being what the target's `key` names.

    An attribute of the target that is called `name`, colon and all, counts before that ("router:external").
    """

    name: str
    values: tuple[str, ...]
    parent: str
    key: str
    attribute: str

    def __call__(self, target: Doc, snapshot: Snapshot) -> bool:
        if self.name in target:
            return str(target[self.name]) in self.values
        doc = snapshot.get(self.parent, target.get(self.key, ""))
        return doc is not None and str(doc.get(self.attribute, MISSING)) in self.values


def make_has(name: str, values: tuple[str, ...], asked: Asked) -> Test:
    """The test of one value of the target, or, for "network:project_id", of the network that it belongs to.

    "ext_parent:project_id" is of the object below which the target is served.
    """
    if asked.resource is not None and (granted := make_granted(asked.resource, name, values, asked.project_id)):
        return granted
    parent, colon, attribute = name.partition(":")
    if not colon:
        return Has(ALIASES.get(name, name), values)
    kind, key = find_upper(parent, asked.resource)
    above = asked.catalog.get(kind)
    if above is not None and (granted := make_granted(above, attribute, values, asked.project_id)):
        return ParentGranted(granted, key)
    return ParentHas(name, values, kind, key, ALIASES.get(attribute, attribute))


def find_upper(parent: str, resource: Resource | None) -> tuple[str, str]:
    """(the kind that a rule calls `parent`, the attribute that names such an object)."""
    if parent == "ext_parent" and resource is not None and resource.parent:
        return resource.parent, resource.upper_key
    return parent, f"{parent}_id"


def find_guarded(catalog: Catalog) -> dict[str, Resource]:
    """The resource that each policy rule is about, by the rule's name up to its first colon."""
    found: dict[str, Resource] = {}
    for resource in catalog.values():
        verbs = [f"{verb}_{resource.rule}" for verb in ("create", "get", "update", "delete")]
        for name in (*verbs, *(action.name for action in resource.actions)):
            found.setdefault(name, resource)
    return found


def join_all(verdicts: Sequence[Verdict]) -> Verdict:
    if any(v is False for v in verdicts):
        return False
    tests = [v for v in verdicts if not isinstance(v, bool)]
    return AllOf(tuple(tests)) if len(tests) > 1 else tests[0] if tests else True


def join_any(verdicts: Sequence[Verdict]) -> Verdict:
    if any(v is True for v in verdicts):
        return True
    tests = sorted((v for v in verdicts if not isinstance(v, bool)), key=lambda v: not isinstance(v, Has))
    return AnyOf(tuple(tests)) if len(tests) > 1 else tests[0] if tests else False


def find_seen(test: Test, resource: Resource, snapshot: Snapshot) -> set[str] | None:
    """Ids among which are all objects of the resource that pass the test. None: indexes do not tell."""
    if isinstance(test, Has):
        return find_having(resource, test.name, test.values, snapshot)
    if isinstance(test, ParentHas):
        return find_below(test, resource, snapshot)
    if isinstance(test, Granted):
        return find_opened(test, resource, snapshot)
    if isinstance(test, ParentGranted):
        return find_below_opened(test, resource, snapshot)
    if isinstance(test, AllOf):
        return next((ids for one in test.tests if (ids := find_seen(one, resource, snapshot)) is not None), None)
    if not isinstance(test, AnyOf):
        return None
    found: set[str] = set()
    for one in test.tests:
        ids = find_seen(one, resource, snapshot)
        if ids is None:
            return None
        found |= ids
    return found


def find_set_indexes(resource: Resource) -> frozenset[str]:
    """The attributes by whose value documents are found."""
    return frozenset(index.name for index in resource.indexes if index.style == "set")


def find_having(resource: Resource, name: str, values: tuple[str, ...], snapshot: Snapshot) -> set[str] | None:
    """Those whose attribute has one of the values, where there is an index of it."""
    if name in PUBLIC and values == ("True",) and "public" in find_set_indexes(resource):
        return set(snapshot.find_ids(resource.kind, "public", True))
    if name not in find_set_indexes(resource) or not all(values):
        return None
    return {id for value in values for id in snapshot.find_ids(resource.kind, name, value)}


def find_below(test: ParentHas, resource: Resource, snapshot: Snapshot) -> set[str] | None:
    """Those whose parent passes."""
    if test.name in resource.by_name:
        return find_having(resource, test.name, test.values, snapshot)
    above = snapshot.catalog.get(test.parent)
    if above is None or test.key not in find_set_indexes(resource):
        return None
    parents = find_having(above, test.attribute, test.values, snapshot)
    if parents is None:
        return None
    return {id for one in parents for id in snapshot.find_ids(resource.kind, test.key, one)}


def find_below_opened(test: ParentGranted, resource: Resource, snapshot: Snapshot) -> set[str] | None:
    """Those whose parent is open to the requester."""
    above = snapshot.catalog.get(test.granted.kind)
    if above is None or test.key not in find_set_indexes(resource):
        return None
    parents = find_opened(test.granted, above, snapshot)
    if parents is None:
        return None
    return {id for one in parents for id in snapshot.find_ids(resource.kind, test.key, one)}


# -- the second step: what the object decides --------------------------------------------------------------------------


def reduce_generic(kind: str, match: str, asked: Asked) -> Verdict:
    """ "<credential>:<template of target values>", Neutron's field checks, and ownership of a parent."""
    if kind == "field":
        return make_field_test(match, asked)
    values = find_credentials(kind, asked.creds)
    if not values:
        return False
    if not TEMPLATE.search(match):
        return match in values
    if whole := TARGET.match(match):
        return make_has(whole.group(1), values, asked)

    def holds(target: Doc, snapshot: Snapshot) -> bool:
        found = {name: read_target(target, snapshot, name, asked.resource) for name in TEMPLATE.findall(match)}
        return None not in found.values() and match % found in values

    return holds


def find_credentials(kind: str, creds: Mapping[str, Any]) -> tuple[str, ...]:
    """The texts that a check's left side stands for: a literal, or what the credentials hold at a dotted path."""
    try:
        return (str(ast.literal_eval(kind)),)
    except (ValueError, SyntaxError):
        pass
    values: list[Any] = [creds]
    for segment in kind.split("."):
        values = [one[segment] for one in flatten(values) if isinstance(one, Mapping) and segment in one]
    return tuple(str(one) for one in flatten(values))


def flatten(values: Iterable[Any]) -> list[Any]:
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def read_target(target: Doc, snapshot: Snapshot, name: str, resource: Resource | None) -> Any:
    """A value of the target or, for "network:tenant_id", of the network that it belongs to; None: there is none."""
    if name in target:
        return target[name]
    if name in ALIASES:
        return target.get(ALIASES[name])
    parent, _, attribute = name.partition(":")
    if not attribute:
        return None
    kind, key = find_upper(parent, resource)
    doc = snapshot.get(kind, str(target.get(key, "")))
    return None if doc is None else doc.get(ALIASES.get(attribute, attribute))


def make_field_test(match: str, asked: Asked) -> Verdict:
    """ "<collection>:<attribute>=<value>", or =~<regular expression>: Neutron's field check."""
    _, _, test = match.partition(":")
    attribute, separator, wanted = test.partition("=")
    if not separator:
        return False
    if wanted.startswith("~"):
        pattern = re.compile(wanted[1:])
        return lambda target, snapshot: bool(
            pattern.match(str(read_target(target, snapshot, attribute, asked.resource) or ""))
        )
    values = ({"true": "True", "false": "False", "none": "None"}.get(wanted.lower(), wanted),)
    return make_has(attribute, values, asked)


# -- names of rules ----------------------------------------------------------------------------------------------------


def find_sub_rules(rules: Iterable[str]) -> frozenset[str]:
    """The attribute rules under which there are rules of single keys, as create_port:fixed_ips:ip_address."""
    return frozenset(name.rsplit(":", 1)[0] for name in rules if name.count(":") > 1)


def find_keys(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return list(dict.fromkeys(str(key) for item in items if isinstance(item, Mapping) for key in item))


def format_rules(names: Sequence[str]) -> str:
    """The rules as oslo.policy prints the conjunction that Neutron builds of them."""
    text = f"rule:{names[0]}"
    for name in names[1:]:
        text = f"({text} and rule:{name})"
    return text

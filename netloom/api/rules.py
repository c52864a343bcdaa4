"""The policy rules of a catalog, with Neutron's names, and the operator's policy.yaml over them.

Law: every rule's default is written in a declaration (or is one of intent's shared ones) and nowhere else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_policy import policy as oslo

from netloom.api.elsewhere import is_elsewhere
from netloom.api.policy import Policy
from netloom.intent.policy_rules import POLICY_RULES
from netloom.intent.schema import Catalog, Linked, Resource

LOG = logging.getLogger(__name__)
RELOAD_S = 5.0
"""How often a changed policy file is looked for."""


def find_rules(catalog: Catalog) -> Iterator[tuple[str, str]]:
    """(name, check string) of every rule that the declarations bring: create_port, create_port:mac_address, …"""
    for resource in catalog.values():
        yield from find_resource_rules(resource)


def find_resource_rules(resource: Resource) -> Iterator[tuple[str, str]]:
    name, rules = resource.rule, resource.rules
    for verb, check in (
        ("create", rules.create), ("get", rules.get), ("update", rules.update), ("delete", rules.delete),
    ):  # fmt: skip
        if check is not None:
            yield f"{verb}_{name}", check
    for f in resource.fields:
        if f.name == "tags":  # they have requests of their own
            continue
        for verb, check in (("create", f.set), ("get", f.see), ("update", f.change)):
            if check is not None:
                yield f"{verb}_{name}:{f.name}", check
    for action in resource.actions:
        yield action.name, action.rule
    for linked in resource.linked:
        yield from find_linked_rules(linked)
    if resource.tags:
        yield from find_tag_rules(resource)


def find_tag_rules(resource: Resource) -> Iterator[tuple[str, str]]:
    """Tags are changed as the object is, where the declaration does not say otherwise (stamp.standard_fields)."""
    rules, tags = resource.rules, resource.by_name.get("tags")
    change = tags.set if tags and tags.set else rules.update
    for verb, check in (
        ("create", change), ("get", tags.see if tags and tags.see else rules.get), ("update", change),
        ("delete", tags.change if tags and tags.change else rules.delete),
    ):  # fmt: skip
        if check is not None:
            yield name_tag_rule(resource, verb), check


def name_tag_rule(resource: Resource, verb: str) -> str:
    """The rule that guards an object's tags."""
    return f"{verb}_{resource.rule}:tags"


def find_old_names(catalog: Catalog) -> dict[str, str]:
    """Names that rules had in older releases, by the names they have: a policy.yaml may still use them."""
    return {
        name_tag_rule(resource, verb): f"{verb}_{resource.collection}_tags"
        for resource in catalog.values()
        if resource.tags
        for verb in ("create", "get", "update", "delete")
    }


def find_linked_rules(linked: Linked) -> Iterator[tuple[str, str]]:
    rules = linked.rules
    named = (f"get_{linked.path}", rules.get), (f"create_{linked.singular}", rules.create)
    for name, check in (*named, (f"delete_{linked.singular}", rules.delete)):
        if check is not None:
            yield name, check


def make_enforcer(
    rules: Mapping[str, str],
    policy_file: str = "",
    remote: Mapping[str, Any] | None = None,
    old_names: Mapping[str, str] | None = None,
) -> oslo.Enforcer:
    """oslo.policy's enforcer with these defaults and what `policy_file` (a path; empty: none) overrides.

    `remote`: values of oslo.policy's own options by name, for rules that ask a server elsewhere. `old_names`: what the
    file may still call a rule, by its name.
    Raises oslo.policy's errors for a file that cannot be parsed.
    """
    conf = cfg.ConfigOpts()
    conf([], project="netloom", default_config_files=[], default_config_dirs=[])
    enforcer = oslo.Enforcer(conf, policy_file=policy_file or None, use_conf=bool(policy_file))
    enforcer.suppress_default_change_warnings = True
    for name, value in (remote or {}).items():
        conf.set_override(name, value, group="oslo_policy")
    enforcer.suppress_deprecation_warnings = True
    old_names = old_names or {}
    enforcer.register_defaults([make_default(name, check, old_names.get(name)) for name, check in rules.items()])
    if policy_file:
        enforcer.load_rules(True)
    else:
        enforcer.set_rules({name: rule.check for name, rule in enforcer.registered_rules.items()})
    return enforcer


def make_default(name: str, check: str, old_name: str | None) -> oslo.RuleDefault:
    if old_name is None:
        return oslo.RuleDefault(name, check)
    old = oslo.DeprecatedRule(old_name, check, deprecated_reason="It has another name.", deprecated_since="2025.1")
    return oslo.RuleDefault(name, check, deprecated_rule=old)


@dataclass(slots=True)
class PolicySource:
    """The policy in force, read again when its file changes. A file that became unreadable, or is gone, leaves the old
    rules: with it what it had shut would be open again."""

    enforcer: oslo.Enforcer
    policy: Policy
    reload: bool
    next_s: float = 0.0
    seen: object = field(default=None)
    path: str = ""
    elsewhere: bool = False
    """Whether a rule asks a server elsewhere, so that requests wait for it."""

    def current(self) -> Policy:
        if self.reload and time.monotonic() >= self.next_s:
            self.next_s = time.monotonic() + RELOAD_S
            self._look()
        return self.policy

    def _look(self) -> None:
        try:
            if self.path and not Path(self.path).exists():
                raise FileNotFoundError(f"{self.path} is gone")
            self.enforcer.load_rules()
        except Exception as error:
            LOG.error("The policy file cannot be read, the rules stay as they were: %s", error)
            return
        if self.enforcer.rules is not self.seen:
            self.seen = self.enforcer.rules
            self.policy = Policy(dict(self.enforcer.rules), self.enforcer, self.policy.catalog)
            self.elsewhere = is_elsewhere(self.enforcer.rules)


def make_policy_source(
    catalog: Catalog, policy_file: str = "", remote: Mapping[str, Any] | None = None
) -> PolicySource:
    """The rules of the catalog and those that declarations share, with what the file (a path) overrides."""
    shared = {name: rule.check for name, rule in POLICY_RULES.items()}
    enforcer = make_enforcer({**shared, **dict(find_rules(catalog))}, policy_file, remote, find_old_names(catalog))
    source = PolicySource(
        enforcer, Policy(dict(enforcer.rules), enforcer, catalog), bool(policy_file), path=policy_file
    )
    source.seen, source.elsewhere = enforcer.rules, is_elsewhere(enforcer.rules)
    return source

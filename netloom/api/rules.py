"""The policy rules of a catalog, with Neutron's names, and the operator's policy.yaml over them.

Law: every rule's default is written in a declaration (or is one of intent's shared ones) and nowhere else.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
        for verb, check in (("create", f.set), ("get", f.see), ("update", f.change)):
            if check is not None:
                yield f"{verb}_{name}:{f.name}", check
    for action in resource.actions:
        yield action.name, action.rule
    for linked in resource.linked:
        yield from find_linked_rules(linked)
    if resource.tags:
        for verb, check in (
            ("get", rules.get),
            ("create", rules.update),
            ("update", rules.update),
            ("delete", rules.update),
        ):
            if check is not None:
                yield f"{verb}_{resource.collection}_tags", check


def find_linked_rules(linked: Linked) -> Iterator[tuple[str, str]]:
    rules = linked.rules
    named = (f"get_{linked.path}", rules.get), (f"create_{linked.singular}", rules.create)
    for name, check in (*named, (f"delete_{linked.singular}", rules.delete)):
        if check is not None:
            yield name, check


def make_enforcer(
    rules: Mapping[str, str], policy_file: str = "", remote: Mapping[str, Any] | None = None
) -> oslo.Enforcer:
    """oslo.policy's enforcer with these defaults and what `policy_file` (a path; empty: none) overrides.

    `remote`: values of oslo.policy's own options by name, for rules that ask a server elsewhere.

    Raises oslo.policy's errors for a file that cannot be parsed.
    """
    conf = cfg.ConfigOpts()
    conf([], project="netloom", default_config_files=[], default_config_dirs=[])
    enforcer = oslo.Enforcer(conf, policy_file=policy_file or None, use_conf=bool(policy_file))
    enforcer.suppress_default_change_warnings = True
    for name, value in (remote or {}).items():
        conf.set_override(name, value, group="oslo_policy")
    enforcer.register_defaults([oslo.RuleDefault(name, check) for name, check in rules.items()])
    if policy_file:
        enforcer.load_rules(True)
    else:
        enforcer.set_rules({name: rule.check for name, rule in enforcer.registered_rules.items()})
    return enforcer


@dataclass(slots=True)
class PolicySource:
    """The policy in force, read again when its file changes. A file that became unreadable leaves the old rules."""

    enforcer: oslo.Enforcer
    policy: Policy
    reload: bool
    next_s: float = 0.0
    seen: object = field(default=None)
    elsewhere: bool = False
    """Whether a rule asks a server elsewhere, so that requests wait for it."""

    def current(self) -> Policy:
        if self.reload and time.monotonic() >= self.next_s:
            self.next_s = time.monotonic() + RELOAD_S
            self._look()
        return self.policy

    def _look(self) -> None:
        try:
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
    enforcer = make_enforcer({**shared, **dict(find_rules(catalog))}, policy_file, remote)
    source = PolicySource(enforcer, Policy(dict(enforcer.rules), enforcer, catalog), bool(policy_file))
    source.seen, source.elsewhere = enforcer.rules, is_elsewhere(enforcer.rules)
    return source

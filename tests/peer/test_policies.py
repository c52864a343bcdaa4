"""Each policy rule of ours beside Neutron's of the same name: the same check, or a reason why not."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from functools import cache

from oslo_policy import _parser as parser

from netloom.api.rules import find_rules
from netloom.intent.catalog import CATALOG
from netloom.intent.policy_rules import POLICY_RULES
from tests.peer.judges import ROOT, VENV, install, plain_environment

NOT_OURS: Mapping[str, str] = {
    r".*(external_gateways|default_route_bfd|evpn_vni|leak_routes).*": "upstream does not serve it without OVN",
    r".*_segments_tags": "segments have no tags, upstream neither",
    r"(create|update)_subnet:service_types": "Neutron has the rule and does not ask it",
    r"create_default_security_group": "whoever needs the default group makes it",
    r"(create|update)_rbac_policy:target_project|restrict_wildcard": "the attribute is called target_tenant",
    r"update_l3-router|get_flavor_service_profile": "there is no such request, upstream neither",
}
"""Rules of Neutron that we do not have, as a regular expression, and why."""
OTHERS: Mapping[str, str] = {
    r"shared": "says as well of what is on a shared network, which Neutron finds out another way",
    r"(get|update|delete)_alias_.*_rule": "the rule knows its project, so its policy need not be asked",
    r"admin_or_(network|ext_parent)_owner": "the same, said by another rule",
    r"(create|update)_rbac_policy:target_tenant": "the attribute is called target_tenant alone",
}
"""Rules whose check is another, and why."""


@cache
def read_theirs() -> dict[str, str]:
    install()
    done = subprocess.run(
        [str(VENV / "bin" / "python"), str(ROOT / "tests/peer/policy_facts.py")],
        env=plain_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: dict[str, str] = json.loads(done.stdout)
    return found


def read_ours() -> dict[str, str]:
    return {name: rule.check for name, rule in POLICY_RULES.items()} | dict(find_rules(CATALOG))


def find_reason(name: str, reasons: Mapping[str, str]) -> str:
    return next((reason for pattern, reason in reasons.items() if re.fullmatch(pattern, name)), "")


def normalize(check: str) -> str:
    """The check without what makes no difference: parentheses that mean nothing, and the order of alternatives."""
    return repr(sort_check(parser.parse_rule(check)))


def sort_check(check: object) -> object:
    rules = getattr(check, "rules", None)
    if rules is None:
        return str(check)
    kind = type(check).__name__
    parts = []
    for one in rules:
        found = sort_check(one)
        parts += list(found[1]) if isinstance(found, tuple) and found[0] == kind else [found]
    return (kind, tuple(sorted(set(parts), key=repr)))


def test_each_rule_of_neutron_is_there() -> None:
    """By its name, so that an operator's policy.yaml means here what it means there."""
    ours = read_ours()
    missing = [name for name in read_theirs() if name not in ours and not find_reason(name, NOT_OURS)]
    assert not missing


def test_each_rule_lets_the_same_through() -> None:
    """Its default is Neutron's."""
    ours, theirs = read_ours(), read_theirs()
    other = {
        name: (theirs[name], check)
        for name, check in ours.items()
        if name in theirs and normalize(theirs[name]) != normalize(check) and not find_reason(name, OTHERS)
    }
    assert not other


def test_each_reason_is_needed() -> None:
    """What is like Neutron's is not excused."""
    ours, theirs = read_ours(), read_theirs()
    for pattern in NOT_OURS:
        assert any(re.fullmatch(pattern, name) and name not in ours for name in theirs), pattern
    for pattern in OTHERS:
        same = [name for name in ours if re.fullmatch(pattern, name) and name in theirs]
        assert any(normalize(ours[name]) != normalize(theirs[name]) for name in same), pattern

"""A policy file that says nothing sensible opens nothing: at the start, while the server runs, and rule by rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from netloom.api.policy import Policy
from netloom.api.rules import PolicySource, make_policy_source
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Requester
from netloom.intent.snapshot import Snapshot

MEMBER = Requester(user_id="u", project_id="demo", roles=("member", "reader"))
OTHER = Requester(user_id="v", project_id="other", roles=("member", "reader"))
DOC = {"id": "n", "project_id": "demo", "shared": False, "router:external": False}


def may(policy: Policy, rule: str, requester: Requester = MEMBER) -> bool:
    return not policy.refused(rule, {}, requester, DOC, Snapshot(CATALOG))


def write(path: Path, text: str) -> PolicySource:
    path.write_text(text)
    return make_policy_source(CATALOG, str(path))


BROKEN = ("{", "a: b: c", "- a\n- b", "just words", "\x00", '"get_network": ["a", {}]', "get_network: 5")


@pytest.mark.parametrize("text", BROKEN)
def test_a_server_does_not_start_on_a_file_that_is_no_policy_or_opens_nothing(text: str, tmp_path: Path) -> None:
    """What cannot be read is said, or refuses; nobody gets what the defaults would not give."""
    try:
        source = write(tmp_path / "policy.yaml", text)
    except Exception:
        return
    assert not may(source.policy, "get_network", OTHER)
    assert not may(source.policy, "create_network:shared") and not may(source.policy, "delete_agent")


@pytest.mark.parametrize(
    "check",
    ["!", "role:", "project_id:%(nothing)s", "nonsense", "a and", "(role:member", "unknown:thing",
     "not", "role:member and", "file:///etc/passwd"],
)  # fmt: skip
def test_a_rule_that_cannot_be_understood_refuses(check: str, tmp_path: Path) -> None:
    """A slip of the pen in one rule shuts that door and no other."""
    source = write(tmp_path / "policy.yaml", f'"get_network": "{check}"\n')
    assert not may(source.policy, "get_network")
    assert may(source.policy, "delete_network")


def test_a_rule_that_is_not_there_is_the_default_rule(tmp_path: Path) -> None:
    """As in oslo.policy: of the object's owner, and nobody else's."""
    source = write(tmp_path / "policy.yaml", '"get_network": "rule:nowhere"\n')
    assert may(source.policy, "get_network") and not may(source.policy, "get_network", OTHER)


@pytest.mark.parametrize("text", BROKEN[:5])
def test_a_file_that_breaks_while_the_server_runs_opens_nothing(text: str, tmp_path: Path) -> None:
    """What an operator had shut stays shut until the file can be read again."""
    path = tmp_path / "policy.yaml"
    source = write(path, '"delete_network": "!"\n')
    path.write_text(text)
    source.next_s = 0.0
    policy = source.current()
    assert not may(policy, "delete_network")
    assert not may(policy, "create_network:shared") and not may(policy, "get_network", OTHER)


def test_a_file_that_is_gone_leaves_the_rules_as_they_were(tmp_path: Path) -> None:
    """A file that is being replaced, or a folder that is not mounted, does not bring the defaults back."""
    path = tmp_path / "policy.yaml"
    source = write(path, '"delete_network": "!"\n')
    path.unlink()
    source.next_s = 0.0
    assert not may(source.current(), "delete_network")

"""The table of rules and roles beside what oslo.policy's own enforcer makes of Neutron's rules of the same names."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from netloom.api.policy import make_credentials
from netloom.intent.catalog import CATALOG
from netloom.intent.snapshot import Snapshot
from tests.peer.judges import ROOT, VENV, install, plain_environment
from tests.unit.api.policy_table import REQUESTERS, Case, decide, find_cases, find_policy

ABOVE = {"network_id": "network", "security_group_id": "security_group"}


def describe_target(case: Case) -> dict[str, Any]:
    """The object with what it belongs to, in the words of Neutron's rules."""
    target = {**case.target, "tenant_id": case.target.get("project_id")}
    for key, kind in ABOVE.items():
        if key in target:
            target |= describe_above(kind, kind, target[key], case.snapshot)
    resource = CATALOG[case.resource.kind]
    if resource.parent:
        target |= describe_above("ext_parent", CATALOG[resource.parent].kind, target[resource.upper_key], case.snapshot)
    if "network:shared" in target:
        target.setdefault("shared", target["network:shared"])
    return target


def describe_above(prefix: str, kind: str, id: str, snapshot: Snapshot) -> dict[str, Any]:
    doc = snapshot.get(kind, id) or {}
    named = {f"{prefix}:{name}": doc[name] for name in ("project_id", "shared") if name in doc}
    return {**named, f"{prefix}:tenant_id": doc.get("project_id")}


def ask(cases: list[Case]) -> list[dict[str, bool] | None]:
    """Neutron's verdicts."""
    install()
    targets = {str(number): describe_target(case) for number, case in enumerate(cases)}
    requesters = {name: make_credentials(find_policy().recognise(one)) for name, one in REQUESTERS.items()}
    asked = [[case.rule, str(number)] for number, case in enumerate(cases)]
    done = subprocess.run(
        [str(VENV / "bin" / "python"), str(ROOT / "tests/peer/policy_verdicts.py")],
        input=json.dumps({"requesters": requesters, "targets": targets, "asked": asked}, default=list),
        env=plain_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found: list[dict[str, bool] | None] = json.loads(done.stdout)
    return found


def test_each_role_may_here_what_it_may_in_neutron() -> None:
    """Rule by rule, object by object."""
    cases = list(find_cases())
    pairs = [(case, theirs) for case, theirs in zip(cases, ask(cases), strict=True) if theirs is not None]
    assert len(pairs) > 600
    other: dict[str, Any] = {}
    for case, theirs in pairs:
        ours = decide(case)
        if ours != theirs:
            wrong = {name: f"theirs {theirs[name]}" for name in ours if ours[name] != theirs[name]}
            other.setdefault(case.rule, {})[case.variant] = wrong
    assert other == {}

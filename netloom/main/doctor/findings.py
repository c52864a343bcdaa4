"""`netloom doctor`: what of a deployment is not as it should be, each with what to do about it.

Law: a look changes nothing, and a check that cannot be made is a finding like any other: it never hides the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

ERROR, WARNING, OK = "error", "warning", "ok"
"""It does not work so; it may not work for long, or not for everybody; it is as it should be."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`check`: what was looked at. `said`: what is. `fix`: what to do, where there is something to do."""

    check: str
    level: str
    said: str
    fix: str = ""


Check = Callable[[], Iterable[Finding]]


def run_checks(checks: Iterable[tuple[str, Check]]) -> list[Finding]:
    """All of them in order; one that finds nothing wrong and says nothing is fine."""
    found: list[Finding] = []
    for name, check in checks:
        try:
            one = list(check())
        except Exception as error:
            fix = "this says more than a missing right or file should: read it, and tell the makers if it is a fault"
            one = [Finding(name, ERROR, f"could not be looked at: {error!r}", fix)]
        found += one or [Finding(name, OK, "fine")]
    return found


def render_findings(findings: Sequence[Finding], as_json: bool) -> str:
    """For people, worst first; or all as JSON."""
    if as_json:
        return json.dumps(
            {"healthy": not find_status(findings), "findings": [asdict(one) for one in findings]}, indent=1
        )
    order = (ERROR, WARNING, OK)
    lines = [line for one in sorted(findings, key=lambda f: order.index(f.level)) for line in render_finding(one)]
    counts = [count(level, name, findings) for level, name in ((ERROR, "error"), (WARNING, "warning"), (OK, "fine"))]
    return "\n".join([*lines, "", ", ".join(counts)])


def count(level: str, name: str, findings: Iterable[Finding]) -> str:
    found = sum(one.level == level for one in findings)
    return f"{found} {name}{'' if found == 1 or level == OK else 's'}"


def render_finding(finding: Finding) -> list[str]:
    first = f"{finding.level:8}{finding.check}: {finding.said}"
    return [first, f"{'':8}→ {finding.fix}"] if finding.fix else [first]


def find_status(findings: Iterable[Finding]) -> int:
    """The command's: 1 where something does not work, else 0."""
    return int(any(one.level == ERROR for one in findings))

"""Everything that others judge us by, and one report of it at the end: `python -m tests.peer.run_all` (make peer).

Needs no root and nothing but PyPI: what the judges are made of is fetched into build/ the first time.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from xml.etree import ElementTree

from tests.peer import judges, keystone, tempest_run

RESULTS = judges.ROOT / "build" / "peer.xml"


def run_pytest() -> tuple[list[str], bool]:
    """The peers that pytest runs: neutron-lib, oslo.policy, Keystone, the openstack command."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/peer", f"--junitxml={RESULTS}"]
    RESULTS.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=judges.ROOT, check=False)
    if not RESULTS.exists():
        return ["*** pytest did not run"], False
    return render_results(ElementTree.parse(RESULTS)), done.returncode == 0


def render_results(found: ElementTree.ElementTree[ElementTree.Element]) -> list[str]:
    """What failed, each skip with its reason, and the count."""
    lines, counts = [], Counter[str]()
    for case in found.iter("testcase"):
        bad = next((one for one in case if one.tag in ("failure", "error", "skipped")), None)
        counts["passed" if bad is None else bad.tag] += 1
        if bad is not None:
            lines.append(f"*** {bad.tag}: {case.get('classname')}.{case.get('name')}: {bad.get('message', '')[:300]}")
    return [*lines, f"{sum(counts.values())} tests: " + ", ".join(f"{n} {word}" for word, n in counts.most_common())]


def main() -> int:
    keystone.install()
    judges.install()
    print("==> neutron-lib, oslo.policy, Keystone and the openstack command", flush=True)
    peers, peers_good = run_pytest()
    print("==> Tempest: tempest.api.network and neutron_tempest_plugin.api (ten minutes)", flush=True)
    tempest, tempest_good = tempest_run.run(tempest_run.REGEX)
    print("\n".join(["", "==> the judges' report", "", "pytest tests/peer", *peers, "", "Tempest", *tempest]))
    return 0 if peers_good and tempest_good else 1


if __name__ == "__main__":
    sys.exit(main())

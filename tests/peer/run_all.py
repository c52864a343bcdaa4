"""Everything that others judge us by, and one report of it at the end: `python -m tests.peer.run_all` (make peer).

Needs no root and nothing but PyPI: what the judges are made of is fetched into build/ the first time.
"""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from xml.etree import ElementTree

from tests.peer import (
    ansible_run,
    judges,
    keystone,
    neutron_units_run,
    nova_run,
    octavia_run,
    routed_run,
    sdk_run,
    tempest_run,
)

RESULTS = judges.ROOT / "build" / "peer.xml"
JUDGES: Mapping[str, Callable[[], tuple[list[str], bool]]] = {
    "Nova's own network code (two minutes)": nova_run.run,
    "Octavia's own driver (a minute)": octavia_run.run,
    "Nova's API and Placement, told of routed networks (a minute)": routed_run.run,
    "Ansible's collection openstack.cloud, each playbook twice (two minutes)": ansible_run.run,
    "openstacksdk's own functional tests of networking (four minutes)": sdk_run.run,
    "Neutron's own unit tests of its API (five minutes)": neutron_units_run.run,
    "Tempest: tempest.api.network and neutron_tempest_plugin.api (ten minutes)": lambda: tempest_run.run(
        tempest_run.REGEX
    ),
}
"""Each gives the lines of its report, and whether all was well."""


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
    reports, good = ["", "==> the judges' report", "", "pytest tests/peer", *peers], peers_good
    for name, run in JUDGES.items():
        print(f"==> {name}", flush=True)
        lines, fine = run()
        reports += ["", name, *lines]
        good = good and fine
    print("\n".join(reports))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Octavia's own driver as a judge: `python -m tests.peer.octavia_run`. A minute.

Octavia (PyPI) has an environment of its own below build/. Its driver asks a Netloom behind a real Keystone, as
Octavia's workers ask a Neutron. What it is asked to do is in `octavia_driver.py`; status 1 if a step failed.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path

from tests.peer import judges, keystone, nova_run, tempest_run

REQUIREMENTS = ("octavia==19.0.0",)
DRIVER = Path(__file__).with_name("octavia_driver.py")


def run() -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    keystone.install()
    python = judges.install_into("octavia", REQUIREMENTS)
    folder, began = Path(tempfile.mkdtemp(prefix="netloom-octavia-")), time.monotonic()
    try:
        with tempest_run.open_cloud(folder) as (cloud, server):
            steps = nova_run.drive(python, nova_run.write_facts(folder, cloud, server), DRIVER)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return nova_run.render_report(steps, time.monotonic() - began), not any(one["wrong"] for one in steps)


def main() -> int:
    report, good = run()
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""Nova's own network code as a judge: `python -m tests.peer.nova_run`. A minute.

Nova (PyPI) has an environment of its own below build/. Its code asks a Netloom behind a real Keystone, as nova-api,
nova-conductor and nova-compute ask a Neutron: with a user's token, the service's own and both at once. What it is asked
to do is in `nova_driver.py`; status 1 if a step failed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.server import Server
from tests.peer import judges, keystone, tempest_run
from tests.peer.keystone import PASSWORD, Keystone

REQUIREMENTS = ("nova==34.0.0",)
DRIVER = Path(__file__).with_name("nova_driver.py")
TIMEOUT_S = 600.0


def grant_admin(cloud: Keystone, token: str, user: str) -> None:
    """Nova's user is an administrator as well as a service, as installers make it."""
    role = next(one["id"] for one in cloud.ask(token, "GET", "/roles")["roles"] if one["name"] == "admin")
    cloud.ask(token, "PUT", f"/projects/{cloud.ids['service']}/users/{cloud.ids[user]}/roles/{role}")


def write_facts(folder: Path, cloud: Keystone, server: Server) -> Path:
    """What the driver is told: where Keystone is, and the external network."""
    token = cloud.issue("admin", "admin")
    grant_admin(cloud, token, "nova")
    tempest_run.make_pools(server, token)
    external = tempest_run.make_external(server, token)
    path = folder / "facts.json"
    path.write_text(json.dumps({"keystone": cloud.url, "password": PASSWORD, "external": external}))
    return path


def drive(python: Path, facts: Path, driver: Path = DRIVER) -> list[dict[str, str]]:
    """A line for each step that the driver took: its name, and what went wrong."""
    done = subprocess.run(
        [str(python), "-P", "-W", "ignore", str(driver), str(facts)],
        env=judges.plain_environment(), capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    steps = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if not steps:
        raise RuntimeError(f"{driver.stem} did not run: {done.stderr[-2000:]}")
    return steps


def render_report(steps: list[dict[str, str]], elapsed_s: float) -> list[str]:
    bad = [f"*** {one['step']}: {one['wrong']}" for one in steps if one["wrong"]]
    return [*bad, f"{len(steps)} steps in {elapsed_s:.0f} s: {len(bad)} failed"]


def run() -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    keystone.install()
    python = judges.install_into("nova", REQUIREMENTS)
    folder, began = Path(tempfile.mkdtemp(prefix="netloom-nova-")), time.monotonic()
    try:
        with tempest_run.open_cloud(folder) as (cloud, server):
            steps = drive(python, write_facts(folder, cloud, server))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return render_report(steps, time.monotonic() - began), not any(one["wrong"] for one in steps)


def main() -> int:
    report, good = run()
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

"""openstacksdk's own functional tests of networking as a judge: `python -m tests.peer.sdk_run [module …]`. Minutes.

openstacksdk (PyPI) has an environment of its own below build/. Its tests ask a Netloom behind a real Keystone, as an
administrator, two members and an administrator of the system, one after the other, as its own jobs do. Status 1 if a
test failed that `sdk_left_out.txt` does not give a reason for. The results are in build/sdk.json.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.peer import judges, keystone, reasons, tempest_run
from tests.peer.keystone import PASSWORD, Keystone

REQUIREMENTS = ("openstacksdk==4.22.0", "oslotest==6.1.1", "requests-mock", "pytest==9.2.0")
MODULES = ("network", "cloud.test_network", "cloud.test_project_cleanup")
"""Below openstack.tests.functional."""
AS_ADMIN = (
    "network.v2.test_agent",
    "network.v2.test_agent_add_remove_network",
    "network.v2.test_agent_add_remove_router",
)
"""They ask as a member, who sees no agents, and then skip: asked once more with an administrator in his place."""
RESULTS = judges.ROOT / "build" / "sdk.json"
LEFT_OUT = Path(__file__).with_name("sdk_left_out.txt")
TEST_S, RUN_S = 300, 3600
"""A test of it has five seconds, if nothing is said; a busy machine takes longer."""
FEWEST = 190
"""Fewer that pass: the judge itself is broken."""


def make_login(cloud: Keystone, user: str, **scope: str) -> dict[str, Any]:
    auth = {"auth_url": cloud.url, "username": user, "password": PASSWORD, "user_domain_id": "default", **scope}
    return {"region_name": "RegionOne", "identity_api_version": 3, "auth": auth}


def write_clouds(path: Path, cloud: Keystone) -> None:
    """clouds.yaml with the names that the tests use."""
    domain = {"project_domain_id": "default"}
    clouds = {
        "devstack-admin": make_login(cloud, "admin", project_name="admin", **domain),
        "devstack": make_login(cloud, "mia", project_name="demo", **domain),
        "devstack-alt": make_login(cloud, "max", project_name="other", **domain),
        "devstack-system-admin": make_login(cloud, "admin", system_scope="all"),
    }
    path.write_text(json.dumps({"clouds": clouds}))  # JSON is YAML


def run_tests(python: Path, folder: Path, modules: Sequence[str], member: str) -> list[dict[str, str]]:
    """What came of each test. `member`: the cloud that the tests ask as members of a project."""
    environment = judges.plain_environment(
        HOME=str(folder), OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"), OPENSTACKSDK_DEMO_CLOUD=member,
        OS_TEST_TIMEOUT=str(TEST_S), OPENSTACKSDK_FUNC_TEST_TIMEOUT=str(TEST_S),
        OS_LOG_CAPTURE="1", OS_STDOUT_CAPTURE="1", OS_STDERR_CAPTURE="1",
    )  # fmt: skip
    results = folder / "results.xml"
    command = [
        *(
            str(python),
            "-P",
            "-W",
            "ignore",
            "-m",
            "pytest",
            "-q",
            "-c",
            "/dev/null",
            "--rootdir",
            str(python.parents[1]),
        ),
        *("-p", "no:cacheprovider", "-p", "no:logging", f"--junitxml={results}", "--pyargs"),
        *(f"openstack.tests.functional.{name}" for name in modules),
    ]
    results.unlink(missing_ok=True)
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False
    )
    found = read_results(results) if results.exists() else []
    if not found:
        found.append({"id": "the run itself", "word": "failure", "text": (done.stdout + done.stderr)[-2000:]})
    return found


def read_results(path: Path) -> list[dict[str, str]]:
    words = {"failure": "failure", "error": "failure", "skipped": "skip"}
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        bad = next((one for one in case if one.tag in words), None)
        id = f"{case.get('classname')}.{case.get('name')}".rpartition("openstack.tests.functional.")[2]
        word = "success" if bad is None else words[bad.tag]
        found.append({"id": id, "word": word, "text": "" if bad is None else describe(bad)})
    return found


def describe(bad: ElementTree.Element) -> str:
    """Why it was skipped, or the traceback; what the program wrote meanwhile is left."""
    message = bad.get("message", "")
    said = message if bad.tag == "skipped" else bad.text or message
    return said.split("\n---------- Captured")[0].strip()


def run(modules: Sequence[str] = ()) -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    keystone.install()
    python = judges.install_into("openstacksdk", REQUIREMENTS)
    folder, began = Path(tempfile.mkdtemp(prefix="netloom-sdk-")), time.monotonic()
    try:
        with tempest_run.open_cloud(folder) as (cloud, server):
            token = cloud.issue("admin", "admin")
            tempest_run.make_pools(server, token)
            tempest_run.make_external(server, token)
            write_clouds(folder / "clouds.yaml", cloud)
            results = run_tests(python, folder, modules or MODULES, "devstack")
            if not modules:
                again = run_tests(python, folder, AS_ADMIN, "devstack-admin")
                results = [*(one for one in results if one["id"] not in {it["id"] for it in again}), *again]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    RESULTS.write_text(json.dumps(results, indent=1))
    return reasons.judge(results, time.monotonic() - began, LEFT_OUT, 0 if modules else FEWEST)


def main(modules: Sequence[str]) -> int:
    report, good = run(modules)
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Ansible's collection openstack.cloud as a judge: `python -m tests.peer.ansible_run`. Two minutes.

A playbook that makes a small cloud and one that takes it away are played twice each against a Netloom behind a real
Keystone: all of it works, and the second time nothing changes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

from tests.peer import judges, keystone, tempest_run

REQUIREMENTS = ("ansible-core>=2.19,<2.20", "openstacksdk==4.4.0")
"""The collection of this release does not know newer ones of openstacksdk."""
COLLECTION = "ansible==12.3.0"
COUNT = re.compile(r"ok=(\d+) +changed=(\d+) +unreachable=(\d+) +failed=(\d+)")
PLAYBOOKS = tuple(Path(__file__).with_name(name) for name in ("ansible_playbook.yml", "ansible_teardown.yml"))
PLAY_S = 900.0


def install() -> tuple[Path, Path]:
    """(Ansible's Python, the folder of collections). Of the package of all collections one is kept."""
    python = judges.install_into("ansible", REQUIREMENTS)
    collections = python.parents[1] / "collections"
    if not collections.exists():
        with tempfile.TemporaryDirectory(dir=collections.parent) as folder:
            unpack(python, Path(folder)).rename(collections)
    return python, collections


def unpack(python: Path, folder: Path) -> Path:
    print(f"==> build/ansible: pip download {COLLECTION}, for openstack.cloud", flush=True)
    pip = [str(python), "-P", "-m", "pip", "--quiet", "--disable-pip-version-check", "download", "--no-deps"]
    subprocess.run([*pip, "-d", str(folder), COLLECTION], env=judges.plain_environment(), check=True)
    with zipfile.ZipFile(next(folder.glob("ansible-*.whl"))) as wheel:
        names = [name for name in wheel.namelist() if name.startswith("ansible_collections/openstack/")]
        wheel.extractall(folder / "collections", names)
    return folder / "collections"


def play(python: Path, collections: Path, folder: Path, playbook: Path) -> str:
    """What Ansible says."""
    environment = judges.plain_environment(
        ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_HOME=str(folder / "ansible"), ANSIBLE_NOCOLOR="1",
        ANSIBLE_LOCALHOST_WARNING="false", ANSIBLE_PYTHON_INTERPRETER=str(python), HOME=str(folder),
        OS_CLIENT_CONFIG_FILE=str(folder / "clouds.yaml"), OS_CLOUD="mia", PYTHONPATH="",
    )  # fmt: skip
    command = [str(python.with_name("ansible-playbook")), "-i", "localhost,", str(playbook)]
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=PLAY_S, check=False
    )
    return done.stdout + done.stderr


def judge(name: str, first: str, second: str) -> tuple[list[str], bool]:
    """The report's lines of two plays of a playbook, and whether all went well."""
    lines, good = [], True
    for number, said in enumerate((first, second), 1):
        found = COUNT.search(said)
        ok, changed, unreachable, failed = map(int, found.groups()) if found else (0, 0, 0, 1)
        fine = not (failed or unreachable) and (changed == 0) == (number == 2)
        mark = "" if fine else "*** "
        lines.append(f"{mark}{name}, play {number}: {ok} tasks went well, {changed} changed something, {failed} failed")
        if not fine:
            lines += ["    " + line for line in said.splitlines() if re.search("^TASK|^fatal|ERROR|^changed:", line)]
        good = good and fine
    return lines, good


def run() -> tuple[list[str], bool]:
    keystone.install()
    python, collections = install()
    folder, began = Path(tempfile.mkdtemp(prefix="netloom-ansible-")), time.monotonic()
    lines, good = list[str](), True
    try:
        with tempest_run.open_cloud(folder) as (cloud, _):
            cloud.write_clouds(folder / "clouds.yaml")
            for playbook in PLAYBOOKS:
                said = [play(python, collections, folder, playbook) for _ in range(2)]
                found, fine = judge(playbook.name, *said)
                lines, good = [*lines, *found], good and fine
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [*lines, f"{time.monotonic() - began:.0f} s"], good


def main() -> int:
    report, good = run()
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())

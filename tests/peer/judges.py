"""The environment of other people's programs: neutron-lib, Tempest and its Networking plug-in, and Neutron's rules.

    python -m tests.peer.judges        makes it (make peer does)

It is below build/ and not our own, since their hundred libraries are not ours; nothing of it is imported here.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build" / "judges"
REQUIREMENTS = (
    "neutron-lib==5.0.1",
    "tempest==47.0.0",
    "neutron-tempest-plugin==3.3.0",
    "oslo.service[threading]",
    "python-subunit",
)
ALONE = ("neutron==29.0.0",)
"""Installed without what it depends on: its policy rules need no more than there is."""


def is_installed(name: str, requirements: Sequence[str], alone: Sequence[str] = ()) -> bool:
    """Whether build/`name` has these."""
    stamp = find_stamp(ROOT / "build" / name)
    return stamp.exists() and stamp.read_text() == describe(requirements, alone)


def find_stamp(venv: Path) -> Path:
    return venv / ".installed"


def describe(requirements: Sequence[str], alone: Sequence[str]) -> str:
    return repr((tuple(requirements), tuple(alone)))


def install() -> None:
    """Made once; half a minute."""
    install_into("judges", REQUIREMENTS, ALONE)


def install_into(name: str, requirements: Sequence[str], alone: Sequence[str] = ()) -> Path:
    """The Python of build/`name`, a virtual environment of its own with these in it, made once.

    `alone`: installed without what they depend on. Judges have an environment each where their libraries do not agree.
    """
    venv = ROOT / "build" / name
    venv.parent.mkdir(exist_ok=True)
    with (venv.parent / f".{name}.lock").open("w") as lock:  # tests in several processes may want it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make_environment(venv, requirements, alone)


def make_environment(venv: Path, requirements: Sequence[str], alone: Sequence[str]) -> Path:
    python, name = venv / "bin" / "python", venv.name
    if is_installed(name, requirements, alone):
        return python
    print(f"==> build/{name}: pip install {' '.join(requirements)} (a minute the first time)", flush=True)
    shutil.rmtree(venv, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], env=plain_environment(), check=True)
    pip = [str(python), "-P", "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, *requirements], env=plain_environment(), check=True)
    if alone:
        subprocess.run([*pip, "--no-deps", *alone], env=plain_environment(), check=True)
    find_stamp(venv).write_text(describe(requirements, alone))
    return python


def plain_environment(**more: str) -> dict[str, str]:
    """Ours, but compiled modules are kept: without them every start compiles all of it again."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | more


if __name__ == "__main__":
    install()

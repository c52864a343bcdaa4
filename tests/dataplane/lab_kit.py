"""A lab of its own for tests: a short folder, a prefix of its own, and proof afterwards that nothing is left."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from netloom.lab import cloud, namespaces, processes
from netloom.lab.state import Place

NETLOOM = (sys.executable, "-m", "netloom.main.cli")


@dataclass(frozen=True, slots=True)
class LabUnderTest:
    place: Place
    prefix: str

    @property
    def env(self) -> dict[str, str]:
        lab = {"NETLOOM_LAB_DIR": str(self.place.directory), "NETLOOM_LAB_PREFIX": self.prefix}
        return {**os.environ, **lab, "COLUMNS": "200"}

    def run(self, *arguments: str, status: int = 0, timeout_s: float = 120) -> str:
        """What `netloom lab …` prints on both streams; the test fails when it ends otherwise than with `status`."""
        done = subprocess.run(
            [*NETLOOM, "lab", *arguments], env=self.env, timeout=timeout_s, check=False, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert done.returncode == status, f"netloom lab {' '.join(arguments)}: {done.returncode}\n{done.stdout}"
        return done.stdout

    def openstack(self, command: str) -> str:
        program = str(Path(sys.executable).parent / "openstack")
        env = {**self.env, "OS_CLIENT_CONFIG_FILE": str(self.place.clouds), "OS_CLOUD": "netloom"}
        done = subprocess.run(
            [program, *command.split()], env=env, timeout=120, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"openstack {command}: {done.stderr}"
        return done.stdout

    def openstack_all(self, *commands: str) -> str:
        """Several commands in one process, which spares its start; the test fails when one of them is refused."""
        program = str(Path(sys.executable).parent / "openstack")
        env = {**self.env, "OS_CLIENT_CONFIG_FILE": str(self.place.clouds), "OS_CLOUD": "netloom"}
        done = subprocess.run(
            [program], env=env, timeout=120, check=False, capture_output=True, text=True, input="\n".join(commands)
        )
        assert not done.stderr.strip(), done.stderr  # its exit status tells nothing here
        return done.stdout

    def leftovers(self) -> tuple[list[str], list[str], list[str]]:
        """Processes, namespaces and files of this lab that there still are."""
        running = list(processes.find_owned(self.place.directory).values())
        spaces = [name for name in namespaces.list_namespaces() if name.startswith(self.prefix)]
        files = [str(path) for path in self.place.contents() if path.exists()]
        return running, spaces, files


def say_nothing(text: str) -> None:
    del text


@contextmanager
def make_lab() -> Iterator[LabUnderTest]:
    """A lab that is not up yet. Socket paths must be short, hence not tmp_path."""
    directory = Path(tempfile.mkdtemp(prefix="nl-lab-"))
    lab = LabUnderTest(Place(directory), f"t{secrets.token_hex(2)}-")
    try:
        yield lab
    finally:
        cloud.down(lab.place, lab.prefix, say_nothing)
        left = lab.leftovers()
        shutil.rmtree(directory)
        assert left == ([], [], [])

"""The ordinary openstack command, with a clouds.yaml of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = shutil.which("openstack", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
SESSION = Path(__file__).with_name("openstack_session.py")


@dataclass(frozen=True)
class Session:
    """An openstack command that stays."""

    process: subprocess.Popen[str]
    cloud: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(["--os-cloud", self.cloud, *words]) + "\n")
        stdin.flush()
        answer = json.loads(stdout.readline())
        return subprocess.CompletedProcess(words, int(answer["status"]), answer["out"], answer["err"])


@dataclass(frozen=True)
class OpenStack:
    """The command with the clouds of `folder`/clouds.yaml; `cacert`: an authority that clouds.yaml does not name."""

    folder: Path
    cacert: Path | None = None

    def make_environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        given = {**kept, "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"), "HOME": str(self.folder)}
        return given if self.cacert is None else {**given, "OS_CACERT": str(self.cacert)}

    def run(self, cloud: str, *words: str) -> subprocess.CompletedProcess[str]:
        assert COMMAND is not None
        return subprocess.run(
            [COMMAND, "--os-cloud", cloud, *words], env=self.make_environment(), capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip

    @contextmanager
    def session(self, cloud: str) -> Iterator[Session]:
        """The command for many words in one process: a start of its own for each costs a second."""
        command = [sys.executable, "-P", str(SESSION)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.make_environment(), text=True
        )
        try:
            yield Session(process, cloud)
        finally:
            process.communicate(timeout=60)

    def demo(self, *words: str) -> Any:
        return self.ask("netloom-demo", *words)

    def admin(self, *words: str) -> Any:
        return self.ask("netloom", *words)

    def ask(self, cloud: str, *words: str) -> Any:
        """What the command answers, decoded where it is JSON. The command must succeed."""
        done = self.run(cloud, *words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if "json" in words else done.stdout

    def refused(self, cloud: str, *words: str) -> str:
        """What the command says on its way out; it must fail."""
        done = self.run(cloud, *words)
        assert done.returncode != 0, f"{' '.join(words)}: {done.stdout}"
        return done.stderr

"""The ordinary openstack command, with a clouds.yaml of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMMAND = shutil.which("openstack", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


@dataclass(frozen=True)
class OpenStack:
    """The command with the clouds of `folder`/clouds.yaml; `cacert`: an authority that clouds.yaml does not name."""

    folder: Path
    cacert: Path | None = None

    def run(self, cloud: str, *words: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        given = {**kept, "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"), "HOME": str(self.folder)}
        if self.cacert is not None:
            given["OS_CACERT"] = str(self.cacert)
        assert COMMAND is not None
        return subprocess.run(
            [COMMAND, "--os-cloud", cloud, *words], env=given, capture_output=True, text=True, timeout=60
        )

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

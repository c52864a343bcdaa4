"""A real Placement from PyPI on loopback, with SQLite and no login: fetched into build/ as the other judges are."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.faults.server import free_port
from tests.peer.judges import install_into, plain_environment

REQUIREMENTS = ("openstack-placement==16.0.0", "waitress>=3")
START_S = 90.0
CONFIG = """
[DEFAULT]
use_stderr = true
[placement_database]
connection = sqlite:///{folder}/placement.db
sync_on_startup = true
[api]
auth_strategy = noauth2
"""
# Placement reads the command line of whatever process imports it.
SERVE = """
import sys, waitress
listen = sys.argv.pop()
from placement.wsgi.api import application
waitress.serve(application, listen=listen, threads=2)
"""


@dataclass
class Placement:
    """The service, with its state in `folder`."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers."""
        python = install_into("placement", REQUIREMENTS)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "placement.conf").write_text(CONFIG.format(folder=self.folder))
        environment = plain_environment(OS_PLACEMENT_CONFIG_DIR=str(self.folder))
        with (self.folder / "log").open("ab") as out:
            command = [str(python), "-c", SERVE, f"127.0.0.1:{self.port}"]
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, cwd=self.folder)
        end = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"Placement does not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(20)
            self.process.kill()
            self.process.wait()
            self.process = None

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "X-Auth-Token": "admin", "OpenStack-API-Version": "placement 1.37", "Content-Type": "application/json",
        }  # fmt: skip
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.loads(reply.read() or b"null")

    def find_inventories(self, name: str) -> dict[str, Any]:
        """Of the provider of that name; none where there is no such provider."""
        query = urllib.parse.urlencode({"name": name})
        found = self.ask("GET", f"/resource_providers?{query}")["resource_providers"]
        return dict(
            self.ask("GET", f"/resource_providers/{found[0]['uuid']}/inventories")["inventories"] if found else {}
        )

    def list_tree(self, root: str) -> dict[str, dict[str, Any]]:
        """Providers by name: id, traits, inventories; while nobody changes them."""
        found = self.ask("GET", f"/resource_providers?in_tree={root}")["resource_providers"]
        return {
            one["name"]: {
                "uuid": one["uuid"], "parent": one["parent_provider_uuid"], "generation": one["generation"],
                "traits": sorted(self.ask("GET", f"/resource_providers/{one['uuid']}/traits")["traits"]),
                "inventories": self.ask("GET", f"/resource_providers/{one['uuid']}/inventories")["inventories"],
            }
            for one in found
        }  # fmt: skip

"""A real Placement from PyPI on loopback, with SQLite and no login: fetched into build/ as the other judges are."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peer.judges import install_into
from tests.peer.wsgi import WsgiServer

REQUIREMENTS = ("openstack-placement==16.0.0", "waitress>=3")
CONFIG = """
[DEFAULT]
use_stderr = true
[placement_database]
connection = sqlite:///{folder}/placement.db
sync_on_startup = true
[api]
auth_strategy = noauth2
"""


@dataclass
class Placement:
    """The service, with its state in `folder`."""

    folder: Path
    server: WsgiServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = WsgiServer("placement.wsgi.api", self.folder, threads=2)

    @property
    def url(self) -> str:
        return self.server.url

    def start(self) -> None:
        """Returns when it answers."""
        python = install_into("placement", REQUIREMENTS)
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "placement.conf").write_text(CONFIG.format(folder=self.folder))
        self.server.start(python, OS_PLACEMENT_CONFIG_DIR=str(self.folder))

    def stop(self) -> None:
        self.server.stop()

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

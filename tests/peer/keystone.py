"""A real Keystone from PyPI on loopback, with SQLite: `python -m tests.peer.keystone` installs it (make peer does).

It has a virtual environment of its own below build/, since its libraries are not ours; nothing of it is imported here.
"""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.peer import judges
from tests.peer.judges import plain_environment
from tests.peer.wsgi import WsgiServer

NAME = "keystone"
REQUIREMENTS = ("keystone==30.0.0", "waitress>=3")
STEP_S = 180.0
PASSWORD = "correct horse"
DOMAIN = {"id": "default"}
CONFIG = """
[DEFAULT]
use_stderr = true
[database]
connection = sqlite:///{folder}/keystone.db
[fernet_tokens]
key_repository = {folder}/fernet
[credential]
key_repository = {folder}/credential
[identity]
password_hash_algorithm = bcrypt
# the least that bcrypt allows: the default costs a fifth of a second for every password
password_hash_rounds = 4
[token]
expiration = {token_s}
"""


def is_installed() -> bool:
    return judges.is_installed(NAME, REQUIREMENTS)


def install() -> Path:
    """The Python of its virtual environment, made once; about half a minute."""
    return judges.install_into(NAME, REQUIREMENTS)


@dataclass
class Keystone:
    """A Keystone with its state in `folder`. `make_people` fills it; `ids` names what is in it."""

    folder: Path
    token_s: int = 3600
    ids: dict[str, str] = field(default_factory=dict)
    server: WsgiServer = field(init=False)

    def __post_init__(self) -> None:
        self.server = WsgiServer("keystone.wsgi.api", self.folder, "/v3")

    @property
    def url(self) -> str:
        return self.server.url

    @property
    def config(self) -> Path:
        return self.folder / "keystone.conf"

    # -- life ----------------------------------------------------------------------------------------------------------

    def make(self) -> None:
        """Database, keys and an administrator."""
        for name in ("fernet", "credential"):
            (self.folder / name).mkdir(parents=True, mode=0o700)
        self.configure(self.folder)
        keys = ("--keystone-user", str(os.geteuid()), "--keystone-group", str(os.getegid()))
        self.manage("db_sync")
        self.manage("fernet_setup", *keys)
        self.manage("credential_setup", *keys)
        self.manage("bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne",
                    "--bootstrap-public-url", self.url)  # fmt: skip

    def configure(self, state: Path) -> None:
        """`state`: where database and keys are."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config.write_text(CONFIG.format(folder=state, token_s=self.token_s))

    def make_twin(self, token_s: int) -> Keystone:
        """Another process of the same Keystone, whose tokens last this long."""
        twin = Keystone(self.folder / "twin", token_s=token_s)
        twin.configure(self.folder)
        return twin

    def manage(self, *words: str) -> None:
        done = subprocess.run(
            [str(install().with_name("keystone-manage")), "--config-file", str(self.config), *words],
            env=plain_environment(), capture_output=True, text=True, timeout=STEP_S,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"keystone-manage {words[0]} failed: {done.stderr[-2000:]}")

    def start(self) -> None:
        files = {"OS_KEYSTONE_CONFIG_FILES": str(self.config), "OS_KEYSTONE_CONFIG_DIR": str(self.folder)}
        self.server.start(install(), **files)

    def stop(self) -> None:
        self.server.stop()

    # -- people --------------------------------------------------------------------------------------------------------

    def make_people(self, network_url: str) -> None:
        """Projects demo, other and service; users by role; the network service and its endpoints."""
        admin = self.issue("admin", "admin")
        for name in ("demo", "other", "service"):
            self.ids[name] = self.call(admin, "POST", "/projects", project={"name": name, "domain_id": "default"})
        roles = {r["name"]: r["id"] for r in self.ask(admin, "GET", "/roles")["roles"]}
        self.ids["admin"] = self.ask(admin, "GET", "/projects?name=admin")["projects"][0]["id"]
        for user, project, role in (
            ("mia", "demo", "member"), ("ria", "demo", "reader"), ("max", "other", "member"),
            ("netloom", "service", "service"), ("nova", "service", "service"), ("nobody", "service", "reader"),
        ):  # fmt: skip
            person = {"name": user, "password": PASSWORD, "domain_id": "default"}
            self.ids[user] = self.call(admin, "POST", "/users", user=person)
            self.ask(admin, "PUT", f"/projects/{self.ids[project]}/users/{self.ids[user]}/roles/{roles[role]}")
        service = self.call(admin, "POST", "/services", service={"type": "network", "name": "netloom"})
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": service, "interface": interface, "url": network_url, "region_id": "RegionOne"}
            self.call(admin, "POST", "/endpoints", endpoint=endpoint)

    def issue(self, user: str, project: str, password: str = PASSWORD) -> str:
        """A token by password, scoped to the project."""
        return self.log_in(by_password(user, password), {"project": {"name": project, "domain": DOMAIN}})

    def log_in(self, identity: Mapping[str, Any], scope: Mapping[str, Any] | None = None) -> str:
        auth = {"identity": identity, **({"scope": scope} if scope else {})}
        return self.send("", "POST", "/auth/tokens", {"auth": auth})[1]["X-Subject-Token"]

    def make_credential(self, user: str, token: str, name: str, **more: Any) -> tuple[str, str]:
        """(id, secret) of an application credential of the token's user and project."""
        path = f"/users/{self.ids[user]}/application_credentials"
        made = self.ask(token, "POST", path, application_credential={"name": name, **more})["application_credential"]
        return made["id"], made["secret"]

    def revoke(self, token: str) -> None:
        self.send(token, "DELETE", "/auth/tokens", subject=token)

    def call(self, token: str, method: str, path: str, **body: Any) -> str:
        """The id of what was made."""
        made: str = self.ask(token, method, path, **body)[next(iter(body))]["id"]
        return made

    def ask(self, token: str, method: str, path: str, **body: Any) -> Any:
        return self.send(token, method, path, body)[0]

    def send(
        self, token: str, method: str, path: str, body: Mapping[str, Any] | None = None, subject: str = ""
    ) -> tuple[Any, Mapping[str, str]]:
        headers = {"Content-Type": "application/json", "X-Auth-Token": token, "X-Subject-Token": subject}
        request = urllib.request.Request(
            self.url + path, json.dumps(body).encode() if body else None, {k: v for k, v in headers.items() if v},
            method=method,
        )  # fmt: skip
        with urllib.request.urlopen(request, timeout=30) as reply:
            content = reply.read()
            return json.loads(content) if content else None, reply.headers

    def write_clouds(self, path: Path) -> None:
        """clouds.yaml with a cloud for each person."""
        places = {"admin": "admin", "mia": "demo", "ria": "demo", "max": "other"}
        clouds = {
            user: {
                "region_name": "RegionOne",
                "auth": {
                    "auth_url": self.url, "username": user, "password": PASSWORD, "project_name": project,
                    "user_domain_id": "default", "project_domain_id": "default",
                },
            }
            for user, project in places.items()
        }  # fmt: skip
        path.write_text(json.dumps({"clouds": clouds}))  # JSON is YAML


def by_password(user: str, password: str = PASSWORD) -> dict[str, Any]:
    return {"methods": ["password"], "password": {"user": {"name": user, "password": password, "domain": DOMAIN}}}


def by_credential(id: str, secret: str) -> dict[str, Any]:
    return {"methods": ["application_credential"], "application_credential": {"id": id, "secret": secret}}


if __name__ == "__main__":
    install()

"""A real server that believes a real Keystone, both as processes of their own."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.faults.server import Server
from tests.peer import keystone as real
from tests.peer.keystone import PASSWORD, Keystone, by_credential, by_password
from tests.peer.openstack import COMMAND, OpenStack

CACHE_S = 2
pytestmark = [
    pytest.mark.skipif(not real.is_installed(), reason="no Keystone is installed: make peer"),
    pytest.mark.skipif(COMMAND is None, reason="python-openstackclient is not installed: pip install .[dev]"),
]


@dataclass(frozen=True)
class Reply:
    status: int
    body: Any
    challenge: str = ""


@dataclass(frozen=True)
class Cloud:
    keystone: Keystone
    server: Server
    openstack: OpenStack

    def ask(self, token: str, method: str, path: str, service_token: str = "", **body: Any) -> Reply:
        headers = {"X-Auth-Token": token, "X-Service-Token": service_token, "Content-Type": "application/json"}
        request = urllib.request.Request(
            f"{self.server.url}/v2.0/{path}", json.dumps(body).encode() if body else None,
            {name: value for name, value in headers.items() if value}, method=method,
        )  # fmt: skip
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return Reply(reply.status, json.loads(reply.read() or b"null"))
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, json.loads(error.read()), error.headers.get("WWW-Authenticate", ""))

    def names(self, token: str) -> set[str]:
        reply = self.ask(token, "GET", "networks")
        assert reply.status == 200, reply
        return {network["name"] for network in reply.body["networks"]}

    def make(self, token: str, name: str, **more: Any) -> Reply:
        return self.ask(token, "POST", "networks", network={"name": name, **more})


def make_extra(url: str, password: str = PASSWORD) -> tuple[str, ...]:
    given = {
        "auth_url": url, "username": "netloom", "password": password, "project_name": "service",
        "user_domain_name": "Default", "project_domain_name": "Default", "token_cache_time": str(CACHE_S),
    }  # fmt: skip
    return tuple(word for name, value in given.items() for word in ("--set", f"keystone_authtoken.{name}={value}"))


@contextmanager
def stopped(process: Keystone | Server) -> Iterator[None]:
    try:
        yield
    finally:
        process.stop()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    folder = tmp_path_factory.mktemp("keystone")
    keystone = Keystone(folder / "keystone")
    server = Server(folder / "server", auth="keystone", extra=make_extra(keystone.url))
    keystone.make()
    keystone.start()
    with stopped(keystone):
        keystone.make_people(server.url)
        keystone.write_clouds(folder / "clouds.yaml")
        server.start()
        with stopped(server):
            yield Cloud(keystone, server, OpenStack(folder))


def wait_for(status: int, cloud: Cloud, token: str, within_s: float = 30.0) -> None:
    end = time.monotonic() + within_s
    while (found := cloud.ask(token, "GET", "networks").status) != status:
        assert time.monotonic() < end, f"{found} after {within_s} s, not {status}"
        time.sleep(0.1)


def test_each_role_may_what_it_may(cloud: Cloud) -> None:
    """A member makes networks for its project, a reader looks, others see nothing, an administrator sees all."""
    issue = cloud.keystone.issue
    mia, ria, max_, admin = issue("mia", "demo"), issue("ria", "demo"), issue("max", "other"), issue("admin", "admin")
    made = cloud.make(mia, "roles").body["network"]
    assert made["project_id"] == cloud.keystone.ids["demo"]
    assert "roles" in cloud.names(ria)
    refused = cloud.make(ria, "no")
    assert (refused.status, refused.body["NeutronError"]["type"]) == (403, "PolicyNotAuthorized")
    assert "roles" not in cloud.names(max_) | cloud.names(issue("nobody", "service"))
    assert cloud.ask(max_, "DELETE", f"networks/{made['id']}").status == 404
    assert "roles" in cloud.names(admin)
    other = cloud.make(admin, "given", project_id=cloud.keystone.ids["other"])
    assert other.status == 201
    assert "given" in cloud.names(max_)


def test_a_service_binds_ports_of_any_project(cloud: Cloud) -> None:
    """Nova's user, with the role service, sees and sets what a member may not."""
    mia, nova = cloud.keystone.issue("mia", "demo"), cloud.keystone.issue("nova", "service")
    network = cloud.make(mia, "bound").body["network"]["id"]
    port = cloud.ask(mia, "POST", "ports", port={"network_id": network}).body["port"]
    assert "binding:host_id" not in port
    assert cloud.ask(mia, "PUT", f"ports/{port['id']}", port={"binding:host_id": "h1"}).status == 403
    bound = cloud.ask(nova, "PUT", f"ports/{port['id']}", port={"binding:host_id": "h1"})
    assert (bound.status, bound.body["port"]["binding:host_id"]) == (200, "h1")


def test_without_a_good_token_there_is_a_401(cloud: Cloud) -> None:
    """None, a made up one, and an unscoped one that no project belongs to."""
    for token in ("", "gAAAAABnot-a-token"):
        reply = cloud.ask(token, "GET", "networks")
        assert (reply.status, reply.challenge) == (401, f'Keystone uri="{cloud.keystone.url}"')
    unscoped = cloud.keystone.log_in(by_password("nobody"), {"unscoped": {}})
    assert cloud.make(unscoped, "nowhere").status == 403


def test_a_revoked_token_is_refused_within_the_cache_time(cloud: Cloud) -> None:
    """token_cache_time is how long a revoked token may still be believed."""
    token = cloud.keystone.issue("mia", "demo")
    assert cloud.ask(token, "GET", "networks").status == 200
    cloud.keystone.revoke(token)
    wait_for(401, cloud, token)


def test_an_expired_token_is_refused_unless_a_service_shows_it(cloud: Cloud) -> None:
    """401 from its second on; Nova finishes with its own token beside it what a user began."""
    twin = cloud.keystone.make_twin(token_s=2)
    twin.start()
    with stopped(twin):
        token = twin.issue("mia", "demo")
    assert cloud.ask(token, "GET", "networks").status in (200, 401)
    wait_for(401, cloud, token)
    nova, nobody = cloud.keystone.issue("nova", "service"), cloud.keystone.issue("nobody", "service")
    assert cloud.ask(token, "GET", "networks", service_token=nova).status == 200
    assert cloud.ask(token, "GET", "networks", service_token=nobody).status == 401
    assert cloud.ask(token, "GET", "networks").status == 401


def test_a_system_scoped_administrator_sees_all(cloud: Cloud) -> None:
    """A token of the system has no project; its roles count."""
    assert cloud.make(cloud.keystone.issue("max", "other"), "theirs").status == 201
    token = cloud.keystone.log_in(by_password("admin"), {"system": {"all": True}})
    assert "theirs" in cloud.names(token)


def test_an_application_credential_has_just_its_roles(cloud: Cloud) -> None:
    """One for reading reads; one with access rules makes the requests that they name, and no other."""
    issued = cloud.keystone.issue("mia", "demo")
    assert cloud.make(issued, "seen").status == 201
    reading = cloud.keystone.make_credential("mia", issued, "reading", roles=[{"name": "reader"}])
    token = cloud.keystone.log_in(by_credential(*reading))
    assert "seen" in cloud.names(token)
    assert cloud.make(token, "not").status == 403
    rules = [{"service": "network", "method": "GET", "path": "/v2.0/networks"}]
    ruled = cloud.keystone.log_in(
        by_credential(*cloud.keystone.make_credential("mia", issued, "ruled", access_rules=rules))
    )
    assert cloud.ask(ruled, "GET", "networks").status == 200
    assert cloud.ask(ruled, "GET", "ports").status == 401
    assert cloud.make(ruled, "not").status == 401


def test_the_openstack_command_works_as_each_person(cloud: Cloud) -> None:
    """It finds the service in Keystone's catalog; --project takes a name."""
    ask = cloud.openstack.ask
    made = ask("mia", "network", "create", "blue", "-f", "json")
    assert made["project_id"] == cloud.keystone.ids["demo"]
    assert "blue" in [network["Name"] for network in ask("ria", "network", "list", "-f", "json")]
    assert "disallowed by policy" in cloud.openstack.refused("ria", "network", "create", "red")
    given = ask("admin", "network", "create", "--project", "other", "green", "-f", "json")
    assert given["project_id"] == cloud.keystone.ids["other"]
    ask("max", "network", "delete", "green")
    ask("mia", "network", "delete", "blue")


def test_a_keystone_that_is_down_is_a_503_until_it_is_back(cloud: Cloud) -> None:
    """Who is not known is asked to come again; nothing has to be restarted here."""
    known, fresh = cloud.keystone.issue("mia", "demo"), cloud.keystone.issue("ria", "demo")
    assert cloud.ask(known, "GET", "networks").status == 200
    cloud.keystone.stop()
    try:
        reply = cloud.ask(fresh, "GET", "networks")
        assert (reply.status, reply.body["NeutronError"]["type"]) == (503, "ServiceUnavailable")
        assert "identity service cannot be asked now" in reply.body["NeutronError"]["message"]
        wait_for(503, cloud, known)
    finally:
        cloud.keystone.start()
    assert cloud.ask(known, "GET", "networks").status == 200
    assert cloud.ask(fresh, "GET", "networks").status == 200
    assert f"Keystone cannot be reached at {cloud.keystone.url}" in cloud.server.log.read_text()


def test_a_wrong_password_of_the_service_user_is_said(cloud: Cloud, tmp_path: Path) -> None:
    """503 to clients, and the log names the user whom Keystone refuses."""
    server = Server(tmp_path / "s", auth="keystone", extra=make_extra(cloud.keystone.url, "wrong"))
    server.start()
    with stopped(server):
        wrong = Cloud(cloud.keystone, server, cloud.openstack)
        assert wrong.ask(cloud.keystone.issue("mia", "demo"), "GET", "networks").status == 503
        assert "Keystone refuses the service user netloom (401)" in server.log.read_text()

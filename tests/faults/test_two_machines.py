"""Two servers of one database, each with a state folder of its own, as on two machines: hosts and users see one."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from netloom.api.identity.users import read_passwords
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.main.servers.fleet import make_join_token
from netloom.main.servers.hosts import revoke_hosts
from tests.databases import Missing, database_server
from tests.faults.host import attached, find_store, join_host
from tests.faults.server import Server
from tests.faults.several import stop_all


def make_machines(folder: Path) -> list[Server]:
    try:
        url = database_server("postgresql").make_database()
    except Missing as error:
        pytest.skip(str(error))
    return [
        Server(folder / name, auth="builtin", extra=("--set", f"database.connection={url}", "--set",
               f"netloom.feed_listen=unix:{folder}/{name}.sock", "--set", "netloom.peer_listen=127.0.0.1:0"))
        for name in "ab"
    ]  # fmt: skip


def load(server: Server) -> ServerOptions:
    return load_server_options((), find_store(server))


def log_in(server: Server, password: str) -> str:
    user = {"name": "admin", "domain": {"id": "default"}, "password": password}
    scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    request = urllib.request.Request(
        f"{server.url}/identity/v3/auth/tokens", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return str(reply.headers["X-Subject-Token"])


def ask(server: Server, token: str, method: str = "GET", path: str = "/v2.0/networks", **headers: str) -> int:
    request = urllib.request.Request(server.url + path, method=method, headers={"X-Auth-Token": token, **headers})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def wait_for(true: Any, within_s: float = 60.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.05)


def test_hosts_and_users_see_one_server(tmp_path: Path) -> None:
    """A token of either is good at both and void at both; a host joins at one with the other's word, and is let go of
    by both when it is revoked at either."""
    machines = make_machines(tmp_path)
    first, second = machines
    try:
        for server in machines:
            server.start()
        password = dict(read_passwords((first.state / "clouds.yaml").read_text()) or {})["admin"]
        token = log_in(second, password)
        assert [ask(server, token) for server in machines] == [200, 200]
        word = make_join_token(load(first), "h1")
        join_host(second, "h1", word)
        with attached(second, "h1", join=False) as feed:
            assert revoke_hosts(load(first), ["h1"]) == []
            wait_for(lambda: not feed.connected)
        assert ask(first, token, "DELETE", "/identity/v3/auth/tokens", **{"X-Subject-Token": token}) == 204
        wait_for(lambda: [ask(server, token) for server in machines] == [401, 401])
    finally:
        stop_all(machines)

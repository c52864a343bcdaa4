"""The logs of a real server: one request is found in them from end to end, and no secret is."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from netloom.api.identity.users import read_passwords
from netloom.main.options.server import load_server_options
from netloom.main.servers.fleet import make_join_token
from tests.faults.host import attached, find_store, join_host
from tests.faults.server import Server, free_port
from tests.faults.test_nova_is_told import ask
from tests.faults.test_two_machines import log_in


def wait_for(true: Callable[[], object], within_s: float = 60.0) -> None:
    ends = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.02)


def read_events(log: Path) -> Iterator[dict[str, Any]]:
    for line in log.read_text().splitlines():
        yield json.loads(line)


def create(server: Server, path: str, **body: Any) -> tuple[Any, str]:
    """What was made, and the request's id."""
    request = urllib.request.Request(
        f"{server.url}/v2.0/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read()), reply.headers["X-Openstack-Request-Id"]


def test_one_request_is_found_from_the_api_to_the_host(tmp_path: Path) -> None:
    """Its id leads to its revision and slices in the server's log, and is what the host is told."""
    server = Server(tmp_path / "s", extra=("--log-format", "json", "--set", "debug=true"))
    server.start()
    try:
        network = ask(server, "POST", "networks", network={"name": "n"})["network"]["id"]
        with attached(server, "h1", wires=True) as feed:
            _, request = create(server, "ports", port={"network_id": network, "binding:host_id": "h1"})
            wait_for(lambda: request in feed.take_requests())
        answered, *_ = (e for e in read_events(server.log) if e.get("request_id") == request and "POST" in e["message"])
        assert answered["message"].startswith("POST /v2.0/ports 201") and answered["revision"] > 1
        slices = {e["message"].split(":")[0] for e in read_events(server.log) if request in e.get("requests", ())}
        assert slices == {"slice host/h1"}
    finally:
        assert server.stop() == 0


def test_hosts_are_told_that_the_server_stops(tmp_path: Path) -> None:
    """A word, and then the end: no host waits for silence to find out."""
    server = Server(tmp_path / "s", extra=("--log-format", "json"))
    server.start()
    with attached(server, "h1") as feed:
        assert server.stop() == 0
        wait_for(lambda: not feed.connected)
    said = [event["message"] for event in read_events(server.log)]
    assert any("h1: the server stops" in text for text in said)


def test_no_secret_is_in_any_log(tmp_path: Path) -> None:
    """A server at debug level, from its first start to its end, with every secret that it can be given."""
    given = {
        "metadata_proxy_shared_secret": "metadata-word-1",
        "nova.auth_url": "http://127.0.0.1:1", "nova.username": "nova", "nova.password": "nova-word-2",
        "transport_url": "rabbit://u:rabbit-word-3@127.0.0.1:1/",
        "oslo_messaging_notifications.driver": "messagingv2", "debug": "true",
    }  # fmt: skip
    extra = tuple(word for name, value in given.items() for word in ("--set", f"{name}={value}"))
    server = Server(tmp_path / "s", auth="builtin", extra=extra)
    server.start()
    try:
        passwords = dict(read_passwords((server.state / "clouds.yaml").read_text()) or {})
        token = log_in(server, passwords["admin"])
        for headers in ({"X-Auth-Token": token}, {"X-Auth-Token": "nl1.forged-token-word-4"}, {}):
            request = urllib.request.Request(
                f"{server.url}/v2.0/networks", b'{"network": {"name": "n"}}',
                {**headers, "Content-Type": "application/json"},
            )  # fmt: skip
            try:
                urllib.request.urlopen(request, timeout=30).close()
            except urllib.error.HTTPError as error:
                error.close()
        word = make_join_token(load_server_options((), find_store(server)), "h1")
        host = join_host(server, "h1", word)
        with attached(server, "h1", join=False):
            pass
        wait_for(lambda: "RabbitMQ" in server.log.read_text())
    finally:
        assert server.stop() == 0
    key = (server.state / "token.key").read_bytes()
    secrets = {
        *passwords.values(), token, word.split(":")[1], "metadata-word-1", "nova-word-2", "rabbit-word-3",
        "forged-token-word-4", key.hex(), b64encode(key).decode(), urlsafe_b64encode(key).decode(),
        *(server.state / "feed/authority.key").read_text().splitlines()[1:-1],
        *(server.state / "feed/server.key").read_text().splitlines()[1:-1],
        *(host.state_path / "key.pem").read_text().splitlines()[1:-1],
    }  # fmt: skip
    text = server.log.read_text()
    assert "GET /healthcheck" in text and "POST /v2.0/networks 201" in text
    assert [secret for secret in secrets if secret in text] == []
    wrong = subprocess.run(
        [sys.executable, "-m", "netloom.main.cli", "server", "--set", f"state_path={tmp_path}/t",
         "--set", "bind_host=127.0.0.1", "--set", f"bind_port={free_port()}",
         "--set", f"netloom.feed_listen=unix:{tmp_path}/feed.sock",
         "--set", "database.connection=postgresql://u:database-word-5@127.0.0.1:1/x"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert wrong.returncode == 1 and "database-word-5" not in wrong.stderr + wrong.stdout

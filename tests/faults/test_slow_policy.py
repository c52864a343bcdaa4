"""A real server whose policy asks a server elsewhere that takes its time."""

from __future__ import annotations

import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.faults.server import Server
from tests.unit.api.test_api_elsewhere import Judge, judging

MEMBER = {"X-Project-Id": "demo", "X-User-Id": "u1", "X-Roles": "member,reader", "Content-Type": "application/json"}


def ask(server: Server, method: str, path: str, **body: Any) -> tuple[int, Any]:
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{server.url}/v2.0/{path}", data, MEMBER, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_a_slow_policy_server_slows_only_who_is_asked_about(tmp_path: Path) -> None:
    """Lists are served while a create waits for its verdict; a server that never answers makes a 503 in its time."""
    judge = Judge()
    with judging(judge) as url:
        (tmp_path / "policy.yaml").write_text(json.dumps({"create_network": url}))
        extra = (
            "--set", f"oslo_policy.policy_file={tmp_path}/policy.yaml", "--set", "oslo_policy.remote_timeout=6",
        )  # fmt: skip
        server = Server(tmp_path / "state", extra=extra)
        server.start()
        try:
            answers: list[tuple[int, Any]] = []
            slow = threading.Thread(
                target=lambda: answers.append(ask(server, "POST", "networks", network={"name": "n"}))
            )
            slow.start()
            wait_asked(judge, 1)
            assert [ask(server, "GET", "networks")[0] for _ in range(5)] == [200] * 5
            assert not answers, "the lists were served after the create's time was over"
            judge.gate.set()
            slow.join(60)
            assert answers[0][0] == 201
            judge.gate.clear()
            status, refused = ask(server, "POST", "networks", network={"name": "m"})
            assert (status, refused["NeutronError"]["type"]) == (503, "ServiceUnavailable")
            assert "create_network cannot be asked now" in refused["NeutronError"]["message"]
            assert [network["name"] for network in ask(server, "GET", "networks")[1]["networks"]] == ["n"]
        finally:
            judge.gate.set()
            server.stop()


def wait_asked(judge: Judge, count: int) -> None:
    end = time.monotonic() + 60
    while len(judge.asked) < count:
        assert time.monotonic() < end
        time.sleep(0.01)

"""A small swarm from beginning to end: real processes and TLS, and a server that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.faults.server import Server, free_port


@pytest.mark.parametrize("relays", [0, 1])
def test_a_swarm_agrees_with_its_store_also_after_the_server_was_killed(tmp_path: Path, relays: int) -> None:
    """Ports and rules come while it runs, the server is killed and started; hosts end as the store says.

    Nothing that they had is sent again: of a slice of some twenty rows comes the digest, however often a host
    had to knock.
    """
    command = [
        sys.executable, "-m", "netloom.main.cli", "lab", "swarm", "--hosts", "6", "--ports", "120", "--spread", "3",
        "--changes", "2", "--check", "--folder", str(tmp_path / "swarm"), "--relay", str(relays),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["differences"] == []
    assert found["one_port"]["ports"] == 2
    assert found["every_host"]["ops"] >= 6
    assert found["restart"]["bytes_per_slice"] < 1000
    # Hosts behind a relay stay connected, so they are asked by one change more.
    assert found["restart"]["ops"] == (6 if relays else 0)


def run_netloom(*words: str) -> str:
    command = [sys.executable, "-m", "netloom.main.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_swarm_joins_a_server_that_runs_already_and_leaves_nothing_there(tmp_path: Path) -> None:
    """Hosts join with tokens, their cloud is asked for by HTTP, they end as its store says; then all of it is gone."""
    state, feed = tmp_path / "s", f"127.0.0.1:{free_port()}"
    server = Server(state, extra=("--set", f"netloom.feed_listen={feed}"))
    server.start()
    try:
        tokens = tmp_path / "tokens"
        tokens.write_text(run_netloom("agent", "token", "h00001", "h00002", "h00003", "--set", f"state_path={state}"))
        out = run_netloom(
            "lab", "swarm", "--hosts", "3", "--ports", "60", "--spread", "3", "--changes", "1", "--check",
            "--processes", "1", "--server", server.url, "--feed", feed, "--join-tokens", str(tokens),
            "--database", f"sqlite:///{state}/netloom.db",
        )  # fmt: skip
        found = json.loads(out)
        assert found["differences"] == []
        assert found["one_port"]["hosts_that_heard"] >= found["one_port"]["hosts_concerned"] > 0
        assert found["one_port"]["slices"] > 0
        for name in ("networks", "ports", "routers", "security-groups", "address-groups", "agents"):
            left = httpx.get(f"{server.url}/v2.0/{name}", trust_env=False).json()
            assert left == {name.replace("-", "_"): []}
    finally:
        server.stop()

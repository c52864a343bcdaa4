"""A small swarm from beginning to end: real processes and TLS, and a server that is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


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

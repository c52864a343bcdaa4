"""A real server and its command: a host's certificate is made void while the host is connected."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from netloom.feed.pki import JoinError
from tests.faults.host import attached, join_host
from tests.faults.server import Server


def ask(server: Server, *words: str) -> str:
    """What `netloom agent …` prints beside the running server."""
    command = [sys.executable, "-m", "netloom.main.cli", "agent", *words, "--set", f"state_path={server.state}"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout


def wait_until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < within_s
        time.sleep(0.02)


def find_line(text: str, host: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(f"{host} "))


def test_a_host_is_revoked_beside_a_running_server(tmp_path: Path) -> None:
    """`netloom agent revoke`: within seconds the host is out, and stays out; others stay; a new token lets it in."""
    server = Server(tmp_path)
    server.start()
    try:
        with attached(server, "h1") as bad, attached(server, "h2") as good:
            wait_until(lambda: "here since" in find_line(ask(server, "list"), "h1"))
            assert ask(server, "revoke", "h1") == "h1: revoked\n"
            wait_until(lambda: not bad.connected)
            wait_until(lambda: "gone since" in find_line(ask(server, "list"), "h1"))
            listed = ask(server, "list")
            assert "revoked 20" in find_line(listed, "h1")
            assert "good until" in find_line(listed, "h2") and "here since" in find_line(listed, "h2")
            assert (bad.connected, good.connected) == (False, True)
        server.stop()
        server.start()
        log = server.log.read_text()
        assert "the certificate of h1 was revoked" in log
        with pytest.raises(TimeoutError), attached(server, "h1", join=False, within_s=2.0):
            pass
        with attached(server, "h1") as again:
            assert again.connected
    finally:
        server.stop()


def test_a_join_token_is_of_one_host(tmp_path: Path) -> None:
    """What `netloom agent token` printed for one host is no use to another, and is of no use twice."""
    server = Server(tmp_path)
    server.start()
    try:
        token = ask(server, "token", "h5").strip()
        with pytest.raises(JoinError, match="for host h5"):
            join_host(server, "h6", token)
        join_host(server, "h5", token)
        (tmp_path / "h5" / "joined").unlink()
        with pytest.raises(JoinError, match="not good"):
            join_host(server, "h5", token)
    finally:
        server.stop()

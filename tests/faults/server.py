"""The real server as a child process: started, asked whether it is up, killed."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


def free_port() -> int:
    """A port that is free, and stays so: below those that the kernel gives to who calls from here, or somebody's call
    would have it when the server starts, or starts again."""
    while True:
        port = secrets.randbelow(12_000) + 20_000
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass
class Server:
    """`netloom server` with its state in `state`, without authentication unless told otherwise."""

    state: Path
    auth: str = "noauth"
    extra: tuple[str, ...] = ()
    scheme: str = "http"
    program: str = "netloom.main.cli"
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def feed(self) -> str:
        """Where hosts find it."""
        given = [text.partition("=")[2] for text in self.extra if text.startswith("netloom.feed_listen=")]
        return given[-1] if given else f"unix:{self.state}/feed.sock"

    @property
    def log(self) -> Path:
        return self.state / "server.out"

    def start(self, deadline_s: float = 60.0) -> float:
        """Start and wait until it answers; returns the seconds that took."""
        self.state.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        command = [
            sys.executable, "-m", self.program, "server", "--set", f"state_path={self.state}",
            "--set", "bind_host=127.0.0.1", "--set", f"bind_port={self.port}", "--set", f"auth_strategy={self.auth}",
            "--set", f"netloom.feed_listen=unix:{self.state}/feed.sock", *self.extra,
        ]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=environment)
        while time.monotonic() - began < deadline_s:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with {self.process.returncode}: {self.log.read_text()[-2000:]}")
            if self.answers():
                return time.monotonic() - began
            time.sleep(0.02)
        raise TimeoutError(f"no answer in {deadline_s} s: {self.log.read_text()[-2000:]}")

    def answers(self) -> bool:
        anyone = ssl.create_default_context()
        anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
        try:
            with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=2, context=anyone) as reply:
                return bool(reply.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """kill -9, no warning."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=60)

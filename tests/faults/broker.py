"""A real NATS server with JetStream, as a child process with its store in a folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.server import free_port

WITH_US = ("setpriv", "--pdeathsig", "KILL")


class Missing(Exception):
    """nats-server is not installed."""


def is_installed() -> bool:
    try:
        return bool(find_broker())
    except Missing:
        return False


def find_broker() -> str:
    found = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin")
    if found is None:
        raise Missing("nats-server is not installed; scripts/setup judges does that")
    return found


@dataclass
class Broker:
    folder: Path
    port: int = field(default_factory=free_port)
    password: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://{f'netloom:{self.password}@' if self.password else ''}127.0.0.1:{self.port}"

    def start(self, deadline_s: float = 30.0) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [*WITH_US, find_broker(), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        command += ["--user", "netloom", "--pass", self.password] if self.password else []
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out)
        ends = time.monotonic() + deadline_s
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > ends:
                    raise RuntimeError((self.folder / "out").read_text()[-1000:]) from None
                time.sleep(0.02)

    def send(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9; its store is thrown away with it."""
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.wait(30)
        self.process = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        if self.process is not None:
            self.kill()

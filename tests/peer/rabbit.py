"""A real RabbitMQ on loopback, with its state in a folder of its own: Debian's package, started as a plain process."""

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

START_S = 90.0
CONFIG = """
listeners.tcp.1 = 127.0.0.1:{port}
loopback_users = none
log.console = true
log.console.level = warning
"""


def is_installed() -> bool:
    return shutil.which("rabbitmq-server") is not None


@dataclass
class Rabbit:
    """The broker. `start` returns when it takes connections; `stop` and `start` again keep durable things."""

    folder: Path
    port: int = field(default_factory=free_port)
    distribution_port: int = field(default_factory=free_port)
    mapper_port: int = field(default_factory=free_port)
    mapper: subprocess.Popen[bytes] | None = None
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"rabbit://guest:guest@127.0.0.1:{self.port}/"

    @property
    def environment(self) -> dict[str, str]:
        home = str(self.folder)
        return {
            "PATH": os.environ["PATH"], "HOME": home, "RABBITMQ_NODENAME": f"n{self.port}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{home}/data", "RABBITMQ_LOG_BASE": f"{home}/log",
            "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq", "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/plugins",
            "RABBITMQ_DIST_PORT": str(self.distribution_port), "ERL_EPMD_PORT": str(self.mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1", "ERL_CRASH_DUMP": f"{home}/crash",
            "RABBITMQ_SERVER_ERL_ARGS": "+S 1:1", "LANG": "C.UTF-8",
        }  # fmt: skip

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "rabbitmq.conf").write_text(CONFIG.format(port=self.port))
        (self.folder / "plugins").write_text("[].\n")
        command = ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
        # Erlang would start its port mapper by itself, and leave it behind.
        mapper = ["epmd", "-address", "127.0.0.1", "-port", str(self.mapper_port)]
        with (self.folder / "out").open("ab") as out:
            self.mapper = subprocess.Popen(mapper, stdout=out, stderr=out)
            self.process = subprocess.Popen(
                command, stdout=out, stderr=out, env=self.environment, cwd=self.folder, start_new_session=True
            )
        end = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"RabbitMQ does not start: {(self.folder / 'out').read_text()[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as probe:
                probe.sendall(b"AMQP\x00\x00\x09\x01")
                probe.settimeout(2)
                return bool(probe.recv(1))
        except OSError:
            return False

    def stop(self) -> None:
        """kill -9, of the broker and of its port mapper."""
        if self.process is not None and self.mapper is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.mapper.kill()
            self.process.wait()
            self.mapper.wait()
            self.process = self.mapper = None

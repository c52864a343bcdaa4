"""Others' WSGI applications as processes on loopback: started until they answer, and ended."""

from __future__ import annotations

import signal
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.server import free_port
from tests.peer.judges import plain_environment

START_S, END_S = 90.0, 20.0
# Such a program reads the command line of whatever process imports it. Clients that leave connections open are many: at
# its limit of a hundred waitress accepts no more, until it closes one that was idle for two minutes.
SERVE = """
import sys, waitress
listen, threads = sys.argv.pop(), sys.argv.pop()
from {module} import application
waitress.serve(application, listen=listen, threads=int(threads), connection_limit=2000, asyncore_use_poll=True)
"""


@dataclass
class WsgiServer:
    """The `application` of a module, served by waitress; its log is in `folder`. `path`: of the page that answers."""

    module: str
    folder: Path
    path: str = ""
    threads: int = 1
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def start(self, python: Path, **environment: str) -> None:
        """Returns when it answers. `python`: of the environment that has the module. Raises RuntimeError."""
        serve = SERVE.format(module=self.module)
        command = [str(python), "-c", serve, str(self.threads), f"127.0.0.1:{self.port}"]
        env, log = plain_environment(**environment), self.folder / "log"
        with log.open("ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, env=env, cwd=self.folder)
        end = time.monotonic() + START_S
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"{self.module} does not start: {log.read_text()[-2000:]}")
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self) -> None:
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        self.process.kill()
        self.process.wait()
        self.process = None

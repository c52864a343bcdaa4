"""Real database servers for tests: PostgreSQL and MariaDB as plain processes in a folder, each test with a database of
its own in them.

A server is started once for each run of tests, listens on a Unix socket and a port of the loopback address, and is
stopped at the end, however that comes. Commits reach the disk as in earnest.
"""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, text

from tests.faults.server import free_port

NUMBERS = count(1)
DEADLINE_S = 60.0
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""A run of tests that is killed leaves no server behind. A server also ends with the thread that started it."""


class Missing(Exception):
    """The server's programs are not installed; says which package has them."""


def find_program(name: str, *places: str) -> str:
    found = shutil.which(name, path=":".join((*places, os.environ.get("PATH", ""), "/usr/sbin")))
    if found is None:
        raise Missing(f"{name} is not installed; scripts/setup judges does that")
    return found


@dataclass
class DatabaseServer:
    """A running server. `admin` is the URL of an administrator, `scheme` that of the stores in it."""

    folder: Path
    port: int
    command: Sequence[str]
    scheme: str
    admin: str
    user: str
    process: subprocess.Popen[bytes] | None = None
    made: list[str] = field(default_factory=list)

    def start(self) -> None:
        with (self.folder / "out").open("ab") as out:
            self.process = subprocess.Popen(
                [*WITH_US, *self.command],
                stdout=out,
                stderr=out,
                cwd=self.folder,
                **as_user(self.user),
                start_new_session=True,
            )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                self.run("SELECT 1")
                return
            except Exception as error:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.folder / "out").read_text()[-3000:]) from error
            time.sleep(0.05)

    def run(self, statement: str, url: str = "") -> list[Any]:
        """One statement by an administrator, or by whoever `url` says."""
        engine = create_engine(url or self.admin, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                done = connection.execute(text(statement))
                return list(done) if done.returns_rows else []
        finally:
            engine.dispose()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a machine that loses power, but for its disk cache: the server and all its children."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            # PostgreSQL: fast shutdown, without waiting for clients; MariaDB: orderly.
            self.process.send_signal(signal.SIGINT if "postgres" in self.scheme else signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def make_database(self) -> str:
        """A new, empty database; the URL that a server is given for it."""
        name = f"netloom{os.getpid()}x{next(NUMBERS)}"
        self.run(f"CREATE DATABASE {name}")
        self.made.append(name)
        return f"{self.scheme}127.0.0.1:{self.port}/{name}"


def as_user(user: str) -> dict[str, Any]:
    """Arguments of Popen: database servers refuse to run as root."""
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []} if user else {}


def find_user() -> str:
    return "nobody" if os.geteuid() == 0 else ""


def make_folder(kind: str, user: str) -> Path:
    folder = Path(tempfile.mkdtemp(prefix=f"nl-{kind}-", dir=os.environ.get("NETLOOM_DATABASES")))
    if user:
        shutil.chown(folder, user)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def make_postgres() -> DatabaseServer:
    bins = sorted((str(path) for path in Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
    initdb, postgres = find_program("initdb", *bins), find_program("postgres", *bins)
    user, port = find_user(), free_port()
    folder = make_folder("postgres", user)
    subprocess.run(
        [initdb, "-D", folder / "data", "-U", "netloom", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        check=True, capture_output=True, cwd=folder, **as_user(user),
    )  # fmt: skip
    command = [
        postgres, "-D", str(folder / "data"), "-k", str(folder), "-p", str(port), "-c", "listen_addresses=127.0.0.1",
        "-c", "max_connections=200",
    ]  # fmt: skip
    admin = f"postgresql+psycopg://netloom@127.0.0.1:{port}/postgres"
    return DatabaseServer(folder, port, command, "postgresql://netloom@", admin, user)


def make_mariadb() -> DatabaseServer:
    install, server = find_program("mariadb-install-db"), find_program("mariadbd")
    user, port = find_user(), free_port()
    folder = make_folder("mariadb", user)
    data = folder / "data"
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True, capture_output=True, cwd=folder, **as_user(user),
    )  # fmt: skip
    command = [
        server, "--no-defaults", f"--datadir={data}", f"--socket={folder}/sock", f"--port={port}",
        "--bind-address=127.0.0.1", f"--pid-file={folder}/pid", "--max-connections=200", "--skip-name-resolve",
    ]  # fmt: skip
    admin = f"mysql+pymysql://root@127.0.0.1:{port}/mysql"
    return DatabaseServer(folder, port, command, "mysql+pymysql://root@", admin, user)


MAKERS: dict[str, Callable[[], DatabaseServer]] = {"postgresql": make_postgres, "mariadb": make_mariadb}


@cache
def database_server(kind: str) -> DatabaseServer:
    """The one server of its kind for this run. Raises Missing."""
    server = MAKERS[kind]()
    server.start()
    atexit.register(server.stop)
    return server


def start_own(kind: str) -> DatabaseServer:
    """A server that a test may stop, pause and kill; the test stops it."""
    server = MAKERS[kind]()
    server.start()
    return server

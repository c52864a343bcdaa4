"""`netloom doctor` beside a real server on a real PostgreSQL: what is broken in either is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from netloom.main.doctor.findings import ERROR, OK, Finding, run_checks
from netloom.main.doctor.machine import Machine
from netloom.main.doctor.server import make_server_checks
from netloom.main.options.server import load_server_options
from netloom.store.schema import SCHEMA_VERSION
from tests.databases import DatabaseServer, Missing, start_own
from tests.faults.host import attached
from tests.faults.server import Server
from tests.faults.test_relay import wait_until


class Doctor:
    """The checks of a server, one by one: all of them take their time."""

    def __init__(self, server: Server, url: str) -> None:
        given = {"state_path": str(server.state), "bind_host": "127.0.0.1", "bind_port": str(server.port)}
        self.options = load_server_options((), {**given, "database.connection": url})

    def look(self, name: str = "") -> list[Finding]:
        """What is wrong by this check, or by any."""
        checks = make_server_checks(self.options, Machine(synced=True))
        found = run_checks((called, check) for called, check in checks if name in ("", called))
        return [one for one in found if one.level != OK]

    def sees(self, name: str, words: str) -> bool:
        return any(words in one.said for one in self.look(name))


def test_what_is_wrong_with_a_deployment_is_named(tmp_path: Path) -> None:
    """A good one first; then a host that is gone, a writer that is dead, keys of another, another schema, a database
    that forgets."""
    try:
        database = start_own("postgresql")
    except Missing as missing:
        pytest.skip(str(missing))
    url = database.make_database()
    server = Server(tmp_path / "s", auth="builtin", extra=("--set", f"database.connection={url}"))
    try:
        server.start()
        doctor = Doctor(server, url)
        with attached(server, "h1"):
            wait_until(lambda: doctor.look() == [])
        wait_until(lambda: doctor.sees("hosts", "not connected: h1"))
        server.kill()
        wait_until(lambda: doctor.sees("writer", "is silent"))
        check_keys(server, doctor)
        check_schema(database, url, doctor)
        check_durability(database, doctor)
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        database.stop()
        shutil.rmtree(database.folder, ignore_errors=True)


def check_keys(server: Server, doctor: Doctor) -> None:
    """A machine that brought its own, and was not started since."""
    for name, other in (
        ("token.key", bytes(32)),
        ("feed/authority.pem", (server.state / "feed/server.pem").read_bytes()),
    ):
        path = server.state / name
        own = path.read_bytes()
        path.write_bytes(other)
        (found,) = doctor.look("shared state")
        assert found.level == ERROR and name in found.said and "restart this server" in found.fix
        path.write_bytes(own)
    assert doctor.look("shared state") == []


def check_schema(database: DatabaseServer, url: str, doctor: Doctor) -> None:
    admin = url.replace("postgresql://", "postgresql+psycopg://")
    for version, fix in (("0000", "netloom db upgrade"), ("9999", "install the version that wrote it")):
        database.run(f"UPDATE alembic_version SET version_num = '{version}'", admin)
        (found,) = doctor.look("store")
        assert found.level == ERROR and fix in found.fix
    database.run(f"UPDATE alembic_version SET version_num = '{SCHEMA_VERSION}'", admin)
    assert doctor.look("store") == []


def check_durability(database: DatabaseServer, doctor: Doctor) -> None:
    """A crash would take back what was answered; no server starts so either."""
    database.run("ALTER SYSTEM SET fsync = off")
    database.run("SELECT pg_reload_conf()")
    wait_until(lambda: doctor.sees("store", "fsync = off"))

"""A whole deployment at debug level, and every command beside it: no secret is in any log or output."""

from __future__ import annotations

import shutil
import signal
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from netloom.api.identity.users import read_passwords
from netloom.main.cli import app
from netloom.main.options.host import load_host_options
from tests.databases import Missing, database_server
from tests.faults.broker import Broker
from tests.faults.broker import Missing as NoBroker
from tests.faults.host import find_store, join_host
from tests.faults.server import Server, free_port
from tests.faults.several import find_url
from tests.faults.test_relay import RelayProcess, following, wait_until
from tests.faults.test_two_machines import ask, log_in

WORDS = {"database": "database-word-1", "nats": "nats-word-2", "metadata": "metadata-word-3"}


@dataclass
class Relay(RelayProcess):
    """A relay that is given its token."""

    word: str = ""

    def token(self, options: Any) -> str:
        return self.word


def run(*words: str, options: list[str]) -> str:
    """All that a command of ours prints, whatever comes of it."""
    done = CliRunner().invoke(app, [*words, *options])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.output


@contextmanager
def deployed(folder: Path) -> Iterator[tuple[list[Server], Relay, list[str]]]:
    """Two servers of a database whose password they are given, a broker with a password, a relay."""
    try:
        url = database_server("postgresql").make_database().replace("netloom@", f"netloom:{WORDS['database']}@")
        broker = Broker(folder / "nats", password=WORDS["nats"])
        broker.start()
    except (Missing, NoBroker) as missing:
        pytest.skip(str(missing))
    given = {
        "database.connection": url, "netloom.nats_servers": broker.url, "debug": "true",
        "metadata_proxy_shared_secret": WORDS["metadata"], "netloom.peer_listen": "127.0.0.1:0",
    }  # fmt: skip
    servers = [Server(folder / name, auth="builtin", extra=tuple(
        word for key, value in {**given, "netloom.feed_listen": f"127.0.0.1:{free_port()}"}.items()
        for word in ("--set", f"{key}={value}"))) for name in "ab"]  # fmt: skip
    relay = Relay(servers[0], "r1", ("--set", f"netloom.nats_servers={broker.url}", "--set", "debug=true"))
    options = [word for name, value in find_store(servers[0]).items() for word in ("--set", f"{name}={value}")]
    try:
        for server in servers:
            server.start()
        yield servers, relay, options
    finally:
        if relay.process is not None:
            relay.end(signal.SIGKILL)
        for server in servers:
            if server.process is not None and server.process.poll() is None:
                server.kill()
        broker.stop()
        shutil.rmtree(broker.folder, ignore_errors=True)


def list_keys(path: Path) -> list[str]:
    return path.read_text().splitlines()[1:-1]


def read_peer_key(url: str) -> str:
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.connect() as connection:
            return str(connection.execute(text("SELECT value FROM meta WHERE key = 'peer_key'")).scalar_one())
    finally:
        engine.dispose()


def test_no_secret_is_in_what_any_part_says(tmp_path: Path) -> None:
    """Servers that hand requests on, a relay, a broker, a host that joins, commands, a change of authorities: none of
    the passwords, tokens and keys of them all is written anywhere but in the files that are for it."""
    with deployed(tmp_path) as (servers, relay, options):
        words = run("agent", "token", "relay/r1", "h1", options=options).split()
        said = []
        relay.word = words[0]
        relay.start()
        joined = join_host(servers[0], "h1", words[1])
        wait_until(lambda: (relay.state / "feed.sock").exists())
        given = {"host": "h1", "state_path": str(joined.state_path), "netloom.feed_server": relay.address}
        host = load_host_options((), given)
        passwords = dict(read_passwords((servers[0].state / "clouds.yaml").read_text()) or {})
        token = log_in(servers[0], passwords["admin"])
        old = list_keys(servers[0].state / "feed/authority.key")
        with following(host) as followed:
            wait_until(lambda: followed.connected)
            assert [ask(server, token) for server in servers] == [200, 200]
            assert [ask(server, token, "POST") for server in servers] == [400, 400]  # one of them hands it on
            assert [ask(server, "nl1.forged-token-word-4") for server in servers] == [401, 401]
            said += [run("server", "rotate-authority", options=options), run("agent", "list", options=options)]
            said += [run("doctor", "--part", "server", *form, options=options) for form in ((), ("--json",))]
            said += [run("server", "step-down", options=options), run("db", "check", options=options)]
        (logs := [server.log for server in servers]).append(relay.state / "out")
        key = (servers[0].state / "token.key").read_bytes()
        feed = servers[0].state / "feed"
        secrets = {
            *WORDS.values(), *passwords.values(), token, "forged-token-word-4",
            *(word.split(":")[-2] for word in words), read_peer_key(find_url(servers[0])),
            key.hex(), b64encode(key).decode(), urlsafe_b64encode(key).decode(), *old,
            *list_keys(feed / "authority.key"), *list_keys(feed / "server.key"),
            *list_keys(relay.state / "relay/key.pem"), *list_keys(host.state_path / "key.pem"),
        }  # fmt: skip
        assert all(said)
        written = "\n".join([*(log.read_text() for log in logs), *said])
        assert all(word in written for word in ("DEBUG", "following", "POST /v2.0/networks 400", "GET /v2.0/networks"))
        assert [secret for secret in secrets if secret in written] == []

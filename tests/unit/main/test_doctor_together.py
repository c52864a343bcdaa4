"""`netloom doctor` on a deployment as a whole: each thing that can be wrong with it is named, with what to do."""

from __future__ import annotations

import asyncio
import datetime
import http.server
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from netloom.feed import pki
from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Settings
from netloom.intent.snapshot import Snapshot
from netloom.main.doctor.findings import ERROR, OK, WARNING, Finding
from netloom.main.doctor.together import (
    check_authority,
    check_hosts,
    check_nats,
    check_peer,
    compare_log,
    make_whole_checks,
    name_some,
)
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.main.servers.authority import open_authority
from netloom.main.servers.fleet import HOSTS
from netloom.main.servers.rotation import begin
from netloom.store.context import make_contexts
from netloom.store.engine import open_store
from netloom.store.history import History
from netloom.store.journal import SqlJournal
from netloom.store.lease import Lease
from netloom.store.load import load_snapshot
from netloom.store.status import StoreStatus
from netloom.store.writer import Writer
from tests.unit.main.test_doctor import GOOD, NOW, find_wrong, make_state

DAY = datetime.timedelta(days=1)


def load(state: Path, **given: Any) -> ServerOptions:
    return load_server_options((), {"state_path": str(state), "bind_host": "127.0.0.1", "bind_port": "1", **given})


def issue(options: ServerOptions, host: str, now: datetime.datetime = NOW) -> None:
    authority = open_authority(options.state_path / "feed", now, renew=False)
    authority.issue(host, pki.make_request(pki.make_key(), host), now, pki.HOST_LIFE)


def test_nothing_is_said_of_what_is_as_it_should_be(tmp_path: Path) -> None:
    """After a first start, with a host that joined; and where nothing is there yet."""
    options = load(make_state(tmp_path / "s"))
    issue(options, "h1")
    assert find_wrong(make_whole_checks(options, GOOD)) == {}
    assert find_wrong(make_whole_checks(load(tmp_path / "none"), GOOD)) == {}


def test_a_log_that_nobody_makes_shorter() -> None:
    """Twice as long as it is to be kept, or kept for ever and long beside what there is."""
    status = StoreStatus("s", "", "", "0001", 1, 250_000, {"port": 10}, 0, None)
    assert [one.level for one in compare_log(status, History(100_000))] == [WARNING]
    assert "compact" in next(compare_log(status, History(100_000))).fix
    assert list(compare_log(replace(status, first_revision=150_001), History(100_000))) == []
    kept = History(-1)
    assert list(compare_log(status, kept)) == []
    assert "is kept for ever" in next(compare_log(replace(status, last_revision=2_000_000), kept)).said
    assert list(compare_log(replace(status, last_revision=0), History(10))) == []


def test_a_writer_that_cannot_be_reached(tmp_path: Path) -> None:
    """By address and port, by a socket of another machine, or by what has no certificate of ours."""
    options = load(make_state(tmp_path / "s"))
    for address in ("127.0.0.1:1", "unix:/nowhere/at/all.sock"):
        (found,) = check_peer(options, Lease("x", "process 1 on c2", address))
        assert found.level == ERROR and "process 1 on c2" in found.said and "peer_listen" in found.fix
    with answering(b"hello, who is there?\n") as port:
        assert [one.level for one in check_peer(options, Lease("x", "y", f"127.0.0.1:{port}"))] == [ERROR]


@contextmanager
def answering(words: bytes | Callable[[], bytes], asked: bool = False) -> Iterator[int]:
    """The port of who says this to whoever comes; `asked`: once that one has said something."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    one, _ = listener.accept()
                except OSError:
                    return
                with one:
                    one.settimeout(10)
                    if asked:
                        one.recv(4096)
                    one.sendall(words if isinstance(words, bytes) else words())

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_a_broker_of_the_feed_that_is_away() -> None:
    """One of several that greets is enough; what greets otherwise is none."""
    with answering(b'INFO {"server_id":"x"}\r\n') as good, answering(b"SSH-2.0\r\n") as other:
        assert list(check_nats((f"nats://127.0.0.1:{good}",))) == []
        assert list(check_nats(("nats://127.0.0.1:1", f"nats://127.0.0.1:{good}"))) == []
        (found,) = check_nats((f"nats://127.0.0.1:{other}",))
        assert found.level == WARNING and "no NATS server" in found.said
    (found,) = check_nats(("nats://127.0.0.1:1",))
    assert "127.0.0.1:1" in found.said and "nats_servers" in found.fix


def add_agents(options: ServerOptions, hosts: dict[str, bool]) -> None:
    async def run() -> None:
        store = open_store(options.database_url)
        writer = Writer(SqlJournal(store), load_snapshot(store, CATALOG), make_contexts(Settings()))
        for host, alive in hosts.items():

            def operation(snapshot: Snapshot, context: Context, host: str = host) -> Any:
                return report_host(snapshot, context, host, {"tunneling_ip": ""}, None)

            def mark(snapshot: Snapshot, context: Context, host: str = host, alive: bool = alive) -> Any:
                return mark_alive(snapshot, context, host, alive)

            await writer.submit(operation, HOSTS)
            await writer.submit(mark, HOSTS)
        await writer.close()
        store.close()

    asyncio.run(run())


def test_hosts_that_are_not_connected_are_named(tmp_path: Path) -> None:
    options = load(make_state(tmp_path / "s"))
    add_agents(options, {"h1": True, "h2": False})
    assert [(one.level, one.said) for one in check_hosts(options)] == [(WARNING, "not connected: h2")]
    assert name_some([str(n) for n in range(12)]) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"


def test_certificates_of_hosts_that_end(tmp_path: Path) -> None:
    """Soon without the next one, or long ago; those that are revoked do not matter."""
    options = load(make_state(tmp_path / "s"))
    issue(options, "h1")
    issue(options, "h2")
    open_authority(options.state_path / "feed", NOW, renew=False).revoke("h2", NOW)

    def at(after: datetime.timedelta) -> Any:
        later = replace(GOOD, now_s=(NOW + after).timestamp())
        return find_wrong(make_whole_checks(options, later)).get("host certificates", ("", ""))[:2]

    assert at(DAY)[0] == ""
    assert at(pki.HOST_LIFE - 5 * DAY) == (WARNING, "end within 14 days and were not renewed: those of h1")
    assert at(pki.HOST_LIFE + DAY) == (ERROR, "have ended: those of h1")


def test_a_change_of_authorities_that_was_not_ended(tmp_path: Path) -> None:
    """With the hosts that it waits for, as long as there are any."""
    options = load(make_state(tmp_path / "s"))
    issue(options, "h1")
    assert list(check_authority(options, GOOD)) == []
    begin(options, NOW + DAY)
    (found,) = check_authority(options, GOOD)
    assert found.level == WARNING and found.said.endswith("without a new certificate: h1")
    issue(options, "h1", NOW + 2 * DAY)
    (found,) = check_authority(options, GOOD)
    assert found.fix == "netloom server rotate-authority --finish"


def test_too_few_files_for_the_hosts_that_there_are(tmp_path: Path) -> None:
    """Each connection is an open file."""
    options = load(make_state(tmp_path / "s"))
    issue(options, "h1")
    few = replace(GOOD, values={"open files": 512})
    assert "1 hosts have joined" in find_wrong(make_whole_checks(options, few))["open files"][1]
    assert "open files" not in find_wrong(make_whole_checks(options, replace(GOOD, values={"open files": 513})))


@pytest.mark.parametrize(
    ("status", "body", "level", "words"),
    [(200, b'{"ready": true, "writes": true}', OK, '"writes": true'), (503, b'{"ready": false, "store": "full"}',
     ERROR, "full"), (200, b"nonsense", OK, "no server answers")],
)  # fmt: skip
def test_a_server_is_asked_how_it_is(tmp_path: Path, status: int, body: bytes, level: str, words: str) -> None:
    """Its own answer; that none listens is no fault."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *given: Any) -> None:
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        (found,) = ask_api(load(tmp_path, bind_port=str(server.server_port)))
        assert found.level == level and words in found.said
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
    (found,) = ask_api(load(tmp_path))
    assert found.level == OK and "no server answers" in found.said


def ask_api(options: ServerOptions) -> list[Finding]:
    return list(dict(make_whole_checks(options, GOOD))["API"]())

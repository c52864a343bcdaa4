"""What a relay says of itself: a page of figures, whether it can serve, and what the doctor makes of that."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from netloom.feed import pki
from netloom.feed.cache import Cache
from netloom.feed.messages import Joined
from netloom.feed.relay import Relay
from netloom.main.commands.doctor import find_parts
from netloom.main.doctor.findings import OK, run_checks
from netloom.main.doctor.machine import Machine
from netloom.main.doctor.relay import find_papers, make_relay_checks
from netloom.main.options.relay import RelayOptions, load_relay_options
from netloom.main.servers.relay import keep_read
from netloom.main.watching.metrics_page import serve_figures
from netloom.main.watching.relay_figures import RelayFigures

NOW = datetime.now(UTC)
MACHINE = Machine(now_s=NOW.timestamp(), root=True, synced=True, programs=frozenset(), values={}, modules=frozenset())


def find_free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make_options(folder: Path, page: str = "") -> RelayOptions:
    given = {"state_path": str(folder), "netloom.upstream": f"unix:{folder}/up", "netloom.metrics_listen": page}
    return load_relay_options((), given)


@contextmanager
def shown(folder: Path, connected: bool) -> Iterator[str]:
    """The page of a relay that does nothing else, in a loop of its own."""
    address, ready, ended = f"127.0.0.1:{find_free_port()}", threading.Event(), threading.Event()

    async def serve() -> None:
        relay = Relay("relay/r1", ("s1:9697",), lambda: None, lambda: b"", Cache(folder / "slices"))  # type: ignore[arg-type, return-value]
        relay.connected, relay.revision = connected, 14207
        relay.saying.words, relay.saying.messages = 500, 2
        figures = RelayFigures(relay)
        async with serve_figures(address, figures.render, describe=figures.describe):
            ready.set()
            await asyncio.to_thread(ended.wait, 60)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield address
    finally:
        ended.set()
        thread.join(30)


def ask(address: str, path: str) -> httpx.Response:
    return httpx.get(f"http://{address}{path}", trust_env=False, timeout=30)


def find_wrong(options: RelayOptions) -> dict[str, tuple[str, str]]:
    return {one.check: (one.level, one.said) for one in run_checks(make_relay_checks(options, MACHINE)) if one.fix}


def join(options: RelayOptions) -> None:
    papers, authority, key = find_papers(options), pki.make_authority(NOW), pki.make_key()
    papers.write(papers.key, pki.encode_key(key))
    signed = pki.sign_request(authority, "relay/r1", pki.make_request(key, "relay/r1"), NOW)
    papers.save(Joined(signed, authority.certificate.decode()))


@pytest.mark.parametrize(("connected", "status"), [(True, 200), (False, 503)])
def test_a_relay_says_whether_it_can_serve(tmp_path: Path, connected: bool, status: int) -> None:
    """With somebody upstream it can; its figures are there in any case, and nothing else is."""
    with shown(tmp_path, connected) as address:
        health = ask(address, "/healthcheck")
        page = ask(address, "/metrics").text
        assert ask(address, "/v2.0/ports").status_code == 404
    assert health.status_code == status
    assert health.json() == {
        "ready": connected, "name": "relay/r1", "upstream": "s1:9697", "revision": 14207, "hosts": 0,
    }  # fmt: skip
    assert "netloom_relay_words_total 500.0" in page and "netloom_relay_word_messages_total 2.0" in page


def test_an_agents_page_has_no_health_of_a_relay() -> None:
    """It serves nobody."""

    async def run() -> int:
        async with serve_figures("127.0.0.1:0", lambda: b"") as port, httpx.AsyncClient(trust_env=False) as http:
            return (await http.get(f"http://127.0.0.1:{port}/healthcheck")).status_code

    assert asyncio.run(run()) == 404


def test_the_doctor_says_what_a_relay_lacks(tmp_path: Path) -> None:
    """It has not joined, nobody upstream answers, nobody sees whether it serves; each is named."""
    wrong = find_wrong(make_options(tmp_path))
    assert wrong["relay: certificate"] == ("error", "the relay has not joined")
    assert wrong["relay: state"][0] == "warning"
    options = make_options(tmp_path, f"127.0.0.1:{find_free_port()}")
    join(options)
    find_papers(options).key.chmod(0o644)
    wrong = find_wrong(options)
    assert "relay: certificate" not in wrong and "can be read by others" in wrong["secrets"][1]
    assert wrong["relay: upstream"][0] == "error" and f"unix:{tmp_path}/up" in wrong["relay: upstream"][1]
    assert "does not answer" in wrong["relay: state"][1]


@pytest.mark.parametrize(("connected", "level", "words"), [
    (True, OK, "relay/r1 follows s1:9697 at revision 14207, for 0 hosts"),
    (False, "error", "relay/r1 has nobody upstream; it asks s1:9697 next"),
])  # fmt: skip
def test_the_doctor_asks_the_relay_how_it_is(tmp_path: Path, connected: bool, level: str, words: str) -> None:
    """Its state is said in words, by which an operator sees whom it follows."""
    with shown(tmp_path, connected) as address:
        options = replace(make_options(tmp_path), metrics_listen=address)
        found = {one.check: one for one in run_checks(make_relay_checks(options, MACHINE))}
    assert (found["relay: state"].level, found["relay: state"].said) == (level, words)


def test_a_machine_that_is_told_to_be_a_relay_is_looked_at_as_one(tmp_path: Path) -> None:
    """Not as a server, for which all would be missing."""
    given: dict[str, Any] = {"state_path": str(tmp_path), "netloom.role": "relay", "netloom.upstream": "s1:9697"}
    assert find_parts((), given) == ("relay",)
    assert find_parts((), {"state_path": str(tmp_path)}) == ("server",)


def test_a_file_of_authorities_is_read_when_it_was_replaced_and_not_at_each_ping(tmp_path: Path) -> None:
    """Whoever replaces it; one that is not there is an error, as it is for who reads it."""
    path = tmp_path / "ca.pem"
    read = keep_read(path)
    with pytest.raises(FileNotFoundError):
        read()
    path.write_bytes(b"one")
    first = read()
    assert first == b"one" and read() is first
    (tmp_path / "next").write_bytes(b"two")
    (tmp_path / "next").replace(path)
    assert read() == b"two"

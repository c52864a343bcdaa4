"""`netloom doctor` on clocks: whose is ahead or behind, and of whom that cannot be said."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from netloom.main.commands.doctor import find_servers
from netloom.main.doctor.clocks import check_clocks, check_log, check_server_clocks, find_apis
from netloom.main.doctor.findings import OK, WARNING
from netloom.main.options.reading import read_options
from netloom.main.options.server import ServerOptions, load_server_options
from netloom.store.engine import open_reader
from netloom.store.schema import LOG
from tests.unit.main.test_doctor import make_state
from tests.unit.main.test_doctor_together import answering

HOUR_S = 3600.0


@contextmanager
def telling(ahead_s: float | None) -> Iterator[str]:
    """The URL of who answers every request with a date that is so far from now; None: with none."""

    def say() -> bytes:
        date = "" if ahead_s is None else f"Date: {formatdate(time.time() + ahead_s, usegmt=True)}\r\n"
        return f"HTTP/1.1 300 Multiple Choices\r\n{date}Content-Length: 0\r\n\r\n".encode()

    with answering(say, asked=True) as port:
        yield f"http://127.0.0.1:{port}/v3"


@pytest.mark.parametrize(("ahead_s", "word"), [(HOUR_S, "ahead"), (-HOUR_S, "behind"), (0.0, "")])
def test_a_clock_that_is_apart_is_named(ahead_s: float, word: str) -> None:
    """By how much is said, which way, and what to do; one that agrees is fine."""
    with telling(ahead_s) as url:
        found = list(check_clocks([url, url]))
    assert [(one.level, one.fix != "") for one in found] == ([(WARNING, True)] if word else [])
    for one in found:
        assert word in one.said and url.split("/")[2] in one.said
        assert abs(int(re.search(r"(\d+) s ", one.said)[1]) - HOUR_S) < 60  # type: ignore[index]


def test_who_tells_no_time_was_not_compared() -> None:
    """Nobody there, an answer without a date, and what is no HTTP: each is said, and none is an error."""
    with telling(None) as silent, answering(b"SSH-2.0\r\n") as other:
        found = list(check_clocks(["http://127.0.0.1:1", silent, f"http://127.0.0.1:{other}", "http://u:p@[::1]:1/x"]))
    assert [one.level for one in found] == [OK] * 4
    assert all("not compared" in one.said for one in found)
    assert not any("u:p" in one.said for one in found)


def load(state: Path, **given: Any) -> ServerOptions:
    return load_server_options((), {"state_path": str(state), "bind_host": "127.0.0.1", "bind_port": "1", **given})


def test_a_server_is_compared_with_who_answers_for_all(tmp_path: Path) -> None:
    """public_url, where requests are divided among servers."""
    with telling(HOUR_S) as url:
        found = list(check_server_clocks(load(make_state(tmp_path / "s"), **{"netloom.public_url": url})))
    assert [one.level for one in found] == [WARNING]


def test_a_change_of_the_future_tells_of_a_servers_clock(tmp_path: Path) -> None:
    """What was written last is of a time that has not come; where nothing is there yet nothing is said."""
    options = load(make_state(tmp_path / "s"))
    store = open_reader(options.database_url)
    with store.engine.execution_options(write=True).begin() as connection:
        last = connection.execute(LOG.select().order_by(LOG.c.revision.desc()).limit(1)).mappings().first()
        row = {"actor": "", "request_id": "", "changes": "[]", **(last or {}), "at": "2026-11-21T12:00:00Z"}
        connection.execute(LOG.insert().values(**{**row, "revision": row.get("revision", 0) + 1}))
    store.close()
    noon_s = 1795262400.0
    (found,) = check_log(options, noon_s - 60)
    assert found.level == WARNING and "60 s from now" in found.said
    assert list(check_log(options, noon_s)) == [] == list(check_log(options, noon_s + HOUR_S))
    assert list(check_log(load(tmp_path / "none"), 0.0)) == []


def test_a_host_asks_the_api_beside_its_server() -> None:
    """Each machine once, by the port and the protocol that the options have; a socket of this machine is not asked."""
    asked = find_apis(["c1:9697", "c1:9698", "[2001:db8::1]:9697", "unix:/run/x"], 9696, tls=False)
    assert asked == ["http://c1:9696", "http://[2001:db8::1]:9696"]
    assert find_servers(["c1:9697"], read_options((), {"use_ssl": "true", "bind_port": "443"})) == ("https://c1:443",)

"""The log: one line per event, in two forms, with ids, and without a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from netloom.api.message import TRACE, Trace, find_ids
from netloom.main.options.host import load_host_options
from netloom.main.options.server import load_server_options
from netloom.main.watching.logs import LogOptions, set_up_logs, strike


@pytest.fixture
def kept() -> Iterator[None]:
    """pytest's own handlers are back when the test has ended."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def write(options: LogOptions, message: str, *words: object, error: bool = False, **extra: Any) -> str:
    out = io.StringIO()
    set_up_logs(options, find_ids, out)
    logging.getLogger("netloom.try").warning(message, *words, exc_info=error, extra=extra)
    return out.getvalue()


@pytest.mark.usefixtures("kept")
def test_an_event_is_one_line_with_its_ids() -> None:
    """For people: what happened first, the ids behind it."""
    line = write(LogOptions(), "%d ops", 3, revision=14207, requests=["req-1", "req-2"])
    assert line.endswith("WARNING netloom.try 3 ops [requests req-1,req-2 revision 14207]\n")


@pytest.mark.usefixtures("kept")
def test_json_has_a_field_for_each_id() -> None:
    """For programs: one object a line."""
    event = json.loads(write(LogOptions(json=True, host="c1"), "done", revision=7, ports=["p1"]))
    assert (event["level"], event["logger"], event["message"]) == ("WARNING", "netloom.try", "done")
    assert (event["revision"], event["ports"], event["host"]) == (7, ["p1"], "c1")
    assert event["time"].endswith("Z")


@pytest.mark.usefixtures("kept")
def test_what_is_logged_for_a_request_names_it() -> None:
    """Whoever logs while a request is served need not know of it; when it is over, it is nobody's."""
    trace = Trace("req-1", 5)
    token = TRACE.set(trace)
    try:
        assert "[request_id req-1 revision 5]" in write(LogOptions(), "odd")
        assert json.loads(write(LogOptions(json=True), "odd"))["request_id"] == "req-1"
        trace.ended = True
        assert "req-1" not in write(LogOptions(), "odd")
    finally:
        TRACE.reset(token)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("form", [False, True])
def test_a_name_with_line_feeds_forges_no_line(form: bool) -> None:
    """What a client put into a name stays on its line."""
    assert write(LogOptions(json=form), "name %s", "x\n2026-11-21 ERROR forged\x1b[2J", revision=1).count("\n") == 1


SECRETS: Mapping[str, str] = {
    "postgresql://netloom:hunter2hunter2@db/x cannot be reached": "hunter2hunter2",
    "X-Auth-Token: gAAAAABmZzzzzzzzzzzzzzzzzzzzzzzzzzzzzz": "gAAAAABmZ",
    "headers {'x-auth-token': 'plain-token-123'}": "plain-token-123",
    "(b'x-auth-token', b'plain-token-123')": "plain-token-123",
    "Authorization: Bearer abc.def": "abc.def",
    '{"password": "s3cret!"}': "s3cret!",
    "token nl1.abcdefghijklmnopqrstuvwxyz012 is old": "abcdefghijklmnop",
    f"h1:{'a' * 32}:{'0' * 64}": "a" * 32,
    "-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----": "MIIabc",
}


@pytest.mark.parametrize("text", SECRETS)
def test_what_looks_like_a_secret_is_struck_out(text: str) -> None:
    """Passwords in URLs and bodies, tokens of every kind, private keys."""
    assert SECRETS[text] not in strike(text)
    assert "***" in strike(text)


@pytest.mark.parametrize(
    "text", ["GET /v2.0/ports 200 in 4.0 ms", "h1 is here", "http://c1:9696/v2.0 is up", "the token is for host h1"]
)
def test_what_is_no_secret_is_left(text: str) -> None:
    """Nothing else is touched."""
    assert strike(text) == text


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("form", [False, True])
def test_what_an_option_keeps_secret_is_in_no_line(form: bool, tmp_path: Path) -> None:
    """The very texts that were configured, wherever they turn up, also in a traceback."""
    given = {
        "state_path": str(tmp_path), "use_json": str(form), "metadata_proxy_shared_secret": "metadata-secret",
        "database.connection": "postgresql://u:db%40password@h/d",
        "transport_url": "rabbit://u:first-password@h1,u:second-password@h2/",
    }  # fmt: skip
    options = load_server_options((), given).log
    secrets = ("metadata-secret", "db%40password", "db@password", "first-password", "second-password")
    try:
        raise ValueError(" ".join(secrets))
    except ValueError:
        line = write(options, "secrets: %s", " ".join(secrets), error=True)
    assert [secret for secret in secrets if secret in line] == []
    assert [secret for secret in secrets if secret in repr(options)] == []
    host = load_host_options((), {"host": "h1", "state_path": str(tmp_path), "metadata_proxy_shared_secret": "again-x"})
    assert "again-x" not in write(host.log, "again-x")

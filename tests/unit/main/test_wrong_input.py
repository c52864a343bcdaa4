"""What an operator types wrong on the first day: each is one line that names it and says what would be right."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from netloom.main.cli import app
from netloom.main.options.checks import OptionError
from netloom.main.options.reading import read_options

pytestmark = pytest.mark.timeout(60)
"""What is not refused would run."""
runner = CliRunner()
AGENT = ["agent", "run", "--set", "netloom.feed_server=127.0.0.1:1"]


def run(*arguments: str) -> tuple[int, str, str]:
    """Status, what was printed, and the one line on stderr."""
    result = runner.invoke(app, list(arguments))
    assert "Traceback" not in result.stderr
    return result.exit_code, result.stdout, result.stderr


def refuse(*arguments: str, status: int = 1) -> str:
    found, _, said = run(*arguments)
    assert found == status, said
    assert said.startswith("netloom: ") and said.count("\n") == 1
    return said


@pytest.fixture
def busy() -> Iterator[int]:
    """A port of this machine that somebody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("bind_prot=1", "did you mean bind_port?"),
        ("feed_listen=127.0.0.1:1", "did you mean netloom.feed_listen?"),
        ("netlom.feed_server=x:1", "did you mean netloom.feed_server?"),
        ("ml2.path_mut=1500", "did you mean ml2.path_mtu?"),
    ],
)
def test_a_misspelt_option_on_the_command_line_is_told_apart(given: str, meant: str) -> None:
    """The option that it is most like is named."""
    assert meant in refuse("server", "--set", given, status=2)


def test_a_name_like_no_other_is_guessed_at_by_nobody() -> None:
    """No guess is better than a wrong one."""
    assert "did you mean" not in refuse("server", "--set", "colour=blue", status=2)


def test_a_misspelt_option_in_our_own_section_stops_the_start(tmp_path: Path) -> None:
    """[netloom] holds nobody else's options, so one that is not there is a mistake, in whichever part's file it is."""
    file = tmp_path / "netloom.conf"
    file.write_text("[netloom]\nfeed_servr = netloom.example.org:9697\n")
    said = refuse(*AGENT, "--config-file", str(file), status=2)
    assert "[netloom] feed_servr = netloom.example.org:9697" in said
    assert "did you mean [netloom] feed_server?" in said and str(file) in said


def test_a_misspelt_option_among_neutrons_is_noted(tmp_path: Path) -> None:
    """Neutron's sections may hold what Netloom has no use for; what is nearly one of ours is pointed out."""
    file = tmp_path / "neutron.conf"
    file.write_text(
        "[DEFAULT]\nbind_prot = 1\ncore_plugin = ml2\n[ironic]\nusername = x\n[netlom]\nfeed_server = x:1\n"
    )
    assert read_options([file], {}).notes == (
        f"{file}: not used by Netloom: bind_prot (did you mean bind_port?), core_plugin, [ironic] username, "
        "[netlom] feed_server (did you mean [netloom] feed_server?)",
    )


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """Such as a certificate in DER that stands where the options should."""
    file = tmp_path / "server.der"
    file.write_bytes(b"[DEFAULT]\n\xb1\x00")
    with pytest.raises(OptionError, match="allowed: a text file in UTF-8; byte 10 is none of it"):
        read_options([file], {})


def test_a_place_that_is_taken_is_named_before_anything_is_made(tmp_path: Path, busy: int) -> None:
    """Also the page of figures, and a socket file in a folder that is not there."""
    base = ["server", "--set", f"state_path={tmp_path}", "--set", "bind_port=0"]
    for name in ("feed_listen", "peer_listen", "metrics_listen"):
        free = [] if name == "feed_listen" else ["--set", f"netloom.feed_listen=unix:{tmp_path}/f"]
        said = refuse(*base, *free, "--set", f"netloom.{name}=127.0.0.1:{busy}", status=2)
        assert f"[netloom] {name} = 127.0.0.1:{busy}: Address already in use" in said
        assert f"ss -ltnp 'sport = :{busy}'" in said
    said = refuse(*base, "--set", "netloom.feed_listen=unix:/none/feed.sock", status=2)
    assert "allowed: a path in a folder that is there and can be written; see /none" in said
    assert list(tmp_path.iterdir()) == []


def test_figures_of_an_agent_where_somebody_listens(tmp_path: Path, busy: int) -> None:
    """Found before it touches the host."""
    where = f"netloom.metrics_listen=127.0.0.1:{busy}"
    assert "Address already in use" in refuse(*AGENT, "--set", f"state_path={tmp_path}", "--set", where, status=2)


@pytest.mark.parametrize(
    "command",
    [
        ["server", "--set", "bind_port=0"],
        ["server", "--role", "relay", "--upstream", "127.0.0.1:1"],
        AGENT,
        ["agent", "join", "TOKEN"],
        ["agent", "token", "h1"],
    ],
    ids=" ".join,
)
def test_a_state_folder_that_cannot_be_made(command: list[str], tmp_path: Path) -> None:
    """It is named, whichever part was to keep its files there; a join token is not used up by it."""
    file = tmp_path / "file"
    file.touch()
    for path, why in ((file, "File exists"), (file / "below", "Not a directory")):
        said = refuse(*command, "--set", f"state_path={path}", status=2)
        assert f"option state_path = {path}: {why}; allowed: a folder that this user can make" in said


@pytest.mark.parametrize("host", ["", "a b", "a:b", "a/b", "relay/", "h" * 65, "h1\n"])
def test_a_host_that_no_certificate_can_name_gets_no_token(host: str, tmp_path: Path) -> None:
    """It would be refused when it joins, hours later and elsewhere."""
    assert "option HOST" in refuse("agent", "token", host, "--set", f"state_path={tmp_path}", status=2)


def test_tokens_of_a_folder_where_no_server_has_run(tmp_path: Path) -> None:
    """They may be what is wanted, before a first start; or state_path is another server's: the folder is named once."""
    asked = ("agent", "token", "h1", "relay/r1", "--set", f"state_path={tmp_path}/s")
    status, tokens, said = run(*asked)
    assert status == 0 and [line.partition(":")[0] for line in tokens.splitlines()] == ["h1", "relay/r1"]
    assert f"no server has run with state_path = {tmp_path}/s yet" in said
    assert run(*asked)[2] == ""


def test_a_host_that_was_never_here_is_revoked_with_one_line(tmp_path: Path) -> None:
    """Nothing is printed as if it had been done."""
    status, shown, said = run("agent", "revoke", "h9", "--set", f"state_path={tmp_path}")
    assert (status, shown) == (1, "") and "h9" in said


def test_a_server_that_does_not_answer_is_named_with_where_to_look(tmp_path: Path, busy: int) -> None:
    """The port of the API, say, or a machine that is off; nothing is left behind that looks like papers."""
    token = f"h1:{'a' * 32}:{'b' * 64}"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound and not listening: who connects is refused
        said = refuse("agent", "join", token, "--server", f"127.0.0.1:{free.getsockname()[1]}",
                      "--set", "host=h1", "--set", f"state_path={tmp_path}")  # fmt: skip
    assert "no server answered at 127.0.0.1:" in said and "[netloom] feed_server" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["move", "--to", "sqlite:////{}/moved.db"], ["compact"], ["check"], ["status"]])
def test_a_store_that_is_not_there_is_not_made_by_who_wants_to_see_it(command: list[str], tmp_path: Path) -> None:
    """A wrong state_path is said; no empty store is made and called fine."""
    words = [word.format(tmp_path) for word in command]
    status, shown, said = run("db", *words, "--set", f"state_path={tmp_path}/s")
    assert status == 1 and "netloom.db does not exist" in shown + said
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_is_not_there_is_called_so(tmp_path: Path) -> None:
    """And not a store with faults."""
    said = refuse("db", "restore", str(tmp_path / "none.db"), "--set", f"state_path={tmp_path}/s")
    assert f"{tmp_path}/none.db is not there" in said and "Nothing was changed" in said


def test_a_lab_where_no_folder_can_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NETLOOM_LAB_DIR is named; there is nothing to remove."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NETLOOM_LAB_DIR", f"{tmp_path}/file/lab")
    status, _, said = run("lab", "down")
    assert status == 1 and said.startswith("netloom lab: ")
    assert f"{tmp_path}/file/lab" in said or os.geteuid() != 0  # others are told that it needs root


def test_the_first_upgrade_makes_the_folder_of_the_store(tmp_path: Path) -> None:
    """As a server's first start does."""
    status, shown, said = run("db", "upgrade", "--set", f"state_path={tmp_path}/new/state")
    assert (status, said) == (0, "") and "netloom.db was made" in shown


def test_a_swarm_on_a_database_that_is_none() -> None:
    """It is told before a server is started."""
    status, _, said = run("lab", "swarm", "--hosts", "1", "--ports", "1", "--database", "nonsense")
    assert status == 1 and "netloom lab: 'nonsense' is not a store" in said

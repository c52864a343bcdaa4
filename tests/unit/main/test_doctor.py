"""`netloom doctor`: whatever is broken is found, with what to do about it; and nothing is said of what is not."""

from __future__ import annotations

import datetime
import json
import shutil
import socket
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from netloom.feed.messages import Joined
from netloom.feed.pki import AUTHORITY_LIFE, SERVER_LIFE, encode_key, make_key, make_request, sign_request
from netloom.main.cli import app
from netloom.main.doctor import machine as doctor_machine
from netloom.main.doctor.agent import Host, find_needs, make_agent_checks, read_switch
from netloom.main.doctor.clocks import compare_clocks
from netloom.main.doctor.findings import ERROR, OK, WARNING, Finding, find_status, render_findings, run_checks
from netloom.main.doctor.machine import Machine
from netloom.main.doctor.server import make_server_checks
from netloom.main.hosts.papers import Papers
from netloom.main.options.host import load_host_options
from netloom.main.options.host_checks import Seen
from netloom.main.options.server import load_server_options
from netloom.main.servers.authority import open_authority
from netloom.store.engine import open_store

NOW = datetime.datetime.now(datetime.UTC)
GOOD = Machine(
    now_s=NOW.timestamp(), root=True, synced=True, programs=frozenset(doctor_machine.PROGRAMS),
    values={"net/netfilter/nf_conntrack_max": 1000, "net/netfilter/nf_conntrack_count": 1},
    modules=frozenset({"openvswitch"}),
)  # fmt: skip


def find_wrong(checks: Iterable[Any]) -> dict[str, tuple[str, str, str]]:
    """What is not fine: level, words and fix, by check."""
    return {one.check: (one.level, one.said, one.fix) for one in run_checks(checks) if one.level != OK}


# -- a server ----------------------------------------------------------------------------------------------------------


def make_state(folder: Path) -> Path:
    """A server's, as it is after a start."""
    folder.mkdir()
    open_store(f"sqlite:///{folder}/netloom.db").close()
    open_authority(folder / "feed", NOW)
    (folder / "token.key").write_bytes(bytes(32))
    (folder / "token.key").chmod(0o600)
    return folder


def ask_server(state: Path, machine: Machine = GOOD, file: str = "", **given: Any) -> dict[str, tuple[str, str, str]]:
    config = state.parent / "netloom.conf"
    config.write_text(file)
    given = {k.replace("__", "."): v for k, v in given.items()}
    known = {"state_path": str(state), "bind_host": "127.0.0.1", "bind_port": "1", **given}
    return find_wrong(make_server_checks(load_server_options([config], known), machine))


def test_a_good_server_is_fine(tmp_path: Path) -> None:
    """Nothing is wrong after a first start on this machine."""
    assert ask_server(make_state(tmp_path / "s")) == {}


def test_options_that_nothing_uses_are_named(tmp_path: Path) -> None:
    """With their file."""
    level, said, _ = ask_server(make_state(tmp_path / "s"), file="[DEFAULT]\ncore_plugin = ml2\n")["options"]
    assert level == WARNING and "core_plugin" in said and "netloom.conf" in said


def test_a_store_that_is_not_there_damaged_or_cannot_be_reached(tmp_path: Path) -> None:
    """Each with the store's own words."""
    state = make_state(tmp_path / "s")
    (state / "netloom.db").write_bytes(b"garbage" * 1000)
    assert ask_server(state)["store"][0] == ERROR
    (state / "netloom.db").unlink()
    assert ask_server(state)["store"][0] == WARNING
    away = ask_server(state, database__connection="postgresql://u:hunter2hunter2@127.0.0.1:1/x")["store"]
    assert away[0] == ERROR and "hunter2" not in "".join(away)


def test_a_state_folder_that_is_not_there(tmp_path: Path) -> None:
    """Said, as at a first start."""
    assert ask_server(tmp_path / "none")["state"][0] == WARNING


def test_noauth_and_plain_http_are_told(tmp_path: Path) -> None:
    """Who reaches the API is an administrator; what listens beyond this machine shows tokens on the way."""
    state = make_state(tmp_path / "s")
    assert "noauth" in ask_server(state, auth_strategy="noauth")["identity"][1]
    assert ask_server(state, bind_host="0.0.0.0")["API certificate"][0] == WARNING
    assert "API certificate" not in ask_server(state, bind_host="0.0.0.0", netloom__public_url="https://n.example.org")


@pytest.mark.parametrize(("status", "words"), [(401, "refuses"), (201, ""), (None, "does not answer")])
def test_keystone_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int | None, words: str) -> None:
    """Away, or with another password; for tokens, and for Nova."""

    def post(url: str, **given: Any) -> httpx.Response:
        assert given["json"]["auth"]["identity"]["password"]["user"]["password"] == "secret-word"
        if status is None:
            raise httpx.ConnectError("no route")
        return httpx.Response(status)

    monkeypatch.setattr(httpx, "post", post)
    user = {"username": "netloom", "password": "secret-word", "auth_url": "http://keystone"}
    token: dict[str, Any] = {f"keystone_authtoken__{name}": value for name, value in user.items()}
    nova: dict[str, Any] = {f"nova__{name}": value for name, value in user.items()}
    found = ask_server(make_state(tmp_path / "s"), auth_strategy="keystone", **token, **nova)
    assert set(found) == ({"identity", "Nova"} if words else set())
    assert all(level == ERROR and words in said for level, said, _ in found.values())


def test_certificates_that_end_have_ended_or_are_not_good_yet(tmp_path: Path) -> None:
    """Of the feed and of the API, told in time."""
    state = make_state(tmp_path / "s")
    feed = state / "feed"
    given: dict[str, Any] = {
        "use_ssl": "true",
        "ssl__cert_file": str(feed / "server.pem"),
        "ssl__key_file": str(feed / "server.key"),
    }

    def at(after: datetime.timedelta) -> dict[str, tuple[str, str, str]]:
        return ask_server(state, replace(GOOD, now_s=(NOW + after).timestamp()), **given)

    assert at(datetime.timedelta()) == {}
    assert at(datetime.timedelta(minutes=-4)) == {}  # as of one that somebody else signed a moment ago
    soon, late = at(SERVER_LIFE - datetime.timedelta(days=3)), at(AUTHORITY_LIFE + datetime.timedelta(days=3))
    for name in ("feed certificate", "API certificate"):
        assert soon[name][0] == WARNING and late[name][0] == ERROR
        assert "not good yet" in at(-datetime.timedelta(days=1))[name][1]
    assert "rotate-authority" in late["feed certificate"][2]


def test_a_key_that_is_not_the_certificates(tmp_path: Path) -> None:
    """Found before a start finds it."""
    feed = make_state(tmp_path / "s") / "feed"
    given: dict[str, Any] = {
        "use_ssl": "true",
        "ssl__cert_file": str(feed / "server.pem"),
        "ssl__key_file": str(feed / "authority.key"),
    }
    assert "is not the key of" in ask_server(tmp_path / "s", **given)["API certificate"][1]


def test_secrets_that_others_can_read(tmp_path: Path) -> None:
    """Whichever file it is."""
    state = make_state(tmp_path / "s")
    (state / "token.key").chmod(0o640)
    level, _, fix = ask_server(state)["secrets"]
    assert (level, fix) == (ERROR, f"chmod 600 {state}/token.key")


@pytest.mark.parametrize(("free", "level"), [(10 << 20, ERROR), (500 << 20, WARNING), (5 << 30, "")])
def test_a_disk_that_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, level: str) -> None:
    """Told while there is time."""
    state = make_state(tmp_path / "s")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("Usage", (), {"free": free})())
    assert ask_server(state).get("disk", ("",))[0] == level


def test_clocks_that_are_apart(tmp_path: Path) -> None:
    """This machine's that follows no other, and one that differs from the database's."""
    assert ask_server(make_state(tmp_path / "s"), replace(GOOD, synced=False))["clock"][0] == WARNING
    assert list(compare_clocks(100.0, 101.0, "db")) == []
    assert [one.said for one in compare_clocks(100.0, 160.0, "db")] == ["the clock of db is 60 s behind"]


@pytest.mark.parametrize(
    ("text", "level", "words"),
    [
        ('"create_network": "role:member"\n', "", ""),
        ('"mine": "role:x"\n"create_network": "rule:mine or rule:admin_only"\n', "", ""),
        ('"creat_network": "role:member"\n', WARNING, "nothing asks for creat_network"),
        ("{", ERROR, "cannot be read"),
        ("- a\n", ERROR, "cannot be read"),
    ],
)
def test_the_policy_file(tmp_path: Path, text: str, level: str, words: str) -> None:
    """One that cannot be read, or whose rules nothing asks for."""
    (tmp_path / "policy.yaml").write_text(text)
    found = ask_server(make_state(tmp_path / "s")).get("policy", ("", ""))
    assert found[0] == level and words in found[1]


def test_a_broker_that_is_away(tmp_path: Path) -> None:
    """One of several is a warning, all of them an error."""
    state = make_state(tmp_path / "s")
    with socket.create_server(("127.0.0.1", 0)) as there:
        port = there.getsockname()[1]
        driver: dict[str, Any] = {"oslo_messaging_notifications__driver": "messagingv2"}
        for url, level in ((f"u:p@127.0.0.1:{port}", ""), (f"u:p@127.0.0.1:{port},u:p@127.0.0.1:1", WARNING),
                           ("u:p@127.0.0.1:1", ERROR)):  # fmt: skip
            assert ask_server(state, transport_url=f"rabbit://{url}/", **driver).get("RabbitMQ", ("",))[0] == level


# -- a host ------------------------------------------------------------------------------------------------------------

SEEN = Seen({"192.0.2.11": "eth1", "127.0.0.1": "lo"}, {"eth1": 1500, "lo": 65536}, frozenset({"br-ex"}))


def join_host(state: Path, days: int = 90) -> None:
    authority = open_authority(state.parent / "authority", NOW)
    papers, key = Papers(state), make_key()
    papers.write(papers.key, encode_key(key))
    certificate = sign_request(authority.authority, "h1", make_request(key, "h1"), NOW, datetime.timedelta(days=days))
    papers.save(Joined(certificate, authority.authority.certificate.decode()))


def ask_agent(
    state: Path, machine: Machine = GOOD, seen: Seen = SEEN, switch: str = "3.1.0", needs: Any = (), **given: Any
) -> dict[str, tuple[str, str, str]]:
    known = {"state_path": str(state), "host": "h1", **{k.replace("__", "."): v for k, v in given.items()}}
    host = Host(load_host_options((), known), machine, seen, switch, 1500, needs)
    return find_wrong(make_agent_checks(host))


def test_a_good_host_is_fine(tmp_path: Path) -> None:
    """With a certificate, and a server that listens."""
    with socket.create_server(("127.0.0.1", 0)) as there:
        found = ask_agent(tmp_path, netloom__feed_server=f"127.0.0.1:{there.getsockname()[1]}")
    assert set(found) == {"certificate"}  # it has not joined yet
    join_host(tmp_path)
    assert set(ask_agent(tmp_path, ovs__local_ip="192.0.2.11", ovs__bridge_mappings="physnet1:br-ex")) == {"server"}
    assert set(ask_agent(tmp_path, switch="[]")) == {"server"}  # started by hand: its version is not written down


@pytest.mark.parametrize(
    ("given", "check", "words"),
    [
        ({"switch": ""}, "switch", "does not answer"),
        ({"switch": "2.9.1"}, "switch", "older than 2.17"),
        ({"machine": replace(GOOD, root=False)}, "rights", "not root"),
        ({"machine": replace(GOOD, modules=frozenset())}, "kernel", "no module openvswitch"),
        ({"machine": replace(GOOD, values={})}, "kernel", "nf_conntrack"),
        ({"machine": replace(GOOD, synced=False)}, "clock", "follows no other"),
        ({"machine": replace(GOOD, programs=frozenset()), "needs": ("nft", "dnsmasq")}, "programs", "nft, dnsmasq"),
        ({"ovs__local_ip": "192.0.2.99"}, "bridges", "192.0.2.11"),
        ({"ovs__bridge_mappings": "physnet1:br-none"}, "bridges", "br-none"),
        ({"ovs__local_ip": "192.0.2.11", "seen": replace(SEEN, mtus={"eth1": 1400})}, "underlay", "carries 1400"),
        ({"netloom__feed_server": "127.0.0.1:1"}, "server", "does not answer"),
        ({"netloom__feed_server": "127.0.0.1:1"}, "certificate", "has not joined"),
        ({}, "server", "no server is named"),
    ],
)
def test_each_thing_that_a_host_can_lack(tmp_path: Path, given: dict[str, Any], check: str, words: str) -> None:
    """Broken one by one, each is named, with a fix."""
    level, said, fix = ask_agent(tmp_path, **given)[check]
    assert level in (ERROR, WARNING) and words in said and fix


@pytest.mark.parametrize(("count", "level"), [(100, ""), (850, WARNING), (990, ERROR)])
def test_connections_that_fill_the_kernels_table(tmp_path: Path, count: int, level: str) -> None:
    """Told before new ones are refused."""
    values = {**GOOD.values, "net/netfilter/nf_conntrack_count": count}
    assert ask_agent(tmp_path, replace(GOOD, values=values)).get("connections", ("",))[0] == level


def test_a_hosts_certificate_that_ends(tmp_path: Path) -> None:
    """Soon, or long ago."""
    join_host(tmp_path / "h", days=5)
    given: dict[str, Any] = {"netloom__feed_server": "127.0.0.1:1"}
    assert ask_agent(tmp_path / "h", **given)["certificate"][0] == WARNING
    late = replace(GOOD, now_s=(NOW + datetime.timedelta(days=9)).timestamp())
    assert ask_agent(tmp_path / "h", late, **given)["certificate"][0] == ERROR


def test_what_a_host_needs_follows_its_options(tmp_path: Path) -> None:
    """No dnsmasq is missed where nobody asked for it."""
    options = load_host_options((), {"host": "h1", "state_path": str(tmp_path)})
    assert "dnsmasq" not in find_needs(options, False, False)
    assert {"dnsmasq", "keepalived", "conntrack"} <= set(find_needs(options, True, True))
    assert {"iptables", "ipset"} <= set(find_needs(replace(options, hybrid=True), False, False))


def test_the_switch_is_asked(tmp_path: Path) -> None:
    """Its version and its bridges; nothing where it does not answer."""

    def run(command: list[str], **given: Any) -> subprocess.CompletedProcess[str]:
        assert f"--db=unix:{tmp_path}/db.sock" in command
        return subprocess.CompletedProcess(command, 0, '"3.1.0"\nbr-int\nbr-tun\n', "")

    assert read_switch(tmp_path, run) == ("3.1.0", frozenset({"br-int", "br-tun"}))
    assert read_switch(tmp_path / "none") == ("", None)


# -- the command -------------------------------------------------------------------------------------------------------


def test_one_check_that_fails_hides_no_other() -> None:
    """It is a finding like any other."""

    def broken() -> list[Finding]:
        raise PermissionError("no")

    found = run_checks([("a", broken), ("b", list)])
    assert [(one.check, one.level) for one in found] == [("a", ERROR), ("b", OK)]
    assert "PermissionError" in found[0].said


def test_findings_are_shown_worst_first() -> None:
    """Each with its fix on a line of its own; and as JSON."""
    found = [Finding("a", OK, "fine"), Finding("b", WARNING, "soon", "do"), Finding("c", ERROR, "now", "mend")]
    lines = render_findings(found, as_json=False).splitlines()
    assert lines[:3] == ["error   c: now", "        → mend", "warning b: soon"]
    assert lines[-1] == "1 error, 1 warning, 1 fine"
    told = json.loads(render_findings(found, as_json=True))
    assert told["healthy"] is False and told["findings"][1]["fix"] == "do"
    assert (find_status(found), find_status(found[:2])) == (1, 0)


def test_the_command(tmp_path: Path) -> None:
    """Status 0 for a good server, 1 for a host that has not joined; a bad option is a finding."""
    state = make_state(tmp_path / "s")
    runner, good = CliRunner(), ["--set", f"state_path={state}", "--set", "bind_host=127.0.0.1"]
    done = runner.invoke(app, ["doctor", "--json", *good])
    told = json.loads(done.stdout)
    assert (done.exit_code, told["healthy"]) == (0, True)
    assert {one["check"] for one in told["findings"]} >= {"store", "identity", "policy"}
    host = ["doctor", "--set", f"state_path={tmp_path}/h", "--set", "netloom.feed_server=127.0.0.1:1"]
    done = runner.invoke(app, host)
    assert done.exit_code == 1 and "has not joined" in done.stdout
    assert runner.invoke(app, ["doctor", "--set", "bind_port=x"]).exit_code == 1

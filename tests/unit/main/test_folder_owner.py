"""Whose files a command of the server's machine leaves, when root types it beside a server that is not root."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from pathlib import Path

import pytest

from netloom.main.commands.owner import find_owner, find_strangers, hand_over
from netloom.main.options.host import load_host_options
from netloom.main.options.relay import load_relay_options
from netloom.main.options.server import load_server_options
from netloom.main.servers.state import save_file

NOBODY = pwd.getpwnam("nobody").pw_uid
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users' folders to care for")


def make_folder(tmp_path: Path) -> Path:
    """A state folder as systemd makes it for a server's own user."""
    state = tmp_path / "state"
    state.mkdir(mode=0o750)
    os.chown(state, NOBODY, NOBODY)
    return state


def run(*words: str) -> str:
    command = [sys.executable, "-m", "netloom.main.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@root
@pytest.mark.parametrize("folders", [["agent", "token", "h1"], ["agent", "list"], ["db", "upgrade"]], ids=" ".join)
def test_what_root_orders_belongs_to_the_servers_user(folders: list[str], tmp_path: Path) -> None:
    """A token that the server could not read would let no host join; a revocation would not be seen."""
    state = make_folder(tmp_path)
    run(*folders, "--set", f"state_path={state}")
    made = [path for path in state.rglob("*") if path.is_file()]
    assert made or folders == ["agent", "list"]
    assert find_strangers(state) == []


@root
def test_what_needs_roots_rights_is_handed_over(tmp_path: Path) -> None:
    """A backup may be readable for root alone; the store that is made of it is the server's, also when it fails."""
    state = make_folder(tmp_path)
    with pytest.raises(OSError), hand_over(state):
        (state / "netloom.db").touch()
        assert find_strangers(state) == [state / "netloom.db"]
        raise OSError
    assert find_strangers(state) == []
    assert (state / "netloom.db").stat().st_uid == NOBODY


@root
def test_a_file_is_its_owners_before_it_is_there_to_be_read(tmp_path: Path) -> None:
    """A server that looks at its revocations each second meets none that it cannot read."""
    state = make_folder(tmp_path)
    save_file(state / "hosts.json", b"{}")
    assert (state / "hosts.json").stat().st_uid == NOBODY


def test_nobody_is_acted_for_in_a_folder_of_ones_own(tmp_path: Path) -> None:
    """Root in root's folder, a user in the user's, and where there is no folder yet."""
    assert find_owner(tmp_path) is None
    assert find_owner(tmp_path / "none") is None
    (tmp_path / "file").touch()
    assert find_strangers(tmp_path) == []


def test_parts_on_one_machine_have_folders_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server runs as a user of its own and an agent as root: one folder could not be both's."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    base = "/var/lib" if os.geteuid() == 0 else "/state"
    relay = load_relay_options((), {"netloom.upstream": "server:9697"})
    assert str(load_server_options().state_path) == f"{base}/netloom"
    assert str(load_host_options().state_path) == f"{base}/netloom-agent"
    assert str(relay.state_path) == f"{base}/netloom-relay"
    assert str(load_host_options((), {"state_path": "/srv/x"}).state_path) == "/srv/x"

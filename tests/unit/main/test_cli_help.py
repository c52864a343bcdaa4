"""The command: every help page teaches, and what is wrong is a sentence on stderr with its own status."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from netloom import __version__
from netloom.main.cli import app

runner = CliRunner()


def find_commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = [path]
    for name, sub in getattr(command, "commands", {}).items():
        found += find_commands(sub, (*path, name))
    return found


COMMANDS = find_commands(typer.main.get_command(app))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_of_every_command_shows_how(path: tuple[str, ...]) -> None:
    """--help of any command ends well and has an example, or says what there is."""
    result = runner.invoke(app, [*path, "--help"], env={"COLUMNS": "120"})
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    simple = path in {("version",), ("options",), ("lab", "down"), ("lab", "status"), ("lab", "demo")}
    assert simple or "Example" in result.stdout or "Try" in result.stdout


def test_the_commands_there_are() -> None:
    """The commands that the documentation names exist."""
    names = {" ".join(path) for path in COMMANDS}
    lab = {f"lab {name}" for name in ("up", "boot", "exec", "ping", "status", "down", "demo", "delete")}
    assert lab | {"server", "agent run", "agent join", "agent token", "db upgrade", "version"} <= names


HEAVY = ("sqlalchemy", "oslo_config", "cryptography", "httpx", "uvicorn", "msgspec", "netloom.intent")


@pytest.mark.parametrize("module", ["netloom.main.cli", "netloom.lab.command"])
def test_help_comes_at_once(module: str) -> None:
    """To say what there is, nothing is imported of what the commands need."""
    asked = f"import sys, {module}; print(*(one for one in {HEAVY} if one in sys.modules))"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == []


def test_version() -> None:
    """`netloom version` prints the version and no more."""
    assert runner.invoke(app, ["version"]).stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["server", "--set", "bind_port=x"],
        ["agent", "run", "--set", "ovs.local_ip=x"],
        ["db", "upgrade", "--set", "ml2.path_mtu=x"],
        ["server", "--set", "nonsense"],
        ["server", "--config-file", "/none.conf"],
    ],
)
def test_a_bad_option_is_one_line_and_status_2(arguments: list[str]) -> None:
    """No traceback: the option, its value, what is allowed."""
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("netloom: option ")
    assert result.stderr.count("\n") == 1


def test_options_page_is_printed() -> None:
    """`netloom options` lists them all."""
    assert "| network_vlan_ranges |" in runner.invoke(app, ["options"]).stdout

"""Every network command that the openstack command has, one after the other: openstack_scenario.txt."""

from __future__ import annotations

import json
import re
import shlex
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tests.faults.host import attached
from tests.faults.server import Server
from tests.peer.openstack import COMMAND, OpenStack, Session

pytestmark = pytest.mark.skipif(COMMAND is None, reason="python-openstackclient is not installed: pip install .[dev]")

SCENARIO = Path(__file__).with_name("openstack_scenario.txt")
GROUPS = ("openstack.network.v2", "openstack.network.v2.taas")
OTHERS = {"bgpvpn", "dynamic_routing", "fwaas", "vpnaas"}
"""Groups of commands for service plug-ins that Neutron with ML2 and Open vSwitch does not serve of itself."""
ASKED_FOR_JSON = ("create", "list", "show", "update")


@dataclass(frozen=True)
class Step:
    """One line of the scenario."""

    number: int
    command: str
    checks: tuple[str, ...]

    @property
    def fails(self) -> str:
        return next((check[6:] for check in self.checks if check.startswith("fails=")), "")


def read_steps() -> Iterator[Step]:
    for number, line in enumerate(SCENARIO.read_text().splitlines(), 1):
        if line and not line.startswith("#"):
            command, *checks = line.split(" | ")
            yield Step(number, command, tuple(checks))


def find_commands() -> list[str]:
    """The network commands that are installed: "floating ip create", …"""
    return sorted(point.name.replace("_", " ") for group in GROUPS for point in entry_points(group=group))


def find_command(words: str, commands: Sequence[str]) -> str:
    """The longest command that the words begin with."""
    return max((one for one in commands if f"{words} ".startswith(f"{one} ")), key=len, default="")


def fill(text: str, kept: Mapping[str, str]) -> str:
    """The text with ids for {names}."""
    return re.sub(r"\{(\w+)\}", lambda found: kept[found[1]], text)


def check_answer(step: Step, answer: Any, kept: dict[str, str]) -> None:
    for check in step.checks:
        if check == "none":
            assert answer == [], step
        elif check.startswith("as "):
            first = answer[0] if isinstance(answer, list) else answer
            kept[check[3:]] = first.get("id") or first["ID"]
        else:
            key, _, value = fill(check, kept).partition("=")
            rows = answer if isinstance(answer, list) else [answer]
            assert value in [str(row.get(key)) for row in rows], (step, answer)


def run_step(session: Session, step: Step, kept: dict[str, str], commands: Sequence[str]) -> None:
    words = shlex.split(fill(step.command, kept))
    speaks = find_command(step.command, commands).endswith(ASKED_FOR_JSON) and step.checks and not step.fails
    done = session.run(*words, *(["-f", "json"] if speaks else []))
    assert (done.returncode != 0) == bool(step.fails), (step, done.stdout, done.stderr)
    assert step.fails in done.stderr, (step, done.stderr)
    if speaks:
        check_answer(step, json.loads(done.stdout), kept)


def make_stateless(server: Server, token: str) -> str:
    """A default that the openstack command cannot make; its id."""
    name = "security_groups_default_statefulness"
    headers = {"Content-Type": "application/json", "X-Auth-Token": token}
    body = json.dumps({name: {"stateful": False}}).encode()
    request = urllib.request.Request(f"{server.url}/v2.0/{name.replace('_', '-')}", body, headers, method="POST")
    with urllib.request.urlopen(request, timeout=20) as reply:
        return str(json.loads(reply.read())[name]["id"])


def test_every_network_command_is_in_the_scenario() -> None:
    """None is left out but those of other projects' plug-ins."""
    commands = find_commands()
    used = {find_command(step.command, commands) for step in read_steps()}
    assert set(commands) - used == set()
    groups = {group for group in entry_points().groups if group.startswith(GROUPS[0])}
    assert {group.rpartition(".")[2] for group in groups.difference(GROUPS)} <= OTHERS


def test_every_network_command_works(tmp_path: Path) -> None:
    """Each makes, shows, lists, changes and deletes what its name says, and the openstack command is content."""
    server = Server(tmp_path, auth="builtin")
    server.start()
    commands = [*find_commands(), *(f"{one} {verb}" for one in ("extension", "quota") for verb in ("list", "show"))]
    commands.append("availability zone list")
    try:
        openstack = OpenStack(tmp_path)
        kept = {one["Name"]: one["ID"] for one in openstack.admin("project", "list", "-f", "json")}
        kept["stateless"] = make_stateless(server, openstack.admin("token", "issue", "-f", "json")["id"])
        with attached(server, "h1"), openstack.session("netloom") as session:
            for step in read_steps():
                run_step(session, step, kept, commands)
    finally:
        server.stop()

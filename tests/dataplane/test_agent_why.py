"""`netloom agent why` beside a real agent: each thing that the host has is told with what it is there for."""

from __future__ import annotations

import subprocess

import pytest

from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.rig import NETLOOM, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned

pytestmark = pytest.mark.dataplane


def ask_why(rig: Rig, text: str) -> list[str]:
    """What the command says on that host, line by line."""
    command = ["nsenter", f"--net=/run/netns/{rig.host.netns}", *NETLOOM, "agent", "why", text, *rig.options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def boot_one(rig: Rig) -> str:
    """The id of a port that is up on the host, whose agent has nothing left to do."""
    (port,) = rig.make_ports(rig.make_network("n0", "10.0.0.0/24"), 1)
    rig.plug([rig.boot(port, 0)])
    wait_active(rig)
    wait_planned(rig)
    return str(port["id"])


@pytest.fixture(autouse=True)
def _machine() -> None:
    if reason := why_not():
        pytest.skip(reason)


def test_all_flows_of_the_switch_are_told_and_no_other() -> None:
    """As many as ovs-ofctl shows, with the agent stopped too; those of a port name it and the revision."""
    with make_rig() as rig:
        rig.start_agent()
        port = boot_one(rig)
        rig.stop_agent()
        told = [line for line in ask_why(rig, "table=") if line.startswith(("br-int table=", "br-tun table="))]
        assert len(told) == len(rig.dump_flows())
        own = ask_why(rig, f"port/{port}")
        assert any(line.startswith("br-int table=") for line in own) and all("at revision" in line for line in own)
        assert ask_why(rig, "192.0.2.77") == [f"nothing that is wanted on host {rig.name} has 192.0.2.77 in it"]


def test_so_are_devices_and_rules_of_linux_bridges() -> None:
    """The tap's place in its bridge and its guard are there for the port's sake."""
    with make_bridge_rig() as rig:
        rig.start_agent()
        port = boot_one(rig)
        told = ask_why(rig, f"tap{port[:11]}")
        assert any(line.startswith(f"bridge_port tap{port[:11]}: port/{port}") for line in told)
        assert any(line.startswith("filter_way bridge guards") and f"port/{port}" in line for line in told)

"""What the agent notices of its switch between two looks of the slow clock, which is a minute apart: that it no longer
answers, and that somebody changed flows by hand."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.wire import Pinging, await_ping, open_socket

pytestmark = pytest.mark.dataplane

Pair = tuple[Rig, Instance, Instance]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig:
        rig.start_agent()
        rig.wait_log("following")
        network = rig.make_network("red", "10.1.0.0/24")
        ports = rig.make_ports(network, 2, port_security_enabled=False)
        one, other = (rig.boot(port, number) for number, port in enumerate(ports, 1))
        rig.plug([one, other])
        wait_active(rig)
        yield rig, one, other


def test_a_switch_that_stopped_answering_is_reported(pair: Pair) -> None:
    """Its ports are DOWN until it answers again; then they are ACTIVE, and nothing was written for it."""
    rig, one, other = pair
    pid = int((rig.host.rundir / "ovs-vswitchd.pid").read_text())
    said, flows = len(rig.read_log()), sorted(flow.split("actions=")[1] for flow in rig.dump_flows())
    os.kill(pid, signal.SIGSTOP)
    try:
        rig.wait_log("ovs-vswitchd has not answered for 5 s", said)  # the slow clock would find it within sixty
        wait_until(lambda: all(port["status"] == "DOWN" for port in rig.list_ports()))
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_active(rig)
    assert sorted(flow.split("actions=")[1] for flow in rig.dump_flows()) == flows
    assert " ops" not in rig.read_log(said)
    with open_socket(one.netns, one.device) as wire:
        await_ping(wire, one, other)


@pytest.mark.parametrize(
    "command",
    [
        ("del-flows", "br-int"),
        ("--strict", "del-flows", "br-int", "table=64,priority=0"),
        ("mod-flows", "br-int", "table=80,actions=drop"),
        ("add-flow", "br-int", "cookie=0x4e4c000000000001,table=0,priority=999,actions=drop"),
    ],
    ids=["all-deleted", "nothing-deleted", "overwritten", "one-too-many"],
)
def test_what_somebody_changed_by_hand_is_put_right_at_once(pair: Pair, command: tuple[str, ...]) -> None:
    """Not a minute later; and one's own changes are not taken for somebody's."""
    rig, one, other = pair
    wanted, said = sorted(map(strip, rig.dump_flows())), len(rig.read_log())
    rig.host.ofctl(*command)
    if command[0] != "--strict":
        rig.wait_log(r"drift healed: \d+ ops, 0 refused", said)
    wait_until(lambda: sorted(map(strip, rig.dump_flows())) == wanted)
    with open_socket(one.netns, one.device) as wire:
        await_ping(wire, one, other)
    wait_planned(rig)
    assert rig.read_log(said).count("drift healed") == (command[0] != "--strict")


def test_healing_costs_those_who_ping_nothing(pair: Pair) -> None:
    """Flows of one port are deleted by hand: others lose no packet, neither by that nor by the healing."""
    rig, one, other = pair
    (third,) = rig.make_ports(rig.networks["red"], 1, port_security_enabled=False)
    plugged = rig.boot(third, 3)
    rig.plug([plugged])
    wait_active(rig)
    number = rig.host.vsctl("get", "interface", plugged.tap, "ofport")
    said, pinging = len(rig.read_log()), Pinging(one, other.address)
    rig.host.ofctl("del-flows", "br-int", f"table=0,in_port={number}")
    rig.wait_log("drift healed: ", said)
    with open_socket(plugged.netns, plugged.device) as wire:
        await_ping(wire, plugged, other)
    assert pinging.stop()[1] == []


def strip(flow: str) -> str:
    """A dumped flow without its counters and its age."""
    words = [word for word in flow.replace(",", " ").split() if not word.startswith(("duration=", "n_", "idle_age="))]
    return " ".join(words)

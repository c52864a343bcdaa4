"""A daemon of the switch dies, or the agent does in the middle of its work: what continues, and what is right again."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import fill, wait_active, wait_planned, wait_quiet
from tests.dataplane.wire import Pinging, await_ping, open_socket

pytestmark = pytest.mark.dataplane

PORTS = 60
Filled = tuple[Rig, list[Instance]]


@pytest.fixture(scope="module")
def filled() -> Iterator[Filled]:
    """A host with sixty ports on six networks; the first two are instances that can ping."""
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig:
        yield rig, fill(rig, PORTS, 6)


def test_a_killed_switch_is_full_again_as_soon_as_it_is_back(filled: Filled) -> None:
    """vswitchd is killed and has no flows: what it had is there when it is ready, and pings go on."""
    rig, (a, b) = filled
    flows = len(rig.dump_flows())
    assert flows > PORTS * 10
    with open_socket(a.netns, a.device) as wire:
        await_ping(wire, a, b)
        rig.host.stop("ovs-vswitchd")
        rig.host.start_switch()  # returns when it has opened its ports, which takes it some 13 ms each
        began = time.perf_counter()
        print(f"{await_ping(wire, a, b) - began:.2f} s until the first ping")
    wait_until(lambda: len(rig.dump_flows()) == flows)
    wait_active(rig)
    wait_planned(rig)


def test_a_killed_database_is_not_noticed_by_those_who_ping(filled: Filled) -> None:
    """ovsdb-server is killed and started: no ping is lost, nothing is sent for it, and the next port is wired."""
    rig, (a, b) = filled
    wait_quiet(rig)
    said, pinging = len(rig.read_log()), Pinging(a, b.address)
    rig.host.stop("ovsdb-server")
    rig.wait_log("lost the OVSDB server", said)
    rig.host.start_database()
    rig.wait_log("following the OVSDB server", said)
    wait_planned(rig)
    assert " ops" not in rig.read_log(said)
    (port,) = rig.make_ports(rig.networks["n0"], 1)
    one = rig.boot(port, 900)
    rig.plug([one])
    with open_socket(one.netns, one.device) as wire:
        await_ping(wire, one, b)
    assert pinging.stop()[1] == []
    wait_active(rig)
    wait_planned(rig)


def test_an_agent_killed_at_any_moment_of_wiring_leaves_nothing_undone(filled: Filled) -> None:
    """Ten times ports come and go and the agent dies somewhere between: the next one ends where it should."""
    rig, (a, b) = filled
    dice, crowd, pinging = random.Random(5), rig.make_space("late"), Pinging(a, b.address)
    for round in range(10):
        said = len(rig.read_log())
        ports = rig.make_ports(rig.networks[f"n{1 + round % 5}"], 6)
        rig.plug(rig.cable(ports, crowd, 2000 + round * 10))
        if round % 2:
            rig.ask("DELETE", f"ports/{ports[0]['id']}")
        time.sleep(dice.uniform(0, 0.08))  # whatever the agent is doing then
        rig.stop_agent(signal.SIGKILL)
        rig.start_agent()
        rig.wait_log("ports wired, 0 wait", said)
    assert pinging.stop()[1] == []
    wait_active(rig)
    wait_planned(rig)

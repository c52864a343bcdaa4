"""An agent of two hundred ports is started anew on a real switch: nothing is sent, and no ping is lost."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import start_host, stop_host
from tests.dataplane.relay import Relay, run_relay
from tests.dataplane.rig import Instance, Rig, make_rig, read_duration
from tests.dataplane.settled import fill, wait_quiet
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane

PORTS = 200
Full = tuple[Rig, Relay, list[Instance]]


@pytest.fixture(scope="module")
def full() -> Iterator[Full]:
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="nl-"))
    host = start_host(f"nlt-{folder.name[3:]}", folder)
    try:
        with run_relay(folder) as relay, make_rig(relay.rundir, host) as rig:
            yield rig, relay, fill(rig, PORTS)
    finally:
        stop_host(host)
        shutil.rmtree(folder)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_a_restart_with_two_hundred_ports_sends_no_flow_and_loses_no_ping(full: Full, how: signal.Signals) -> None:
    """Counted on the wire: the new agent asks what is there and changes nothing, while pings go on every 10 ms."""
    rig, relay, (a, b) = full
    wait_quiet(rig)
    flows = rig.dump_flows()
    assert len(flows) > PORTS * 10
    began = time.monotonic()
    pinging = Pinging(a, b.address)
    pinging.wait_more()
    relay.said.clear()
    rig.stop_agent(how)
    said = len(rig.read_log())
    rig.start_agent()
    rig.wait_log(f"{PORTS} ports wired, 0 wait", said)
    pinging.wait_more()
    replies, lost = pinging.stop()
    assert (relay.changes, lost) == ({}, [])
    asked = {name: relay.said[name] for name in ("flows", "meters")}
    assert asked == dict.fromkeys(asked, 2) and replies >= 20  # of each of two bridges, once
    assert " ops" not in rig.read_log(said)
    elapsed = time.monotonic() - began
    after = rig.dump_flows()
    assert len(after) == len(flows) and min(map(read_duration, after)) >= elapsed, "a flow was sent anew"

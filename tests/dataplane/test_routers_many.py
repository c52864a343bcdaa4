"""Two hundred routers on one host: a restart of the agent sends nothing and loses no packet."""

from __future__ import annotations

import signal

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, wait_ping
from tests.dataplane.settled import wait_quiet
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane

ROUTERS = 200


def is_level(cloud: Cloud) -> bool:
    found = cloud.api.list_ports(fields="status", device_owner="network:router_gateway")
    return len(found) == ROUTERS and all(port["status"] == "ACTIVE" for port in found)


def test_two_hundred_routers_and_a_restart() -> None:
    """All with the same addresses inside; the agent is killed while one of them translates pings every 10 ms."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(1) as cloud:
        external, rig = cloud.make_external(), cloud.hosts["h1"]
        networks = [cloud.make_plain_network(f"n{number}") for number in range(ROUTERS)]
        for network in networks:
            cloud.make_router(cloud.make_subnet(network, "10.1.0.0/24"), external=external)
        wait_until(lambda: is_level(cloud), 180)
        one = cloud.boot("h1", networks[0], "10.1.0.1")
        wait_ping(one.netns, OUTSIDE)
        wait_quiet(rig)
        pinging = Pinging(one, OUTSIDE)
        pinging.wait_more()
        rig.stop_agent(signal.SIGKILL)
        said = len(rig.read_log())
        rig.start_agent()
        rig.wait_log("ports wired, 0 wait", said, 120)
        pinging.wait_more()
        replies, lost = pinging.stop()
        assert lost == [] and replies >= 20
        assert " ops" not in rig.read_log(said)

"""What dies under distributed routers, in the middle of traffic, and what that costs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.distributed_kit import (
    count_watched,
    find_gateway,
    make_tenant,
    measure_outage,
)
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, wait_ping
from tests.dataplane.settled import wait_quiet
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane
FAILOVER_S = 5.0
"""The longest time without an answer while another host takes over: some 0.3 s, on a machine that has time."""


def test_what_dies_takes_no_routing_with_it(cloud: Cloud) -> None:
    """A killed agent costs nothing, and sends nothing when it comes back; a killed switch is filled again."""
    external = cloud.make_external()
    _, networks = make_tenant(cloud, external)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    floating = cloud.associate(external, c.id)["floating_ip_address"]
    wait_ping(cloud.outside, floating)
    wait_ping(a.netns, c.address)
    h2 = cloud.hosts["h2"]
    wait_quiet(h2)
    east = Pinging(a, c.address)
    east.wait_more()
    flows = h2.dump_flows()
    h2.stop_agent(signal.SIGKILL)
    wait_ping(cloud.outside, floating)
    since = len(h2.read_log())
    h2.start_agent()
    h2.wait_log("ports wired, 0 wait", since)
    east.wait_more()
    replies, lost = east.stop()
    assert replies > 20
    assert not lost
    assert " ops, " not in h2.read_log(since), "nothing was sent"
    assert {cut_counters(flow) for flow in flows} == {cut_counters(flow) for flow in h2.dump_flows()}
    h2.host.stop("ovs-vswitchd")
    h2.host.start_switch()
    begin = time.perf_counter()
    wait_ping(a.netns, c.address)
    wait_ping(cloud.outside, floating)
    print(f"switch back to routed and translated: {time.perf_counter() - begin:.2f} s")


def cut_counters(flow: str) -> str:
    return re.sub(r"(duration|n_packets|n_bytes|idle_age)=[^,]+, ", "", flow)


def test_another_host_hides_addresses_when_the_first_is_lost() -> None:
    """BFD on the tunnels finds out, and what goes out goes on, new and old; the API says who is active. Then a host is
    lost whole: switch, agent and wires at once."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(3) as cloud:
        external = cloud.make_external()
        red = cloud.make_plain_network("red")
        subnet = cloud.make_subnet(red, "10.1.0.0/24")
        router = cloud.make_router(subnet, external=external, distributed=True, ha=True)
        _, first = find_gateway(cloud, router)
        one = cloud.boot(next(name for name in cloud.hosts if name != first), red, "10.1.0.1")
        wait_ping(one.netns, OUTSIDE)
        for rig in cloud.hosts.values():
            wait_until(lambda rig=rig: count_watched(rig) == 2)  # type: ignore[misc]
        wait_until(lambda: find_active(cloud, router) == [first])
        away = cloud.hosts[first].host

        def others_are_active() -> bool:
            return bool(set(find_active(cloud, router)) - {first})

        print(f"without a loss: {measure_outage(one, lambda: None):.2f} s")
        with Session(one.netns, cloud.outside, OUTSIDE) as session:
            session.wait_answers(3)
            lost_s = measure_outage(one, lambda: away.stop("ovs-vswitchd"), others_are_active)
            print(f"the switch of the first host is lost: {lost_s:.2f} s")
            assert lost_s < FAILOVER_S
            session.wait_answers(3)
            lost_s = measure_outage(one, away.start_switch, lambda: find_active(cloud, router) == [first])
            print(f"and back: {lost_s:.2f} s")
            assert lost_s < FAILOVER_S
            session.wait_answers(3)
            lost_s = measure_outage(one, lambda: kill_host(cloud, first), others_are_active)
            print(f"the first host is lost whole: {lost_s:.2f} s")
            assert lost_s < FAILOVER_S
            session.wait_answers(3)
            print(f"an open connection waited at most {session.longest_s:.2f} s")


def find_active(cloud: Cloud, router: str) -> list[str]:
    """As `openstack network agent list --router --long` shows them; the others are standby."""
    agents = cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]
    assert len(agents) == 3
    assert {agent["ha_state"] for agent in agents} <= {"active", "standby"}
    return [agent["host"] for agent in agents if agent["ha_state"] == "active"]


def kill_host(cloud: Cloud, name: str) -> None:
    """Its processes without a word, and its wires with them."""
    rig, number = cloud.hosts[name], name.removeprefix("h")
    rig.host.stop("ovs-vswitchd")
    if rig.agent is not None:
        rig.agent.send_signal(signal.SIGKILL)
    for wire in (f"w{number}", f"p{number}"):
        run("ip", "-n", cloud.underlay, "link", "set", wire, "down")


class Session:
    """A TCP connection by which a client asks all the time, and is answered."""

    def __init__(self, client: str, server: str, address: str) -> None:
        inside = ("ip", "netns", "exec")
        self._serve = subprocess.Popen([*inside, server, sys.executable, "-c", ECHO], stdout=subprocess.PIPE)
        assert self._serve.stdout is not None
        self._serve.stdout.readline()
        command = [*inside, client, sys.executable, "-c", ASK, address]
        self._ask = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._last, self.longest_s = time.monotonic(), 0.0

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self._ask, self._serve):
            process.kill()
            process.communicate()

    def wait_answers(self, count: int) -> None:
        """Until so many more came of questions that were asked from now on; fails when the connection ends."""
        assert self._ask.stdout is not None
        begin, got = time.time(), 0
        while got < count:
            words = self._ask.stdout.readline().split()
            assert words, "the connection ended"
            asked_s, answered_s = map(float, words)
            got += asked_s > begin
            self.longest_s = max(self.longest_s, answered_s - asked_s)


ECHO = """
import socket
s = socket.create_server(("", 7778))
print("ready", flush=True)
c, _ = s.accept()
while data := c.recv(100):
    c.sendall(data)
"""
ASK = """
import socket, sys, time
c = socket.create_connection((sys.argv[1], 7778), 30)
while True:
    asked = time.time()
    c.sendall(b"?")
    if not c.recv(1):
        break
    print(asked, time.time(), flush=True)
    time.sleep(0.05)
"""

"""Routers with copies on real hosts, with the real keepalived: what it costs when the active copy goes."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Pinging
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, wait_ping

pytestmark = pytest.mark.dataplane

Set = tuple[Cloud, str, Instance, str]
MOST_LOST = 100
"""Pings of ten milliseconds: a second."""


@pytest.fixture(scope="module")
def ha() -> Iterator[Set]:
    """Three hosts, a router on all of them, an instance on h3 with a floating IP."""
    if reason := why_not():
        pytest.skip(reason)
    if not shutil.which("keepalived"):
        pytest.skip("there is no keepalived on this machine")
    with make_cloud(3) as cloud:
        external = cloud.make_external()
        network = cloud.make_plain_network("blue")
        subnet = cloud.make_subnet(network, "10.1.0.0/24")
        router = cloud.make_router(subnet, external=external, ha=True, project_id="acme")
        one = cloud.boot("h3", network, "10.1.0.1")
        address = cloud.associate(external, one.id)["floating_ip_address"]
        wait_ping(cloud.outside, address)
        yield cloud, router, one, address


def read_states(cloud: Cloud, router: str) -> dict[str, str]:
    agents = cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]
    return {agent["host"]: agent["ha_state"] for agent in agents}


def find_active(cloud: Cloud, router: str) -> str:
    """The one host whose copy is active, once there is just one."""

    def single() -> bool:
        return sorted(read_states(cloud, router).values()) == ["active", "standby", "standby"]

    wait_until(single, 20)
    cloud.wait_router(router)
    return next(host for host, state in read_states(cloud, router).items() if state == "active")


def find_addressed(cloud: Cloud, router: str) -> list[str]:
    """The hosts whose copy has the router's addresses: the truth, whatever anybody says."""
    found = []
    for name, rig in cloud.hosts.items():
        shown = run("nsenter", f"--net={rig.host.rundir}/netns/qrouter-{router}", "ip", "-br", "addr")
        found += [name] if "10.1.0.1/24" in shown else []
    return found


def kill_keeper(cloud: Cloud, host: str) -> None:
    for file in (cloud.hosts[host].folder / host / "keepers").glob("*/*.pid"):
        os.kill(int(file.read_text()), signal.SIGKILL)


def test_three_copies_one_active(ha: Set) -> None:
    """The API says which, its ports are bound there, and no other copy has an address."""
    cloud, router, _, _ = ha
    active = find_active(cloud, router)
    wait_until(lambda: find_addressed(cloud, router) == [active])
    owners = {port["device_owner"]: port["binding:host_id"] for port in cloud.api.list_ports(device_id=router)}
    assert owners["network:ha_router_replicated_interface"] == owners["network:router_gateway"] == active
    assert [rig.plan_anew() for rig in cloud.hosts.values()] == [(), (), ()]


def test_the_agent_of_the_active_copy_is_killed(ha: Set) -> None:
    """Nothing is lost: what forwards does not need it, and its copy stays the active one."""
    cloud, router, one, _ = ha
    active = find_active(cloud, router)
    rig, said = cloud.hosts[active], len(cloud.hosts[active].read_log())
    pinging = Pinging(one, OUTSIDE)
    rig.stop_agent(signal.SIGKILL)
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", said)
    replies, lost = pinging.stop()
    assert lost == [] and replies > 20
    assert find_active(cloud, router) == active and " ops" not in rig.read_log(said)


def test_the_keeper_of_the_active_copy_is_killed(ha: Set) -> None:
    """Another copy takes over within the second, in both directions, and the one that was lost comes back behind it."""
    cloud, router, one, address = ha
    active = find_active(cloud, router)
    outward = Pinging(one, OUTSIDE)
    inward = Pinging(Instance("", "", cloud.outside, "eth0", "", OUTSIDE), address)
    time.sleep(0.3)
    kill_keeper(cloud, active)
    wait_until(lambda: active not in (found := find_addressed(cloud, router)) and len(found) == 1, 15)
    time.sleep(1)
    (_, lost), (_, missed) = outward.stop(), inward.stop()
    print(f"lost {len(lost) * 10} ms outward, {len(missed) * 10} ms inward")
    assert len(lost) < MOST_LOST and len(missed) < MOST_LOST
    assert find_active(cloud, router) != active


def test_the_host_of_the_active_copy_is_gone(ha: Set) -> None:
    """Agent, switch and keeper at once: another host takes over within the second."""
    cloud, router, one, _ = ha
    active = find_active(cloud, router)
    if active == "h3":  # the instance is there, and would go with it
        kill_keeper(cloud, active)
        wait_until(lambda: find_active(cloud, router) != "h3", 20)
        active = find_active(cloud, router)
    rig = cloud.hosts[active]
    pinging = Pinging(one, OUTSIDE)
    time.sleep(0.3)
    rig.stop_agent(signal.SIGKILL)
    kill_keeper(cloud, active)
    rig.host.stop("ovs-vswitchd")
    time.sleep(2.5)
    _, lost = pinging.stop()
    print(f"lost {len(lost) * 10} ms")
    assert len(lost) < MOST_LOST
    rig.host.start_switch()
    rig.start_agent()
    assert find_active(cloud, router) != active
    wait_until(lambda: len(find_addressed(cloud, router)) == 1, 15)


def test_a_partition_heals(ha: Set) -> None:
    """Cut off from each other two copies are active; as soon as they hear each other again it is one."""
    cloud, router, one, _ = ha
    active = find_active(cloud, router)
    wire = f"w{active[1:]}"
    run("ip", "-n", cloud.underlay, "link", "set", wire, "down")
    wait_until(lambda: len(find_addressed(cloud, router)) == 2, 15)
    run("ip", "-n", cloud.underlay, "link", "set", wire, "up")
    began = time.monotonic()
    wait_until(lambda: len(find_addressed(cloud, router)) == 1, 15)
    print(f"one active {time.monotonic() - began:.2f} s after the wire came back")
    assert find_active(cloud, router) in find_addressed(cloud, router)
    wait_ping(one.netns, OUTSIDE)

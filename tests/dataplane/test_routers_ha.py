"""Routers with copies on real hosts, with the real keepalived: what it costs when the active copy goes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.distributed_kit import listen
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, pings, wait_ping
from tests.dataplane.settled import wait_planned, wait_quiet
from tests.dataplane.wire import PING_S, Pinging

pytestmark = pytest.mark.dataplane

Set = tuple[Cloud, str, Instance, str]
FAILOVER_S = 5.0
"""What is lost while another copy takes over: some 0.4 s, on a machine that has time."""


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
    """The one host whose copy is active, once it alone has addresses and the API says so."""
    found: list[str] = []

    def single() -> bool:
        found[:] = find_addressed(cloud, router)
        states = read_states(cloud, router)
        return len(found) == 1 and states == {host: "active" if host in found else "standby" for host in cloud.hosts}

    wait_until(single)
    cloud.wait_router(router)
    return found[0]


def find_active_elsewhere(cloud: Cloud, router: str) -> str:
    """The same, on another host than the instance's, which would go with it."""
    if find_active(cloud, router) == "h3":
        kill_keeper(cloud, "h3")
        wait_until(lambda: find_active(cloud, router) != "h3")
    return find_active(cloud, router)


def find_addressed(cloud: Cloud, router: str) -> list[str]:
    """The hosts whose copy has the router's addresses: the truth, whatever anybody says."""
    found = []
    for name, rig in cloud.hosts.items():
        shown = run("nsenter", f"--net={rig.host.rundir}/netns/qrouter-{router}", "ip", "-br", "addr", check=False)
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

    def are_there() -> bool:
        owners = {port["device_owner"]: port["binding:host_id"] for port in cloud.api.list_ports(device_id=router)}
        return bool(owners["network:ha_router_replicated_interface"] == owners["network:router_gateway"] == active)

    wait_until(are_there)
    wait_planned(*cloud.hosts.values())


def test_the_agent_of_the_active_copy_is_killed(ha: Set) -> None:
    """Nothing is lost: what forwards does not need it, and its copy stays the active one."""
    cloud, router, one, _ = ha
    active = find_active(cloud, router)
    rig = cloud.hosts[active]
    wait_quiet(rig)
    pinging = Pinging(one, OUTSIDE)
    pinging.wait_more()
    rig.stop_agent(signal.SIGKILL)
    said = len(rig.read_log())
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", said)
    pinging.wait_more()
    replies, lost = pinging.stop()
    assert lost == [] and replies > 20
    assert find_active(cloud, router) == active and " ops" not in rig.read_log(said)


def test_the_keeper_of_the_active_copy_is_killed(ha: Set) -> None:
    """Another copy takes over, in both directions, and the one that was lost comes back behind it."""
    cloud, router, one, address = ha
    active = find_active(cloud, router)
    outward = Pinging(one, OUTSIDE)
    inward = Pinging(Instance("", "", cloud.outside, "eth0", "", OUTSIDE), address)
    for pinging in (outward, inward):
        pinging.wait_more()
    kill_keeper(cloud, active)
    wait_until(lambda: active not in (found := find_addressed(cloud, router)) and len(found) == 1)
    for pinging in (outward, inward):
        pinging.wait_more(50)
    check_lost(outward, inward)
    wait_until(lambda: find_active(cloud, router) != active)


def check_lost(*pinging: Pinging) -> None:
    """What each lost while others took over is not much."""
    lost_s = [len(ping.stop()[1]) * PING_S for ping in pinging]
    print(f"seconds lost: {lost_s}")
    assert max(lost_s) < FAILOVER_S


def test_the_host_of_the_active_copy_is_gone(ha: Set) -> None:
    """Agent, switch and keeper at once: another host takes over."""
    cloud, router, one, _ = ha
    active = find_active_elsewhere(cloud, router)
    rig = cloud.hosts[active]
    pinging = Pinging(one, OUTSIDE)
    pinging.wait_more()
    rig.stop_agent(signal.SIGKILL)
    kill_keeper(cloud, active)
    rig.host.stop("ovs-vswitchd")
    time.sleep(0.1)  # what is under way
    pinging.wait_more(50)
    check_lost(pinging)
    rig.host.start_switch()
    rig.start_agent()
    wait_until(lambda: find_active(cloud, router) != active)
    wait_until(lambda: len(find_addressed(cloud, router)) == 1)


def test_what_is_of_others_does_not_arrive(ha: Set) -> None:
    """Another tenant's network behind copies of its own: both go out, and neither meets the other but by a
    floating IP."""
    cloud, router, one, address = ha
    network = cloud.make_plain_network("green")
    subnet = cloud.make_subnet(network, "10.3.0.0/24")
    other = cloud.make_router(subnet, external=cloud.api.networks["outside"], ha=True, project_id="other")
    stranger = cloud.boot("h2", network, "10.3.0.1")
    wait_ping(stranger.netns, OUTSIDE)
    wait_ping(stranger.netns, address)  # what was given to the world is there for anybody
    with listen(stranger.netns, stranger.device) as heard, listen(one.netns, one.device) as heard_too:
        assert not pings(one.netns, stranger.address)
        assert not pings(stranger.netns, one.address)
        assert {source for source, to in heard() if to == stranger.address} <= {OUTSIDE, address}
        assert not [source for source, _ in heard_too() if source == stranger.address]
    find_active(cloud, router)
    cloud.api.ask("PUT", f"routers/{other}/remove_router_interface", {"subnet_id": subnet})
    cloud.api.ask("DELETE", f"routers/{other}")
    wait_planned(*cloud.hosts.values())


@pytest.mark.parametrize("late", [False, True], ids=["at_once", "late"])
def test_the_switch_of_the_active_copy_is_killed(ha: Set, late: bool) -> None:
    """And started anew, at once or when another host has taken over: one copy stays, and both directions go on."""
    cloud, router, one, address = ha
    host = cloud.hosts[find_active_elsewhere(cloud, router)].host
    outward = Pinging(one, OUTSIDE)
    inward = Pinging(Instance("", "", cloud.outside, "eth0", "", OUTSIDE), address)
    for pinging in (outward, inward):
        pinging.wait_more()
    host.stop("ovs-vswitchd")
    if late:
        wait_until(lambda: len(find_addressed(cloud, router)) > 1)
    host.start_switch()
    for pinging in (outward, inward):
        pinging.wait_more(200)
    check_lost(outward, inward)
    find_active(cloud, router)
    wait_ping(one.netns, OUTSIDE)
    wait_ping(cloud.outside, address)


def test_a_partition_heals(ha: Set) -> None:
    """Cut off from each other two copies are active; as soon as they hear each other again it is one."""
    cloud, router, one, _ = ha
    active = find_active(cloud, router)
    wire = f"w{active[1:]}"
    run("ip", "-n", cloud.underlay, "link", "set", wire, "down")
    wait_until(lambda: len(find_addressed(cloud, router)) == 2)
    run("ip", "-n", cloud.underlay, "link", "set", wire, "up")
    began = time.monotonic()
    wait_until(lambda: len(find_addressed(cloud, router)) == 1)
    print(f"one active {time.monotonic() - began:.2f} s after the wire came back")
    find_active(cloud, router)
    wait_ping(one.netns, OUTSIDE)


TALK = (
    "import socket, sys\n"
    "wire = socket.socket(); wire.settimeout(40); wire.bind(('', 40000)); wire.connect((sys.argv[1], 8080))\n"
    "for line in sys.stdin: wire.sendall(line.encode()); print(wire.recv(99).decode().strip(), flush=True)\n"
)
ECHO = (
    "import socket, threading\n"
    "def serve(wire):\n"
    " while data := wire.recv(99): wire.sendall(data)\n"
    "with socket.create_server(('', 8080)) as server:\n"
    " print('ready', flush=True)\n"
    " while True: threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()\n"
)


@contextmanager
def run_program(netns: str, code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = ["ip", "netns", "exec", netns, "python3", "-c", code, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def say(process: subprocess.Popen[str], words: str) -> str:
    """What the other end answers."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{words}\n")
    process.stdin.flush()
    return process.stdout.readline().strip()


def start_sharing(cloud: Cloud) -> None:
    """Each agent anew, told that copies share connections."""
    for rig in cloud.hosts.values():
        rig.extra["ha_conntrackd_enabled"] = "true"
        rig.stop_agent()
        rig.start_agent()
    for name, rig in cloud.hosts.items():
        wait_until(partial(any_socket, rig.folder / name / "keepers"))


def any_socket(keepers: Path) -> bool:
    return any(keepers.glob("*/sync.ctl"))


def count_told(cloud: Cloud, router: str, host: str) -> int:
    """Connections to the server outside that a copy was told of by others."""
    config = cloud.hosts[host].folder / host / "keepers" / f"qrouter-{router}" / "sync.conf"
    return run("conntrackd", "-C", str(config), "-e").count("dport=8080")


def count_tracked(cloud: Cloud, router: str, host: str) -> int:
    """Connections to the server outside that a host's kernel knows."""
    space = f"{cloud.hosts[host].host.rundir}/netns/qrouter-{router}"
    return run("nsenter", f"--net={space}", "conntrack", "-L", "-p", "tcp").count("dport=8080")


def knows_both(cloud: Cloud, router: str) -> bool:
    """Whether one copy has the addresses, and both connections in its kernel."""
    found = find_addressed(cloud, router)
    return len(found) == 1 and count_tracked(cloud, router, found[0]) >= 2


def test_connections_outlive_the_active_copy(ha: Set) -> None:
    """Two connections from the same port inside, of which one has another outside, as only the active copy knew: with
    ha_conntrackd_enabled both go on by the next one."""
    if not shutil.which("conntrackd"):
        pytest.skip("there is no conntrackd on this machine")
    cloud, router, one, _ = ha
    start_sharing(cloud)
    network = cloud.api.ask("GET", f"ports/{one.id}")["port"]["network_id"]
    first, second = (cloud.boot("h3", network, "10.1.0.1") for _ in range(2))
    wait_until(lambda: find_addressed(cloud, router) == [find_active(cloud, router)])
    active = find_active(cloud, router)
    others = [host for host in cloud.hosts if host != active]
    with run_program(cloud.outside, ECHO) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        with run_program(first.netns, TALK, OUTSIDE) as plain:
            assert say(plain, "one") == "one"
            with run_program(second.netns, TALK, OUTSIDE) as moved:
                assert say(moved, "two") == "two"
                wait_until(lambda: all(count_told(cloud, router, host) >= 2 for host in others), 60)
                kill_keeper(cloud, active)
                wait_until(lambda: active not in find_addressed(cloud, router))
                wait_until(lambda: knows_both(cloud, router))
                assert (say(moved, "three"), say(plain, "four")) == ("three", "four")
    find_active(cloud, router)
    wait_planned(*cloud.hosts.values())

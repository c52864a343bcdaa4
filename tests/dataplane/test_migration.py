"""An instance that moves: its port has a second binding, and what is lost when that is activated is counted."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import Cloud, make_cloud, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.wire import Pinging

pytestmark = pytest.mark.dataplane
EVERY_S = 0.005
LOST_S, WORST_S = 0.1, 2.0
"""What a move may lose: the best of a few each way, and any."""
TURNS = 3


def answer_pings(one: Instance, answers: bool) -> None:
    """An instance that is paused on one host, or runs on the other."""
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv4.icmp_echo_ignore_all={int(not answers)}")


def expect(cloud: Cloud, port: dict[str, Any], host: str, number: int) -> Instance:
    """The second binding, and the device that is plugged there before the instance arrives."""
    bind_too(cloud, port, host)
    there = cloud.hosts[host].boot(port, number)
    answer_pings(there, False)
    cloud.hosts[host].plug([there])
    wait_delivered(cloud.hosts[host], there)
    return there


def bind_too(cloud: Cloud, port: dict[str, Any], host: str) -> None:
    bound = cloud.api.ask("POST", f"ports/{port['id']}/bindings", {"binding": {"host": host}})["binding"]
    assert (bound["status"], bound["vif_type"]) == ("INACTIVE", "ovs")


def wait_delivered(rig: Rig, one: Instance) -> None:
    """Until what is for the instance goes to its device here."""
    ofport = int(rig.host.vsctl("get", "interface", one.tap, "ofport"))
    wait_until(lambda: f"reg2=0x{ofport:x}" in rig.host.ofctl("dump-flows", "br-int", "table=80"))


def find_tunnels(rig: Rig, mac: str) -> list[str]:
    """The tunnel addresses that what is for the MAC goes to by tunnel."""
    flows = rig.host.ofctl("dump-flows", "br-tun", "table=24").splitlines()
    found = [flow for flow in flows if f"dl_dst={mac}" in flow]
    return sorted(part.split("->")[0] for flow in found for part in flow.split("set_field:") if "->tun_dst" in part)


def test_little_is_lost_when_an_instance_moves(capsys: pytest.CaptureFixture[str]) -> None:
    """Pinged 200 times a second from both hosts, from before the move until after it, and back again: what is lost is
    less than 100 ms each way. A machine that stands still meanwhile gets three turns."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as cloud:
        network = cloud.api.make_network("red", "10.1.0.0/24")
        peers = [cloud.boot(host, network, "") for host in ("h1", "h2")]
        (port,) = cloud.api.make_ports(network, 1, port_security_enabled=False, device_owner="compute:nova")
        here = cloud.api.boot(port, 10)
        cloud.api.plug([here])
        wait_until(lambda: cloud.api.ask("GET", f"ports/{port['id']}")["port"]["status"] == "ACTIVE")
        for peer in peers:
            wait_ping(peer.netns, here.address)
        there = expect(cloud, port, "h2", 11)
        lost_s: dict[str, list[float]] = {"h2": [], "h1": []}
        for _ in range(TURNS):
            lost_s["h2"].append(move(cloud, port, "h2", here, there, peers))
            expect_again(cloud, port, "h1", here)
            lost_s["h1"].append(move(cloud, port, "h1", there, here, peers))
            if all(min(each) < LOST_S for each in lost_s.values()):
                break
            expect_again(cloud, port, "h2", there)
        with capsys.disabled():
            print(f"\nseconds of pings lost by moves to each host: {lost_s}")
        assert all(min(each) < LOST_S for each in lost_s.values())
        assert all(max(each) < WORST_S for each in lost_s.values())


def expect_again(cloud: Cloud, port: dict[str, Any], host: str, there: Instance) -> None:
    """As Nova does before a second move: the binding of before goes, another comes. The device is still plugged."""
    cloud.api.ask("DELETE", f"ports/{port['id']}/bindings/{host}")
    bind_too(cloud, port, host)
    wait_delivered(cloud.hosts[host], there)


def move(
    cloud: Cloud, port: dict[str, Any], host: str, here: Instance, there: Instance, peers: list[Instance]
) -> float:
    """To the host that expects it: seconds of pings that were lost, of the peer who lost more."""
    (old,) = cloud.hosts.keys() - {host}
    wait_until(lambda: cloud.hosts[host].tunnel_ip in find_tunnels(cloud.hosts[old], here.mac))
    pinging = [Pinging(peer, here.address, EVERY_S) for peer in peers]
    for ping in pinging:
        ping.wait_more()
    activate(cloud, port, host, here, there, peers)
    for ping in pinging:
        ping.wait_more()
    lost = [len(ping.stop()[1]) for ping in pinging]
    shown = cloud.api.ask("GET", f"ports/{port['id']}/bindings")["bindings"]
    assert {one["host"]: one["status"] for one in shown} == {old: "INACTIVE", host: "ACTIVE"}
    wait_until(lambda: not find_tunnels(cloud.hosts[host], here.mac))
    wait_planned(*cloud.hosts.values())
    return max(lost) * EVERY_S


def activate(
    cloud: Cloud, port: dict[str, Any], host: str, here: Instance, there: Instance, peers: list[Instance]
) -> None:
    """As Nova does: the instance stops here, the binding is activated, the instance goes on there; then some time."""
    answer_pings(here, False)
    answer_pings(there, True)
    cloud.api.ask("PUT", f"ports/{port['id']}/bindings/{host}/activate")
    wait_until(lambda: cloud.api.ask("GET", f"ports/{port['id']}")["port"]["status"] == "ACTIVE")
    for peer in peers:
        wait_ping(there.netns, peer.address)

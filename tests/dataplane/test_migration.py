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


def answer_pings(one: Instance, answers: bool) -> None:
    """An instance that is paused on one host, or runs on the other."""
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv4.icmp_echo_ignore_all={int(not answers)}")


def expect(cloud: Cloud, port: dict[str, Any], host: str, number: int) -> Instance:
    """The second binding, and the device that is plugged there before the instance arrives."""
    rig = cloud.hosts[host]
    bound = rig.ask("POST", f"ports/{port['id']}/bindings", {"binding": {"host": host}})["binding"]
    assert (bound["status"], bound["vif_type"]) == ("INACTIVE", "ovs")
    there = rig.boot(port, number)
    answer_pings(there, False)
    rig.plug([there])
    ofport = rig.host.vsctl("get", "interface", there.tap, "ofport")
    wait_until(lambda: f"reg2=0x{int(ofport):x}" in rig.host.ofctl("dump-flows", "br-int", "table=80"))
    return there


def find_tunnels(rig: Rig, mac: str) -> list[str]:
    """The tunnel addresses that what is for the MAC goes to by tunnel."""
    flows = rig.host.ofctl("dump-flows", "br-tun", "table=24").splitlines()
    found = [flow for flow in flows if f"dl_dst={mac}" in flow]
    return sorted(part.split("->")[0] for flow in found for part in flow.split("set_field:") if "->tun_dst" in part)


def test_little_is_lost_when_an_instance_moves(capsys: pytest.CaptureFixture[str]) -> None:
    """Pinged 200 times a second from both hosts, from before the move until after it, and back again."""
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
        wait_until(lambda: "192.0.2.2" in find_tunnels(cloud.hosts["h1"], here.mac))
        pinging = [Pinging(peer, here.address, EVERY_S) for peer in peers]
        for ping in pinging:
            ping.wait_more()
        activate(cloud, port, "h2", here, there, peers)
        for ping in pinging:
            ping.wait_more()
        told = [ping.stop() for ping in pinging]
        with capsys.disabled():
            print(f"\nlost of {[got for got, _ in told]}: {[len(lost) for _, lost in told]} pings, {EVERY_S} s each")
        for _, lost in told:
            assert len(lost) * EVERY_S < 2, lost
        shown = cloud.api.ask("GET", f"ports/{port['id']}/bindings")["bindings"]
        assert {one["host"]: one["status"] for one in shown} == {"h1": "INACTIVE", "h2": "ACTIVE"}
        wait_until(lambda: not find_tunnels(cloud.hosts["h2"], here.mac))
        wait_planned(cloud.hosts["h2"])


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

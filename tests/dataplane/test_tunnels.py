"""Tunnels of every kind at once on real switches, over IPv4 and IPv6, with frames as long as the network allows."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import Cloud, make_cloud, pings, wait_ping
from tests.dataplane.settled import wait_planned

pytestmark = pytest.mark.dataplane

KINDS = {"vxlan": 30, "gre": 22, "geneve": 30}
"""Bytes that each takes of the underlay's 1500, beside its IP header."""
PREFIXES = {4: "192.0.2.", 6: "2001:db8:1::"}
HEADERS = {4: 20, 6: 40}


@pytest.fixture(params=[4, 6])
def cloud(request: pytest.FixtureRequest) -> Iterator[tuple[Cloud, int]]:
    """Two hosts that speak all kinds, from an address of that version each."""
    if reason := why_not():
        pytest.skip(reason)
    version = int(request.param)

    def prepare(rig: Rig, number: int) -> None:
        rig.extra["agent.tunnel_types"] = ",".join(KINDS)
        rig.tunnel_ip = f"{PREFIXES[version]}{number}"
        if version == 6:
            run("ip", "-n", rig.host.netns, "addr", "flush", "dev", "br-phy", "scope", "global")
            run("ip", "-n", rig.host.netns, "addr", "add", f"{rig.tunnel_ip}/64", "dev", "br-phy", "nodad")

    with make_cloud(2, "--set", f"ml2.overlay_ip_version={version}", prepare=prepare) as made:
        yield made, version


def boot(made: Cloud, host: str, network: str, last: int) -> Instance:
    given: dict[str, Any] = {"fixed_ips": [{"ip_address": f"10.1.0.{last}"}]}
    return made.boot(host, network, "", **given)


def passes_whole(one: Instance, other: Instance, mtu: int) -> bool:
    """Whether a packet of just that size arrives, not in pieces."""
    command = ["ping", "-n", "-c", "1", "-W", "2", "-M", "do", "-s", str(mtu - 28), other.address]
    done = subprocess.run(["ip", "netns", "exec", one.netns, *command], capture_output=True, check=False)
    return done.returncode == 0


def test_networks_of_every_kind_at_once(cloud: tuple[Cloud, int]) -> None:
    """The same addresses on a network of each kind: instances on two hosts reach each other, with packets as long as
    the MTU, and none of another network; and the API has the MTU that is left by the encapsulation."""
    made, version = cloud
    pairs: dict[str, tuple[Instance, Instance]] = {}
    for number, (kind, overhead) in enumerate(KINDS.items()):
        network = made.make_plain_network(kind, **{"provider:network_type": kind})
        made.make_subnet(network, "10.1.0.0/24")
        pairs[kind] = boot(made, "h1", network, 5), boot(made, "h2", network, 10 + number)
        mtu = made.api.ask("GET", f"networks/{network}")["network"]["mtu"]
        assert mtu == 1500 - HEADERS[version] - overhead
        for one in pairs[kind]:
            run("ip", "-n", one.netns, "link", "set", one.device, "mtu", str(mtu))
        wait_ping(pairs[kind][0].netns, pairs[kind][1].address)
        wait_until(lambda kind=kind, mtu=mtu: passes_whole(*pairs[kind], mtu))  # type: ignore[misc]
    for kind, (one, _) in pairs.items():
        for name, (_, stranger) in pairs.items():
            assert name == kind or not pings(one.netns, stranger.address, wait_s=0.5)
    ports = made.api.host.vsctl("list-ports", "br-tun").split()
    assert {f"nl-{kind}" for kind in KINDS} <= set(ports)
    wait_planned(*made.hosts.values())

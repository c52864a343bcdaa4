"""What somebody changes by hand where nothing tells of it comes back in seconds; the slow clock goes once an hour."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from netloom.drivers.nft import TABLE as GUARDS
from netloom.render.space_nat import TABLE
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Rig
from tests.dataplane.rig_cloud import Cloud, make_cloud, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.test_drivers_netns import inside

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(1, prepare=slow_down) as found:
        yield found


def slow_down(rig: Rig, number: int) -> None:
    rig.program = (sys.executable, "-m", "tests.dataplane.slow_agent")


def count_healed(cloud: Cloud) -> int:
    """As the API has it."""
    (agent,) = cloud.api.ask("GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
    return int(agent["configurations"].get("drift_healed", 0))


def test_what_somebody_changes_by_hand_comes_back_within_seconds(cloud: Cloud) -> None:
    """An address, a route and a translation of a router, and the guard of a device; told in the log and by the API."""
    rig, external = cloud.hosts["h1"], cloud.make_external()
    network = cloud.make_plain_network("n")
    router = cloud.make_router(cloud.make_subnet(network, "10.1.0.0/24"), external=external)
    one = cloud.boot("h1", network, "10.1.0.1")
    address = cloud.associate(external, one.id)["floating_ip_address"]
    cloud.wait_router(router)
    wait_ping(cloud.outside, address)
    wait_planned(rig)
    path = rig.host.rundir / "netns" / f"qrouter-{router}"
    device = next(word for word in inside(path, "ip", "-o", "-4", "addr").split() if word.startswith("qr-"))
    for command in (
        f"ip addr del 10.1.0.1/24 dev {device}",
        "ip route del default",
        f"nft delete element inet {TABLE} inward {{ {address} }}",
    ):
        said = len(rig.read_log())
        inside(path, *command.split())
        rig.wait_log(r"drift healed: \d+ ops, 0 refused", said)
        wait_planned(rig)
        wait_ping(cloud.outside, address)
    assert count_healed(cloud) >= len(("address", "route", "element"))


def test_what_keeps_a_device_comes_back_within_seconds(cloud: Cloud) -> None:
    """The queue that limits what an instance receives, and the guards of all devices."""
    rig = cloud.hosts["h1"]
    policy = cloud.api.ask("POST", "qos/policies", {"policy": {"name": "slow"}})["policy"]["id"]
    limit = {"max_kbps": 5000, "direction": "ingress"}
    cloud.api.ask("POST", f"qos/policies/{policy}/bandwidth_limit_rules", {"bandwidth_limit_rule": limit})
    network = cloud.make_plain_network("limited")
    cloud.make_subnet(network, "10.2.0.0/24")
    one = cloud.boot("h1", network, "10.2.0.1")
    cloud.api.ask("PUT", f"ports/{one.id}", {"port": {"qos_policy_id": policy}})
    wait_until(lambda: "5Mbit" in rig.host.inside("tc", "class", "show", "dev", one.tap))
    wait_planned(rig)
    for command in (f"tc qdisc del dev {one.tap} root", f"nft delete table netdev {GUARDS}"):
        said = len(rig.read_log())
        rig.host.inside(*command.split())
        rig.wait_log(r"drift healed: \d+ ops, 0 refused", said)
        wait_planned(rig)
    assert "5Mbit" in rig.host.inside("tc", "class", "show", "dev", one.tap)

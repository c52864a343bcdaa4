"""A guarantee on real traffic: two ports of a host want more than its NIC carries."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig_cloud import Cloud, make_cloud
from tests.dataplane.settled import wait_planned
from tests.dataplane.traffic import measure, try_rate

pytestmark = pytest.mark.dataplane
CAPACITY, LEAST, REST = 20_000, 14_000, 4_000


def make_policy(cloud: Cloud, least: int) -> str:
    """One that guarantees so many kbit/s."""
    policy = str(cloud.api.ask("POST", "qos/policies", {"policy": {"name": f"least {least}"}})["policy"]["id"])
    rule = {"minimum_bandwidth_rule": {"min_kbps": least, "direction": "egress"}}
    cloud.api.ask("POST", f"qos/policies/{policy}/minimum_bandwidth_rules", rule)
    return policy


def test_who_was_promised_more_gets_it() -> None:
    """14 of the 20 Mbit/s of a NIC are one port's when both want all; and all 20 are the other's when it is alone. No
    more than the NIC has is promised; of two who were promised something each gets that, and of the rest its part."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as cloud:
        for rig in cloud.hosts.values():
            rig.stop_agent(signal.SIGTERM)
            rig.extra["ovs.resource_provider_bandwidths"] = f"br-ex:{CAPACITY}:{CAPACITY}"
            rig.start_agent()
        flat = {"provider:network_type": "flat", "provider:physical_network": "physnet"}
        network = cloud.make_plain_network("flat", **flat)
        cloud.make_subnet(network, "10.1.0.0/24")
        policy, silver = make_policy(cloud, LEAST), make_policy(cloud, REST)
        held, free = cloud.boot("h1", network, "", qos_policy_id=policy), cloud.boot("h1", network, "")
        one, other = (cloud.boot("h2", network, "") for _ in range(2))
        wait_until(lambda: "htb" in run("tc", "-n", cloud.hosts["h1"].host.netns, "qdisc", "show", "dev", "eth1"))

        def share() -> float:
            with ThreadPoolExecutor(2) as pool:
                wanted = [pool.submit(measure, *pair, "udp", 40, 6.0) for pair in ((held, one), (free, other))]
                first, rest[0] = (future.result() for future in wanted)
            return first

        rest = [0.0]
        alone = try_rate(CAPACITY / 1000, lambda: measure(free, other, "udp", 40))
        promised = try_rate(LEAST / 1000, share)
        print(f"alone {alone:.2f}; together {promised:.2f} and {rest[0]:.2f} Mbit/s")
        assert alone == pytest.approx(CAPACITY / 1000, rel=0.1)
        assert promised == pytest.approx(LEAST / 1000, rel=0.1)
        assert rest[0] == pytest.approx((CAPACITY - LEAST) / 1000, rel=0.2)
        refuse_more(cloud, network, policy)
        cloud.api.ask("PUT", f"ports/{free.id}", {"port": {"qos_policy_id": silver}})
        wait_until(lambda: f"rate {REST // 1000}Mbit" in show_classes(cloud))
        # What nobody is guaranteed goes to the two by the size of their guarantees.
        both = try_rate(CAPACITY * LEAST / (LEAST + REST) / 1000, share)
        print(f"both guaranteed: {both:.2f} and {rest[0]:.2f} Mbit/s")
        assert both == pytest.approx(CAPACITY * LEAST / (LEAST + REST) / 1000, rel=0.1)
        assert rest[0] > REST / 1000 * 0.9
        wait_planned(cloud.hosts["h1"])


def show_classes(cloud: Cloud) -> str:
    return run("tc", "-n", cloud.hosts["h1"].host.netns, "class", "show", "dev", "eth1")


def refuse_more(cloud: Cloud, network: str, policy: str) -> None:
    """A second port with that guarantee is not bound: the host has not so much left."""
    body = {"network_id": network, "binding:host_id": "h1", "qos_policy_id": policy}
    port = cloud.api.ask("POST", "ports", {"port": body})["port"]
    assert port["binding:vif_type"] == "binding_failed"
    assert f"has {CAPACITY - LEAST} of {CAPACITY} kbit/s left to guarantee" in port["waits_for"]
    cloud.api.ask("DELETE", f"ports/{port['id']}")

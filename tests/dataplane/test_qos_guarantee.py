"""A guarantee on real traffic: two ports of a host want more than its NIC carries."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import wait_planned
from tests.dataplane.rig_cloud import make_cloud
from tests.dataplane.traffic import measure, try_rate

pytestmark = pytest.mark.dataplane
CAPACITY, LEAST = 20_000, 14_000


def test_who_was_promised_more_gets_it() -> None:
    """14 of the 20 Mbit/s of a NIC are one port's when both want all; and all 20 are the other's when it is alone."""
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
        policy = cloud.api.ask("POST", "qos/policies", {"policy": {"name": "gold"}})["policy"]["id"]
        rule = {"minimum_bandwidth_rule": {"min_kbps": LEAST, "direction": "egress"}}
        cloud.api.ask("POST", f"qos/policies/{policy}/minimum_bandwidth_rules", rule)
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
        wait_planned(cloud.hosts["h1"])

"""What routers do at their gateways: address scopes, limits of QoS policies, several ways out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, pings, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.test_routers import call_tcp, drop_router, inside, serve_tcp, wait_told
from tests.dataplane.traffic import measure, try_rate

pytestmark = pytest.mark.dataplane

WORLD = Instance("", "", "", "eth0", "", OUTSIDE)


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """One host. The network outside is in the address scope A."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(1) as made:
        scope = make_scope(made, "A")
        pool = make_pool(made, scope, "203.0.113.0/24", "10.40.0.0/16")
        flat = {"provider:network_type": "flat", "provider:physical_network": "physnet"}
        outside = made.make_plain_network("outside", **{"router:external": True, **flat})
        made.make_subnet(outside, "203.0.113.0/24", gateway_ip=OUTSIDE, enable_dhcp=False, subnetpool_id=pool)
        made.api.networks |= {"outside": outside, "pool": pool}
        yield made


def make_scope(cloud: Cloud, name: str, version: int = 4) -> str:
    body = {"address_scope": {"name": name, "ip_version": version}}
    return str(cloud.api.ask("POST", "address-scopes", body)["address_scope"]["id"])


def make_pool(cloud: Cloud, scope: str, *prefixes: str) -> str:
    body = {"subnetpool": {"name": "pool", "prefixes": list(prefixes), "address_scope_id": scope}}
    return str(cloud.api.ask("POST", "subnetpools", body)["subnetpool"]["id"])


def make_side(cloud: Cloud, name: str, cidr: str, **given: Any) -> tuple[str, Instance]:
    network = cloud.make_plain_network(name)
    subnet = cloud.make_subnet(network, cidr, **given)
    one = cloud.boot("h1", network, cidr.replace("0/24", "1"))
    run("ip", "-n", one.netns, "link", "set", one.device, "mtu", "1450")  # as DHCP would say
    return subnet, one


def make_gateway(cloud: Cloud, *subnets: str, **given: Any) -> tuple[str, str]:
    """A router with a gateway outside, and the gateway's address."""
    router = cloud.make_router(*subnets, external=cloud.api.networks["outside"], **given)
    cloud.wait_router(router)
    info = cloud.api.ask("GET", f"routers/{router}")["router"]["external_gateway_info"]
    return router, info["external_fixed_ips"][0]["ip_address"]


# -- address scopes ----------------------------------------------------------------------------------------------------


def test_within_an_address_scope_nothing_is_translated(cloud: Cloud) -> None:
    """Of the outside's scope: met by its own address, both ways. Of another: hidden, and met by floating IP alone."""
    near, a = make_side(cloud, "near", "10.40.1.0/24", subnetpool_id=cloud.api.networks["pool"])
    far_pool = make_pool(cloud, make_scope(cloud, "B"), "10.50.0.0/16")
    far, b = make_side(cloud, "far", "10.50.1.0/24", subnetpool_id=far_pool)
    none, c = make_side(cloud, "none", "10.60.1.0/24")
    router, hidden = make_gateway(cloud, near, far, none)
    for prefix in ("10.40.0.0/16", "10.50.0.0/16", "10.60.0.0/16"):
        run("ip", "-n", cloud.outside, "route", "replace", prefix, "via", hidden)
    wait_ping(cloud.outside, a.address)
    with serve_tcp(cloud.outside, 8080):
        wait_told(a.netns, OUTSIDE, 8080, f"8080 from {a.address}")
        wait_told(b.netns, OUTSIDE, 8080, f"8080 from {hidden}")
        wait_told(c.netns, OUTSIDE, 8080, f"8080 from {hidden}")
    assert not pings(cloud.outside, b.address) and not pings(cloud.outside, c.address)
    assert not pings(a.netns, b.address) and not pings(b.netns, a.address) and not pings(c.netns, a.address)
    wait_ping(b.netns, "10.50.1.1")  # its own gateway
    floating = cloud.associate(cloud.api.networks["outside"], b.id)["floating_ip_address"]
    wait_ping(cloud.outside, floating)
    with serve_tcp(b.netns, 80):
        wait_told(cloud.outside, floating, 80, f"80 from {OUTSIDE}")
        wait_until(
            lambda: call_tcp(a.netns, floating, 80).startswith("80 from ")
        )  # who may go out may come in from there
    wait_planned(cloud.hosts["h1"])
    gateway = {"network_id": cloud.api.networks["outside"], "enable_snat": False}
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"external_gateway_info": gateway}})
    wait_until(lambda: not pings(c.netns, OUTSIDE))
    wait_ping(a.netns, OUTSIDE)  # its own scope
    wait_ping(b.netns, OUTSIDE)  # the floating IP's
    drop_router(cloud, router)


def test_extra_routes_of_one_destination_share_connections(cloud: Cloud) -> None:
    """Two next hops for one prefix, of which one has a server there and the other none: both are gone to."""
    subnet, one = make_side(cloud, "blue", "10.1.0.0/24")
    other, first = make_side(cloud, "red", "10.2.0.0/24")
    network = cloud.api.ask("GET", f"subnets/{other}")["subnet"]["network_id"]
    second = cloud.boot("h1", network, "10.2.0.1")
    router = cloud.make_router(subnet, other)
    cloud.wait_router(router)
    for hop in (first, second):
        run("ip", "-n", hop.netns, "addr", "add", "192.168.77.1/32", "dev", "lo")
    routes = [{"destination": "192.168.77.0/24", "nexthop": hop.address} for hop in (first, second)]
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"routes": routes}})
    with serve_tcp(first.netns, 80):
        wait_until(lambda: call_tcp(one.netns, "192.168.77.1", 80) != "")
        seen = {call_tcp(one.netns, "192.168.77.1", 80) for _ in range(24)}
        assert seen == {f"80 from {one.address}", ""}
        cloud.api.ask("PUT", f"routers/{router}", {"router": {"routes": routes[:1]}})
        wait_until(lambda: "nexthop" not in inside(cloud, router, "ip", "route", "show", "192.168.77.0/24"))
        assert {call_tcp(one.netns, "192.168.77.1", 80) for _ in range(6)} == {f"80 from {one.address}"}
    drop_router(cloud, router)


# -- limits ------------------------------------------------------------------------------------------------------------


def make_policy(cloud: Cloud, out: int, into: int) -> str:
    policy = str(cloud.api.ask("POST", "qos/policies", {"policy": {"name": "gold"}})["policy"]["id"])
    for direction, rate in (("egress", out), ("ingress", into)):
        body = {"bandwidth_limit_rule": {"max_kbps": rate, "direction": direction}}
        cloud.api.ask("POST", f"qos/policies/{policy}/bandwidth_limit_rules", body)
    return policy


def wait_limited(cloud: Cloud, router: str) -> None:
    """Until there is a queue at each end of the gateway's device."""
    host = cloud.hosts["h1"].host
    wait_until(lambda: " 4e4c: dev qg-" in inside(cloud, router, "tc", "qdisc", "show"))
    wait_until(lambda: " 4e4c: dev tap" in host.inside("tc", "qdisc", "show"))


def test_a_floating_ip_is_held_to_its_rates(cloud: Cloud) -> None:
    """20 Mbit/s out and 10 in, measured within ten per cent; what has no floating IP is not held."""
    subnet, one = make_side(cloud, "blue", "10.1.0.0/24")
    router, _ = make_gateway(cloud, subnet)
    policy = make_policy(cloud, 20_000, 10_000)
    floating = cloud.associate(cloud.api.networks["outside"], one.id, qos_policy_id=policy)["floating_ip_address"]
    world = replace(WORLD, netns=cloud.outside)
    wait_ping(cloud.outside, floating)
    wait_limited(cloud, router)
    sent = try_rate(20, lambda: measure(one, world, seconds=4))
    received = try_rate(10, lambda: measure(world, replace(one, address=floating), seconds=4))
    print(f"a floating IP at 20 and 10 Mbit/s: {sent:.2f} out, {received:.2f} in")
    assert sent == pytest.approx(20, rel=0.1)
    assert received == pytest.approx(10, rel=0.1)
    wait_planned(cloud.hosts["h1"])
    drop_router(cloud, router)


FETCH = (
    "import socket, sys; from tests.dataplane.traffic import HEADERS, count\n"
    "with socket.create_connection((sys.argv[1], 5202), 5) as wire: print(count(wire, 4) * HEADERS['tcp'])"
)
POUR = (
    "import socket\n"
    "with socket.create_server(('', 5202)) as server:\n"
    " print('ready', flush=True); wire = server.accept()[0]\n"
    " try:\n  while True: wire.sendall(bytes(65536))\n"
    " except OSError: pass"
)


def measure_fetched(one: Instance, source: Instance) -> float:
    """Mbit/s of what the instance fetches from there by a connection of its own."""
    there = ["ip", "netns", "exec", source.netns, sys.executable, "-c", POUR]
    with subprocess.Popen(there, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        fetched = run("ip", "netns", "exec", one.netns, sys.executable, "-c", FETCH, source.address)
        server.kill()
    return float(fetched)


def test_a_gateway_is_held_to_the_rates_of_its_network(cloud: Cloud) -> None:
    """All behind the router's own address share 20 Mbit/s out and 10 in; the policy is the external network's."""
    external = cloud.api.networks["outside"]
    cloud.api.ask("PUT", f"networks/{external}", {"network": {"qos_policy_id": make_policy(cloud, 20_000, 10_000)}})
    subnet, one = make_side(cloud, "blue", "10.1.0.0/24")
    router, _ = make_gateway(cloud, subnet)
    wait_ping(one.netns, OUTSIDE)
    wait_limited(cloud, router)
    world = replace(WORLD, netns=cloud.outside)
    sent = try_rate(20, lambda: measure(one, world, seconds=4))
    received = try_rate(10, lambda: measure_fetched(one, world))
    print(f"a gateway at 20 and 10 Mbit/s: {sent:.2f} out, {received:.2f} in")
    assert sent == pytest.approx(20, rel=0.1)
    assert received == pytest.approx(10, rel=0.1)
    cloud.api.ask("PUT", f"networks/{external}", {"network": {"qos_policy_id": None}})
    wait_until(lambda: "4e4c:" not in inside(cloud, router, "tc", "qdisc", "show"))
    drop_router(cloud, router)


# -- several ways out --------------------------------------------------------------------------------------------------

FAR = "172.31.0.1"


def test_all_gateways_at_once(cloud: Cloud) -> None:
    """Connections are shared between two gateways, each hidden by its own; who comes by one is answered by it."""
    vlan = {
        "provider:network_type": "vlan", "provider:physical_network": "physnet", "provider:segmentation_id": 142,
    }  # fmt: skip
    second = cloud.make_plain_network("second", **{"router:external": True, **vlan})
    subnet = cloud.make_subnet(second, "198.51.100.0/24", gateway_ip="198.51.100.1", enable_dhcp=False)
    machine = cloud.boot("h1", second, "", fixed_ips=[{"subnet_id": subnet, "ip_address": "198.51.100.1"}])
    inner, one = make_side(cloud, "blue", "10.1.0.0/24")
    router, hidden = make_gateway(cloud, inner, enable_default_route_ecmp=True)
    body = {"router": {"external_gateways": [{"network_id": second}]}}
    gateways = cloud.api.ask("PUT", f"routers/{router}/add_external_gateways", body)["router"]["external_gateways"]
    other = gateways[1]["external_fixed_ips"][0]["ip_address"]
    cloud.wait_router(router)
    for netns in (cloud.outside, machine.netns):
        run("ip", "-n", netns, "addr", "add", f"{FAR}/32", "dev", "lo")
    with serve_tcp(cloud.outside, 8080), serve_tcp(machine.netns, 8080):
        wait_until(lambda: call_tcp(one.netns, FAR, 8080) != "")
        seen = {call_tcp(one.netns, FAR, 8080) for _ in range(24)}
    assert seen == {f"8080 from {hidden}", f"8080 from {other}"}
    for netns, network in ((cloud.outside, cloud.api.networks["outside"]), (machine.netns, second)):
        floating = cloud.associate(network, one.id)["floating_ip_address"]
        wait_ping(netns, floating)
        for _ in range(4):  # from an address that is behind both
            ping = ("ip", "netns", "exec", netns, "ping", "-n", "-c", "1", "-W", "2", "-I", FAR, floating)
            wait_until(lambda ping=ping: " 1 received" in run(*ping, check=False))  # type: ignore[misc]
    wait_planned(cloud.hosts["h1"])
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"enable_default_route_ecmp": False}})
    wait_until(lambda: "nexthop" not in inside(cloud, router, "ip", "route", "show", "default"))

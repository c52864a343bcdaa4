"""What else distributed routers do, with real traffic: helpers, limits, address scopes, NDP proxies."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.dataplane.distributed_kit import boot_bare, find_gateway, listen, make_tenant
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, pings, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.traffic import measure, try_rate

pytestmark = pytest.mark.dataplane


def test_a_helper_lets_announced_connections_in(cloud: Cloud) -> None:
    """FTP from a hidden address: the server outside connects back to what the client announced, with a helper alone."""
    external = cloud.make_external()
    router, networks = make_tenant(cloud, external)
    one = cloud.boot("h2", networks["red"], "10.1.0.1")
    wait_ping(one.netns, OUTSIDE)
    assert fetch(cloud.outside, one) == b"", "nobody announces anything to a router without a helper"
    body = {"conntrack_helper": {"protocol": "tcp", "port": 21, "helper": "ftp"}}
    cloud.api.ask("POST", f"routers/{router}/conntrack_helpers", body)
    wait_until(lambda: fetch(cloud.outside, one) == b"hello")


def fetch(server: str, client: Instance) -> bytes:
    """What a client gets by the connection that it asks an FTP server for (RFC 959, 3.2)."""
    inside = ("ip", "netns", "exec")
    serve = subprocess.Popen([*inside, server, sys.executable, "-c", SERVE], stdout=subprocess.PIPE)
    try:
        assert serve.stdout is not None
        serve.stdout.readline()
        command = [*inside, client.netns, sys.executable, "-c", FETCH, OUTSIDE, client.address]
        return subprocess.run(command, capture_output=True, check=False).stdout
    finally:
        serve.kill()
        serve.communicate()


SERVE = """
import socket
s = socket.create_server(("", 21))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"220 ready\\r\\n")
    lines = c.makefile()
    lines.readline()
    c.sendall(b"230 in\\r\\n")
    *host, high, low = lines.readline().split()[1].split(",")
    try:
        with socket.create_connection((".".join(host), int(high) * 256 + int(low)), 1) as data:
            data.sendall(b"hello")
    except OSError:
        pass
    c.close()
"""
FETCH = """
import socket, sys
c = socket.create_connection((sys.argv[1], 21), 2)
c.recv(100)
c.sendall(b"USER one\\r\\n")  # the kernel's helper reads no line before it has seen one end
c.recv(100)
s = socket.create_server(("", 0))
s.settimeout(2)
port = s.getsockname()[1]
c.sendall("PORT {},{},{}\\r\\n".format(sys.argv[2].replace(".", ","), port // 256, port % 256).encode())
try:
    data, _ = s.accept()
    sys.stdout.buffer.write(data.recv(5))
except OSError:
    pass
"""


def test_a_floating_ip_and_a_gateway_have_limits(cloud: Cloud) -> None:
    """What passes is what the policy lets through, in both directions, within ten per cent."""
    external = cloud.make_external()
    router, networks = make_tenant(cloud, external)
    one = cloud.boot("h2", networks["red"], "10.1.0.1")
    slow = make_policy(cloud, 4000)
    gateway = {"network_id": external, "qos_policy_id": slow}
    cloud.api.ask("PUT", f"routers/{router}", {"router": {"external_gateway_info": gateway}})
    wait_ping(one.netns, OUTSIDE)
    outside = Instance("", "", cloud.outside, "eth0", "", OUTSIDE)
    wait_until(lambda: count_meters(cloud) == 2)
    check_rate(one, outside)
    floating = cloud.associate(external, one.id, qos_policy_id=slow)["floating_ip_address"]
    wait_ping(cloud.outside, floating)
    wait_until(lambda: count_meters(cloud) == 4)
    there = Instance(one.id, "", one.netns, one.device, "", floating)
    check_rate(one, outside)
    check_rate(outside, there)
    for rig in cloud.hosts.values():
        wait_planned(rig)


def check_rate(source: Instance, target: Instance) -> None:
    """Four Mbit/s arrive of twenty."""
    found = try_rate(4, lambda: measure(source, target, "udp", 20, 4))
    print(f"limit 4 Mbit/s: {found:.2f}")
    assert found == pytest.approx(4, rel=0.1)


def make_policy(cloud: Cloud, kbps: int) -> str:
    """Both ways."""
    policy = str(cloud.api.ask("POST", "qos/policies", {"policy": {"name": "slow"}})["policy"]["id"])
    for direction in ("egress", "ingress"):
        rule = {"max_kbps": kbps, "max_burst_kbps": 800, "direction": direction}
        cloud.api.ask("POST", f"qos/policies/{policy}/bandwidth_limit_rules", {"bandwidth_limit_rule": rule})
    return policy


def count_meters(cloud: Cloud) -> int:
    return sum(rig.host.ofctl("dump-meters", "br-int").count("meter=") for rig in cloud.hosts.values())


def test_an_address_scope_is_routed_as_it_is(cloud: Cloud) -> None:
    """What is of the gateway's scope is met outside by its own address; what is of another is hidden, and stays away
    from the first."""
    scope, pools = make_scope(cloud, 4), {}
    for name, prefix, of in (
        ("out", "203.0.113.0/24", scope),
        ("red", "10.1.0.0/24", scope),
        ("blue", "10.2.0.0/24", ""),
    ):
        pools[name] = make_pool(cloud, name, prefix, of or make_scope(cloud, 4))
    kind = {"provider:network_type": "flat", "provider:physical_network": "physnet", "router:external": True}
    external = cloud.make_plain_network("outside", **kind)
    given = {"gateway_ip": OUTSIDE, "enable_dhcp": False, "subnetpool_id": pools["out"]}
    cloud.make_subnet(external, "203.0.113.0/24", **given)
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    subnets = [
        cloud.make_subnet(networks[name], f"10.{n}.0.0/24", subnetpool_id=pools[name])
        for n, name in enumerate(("red", "blue"), 1)
    ]
    router = cloud.make_router(*subnets, external=external, distributed=True)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    b = cloud.boot("h2", networks["blue"], "10.2.0.1")
    address, _ = find_gateway(cloud, router)
    run("ip", "-n", cloud.outside, "route", "add", "10.0.0.0/8", "via", address)
    for one, source in ((a, a.address), (b, address)):
        wait_ping(one.netns, OUTSIDE)
        with listen(cloud.outside) as heard:
            wait_ping(one.netns, OUTSIDE)
            assert {ip for ip, to in heard() if to == OUTSIDE} == {source}
    wait_ping(cloud.outside, a.address)
    assert not pings(cloud.outside, b.address)
    assert not pings(a.netns, b.address)


def make_scope(cloud: Cloud, version: int) -> str:
    body = {"address_scope": {"name": "scope", "ip_version": version}}
    return str(cloud.api.ask("POST", "address-scopes", body)["address_scope"]["id"])


def make_pool(cloud: Cloud, name: str, prefix: str, scope: str) -> str:
    body = {"name": name, "prefixes": [prefix], "address_scope_id": scope}
    return str(cloud.api.ask("POST", "subnetpools", {"subnetpool": body})["subnetpool"]["id"])


def test_ndp_proxies_are_met_from_outside(cloud: Cloud) -> None:
    """The machine outside finds an address inside that was chosen, and no other."""
    scope = make_scope(cloud, 6)
    pool = make_pool(cloud, "six", "2001:db8::/32", scope)
    kind = {"provider:network_type": "flat", "provider:physical_network": "physnet", "router:external": True}
    external, red = cloud.make_plain_network("outside", **kind), cloud.make_plain_network("red")
    outer = {"gateway_ip": "2001:db8:ffff::1", "enable_dhcp": False, "subnetpool_id": pool}
    cloud.make_subnet(external, "2001:db8:ffff::/64", **outer)
    subnet = cloud.make_subnet(red, "2001:db8:1::/64", subnetpool_id=pool)
    router = cloud.make_router(subnet, external=external, distributed=True, enable_ndp_proxy=True)
    a, b = (boot_v6(cloud, host, red) for host in ("h1", "h2"))
    run("ip", "-n", cloud.outside, "route", "add", "2001:db8:1::/64", "dev", "eth0")
    cloud.api.ask("POST", "ndp_proxies", {"ndp_proxy": {"router_id": router, "port_id": b.id}})
    wait_ping(cloud.outside, b.address)
    assert not pings(cloud.outside, a.address)
    address, _ = find_gateway(cloud, router)
    run("ip", "-n", cloud.outside, "route", "replace", "2001:db8:1::/64", "via", address)
    wait_ping(a.netns, "2001:db8:ffff::1")  # what it asks for is answered
    assert not pings(cloud.outside, a.address)


def boot_v6(cloud: Cloud, host: str, network: str) -> Instance:
    """An instance with its address and its way out by hand."""
    one = boot_bare(cloud, host, network)
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    run("ip", "-n", one.netns, "addr", "add", f"{one.address}/64", "dev", one.device, "nodad")
    run("ip", "-n", one.netns, "route", "add", "default", "via", "2001:db8:1::1", "dev", one.device)
    return one

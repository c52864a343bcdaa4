"""Distributed routers on real switches: two hosts, a physical network and a machine outside, with real traffic."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Pinging, Rig, open_socket
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, pings, wait_ping

pytestmark = pytest.mark.dataplane


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as made:
        yield made


def make_tenant(cloud: Cloud, external: str = "") -> tuple[str, dict[str, str]]:
    """A distributed router with the networks red, 10.1.0.0/24, and blue, 10.2.0.0/24."""
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    subnets = [cloud.make_subnet(networks["red"], "10.1.0.0/24"), cloud.make_subnet(networks["blue"], "10.2.0.0/24")]
    return cloud.make_router(*subnets, external=external, distributed=True), networks


def read_ttl(one: Instance, address: str) -> int:
    shown = run("ip", "netns", "exec", one.netns, "ping", "-n", "-c", "1", "-W", "2", address)
    found = re.search(r"ttl=(\d+)", shown)
    assert found, shown
    return int(found[1])


def test_routed_traffic_goes_straight(cloud: Cloud) -> None:
    """Between two instances of one host it never leaves that; between hosts it is one hop."""
    _, networks = make_tenant(cloud)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    b = cloud.boot("h1", networks["blue"], "10.2.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    wait_ping(a.netns, b.address)
    wait_ping(a.netns, c.address)
    assert read_ttl(a, b.address) == 63
    assert read_ttl(a, c.address) == 63
    assert pings(a.netns, "10.1.0.1"), "its own address"
    assert pings(a.netns, "10.2.0.1"), "and that on the other network"
    assert not pings(a.netns, "10.3.0.1")
    assert find_ends(cloud, "h1").isdisjoint(find_ends(cloud, "h2")), "a MAC address is at one host"


def find_ends(cloud: Cloud, host: str) -> set[str]:
    return set(re.findall(r"set_field:(0e(?::[0-9a-f]{2}){5})->eth_src", "".join(cloud.hosts[host].dump_flows())))


def find_gateway(cloud: Cloud, router: str) -> tuple[str, str]:
    """(the gateway's address, its host)."""
    ports = cloud.api.list_ports(device_id=router, device_owner="network:router_gateway")
    return ports[0]["fixed_ips"][0]["ip_address"], ports[0]["binding:host_id"]


def test_addresses_are_hidden_and_floating_ips_translated(cloud: Cloud) -> None:
    """Out by the gateway's host, or by the instance's own host with a floating IP; in only by that."""
    external = cloud.make_external()
    router, networks = make_tenant(cloud, external)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    for one in (a, c):
        wait_ping(one.netns, OUTSIDE)
    address, _ = find_gateway(cloud, router)
    with listen(cloud.outside) as heard:
        assert pings(c.netns, OUTSIDE)
        assert {source for source, to in heard() if to == OUTSIDE} == {address}, "hidden behind the gateway"
    assert pings(cloud.outside, address), "the gateway's own address"
    assert not pings(cloud.outside, c.address)
    first = cloud.associate(external, c.id)["floating_ip_address"]
    second = cloud.associate(external, a.id)["floating_ip_address"]
    for ip in (first, second):
        wait_ping(cloud.outside, ip)
    with listen(cloud.outside) as heard:
        assert pings(c.netns, OUTSIDE)
        assert {source for source, to in heard() if to == OUTSIDE} == {first}, "by its own host, as its floating IP"
    assert pings(a.netns, first), "from one floating IP to another"
    assert talk(cloud.outside, c.netns, first) == b"hello", "TCP, with checksums that hold"
    assert talk(c.netns, cloud.outside, OUTSIDE) == b"hello"
    for rig in cloud.hosts.values():
        assert not rig.plan_anew()


def test_a_floating_ip_is_translated_soon(cloud: Cloud) -> None:
    """From the request until the outside reaches the instance: no more than 80 ms, half of the times."""
    external = cloud.make_external()
    _, networks = make_tenant(cloud, external)
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    wait_ping(c.netns, OUTSIDE)
    took = []
    for n in range(9):
        floating = f"203.0.113.{100 + n}"
        with probe(cloud.outside, floating) as answered:
            begin = time.time()
            id = cloud.associate(external, c.id, floating_ip_address=floating)["id"]
            took.append(answered() - begin)
        cloud.api.ask("DELETE", f"floatingips/{id}")
    print("floating IP to first ping, ms:", [round(1000 * one) for one in sorted(took)])
    assert sorted(took)[4] < 0.08


def test_a_floating_ip_moves_with_its_instance(cloud: Cloud) -> None:
    """The outside, which still knows the old host's switch port, is told of the new one."""
    external = cloud.make_external()
    _, networks = make_tenant(cloud, external)
    one = cloud.boot("h1", networks["red"], "10.1.0.1")
    floating = cloud.associate(external, one.id)["floating_ip_address"]
    wait_ping(cloud.outside, floating)
    port = cloud.api.ask("PUT", f"ports/{one.id}", {"port": {"binding:host_id": "h2"}})["port"]
    cloud.hosts["h1"].host.vsctl("del-port", "br-int", one.tap)
    cloud.count += 1
    moved = cloud.hosts["h2"].boot(port, cloud.count)
    cloud.hosts["h2"].plug([moved])
    run("ip", "-n", moved.netns, "route", "add", "default", "via", "10.1.0.1", "dev", moved.device)
    wait_ping(cloud.outside, floating)
    wait_ping(moved.netns, OUTSIDE)


def test_what_dies_takes_no_routing_with_it(cloud: Cloud) -> None:
    """A killed agent costs nothing, and sends nothing when it comes back; a killed switch is filled again."""
    external = cloud.make_external()
    _, networks = make_tenant(cloud, external)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    floating = cloud.associate(external, c.id)["floating_ip_address"]
    wait_ping(cloud.outside, floating)
    wait_ping(a.netns, c.address)
    h2 = cloud.hosts["h2"]
    east = Pinging(a, c.address)
    flows = h2.dump_flows()
    h2.stop_agent(signal.SIGKILL)
    assert pings(cloud.outside, floating)
    since = len(h2.read_log())
    h2.start_agent()
    h2.wait_log("ports wired", since)
    replies, lost = east.stop()
    assert replies > 20
    assert not lost
    assert " ops, " not in h2.read_log(since), "nothing was sent"
    assert {cut_counters(flow) for flow in flows} == {cut_counters(flow) for flow in h2.dump_flows()}
    h2.host.stop("ovs-vswitchd")
    h2.host.start_switch()
    begin = time.perf_counter()
    wait_ping(a.netns, c.address)
    wait_ping(cloud.outside, floating)
    print(f"switch back to routed and translated: {time.perf_counter() - begin:.2f} s")


def cut_counters(flow: str) -> str:
    return re.sub(r"(duration|n_packets|n_bytes|idle_age)=[^,]+, ", "", flow)


def test_overlapping_addresses_behind_two_routers(cloud: Cloud) -> None:
    """Two tenants with the same addresses reach their own, and the outside, and never each other's."""
    external = cloud.make_external()
    (_, mine), (_, others) = make_tenant(cloud, external), make_tenant(cloud, external)
    pairs = []
    for networks in (mine, others):
        a = cloud.boot("h1", networks["red"], "10.1.0.1", fixed_ips=[{"ip_address": "10.1.0.50"}])
        b = cloud.boot("h2", networks["blue"], "10.2.0.1", fixed_ips=[{"ip_address": "10.2.0.50"}])
        pairs.append((a, b))
    for a, b in pairs:
        wait_ping(a.netns, b.address)
        wait_ping(b.netns, OUTSIDE)
    (a, b), (other, _) = pairs
    cloud.hosts["h2"].host.vsctl("del-port", "br-int", b.tap)
    assert not pings(a.netns, "10.2.0.50"), "the other tenant's instance does not answer for mine"
    assert pings(other.netns, "10.2.0.50")
    floating = [cloud.associate(external, one.id)["floating_ip_address"] for one in (a, other)]
    for ip, one in zip(floating, (a, other), strict=True):
        wait_ping(cloud.outside, ip)
        assert talk(cloud.outside, one.netns, ip) == b"hello"


def test_a_packet_grows_old(cloud: Cloud) -> None:
    """The router says so, from its address on the network where the packet came from."""
    _, networks = make_tenant(cloud)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    b = cloud.boot("h2", networks["blue"], "10.2.0.1")
    wait_ping(a.netns, b.address)
    command = ["ip", "netns", "exec", a.netns, "ping", "-n", "-c", "1", "-t", "1", "-W", "2", b.address]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "From 10.1.0.1 icmp_seq=1 Time to live exceeded" in shown


def test_ports_are_forwarded(cloud: Cloud) -> None:
    """A port of a floating IP leads to another port of an instance on any host."""
    external = cloud.make_external()
    _, networks = make_tenant(cloud, external)
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    body = {"floatingip": {"floating_network_id": external}}
    floating = cloud.api.ask("POST", "floatingips", body)["floatingip"]
    forwarding = {
        "protocol": "tcp", "external_port": 8080, "internal_port": PORT, "internal_port_id": c.id,
        "internal_ip_address": c.address,
    }  # fmt: skip
    cloud.api.ask("POST", f"floatingips/{floating['id']}/port_forwardings", {"port_forwarding": forwarding})
    wait_until(lambda: talk(cloud.outside, c.netns, floating["floating_ip_address"], 8080) == b"hello", 10)
    assert talk(cloud.outside, c.netns, floating["floating_ip_address"], 8081) == b""


def test_ipv6_is_routed(cloud: Cloud) -> None:
    """Between networks on two hosts, with a route that the router advertised."""
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnets = [
        cloud.make_subnet(network, f"2001:db8:{n}::/64", **modes) for n, network in enumerate(networks.values(), 1)
    ]
    cloud.make_router(*subnets, distributed=True)
    a, b = (boot_v6(cloud, host, network) for host, network in zip(("h1", "h2"), networks.values(), strict=True))
    wait_ping(a.netns, b.address, 30)


def boot_v6(cloud: Cloud, host: str, network: str) -> Instance:
    """An instance that learns its address and its way out from router advertisements."""
    rig = cloud.hosts[host]
    cloud.count += 1
    (port,) = rig.make_ports(network, 1, port_security_enabled=False)
    (one,) = rig.cable([port], rig.make_space(f"i{cloud.count}"), cloud.count)
    run("ip", "netns", "exec", one.netns, "ethtool", "-K", one.device, "tx", "off")
    rig.plug([one])
    wait_until(lambda: rig.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE", 30)
    for name in ("accept_ra=2", "addr_gen_mode=0", "accept_dad=0", "disable_ipv6=0"):
        run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.{name}")
    run("ip", "-n", one.netns, "link", "set", one.device, "down")
    run("ip", "-n", one.netns, "link", "set", one.device, "up")
    return one


def test_another_host_hides_addresses_when_the_first_is_lost() -> None:
    """BFD on the tunnels finds out, and what goes out goes on within a second; and back when the first is back."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(3) as cloud:
        external = cloud.make_external()
        networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
        subnet = cloud.make_subnet(networks["red"], "10.1.0.0/24")
        router = cloud.make_router(subnet, external=external, distributed=True, ha=True)
        _, first = find_gateway(cloud, router)
        third = next(name for name in reversed(cloud.hosts) if name != first)
        one = cloud.boot(third, networks["red"], "10.1.0.1")
        wait_ping(one.netns, OUTSIDE)
        for rig in cloud.hosts.values():
            wait_until(lambda rig=rig: count_watched(rig) == 2, 20)  # type: ignore[misc]
        away, lost_s = cloud.hosts[first].host, measure_outage(one, lambda: None)
        print(f"without a loss: {lost_s:.2f} s")
        lost_s = measure_outage(one, lambda: away.stop("ovs-vswitchd"))
        print(f"the first host is lost: {lost_s:.2f} s")
        assert lost_s <= 1.0
        lost_s = measure_outage(one, away.start_switch)
        print(f"and back: {lost_s:.2f} s")


def test_a_router_changes_its_form(cloud: Cloud) -> None:
    """From a namespace to flows and back, with its addresses, its floating IPs and what it hides."""
    external = cloud.make_external()
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    subnets = [cloud.make_subnet(networks["red"], "10.1.0.0/24"), cloud.make_subnet(networks["blue"], "10.2.0.0/24")]
    router = cloud.make_router(*subnets, external=external)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    floating = cloud.associate(external, c.id)["floating_ip_address"]
    for form in (False, True, False):
        for change in ({"admin_state_up": False}, {"distributed": form}, {"admin_state_up": True}):
            cloud.api.ask("PUT", f"routers/{router}", {"router": change})
        run("ip", "-n", cloud.outside, "neigh", "flush", "dev", "eth0")
        for netns, address in ((a.netns, c.address), (a.netns, OUTSIDE), (cloud.outside, floating)):
            wait_ping(netns, address, 30)
        cloud.wait_router(router)
        for rig in cloud.hosts.values():
            assert not rig.plan_anew(), "nothing of the other form is left"


def count_watched(rig: Rig) -> int:
    """Tunnels whose other end is heard of by BFD."""
    shown = rig.host.vsctl("--columns=bfd_status", "list", "interface")
    return len(re.findall(r"\bstate=up", shown))


def measure_outage(one: Instance, change: Callable[[], object], seconds: float = 5) -> float:
    """The longest time without an answer from outside while `change` happens, to its end; 20 ms from ping to ping."""
    command = ["ip", "netns", "exec", one.netns, "ping", "-n", "-D", "-i", "0.02", OUTSIDE]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    time.sleep(0.5)
    change()
    time.sleep(seconds)
    end = time.time()
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=10)
    answered = [float(at) for at in re.findall(r"^\[([0-9.]+)\].* ttl=", shown, re.MULTILINE)]
    assert answered, shown
    return max(later - sooner for sooner, later in pairwise([*answered, end]))


# -- traffic -----------------------------------------------------------------------------------------------------------


PORT = 7777


def talk(client: str, server: str, address: str, port: int = 0, timeout_s: float = 2) -> bytes:
    """What a client hears from a server that greets whoever connects; nothing where it does not get through."""
    inside = ("ip", "netns", "exec")
    serve = subprocess.Popen([*inside, server, sys.executable, "-c", SERVE, str(PORT)], stdout=subprocess.PIPE)
    try:
        assert serve.stdout is not None
        serve.stdout.readline()
        command = [
            "ip",
            "netns",
            "exec",
            client,
            sys.executable,
            "-c",
            CONNECT,
            address,
            str(port or PORT),
            str(timeout_s),
        ]
        return subprocess.run(command, capture_output=True, check=False).stdout
    finally:
        serve.kill()
        serve.communicate()


SERVE = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"hello")
    c.close()
"""
CONNECT = """
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    sys.stdout.buffer.write(s.recv(5))
except OSError:
    pass
"""


@contextmanager
def probe(netns: str, address: str) -> Iterator[Callable[[], float]]:
    """Pings all the time; what is yielded returns the moment of the first answer, by the clock of the kernel."""
    command = ["ip", "netns", "exec", netns, "ping", "-n", "-D", "-i", "0.002", address]
    run("ip", "-n", netns, "neigh", "flush", "dev", "eth0")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = process.stdout
        yield lambda: next(float(line[1:].split("]")[0]) for line in lines if " ttl=" in line)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listen(netns: str) -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """(source, destination) of the IPv4 packets that come in by eth0 from here on."""
    wire = open_socket(netns, "eth0")

    def heard() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while True:
            try:
                frame = wire.recv(2048)
            except BlockingIOError:
                return found
            if frame[12:14] == b"\x08\x00":
                found.append((socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])))

    heard()
    try:
        yield heard
    finally:
        wire.close()

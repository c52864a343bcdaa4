"""Distributed routers on real switches: two hosts and their instances, with real traffic between them."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from netloom.render.answers.announce import announce_frame
from tests.dataplane.distributed_kit import (
    boot_bare,
    listen,
    make_tenant,
    read_ttl,
)
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, pings, wait_ping
from tests.dataplane.settled import wait_applied, wait_planned
from tests.dataplane.wire import open_socket

pytestmark = pytest.mark.dataplane


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
    wait_ping(a.netns, "10.1.0.1")  # its own address
    wait_ping(a.netns, "10.2.0.1")  # and that on the other network
    assert not pings(a.netns, "10.3.0.1")
    assert find_ends(cloud, "h1").isdisjoint(find_ends(cloud, "h2")), "a MAC address is at one host"


def find_ends(cloud: Cloud, host: str) -> set[str]:
    return set(re.findall(r"set_field:(0e(?::[0-9a-f]{2}){5})->eth_src", "".join(cloud.hosts[host].dump_flows())))


def test_a_packet_grows_old(cloud: Cloud) -> None:
    """The router says so, from its address on the network where the packet came from."""
    _, networks = make_tenant(cloud)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    b = cloud.boot("h2", networks["blue"], "10.2.0.1")
    wait_ping(a.netns, b.address)
    command = ["ip", "netns", "exec", a.netns, "ping", "-n", "-c", "1", "-t", "1", "-W", "2", b.address]
    shown = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    assert "From 10.1.0.1 icmp_seq=1 Time to live exceeded" in shown


def test_ipv6_is_routed(cloud: Cloud) -> None:
    """Between networks on two hosts, with a route that the router advertised."""
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    subnets = [
        cloud.make_subnet(network, f"2001:db8:{n}::/64", **modes) for n, network in enumerate(networks.values(), 1)
    ]
    cloud.make_router(*subnets, distributed=True)
    a, b = (boot_v6(cloud, host, network) for host, network in zip(("h1", "h2"), networks.values(), strict=True))
    wait_ping(a.netns, b.address)


def boot_v6(cloud: Cloud, host: str, network: str) -> Instance:
    """An instance that learns its address and its way out from router advertisements."""
    one = boot_bare(cloud, host, network)
    for name in ("accept_ra=2", "addr_gen_mode=0", "accept_dad=0", "disable_ipv6=0"):
        run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.{name}")
    run("ip", "-n", one.netns, "link", "set", one.device, "down")
    run("ip", "-n", one.netns, "link", "set", one.device, "up")
    return one


FORMS = ((True, False), (True, True), (False, True), (True, False), (False, False), (False, True), (False, False))
"""(distributed, ha), one after another."""


def test_a_router_changes_its_form(cloud: Cloud) -> None:
    """From a namespace to flows, to both with a second host and back, to copies and back, with its addresses, its
    floating IPs and what it hides; and each time another tenant's network stays out of reach."""
    external = cloud.make_external()
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    subnets = [cloud.make_subnet(networks["red"], "10.1.0.0/24"), cloud.make_subnet(networks["blue"], "10.2.0.0/24")]
    router = cloud.make_router(*subnets, external=external)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    floating = cloud.associate(external, c.id)["floating_ip_address"]
    stranger, friend = boot_strangers(cloud)
    for distributed, ha in FORMS:
        form = {"distributed": distributed, "ha": ha}
        for change in ({"admin_state_up": False}, form, {"admin_state_up": True}):
            cloud.api.ask("PUT", f"routers/{router}", {"router": change})
        wait_applied(cloud.api)  # else the form before would answer
        run("ip", "-n", cloud.outside, "neigh", "flush", "dev", "eth0")
        for netns, address in ((a.netns, c.address), (a.netns, OUTSIDE), (cloud.outside, floating)):
            wait_ping(netns, address)
        wait_ping(friend.netns, stranger.address)
        with listen(stranger.netns, stranger.device) as heard:
            assert not any(pings(netns, stranger.address, wait_s=0.5) for netns in (a.netns, c.netns))
            assert {source for source, to in heard() if to == stranger.address} <= {friend.address}
        cloud.wait_router(router)
        wait_states(cloud, router, ["active", "standby"] if ha else [None])
        wait_planned(*cloud.hosts.values())


def boot_strangers(cloud: Cloud) -> tuple[Instance, Instance]:
    """Another tenant's two networks behind a router of its own, with an instance on each host."""
    networks = [cloud.make_plain_network(name) for name in ("green", "gold")]
    subnets = [cloud.make_subnet(network, f"10.{n}.0.0/24") for n, network in enumerate(networks, 3)]
    cloud.make_router(*subnets, project_id="other")
    one, other = (cloud.boot(f"h{n}", network, f"10.{n + 2}.0.1") for n, network in enumerate(networks, 1))
    wait_ping(other.netns, one.address)
    return one, other


def wait_states(cloud: Cloud, router: str, states: list[str | None]) -> None:
    """Until its copies, or the hosts that may hide addresses for it, are so."""

    def are_so() -> bool:
        agents = cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]
        return sorted((agent["ha_state"] for agent in agents), key=str) == states

    wait_until(are_so)


VIRTUAL = "10.2.0.100"


def test_a_virtual_address_is_met_where_it_is(cloud: Cloud) -> None:
    """That of redundant servers, which a port on no host keeps for them: from their network and through the router,
    also when the other server has taken it over."""
    _, networks = make_tenant(cloud)
    body = {"network_id": networks["blue"], "fixed_ips": [{"ip_address": VIRTUAL}]}
    cloud.api.ask("POST", "ports", {"port": body})
    given: dict[str, Any] = {"port_security_enabled": True, "allowed_address_pairs": [{"ip_address": VIRTUAL}]}
    a = cloud.boot("h1", networks["red"], "10.1.0.1", port_security_enabled=True)
    near = cloud.boot("h1", networks["blue"], "10.2.0.1", port_security_enabled=True)
    servers = [cloud.boot(host, networks["blue"], "10.2.0.1", **given) for host in ("h1", "h2")]
    for server, other in (servers, servers[::-1]):
        run("ip", "-n", other.netns, "addr", "del", f"{VIRTUAL}/32", "dev", other.device, check=False)
        run("ip", "-n", server.netns, "addr", "add", f"{VIRTUAL}/32", "dev", server.device)
        wait_until(lambda server=server: announce(server) and pings(near.netns, VIRTUAL))  # type: ignore[misc]
        wait_ping(a.netns, VIRTUAL)


def announce(server: Instance) -> bool:
    """As keepalived does when it takes over, more than once: who has just heard of another believes no first word."""
    with open_socket(server.netns, server.device) as wire:
        return bool(wire.send(announce_frame(server.mac, VIRTUAL)))


def test_a_packet_that_is_too_long_is_refused(cloud: Cloud) -> None:
    """Its sender is told what the next network takes: inside, and outside by way of a floating IP."""
    external = cloud.make_external()
    networks = {"red": cloud.make_plain_network("red"), "blue": cloud.make_plain_network("blue", mtu=1300)}
    subnets = [cloud.make_subnet(networks["red"], "10.1.0.0/24"), cloud.make_subnet(networks["blue"], "10.2.0.0/24")]
    cloud.make_router(*subnets, external=external, distributed=True)
    a = cloud.boot("h1", networks["red"], "10.1.0.1")
    b = cloud.boot("h2", networks["blue"], "10.2.0.1")
    floating = cloud.associate(external, b.id)["floating_ip_address"]
    wait_ping(a.netns, b.address)
    wait_ping(cloud.outside, floating)
    wait_ping(a.netns, b.address, size=1300)  # what fits goes through
    wait_ping(cloud.outside, floating, size=1300)
    assert "From 10.1.0.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)" in ping_whole(a.netns, b.address, 1301)
    assert f"From {floating} icmp_seq=1 Frag needed and DF set (mtu = 1300)" in ping_whole(
        cloud.outside, floating, 1301
    )
    wait_ping(b.netns, a.address, size=1400)  # the other way there is room; its answer is the sender's to cut up


def ping_whole(netns: str, address: str, size: int) -> str:
    """What ping says of a packet of so many bytes that must not be cut up."""
    command = ["ip", "netns", "exec", netns, "ping", "-n", "-c", "1", "-M", "do", "-s", str(size - 28), "-W", "2"]
    return subprocess.run([*command, address], capture_output=True, text=True, check=False).stdout

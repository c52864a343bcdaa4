"""Routers and the networks outside: of every type, several at once, chosen IPv6 addresses, and where none can be."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, make_cloud, pings, wait_ping

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(2) as found:
        found.make_external()
        yield found


def make_world(cloud: Cloud, prefix: str, **kind: Any) -> tuple[str, Instance]:
    """An external network of some type, and a machine on it at its gateway's address, on h2."""
    network = cloud.make_plain_network("world", **{"router:external": True, **kind})
    subnet = cloud.make_subnet(network, f"{prefix}.0/24", gateway_ip=f"{prefix}.1", enable_dhcp=False)
    machine = cloud.boot("h2", network, "", fixed_ips=[{"subnet_id": subnet, "ip_address": f"{prefix}.1"}])
    return network, machine


def make_inside(cloud: Cloud, host: str = "h1") -> tuple[str, Instance]:
    network = cloud.make_plain_network("blue")
    subnet = cloud.make_subnet(network, "10.1.0.0/24")
    return subnet, cloud.boot(host, network, "10.1.0.1")


KINDS: dict[str, dict[str, Any]] = {
    "vlan": {"provider:network_type": "vlan", "provider:physical_network": "physnet", "provider:segmentation_id": 142},
    "vxlan": {"provider:network_type": "vxlan"},
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_world_may_be_a_network_of_any_type(cloud: Cloud, kind: dict[str, Any]) -> None:
    """Out behind the gateway's address and in by a floating IP, on a VLAN and through tunnels."""
    world, machine = make_world(cloud, "198.51.100", **kind)
    subnet, one = make_inside(cloud)
    router = cloud.make_router(subnet, external=world)
    cloud.wait_router(router)
    wait_ping(one.netns, "198.51.100.1")
    wait_ping(machine.netns, cloud.associate(world, one.id)["floating_ip_address"])
    assert not pings(machine.netns, one.address)


def test_several_gateways(cloud: Cloud) -> None:
    """Floating IPs of two networks lead to one instance, and each is answered by the gateway that it came by."""
    external = cloud.api.networks["outside"]
    world, machine = make_world(cloud, "192.0.2", **KINDS["vxlan"])
    far = "172.31.0.1"
    run("ip", "-n", machine.netns, "addr", "add", f"{far}/32", "dev", "lo")
    subnet, one = make_inside(cloud)
    router = cloud.make_router(subnet, external=external)
    body = {"router": {"external_gateways": [{"network_id": world}]}}
    cloud.api.ask("PUT", f"routers/{router}/add_external_gateways", body)
    cloud.wait_router(router)
    first = cloud.associate(external, one.id)["floating_ip_address"]
    second = cloud.associate(world, one.id)["floating_ip_address"]
    wait_ping(cloud.outside, first)
    wait_ping(machine.netns, second)
    # From an address that the router would answer by its first gateway, were it not for where the question came from.
    run("ip", "-n", machine.netns, "route", "replace", "192.0.2.0/24", "dev", machine.device, "src", far)
    wait_ping(machine.netns, second)
    wait_ping(one.netns, OUTSIDE)


def test_ndp_proxy(cloud: Cloud) -> None:
    """From outside, only the IPv6 addresses that were chosen are met; from inside everything is."""
    external = cloud.api.networks["outside"]
    api = cloud.api
    scope = api.ask("POST", "address-scopes", {"address_scope": {"name": "six", "ip_version": 6}})["address_scope"]
    pool = {"name": "six", "prefixes": ["2001:db8::/32"], "address_scope_id": scope["id"], "default_prefixlen": 64}
    given = {"subnetpool_id": api.ask("POST", "subnetpools", {"subnetpool": pool})["subnetpool"]["id"]}
    cloud.make_subnet(external, "2001:db8:ffff::/64", gateway_ip="2001:db8:ffff::1", enable_dhcp=False, **given)
    network = cloud.make_plain_network("six")
    four = cloud.make_subnet(network, "10.6.0.0/24")
    subnet = cloud.make_subnet(network, "2001:db8:aaaa::/64", gateway_ip="2001:db8:aaaa::fffe", **given)
    one, other = (cloud.boot("h1", network, "10.6.0.1") for _ in range(2))
    router = cloud.make_router(four, subnet, external=external)
    cloud.wait_router(router)
    addresses = []
    for instance in (one, other):
        fixed = api.ask("GET", f"ports/{instance.id}")["port"]["fixed_ips"]
        (address,) = (found["ip_address"] for found in fixed if ":" in found["ip_address"])
        run("ip", "netns", "exec", instance.netns, "sysctl", "-qw", f"net.ipv6.conf.{instance.device}.disable_ipv6=0")
        run("ip", "-n", instance.netns, "addr", "add", f"{address}/64", "dev", instance.device, "nodad")
        run("ip", "-n", instance.netns, "-6", "route", "add", "default", "via", "2001:db8:aaaa::fffe")
        addresses.append(address)
    fixed = api.ask("GET", f"routers/{router}")["router"]["external_gateway_info"]["external_fixed_ips"]
    (gateway,) = (found["ip_address"] for found in fixed if ":" in found["ip_address"])
    run("ip", "-n", cloud.outside, "-6", "route", "replace", "2001:db8:aaaa::/64", "via", gateway)
    wait_until(lambda: pings(cloud.outside, addresses[0]) and pings(cloud.outside, addresses[1]))
    api.ask("PUT", f"routers/{router}", {"router": {"enable_ndp_proxy": True}})
    wait_until(lambda: not pings(cloud.outside, addresses[1]))
    body = {"router_id": router, "port_id": one.id, "ip_address": addresses[0]}
    api.ask("POST", "ndp_proxies", {"ndp_proxy": body})
    wait_ping(cloud.outside, addresses[0])
    run("ip", "-n", cloud.outside, "-6", "route", "replace", "2001:db8:aaaa::/64", "dev", "eth0")
    wait_ping(cloud.outside, addresses[0])
    assert not pings(cloud.outside, addresses[1]), "nobody answers for it"
    wait_ping(one.netns, "2001:db8:ffff::1")


def test_a_host_without_the_physical_network(cloud: Cloud) -> None:
    """The gateway's port fails and says why, the rest works, and it heals when the bridge comes."""
    external = cloud.api.networks["outside"]
    rig = cloud.hosts["h1"]
    before = dict(rig.extra)
    rig.extra["ovs.bridge_mappings"] = ""
    rig.stop_agent()
    rig.start_agent()
    api = cloud.api
    wait_until(lambda: not read_mappings(cloud, "h1"))
    subnet, one = make_inside(cloud)
    router = cloud.make_router(subnet)
    agents = {a["host"]: a["id"] for a in api.ask("GET", "agents?agent_type=L3%20agent")["agents"]}
    (now,) = (a["host"] for a in api.ask("GET", f"routers/{router}/l3-agents")["agents"])
    if now != "h1":
        api.ask("DELETE", f"agents/{agents[now]}/l3-routers/{router}")
        api.ask("POST", f"agents/{agents['h1']}/l3-routers", {"router_id": router})
    api.ask("PUT", f"routers/{router}", {"router": {"external_gateway_info": {"network_id": external}}})
    wait_ping(one.netns, "10.1.0.1")
    (gateway,) = rig.list_ports(device_id=router, device_owner="network:router_gateway")
    assert (gateway["binding:vif_type"], gateway["status"]) == ("binding_failed", "DOWN")
    assert "physnet" in gateway["waits_for"]
    assert not pings(one.netns, OUTSIDE)
    rig.extra = before
    rig.stop_agent()
    rig.start_agent()
    wait_ping(one.netns, OUTSIDE)
    cloud.wait_router(router)


def read_mappings(cloud: Cloud, host: str) -> dict[str, str]:
    (agent,) = cloud.api.ask("GET", f"agents?host={host}&agent_type=Open%20vSwitch%20agent")["agents"]
    found: dict[str, str] = agent["configurations"]["bridge_mappings"]
    return found


def test_the_world_is_told_where_an_address_is(cloud: Cloud) -> None:
    """A floating IP that goes from one router to another is announced: a neighbour that knew the old one learns."""
    external = cloud.api.networks["outside"]
    sides = [make_inside(cloud, host) for host in ("h1", "h2")]
    routers = [cloud.make_router(subnet, external=external) for subnet, _ in sides]
    for router in routers:
        cloud.wait_router(router)
    fip = cloud.associate(external, sides[0][1].id)
    wait_ping(cloud.outside, fip["floating_ip_address"])
    run("ip", "-n", cloud.outside, "neigh", "replace", fip["floating_ip_address"], "dev", "eth0", "nud", "reachable",
        "lladdr", read_neighbour(cloud, fip["floating_ip_address"]))  # fmt: skip
    old = read_neighbour(cloud, fip["floating_ip_address"])
    run("ip", "netns", "exec", cloud.outside, "sysctl", "-qw", "net.ipv4.conf.all.arp_accept=1")
    cloud.api.ask("PUT", f"floatingips/{fip['id']}", {"floatingip": {"port_id": sides[1][1].id}})
    wait_until(lambda: read_neighbour(cloud, fip["floating_ip_address"]) not in (old, ""))
    wait_ping(cloud.outside, fip["floating_ip_address"])


def read_neighbour(cloud: Cloud, ip: str) -> str:
    shown = subprocess.run(
        ["ip", "-n", cloud.outside, "neigh", "show", ip], capture_output=True, text=True, check=True
    ).stdout.split()
    return shown[shown.index("lladdr") + 1] if "lladdr" in shown else ""

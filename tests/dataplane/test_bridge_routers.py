"""Routers, copies of routers and metadata on a host with Linux bridges, beside one with Open vSwitch."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

import pytest

from tests.dataplane.bridge_rig import make_mixed_cloud
from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import OUTSIDE, Cloud, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.test_metadata import DOCUMENT6, SECRET, fetch, is_told, start_nova
from tests.dataplane.test_routers import external, inside, make_side, serve_tcp, wait_told
from tests.dataplane.wire import open_socket, to_bytes

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_mixed_cloud(metadata_proxy_shared_secret=SECRET) as made:
        made.make_external()
        with start_nova(made.hosts["h2"]):
            yield made


def find_agent(cloud: Cloud, host: str) -> str:
    (found,) = cloud.api.ask("GET", f"agents?host={host}&agent_type=L3%20agent")["agents"]
    return str(found["id"])


def host_on(cloud: Cloud, router: str, host: str) -> None:
    """Just there."""
    for agent in cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]:
        cloud.api.ask("DELETE", f"agents/{agent['id']}/l3-routers/{router}")
    cloud.api.ask("POST", f"agents/{find_agent(cloud, host)}/l3-routers", {"router_id": router})


def test_a_router_on_bridges_joins_networks_and_the_world(cloud: Cloud) -> None:
    """Between instances of both kinds of host, out behind its address, in and out by a floating IP; and moved away."""
    one, a = make_side(cloud, "blue", "10.1.0.0/24", "h1")
    other, b = make_side(cloud, "red", "10.2.0.0/24", "h2")
    router = cloud.make_router(one, other, external=external(cloud))
    host_on(cloud, router, "h2")
    cloud.wait_router(router)
    wait_ping(a.netns, b.address)
    wait_ping(b.netns, a.address)
    gateway = cloud.api.ask("GET", f"routers/{router}")["router"]["external_gateway_info"]
    hidden = gateway["external_fixed_ips"][0]["ip_address"]
    with serve_tcp(cloud.outside, 8080):
        wait_told(b.netns, OUTSIDE, 8080, f"8080 from {hidden}")
        floating = cloud.associate(external(cloud), a.id)["floating_ip_address"]
        wait_ping(cloud.outside, floating)
        wait_told(a.netns, OUTSIDE, 8080, f"8080 from {floating}")
    host_on(cloud, router, "h1")
    wait_ping(a.netns, b.address)
    wait_ping(cloud.outside, floating)


def test_of_two_copies_one_on_bridges_takes_over(cloud: Cloud) -> None:
    """An HA router has a copy on each host: when the active one is heard no more, the other one forwards."""
    one, a = make_side(cloud, "high", "10.3.0.0/24", "h1")
    other, b = make_side(cloud, "low", "10.4.0.0/24", "h2")
    router = cloud.make_router(one, other, ha=True)
    wait_ping(a.netns, b.address)

    def find_states() -> dict[str, str]:
        agents = cloud.api.ask("GET", f"routers/{router}/l3-agents")["agents"]
        return {agent["host"]: agent["ha_state"] for agent in agents}

    wait_until(lambda: sorted(find_states().values()) == ["active", "standby"])
    states = find_states()
    active = next(host for host, state in states.items() if state == "active")
    rest = "h1" if active == "h2" else "h2"
    joint = next(
        line.split(":")[1].split("@")[0].strip()
        for line in inside(cloud, router, "ip", "-o", "link", host=active).splitlines()
        if "ha-" in line
    )
    inside(cloud, router, "ip", "link", "set", joint, "down", host=active)  # its words do not arrive any more
    wait_until(lambda: find_states().get(rest) == "active")
    wait_ping(a.netns, b.address)
    wait_ping(b.netns, a.address)


SERVICE6 = socket.inet_pton(socket.AF_INET6, "fe80::a9fe:a9fe")
FIXED = ({"ip_address": "10.9.0.5"},)


def boot_asking(
    cloud: Cloud, network: str, tenant: str, name: str, fixed: Sequence[Mapping[str, str]] = FIXED
) -> Instance:
    api, rig = cloud.api, cloud.hosts["h2"]
    body = {
        "network_id": network, "binding:host_id": "h2", "project_id": tenant, "device_id": name,
        "device_owner": "compute:nova", "fixed_ips": list(fixed),
    }  # fmt: skip
    port = api.ask("POST", "ports", {"port": body})["port"]
    cloud.count += 1
    one = rig.boot(port, cloud.count)
    wait_until(lambda: api.ask("GET", f"ports/{port['id']}")["port"]["status"] == "ACTIVE")
    return one


def test_instances_with_one_address_are_told_of_themselves(cloud: Cloud) -> None:
    """Two tenants, one address: each gets its own metadata, on the link and by a gateway; and after the agent died."""
    told = []
    for name in ("m1", "m2"):
        network = cloud.make_plain_network(name)
        cloud.make_subnet(network, "10.9.0.0/24")
        one = boot_asking(cloud, network, f"tenant-{name}", f"instance-{name}")
        way = ["via", "10.9.0.1"] if name == "m2" else []
        run("ip", "-n", one.netns, "route", "add", "169.254.169.254/32", *way, "dev", one.device)
        if way:  # nobody has that address here: the frame goes to a MAC that is not there, and is taken all the same
            run("ip", "-n", one.netns, "neigh", "replace", "10.9.0.1", "lladdr", "fa:16:3e:99:99:99", "dev", one.device)
        told.append(one)
    for name, one in zip(("m1", "m2"), told, strict=True):
        wait_until(lambda one=one: is_told(one))  # type: ignore[misc]
        assert f"instance-{name}" in fetch(one) and f"tenant-{name}" in fetch(one)
    rig = cloud.hosts["h2"]
    rig.stop_agent(signal.SIGKILL)
    rig.start_agent()
    wait_until(lambda: is_told(told[0]))


def test_metadata_is_on_the_link_by_ipv6(cloud: Cloud) -> None:
    """fe80::a9fe:a9fe answers whoever is here, with the service's own MAC; on a network that is more than this host's,
    nobody elsewhere hears the question."""
    network = external(cloud)
    cloud.make_subnet(network, "2001:db8:9::/64")
    fixed = ({"ip_address": "203.0.113.77"}, {"ip_address": "2001:db8:9::5"})
    one = boot_asking(cloud, network, "tenant-m6", "instance-m6", fixed)
    wire = open_socket(cloud.hosts["h1"].host.netns, "eth1")
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    run("ip", "-n", one.netns, "addr", "add", "2001:db8:9::5/64", "dev", one.device, "nodad")
    url = DOCUMENT6.format(one.device)
    with closing(wire):
        wait_until(lambda: is_told(one, url))
        heard = [frame for frame in read_waiting(wire) if frame[6:12] == to_bytes(one.mac)]
    assert any(frame[12:14] == b"\x86\xdd" for frame in heard), "nothing of the instance came by that wire"
    assert not any(SERVICE6 in frame for frame in heard)
    assert "instance-m6" in fetch(one, url) and "tenant-m6" in fetch(one, url)
    assert "instance-m6" in fetch(one, url, "--interface", "2001:db8:9::5")
    assert "02:4e:4c:00:00:02" in run("ip", "-n", one.netns, "-6", "neigh", "show", "fe80::a9fe:a9fe")
    wait_planned(cloud.hosts["h2"])


def read_waiting(wire: socket.socket) -> Iterator[bytes]:
    """What has come already."""
    while True:
        try:
            yield wire.recv(4096)
        except BlockingIOError:
            return

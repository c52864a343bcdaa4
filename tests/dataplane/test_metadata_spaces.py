"""Metadata the way of Neutron's agents: redirected in the namespaces of routers and DHCP servers (metadata_path)."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from functools import partial

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.rig_cloud import Cloud, make_cloud
from tests.dataplane.settled import wait_planned, wait_quiet
from tests.dataplane.test_dhcp_servers import find_server, gets_lease, kill_servers, lease, plug
from tests.dataplane.test_metadata import SECRET, fetch, is_told, start_nova

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    """One host, whose agent answers in namespaces."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(1, "--set", "dhcp_driver=dnsmasq") as made:
        rig = made.hosts["h1"]
        rig.extra |= {"netloom.metadata_path": "namespace", "metadata_proxy_shared_secret": SECRET}
        rig.stop_agent()
        since = len(rig.read_log())
        rig.start_agent()
        rig.wait_log("following", since)
        try:
            with start_nova(rig):
                yield made
        finally:
            rig.stop_agent(signal.SIGKILL)
            kill_servers(rig)


def settle(cloud: Cloud, one: Instance, gateway: str = "") -> Instance:
    """With the address that DHCP gives, and the way to the service by a gateway or on the link."""
    wait_until(partial(gets_lease, cloud, one))
    told = lease(cloud, one)
    run("ip", "-n", one.netns, "addr", "add", f"{told['ip']}/24", "dev", one.device)
    way = ("via", gateway) if gateway else ()
    run("ip", "-n", one.netns, "route", "add", "169.254.169.254/32", *way, "dev", one.device)
    return one


def make_tenant(cloud: Cloud, name: str) -> tuple[str, str]:
    """A network and its subnet, the same addresses for each tenant."""
    network = cloud.make_plain_network(name)
    return network, cloud.make_subnet(network, "10.5.0.0/24")


def test_dhcp_servers_tell_tenants_apart(cloud: Cloud) -> None:
    """Two isolated networks with the same addresses: each instance is told of itself in its network's namespace."""
    for name in ("one", "two"):
        network, _ = make_tenant(cloud, name)
        find_server(cloud, network)
        fixed = [{"ip_address": "10.5.0.50"}]
        one = plug(cloud, "h1", network, fixed_ips=fixed, device_id=f"instance-{name}", device_owner="compute:nova")
        settle(cloud, one)
        wait_until(partial(is_told, one))
        told = json.loads(fetch(one, "http://169.254.169.254/openstack/latest/meta_data.json"))
        assert told["uuid"] == f"instance-{name}"
        assert fetch(one, "http://169.254.169.254/latest/meta-data/local-ipv4") == "10.5.0.50"


def test_a_router_leads_there_too(cloud: Cloud) -> None:
    """Behind a router the gateway takes the request; its port is for nobody who asks it directly."""
    network, subnet = make_tenant(cloud, "routed")
    router = cloud.make_router(subnet)
    cloud.wait_router(router)
    one = plug(cloud, "h1", network, device_id="instance-routed", device_owner="compute:nova")
    settle(cloud, one, "10.5.0.1")
    wait_until(partial(is_told, one))
    told = json.loads(fetch(one, "http://169.254.169.254/openstack/latest/meta_data.json"))
    assert told["uuid"] == "instance-routed"
    assert fetch(one, "http://10.5.0.1:9697/latest/meta-data/instance-id", "-m", "2") == "000"


def test_ipv6_leads_there_too(cloud: Cloud) -> None:
    """fe80::a9fe:a9fe is answered on the link: by the router where there is one, else by the DHCP server."""
    routed, subnet = make_tenant(cloud, "routed-six")
    lone, _ = make_tenant(cloud, "lone-six")
    for network in (routed, lone):
        cloud.make_subnet(network, "fd00:5::/64", gateway_ip="fd00:5::1")
    router = cloud.make_router(subnet)
    cloud.wait_router(router)
    for network, device in ((routed, "instance-routed-six"), (lone, "instance-lone-six")):
        find_server(cloud, network)
        one = plug(cloud, "h1", network, device_id=device, device_owner="compute:nova")
        run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
        url = f"http://[fe80::a9fe:a9fe%25{one.device}]/openstack/latest/meta_data.json"
        wait_until(lambda one=one, url=url: fetch(one, url).startswith("{"))  # type: ignore[misc]
        assert json.loads(fetch(one, url))["uuid"] == device
    wait_planned(cloud.hosts["h1"], but={"dhcp_server"})


def test_a_forged_header_counts_for_nothing_there_either(cloud: Cloud) -> None:
    """The headers are ours in every way."""
    network, _ = make_tenant(cloud, "forger")
    find_server(cloud, network)
    one = settle(cloud, plug(cloud, "h1", network, device_id="instance-forger", device_owner="compute:nova"))
    wait_until(partial(is_told, one))
    url = "http://169.254.169.254/latest/meta-data/instance-id"
    assert fetch(one, url, "-H", "X-Instance-ID: instance-one") == "instance-forger"


def test_the_agent_is_killed_and_nothing_is_to_do(cloud: Cloud) -> None:
    """A new agent finds namespaces, rules and servers in place, and answers again."""
    rig = cloud.hosts["h1"]
    network, _ = make_tenant(cloud, "last")
    find_server(cloud, network)
    one = settle(cloud, plug(cloud, "h1", network, device_id="instance-last", device_owner="compute:nova"))
    wait_until(partial(is_told, one))
    wait_quiet(rig, "dhcp_server")
    rig.stop_agent(signal.SIGKILL)
    since = len(rig.read_log())
    rig.start_agent()
    wait_until(partial(is_told, one))
    assert " ops, " not in rig.read_log(since)

"""Real dnsmasq in namespaces: leases over the wire, changes while leases are held, what is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from netloom.drivers.dnsmasq import find_pid
from tests.dataplane.conftest import why_not
from tests.dataplane.dhcp_clients import get_note
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import Cloud, make_cloud

pytestmark = pytest.mark.dataplane

DRIVER = ("--set", "dhcp_driver=dnsmasq")
HASTY = (*DRIVER, "--set", "agent_down_time=3")
TELL = "#!/bin/sh\n[ $1 = bound ] && env >{file}\nexit 0\n"


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    if reason := why_not():
        pytest.skip(reason)
    with make_dhcp_cloud(*DRIVER) as made:
        yield made


@contextmanager
def make_dhcp_cloud(*options: str) -> Iterator[Cloud]:
    with make_cloud(2, *options) as made:
        try:
            yield made
        finally:
            for rig in made.hosts.values():
                rig.stop_agent(signal.SIGKILL)
                kill_servers(rig)


def servers(rig: Rig) -> Path:
    return rig.folder / rig.name / "dhcp"


def kill_servers(rig: Rig) -> None:
    for place in servers(rig).iterdir() if servers(rig).is_dir() else ():
        if pid := find_pid(place):
            os.kill(pid, signal.SIGKILL)


def find_server(cloud: Cloud, network: str) -> tuple[Rig, dict[str, Any]]:
    """The host of the network's server, and the server's port, once it is ACTIVE."""
    held: list[dict[str, Any]] = []

    def ready() -> bool:
        held[:] = cloud.api.list_ports(network_id=network, device_owner="network:dhcp")
        return bool(held) and held[0]["status"] == "ACTIVE"

    wait_until(ready)
    return cloud.hosts[held[0]["binding:host_id"]], held[0]


def plug(cloud: Cloud, host: str, network: str, **given: Any) -> Instance:
    """An instance without an address."""
    rig = cloud.hosts[host]
    cloud.count += 1
    (port,) = rig.make_ports(network, 1, **given)
    (one,) = rig.cable([port], rig.make_space(f"i{cloud.count}"), cloud.count)
    run("ip", "netns", "exec", one.netns, "ethtool", "-K", one.device, "tx", "off")
    rig.plug([one])
    wait_until(lambda: rig.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE")
    return one


def lease(cloud: Cloud, one: Instance, tries: int = 10) -> Mapping[str, str]:
    """What a client is given; nothing where nobody answers."""
    told, script = cloud.folder / f"{one.device}.env", cloud.folder / f"{one.device}.sh"
    told.unlink(missing_ok=True)
    script.write_text(TELL.format(file=told))
    script.chmod(0o755)
    wanted = [word for option in ("staticroutes", "mtu", "ntpsrv", "dns") for word in ("-O", option)]
    command = ["udhcpc", "-i", one.device, "-n", "-q", "-f", "-t", str(tries), "-T", "1", "-s", str(script), *wanted]
    subprocess.run(["ip", "netns", "exec", one.netns, *command], capture_output=True, check=False)
    lines = told.read_text().splitlines() if told.exists() else []
    return {name: value for name, _, value in (line.partition("=") for line in lines)}


def gets_lease(cloud: Cloud, one: Instance) -> bool:
    return lease(cloud, one, 1).get("ip") == one.address


@pytest.fixture(scope="module")
def network(cloud: Cloud) -> str:
    return make_served(cloud)


def make_served(cloud: Cloud) -> str:
    """A network whose servers hand out addresses of both versions."""
    network = cloud.make_plain_network("central")
    cloud.make_subnet(
        network, "10.9.0.0/24", dns_nameservers=["9.9.9.9"],
        host_routes=[{"destination": "10.7.0.0/16", "nexthop": "10.9.0.7"}],
    )  # fmt: skip
    modes = {"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
    cloud.make_subnet(network, "fd00:9::/64", **modes)
    return network


def test_a_server_answers_all_hosts(cloud: Cloud, network: str) -> None:
    """One server on one host: instances of both get address, routes, resolver and MTU from it, and of nobody else."""
    rig, port = find_server(cloud, network)
    own = port["fixed_ips"][0]["ip_address"]
    for host in cloud.hosts:
        one = plug(cloud, host, network)
        wait_until(partial(gets_lease, cloud, one))
        told = lease(cloud, one)
        assert (told["ip"], told["dns"], told["mtu"], told["router"]) == (one.address, "9.9.9.9", "1450", "10.9.0.1")
        assert told["serverid"] == own
        assert "10.7.0.0/16 10.9.0.7" in told["staticroutes"]
        assert "169.254.169.254/32 0.0.0.0" in told["staticroutes"]
    assert find_pid(servers(rig) / f"qdhcp-{network}")


def test_a_list_is_read_anew_while_leases_are_held(cloud: Cloud, network: str) -> None:
    """Instances come and go, some with options of their own: the server that has leases serves each of them."""
    rig, _ = find_server(cloud, network)
    place = servers(rig) / f"qdhcp-{network}"
    first = plug(cloud, "h1", network)
    wait_until(partial(gets_lease, cloud, first))
    before = find_pid(place)
    second = plug(cloud, "h2", network)
    wait_until(partial(gets_lease, cloud, second))
    assert find_pid(place) == before
    options = [{"opt_name": "ntp-server", "opt_value": "10.9.0.99"}, {"opt_name": "mtu", "opt_value": "1300"}]
    third = plug(cloud, "h1", network, extra_dhcp_opts=options)
    wait_until(partial(gets_lease, cloud, third))
    assert lease(cloud, third)["ntpsrv"] == "10.9.0.99"
    assert "ntpsrv" not in lease(cloud, second)


def test_an_address_goes_to_the_next_who_has_it(cloud: Cloud, network: str) -> None:
    """A port with a lease is deleted, and its address is another port's: that one gets it."""
    old = plug(cloud, "h1", network)
    wait_until(partial(gets_lease, cloud, old))
    cloud.api.ask("DELETE", f"ports/{old.id}")
    new = plug(cloud, "h2", network, fixed_ips=[{"ip_address": old.address}])
    wait_until(partial(gets_lease, cloud, new))


def test_an_address_of_version_6_is_handed_out(cloud: Cloud, network: str, tmp_path: Path) -> None:
    """A client of DHCPv6 gets just the address that the API says."""
    one = plug(cloud, "h2", network)
    wanted = next(f["ip_address"] for f in cloud.api.ask("GET", f"ports/{one.id}")["port"]["fixed_ips"] if ":" in
                  f["ip_address"])  # fmt: skip
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    assert get_note(one.netns, one.device, tmp_path, 6, "BOUND6")["new_ip6_address"] == wanted


def test_a_killed_server_is_started_again(cloud: Cloud, network: str) -> None:
    """kill -9 of dnsmasq: the agent starts another within moments; kill -9 of the agent changes nothing."""
    rig, _ = find_server(cloud, network)
    place = servers(rig) / f"qdhcp-{network}"
    one = plug(cloud, "h1", network)
    old = find_pid(place)
    os.kill(old, signal.SIGKILL)
    began = time.monotonic()
    wait_until(lambda: find_pid(place) not in (0, old))
    print(f"a killed dnsmasq was back after {time.monotonic() - began:.2f} s")
    wait_until(partial(gets_lease, cloud, one))
    new = find_pid(place)
    rig.stop_agent(signal.SIGKILL)
    wait_until(partial(gets_lease, cloud, one))
    assert find_pid(place) == new
    since = len(rig.read_log())
    rig.start_agent()
    rig.wait_log("following", since)
    wait_until(partial(gets_lease, cloud, one))
    assert find_pid(place) == new


def test_a_host_that_is_gone_is_replaced() -> None:
    """Agent and server of one host are killed: after agent_down_time the other host serves, by the same address."""
    if reason := why_not():
        pytest.skip(reason)
    with make_dhcp_cloud(*HASTY) as cloud:
        try_replacement(cloud, make_served(cloud))


def try_replacement(cloud: Cloud, network: str) -> None:
    rig, port = find_server(cloud, network)
    other = next(one for name, one in cloud.hosts.items() if name != rig.name)
    one = plug(cloud, other.name, network)
    wait_until(partial(gets_lease, cloud, one))
    rig.stop_agent(signal.SIGKILL)
    kill_servers(rig)
    began = time.monotonic()
    wait_until(lambda: find_server(cloud, network)[0].name == other.name)
    wait_until(partial(gets_lease, cloud, one))
    print(f"a host's networks were served again after {time.monotonic() - began:.1f} s")
    assert lease(cloud, one)["serverid"] == port["fixed_ips"][0]["ip_address"]
    rig.start_agent()
    wait_until(lambda: not find_pid(servers(rig) / f"qdhcp-{network}"))


def test_of_two_servers_of_a_routed_network_one_is_enough(cloud: Cloud) -> None:
    """kill -9 of the agent and the server of one host: the other answers at once, and with the router's address."""
    network = cloud.make_plain_network("routed")
    router = cloud.make_router(cloud.make_subnet(network, "10.11.0.0/24"))
    cloud.wait_router(router)
    rig, _ = find_server(cloud, network)
    other = next(one for name, one in cloud.hosts.items() if name != rig.name)
    (agent,) = cloud.api.ask("GET", f"agents?host={other.name}&agent_type=DHCP%20agent")["agents"]
    cloud.api.ask("POST", f"agents/{agent['id']}/dhcp-networks", {"network_id": network})
    wait_until(lambda: all(find_pid(servers(one) / f"qdhcp-{network}") for one in cloud.hosts.values()))
    ports = {p["binding:host_id"]: p for p in cloud.api.list_ports(network_id=network, device_owner="network:dhcp")}
    one = plug(cloud, other.name, network)
    wait_until(partial(gets_lease, cloud, one))
    rig.stop_agent(signal.SIGKILL)
    os.kill(find_pid(servers(rig) / f"qdhcp-{network}"), signal.SIGKILL)
    wait_until(partial(gets_lease, cloud, one))
    told = lease(cloud, one)
    assert (told["ip"], told["router"]) == (one.address, "10.11.0.1")
    assert told["serverid"] == ports[other.name]["fixed_ips"][0]["ip_address"]
    rig.start_agent()
    wait_until(lambda: find_pid(servers(rig) / f"qdhcp-{network}"))


def test_a_network_that_goes_takes_its_server_along(cloud: Cloud) -> None:
    """Namespace, process and files are gone with the last subnet."""
    network = cloud.make_plain_network("short")
    subnet = cloud.make_subnet(network, "10.8.0.0/24")
    rig, _ = find_server(cloud, network)
    place = servers(rig) / f"qdhcp-{network}"
    wait_until(lambda: find_pid(place))
    cloud.api.ask("DELETE", f"subnets/{subnet}")
    wait_until(lambda: not place.exists())
    wait_until(lambda: not (rig.host.rundir / "netns" / f"qdhcp-{network}").exists())

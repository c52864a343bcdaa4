"""Routers in the lab as an operator has them: by the openstack command, with hosts that lose power and cables."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from netloom.lab.client import open_client
from netloom.lab.shell import LabError, run, wait_for
from tests.dataplane.conftest import why_not
from tests.dataplane.lab_kit import LabUnderTest, make_lab
from tests.dataplane.rig import Instance
from tests.dataplane.test_distributed_services import fetch

pytestmark = pytest.mark.dataplane

OUTSIDE, OUTSIDE6 = "203.0.113.1", "2001:db8::1"
HOSTS = ("h1", "h2", "h3")
LONG_S = 60.0
"""How long anything may take here: far less than a turn of router advertisements that nobody asked for."""


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """Router edge between red, blue and the world; a of red on h1, b of blue on h2."""
    if reason := why_not():
        pytest.skip(reason)
    if not shutil.which("keepalived"):
        pytest.skip("there is no keepalived on this machine")
    with make_lab() as made:
        made.run("up", "--hosts", str(len(HOSTS)), "--server-option", "agent_down_time=5")
        made.openstack_all(
            "network create world --external --provider-network-type flat --provider-physical-network physnet1",
            f"subnet create world4 --network world --subnet-range 203.0.113.0/24 --gateway {OUTSIDE} --no-dhcp",
            "network create red",
            "subnet create red4 --network red --subnet-range 10.1.0.0/24",
            "network create blue --mtu 1300",
            "subnet create blue4 --network blue --subnet-range 10.2.0.0/24",
            "router create edge",
            "router set edge --external-gateway world",
            "router add subnet edge red4",
            "router add subnet edge blue4",
            "security group rule create default --protocol icmp",
            "security group rule create default --ethertype IPv6 --protocol ipv6-icmp",
        )
        made.run("boot", "a", "--network", "red", "--host", "h1")
        made.run("boot", "b", "--network", "blue", "--host", "h2")
        yield made


def answers(lab: LabUnderTest, source: str, address: str) -> bool:
    """Whether one ping of at most two seconds comes back."""
    made = lab.place.require()
    netns = made.outside if source == "outside" else made.instance_netns(source)
    return "1 received" in try_run("ip", "netns", "exec", netns, "ping", "-n", "-c", "1", "-W", "2", address)


def try_run(*command: str) -> str:
    """What it says, however it ends."""
    try:
        return run(*command)
    except LabError as error:
        return str(error)


def wait_answer(lab: LabUnderTest, source: str, address: str) -> None:
    wait_for(f"{source} → {address}", lambda: answers(lab, source, address), LONG_S)


def inside(lab: LabUnderTest, host: str, *command: str) -> str:
    """What a command says in the router's namespace on that host; empty where there is none."""
    found = list(lab.place.spaces(host).glob("qrouter-*"))
    return try_run("nsenter", f"--net={found[0]}", *command) if found else ""


def find_active(lab: LabUnderTest) -> list[str]:
    """The hosts whose copy of the router has its address."""
    return [host for host in HOSTS if "10.1.0.1/24" in inside(lab, host, "ip", "-br", "-4", "addr")]


def wait_single(lab: LabUnderTest, but: str = "") -> str:
    """The one host with an active copy, once there is just one, and another than `but`."""
    found: list[str] = []

    def single() -> bool:
        found[:] = find_active(lab)
        return len(found) == 1 and found != [but]

    wait_for("one active copy", single, LONG_S, lambda: f"active on {found}")
    return found[0]


def address_of(lab: LabUnderTest, name: str) -> str:
    return lab.place.require().instances[name].addresses[0]


def test_a_floating_ip_moves_from_port_to_port(lab: LabUnderTest) -> None:
    """It is met at a, then at b, then nowhere; its status says so each time."""
    address = "203.0.113.50"
    lab.openstack(f"floating ip create world --port a --floating-ip-address {address}")
    wait_answer(lab, "outside", address)
    lab.openstack(f"floating ip set --port b {address}")
    wait_for("b is met", lambda: read_floating(lab, address) == (address_of(lab, "b"), "ACTIVE"), LONG_S)
    wait_answer(lab, "outside", address)
    lab.openstack(f"floating ip unset --port {address}")
    wait_for("nobody is met", lambda: not answers(lab, "outside", address), LONG_S)
    assert read_floating(lab, address) == (None, "DOWN")


def read_floating(lab: LabUnderTest, address: str) -> tuple[str | None, str]:
    """(The address that it leads to, its status)."""
    with open_client(lab.place.clouds) as client:
        (found,) = client.list("floatingips", floating_ip_address=address)
    return found["fixed_ip_address"], found["status"]


def test_a_second_gateway_shares_the_way_out(lab: LabUnderTest) -> None:
    """With ECMP the default route has a hop for each gateway, and one again when the second is taken away."""
    (host,) = find_active(lab)
    lab.openstack_all(
        "router add gateway edge world --fixed-ip ip-address=203.0.113.60",
        "router set edge --enable-default-route-ecmp",
    )
    wait_for("two hops", lambda: inside(lab, host, "ip", "route").count(f"nexthop via {OUTSIDE}") == 2, LONG_S)
    assert answers(lab, "a", OUTSIDE)
    lab.openstack("router remove gateway edge world --fixed-ip ip-address=203.0.113.60")
    wait_for("one hop", lambda: f"default via {OUTSIDE}" in inside(lab, host, "ip", "route"), LONG_S)


def test_ftp_is_followed_by_a_helper(lab: LabUnderTest) -> None:
    """The world connects back to what a announced; a helper that the kernel has not got is named and harms no other."""
    made = lab.place.require()
    one = Instance("a", "", made.instance_netns("a"), "", "", address_of(lab, "a"))
    create = "network l3 conntrack helper create edge --protocol tcp -f value -c id"
    lab.openstack("security group rule create default --protocol tcp")
    assert fetch(made.outside, one) == b""
    lab.openstack(f"{create} --helper ftp --port 21")
    wait_for("FTP", lambda: fetch(made.outside, one) == b"hello", LONG_S)
    missing = lab.openstack(f"{create} --helper amanda --port 10080").strip()  # kernels know it for UDP alone
    wait_for("a reason", lambda: "table netloom_helper_amanda_tcp: " in read_reasons(lab), LONG_S)
    assert fetch(made.outside, one) == b"hello"
    lab.openstack(f"network l3 conntrack helper delete edge {missing}")
    wait_for("no reason", lambda: not read_reasons(lab), LONG_S)


def read_reasons(lab: LabUnderTest) -> str:
    """What the router's ports wait for."""
    with open_client(lab.place.clouds) as client:
        ports = client.list("ports", device_owner="network:router_gateway")
    return "".join(port["waits_for"] or "" for port in ports)


def test_a_router_keeps_to_its_zones(lab: LabUnderTest) -> None:
    """It is on a host of a zone that it names, and when that is lost on the other one, though a third is free."""
    for host in ("h2", "h3"):
        lab.run("restart", host, "--host-option", "agent.availability_zone=west")
    lab.openstack_all("router create far --availability-zone-hint west", "router set far --external-gateway world")
    with open_client(lab.place.clouds) as client:
        space = f"qrouter-{client.find('routers', 'far')['id']}"

    def places() -> set[str]:
        return {host for host in HOSTS if (lab.place.spaces(host) / space).exists()}

    wait_for("it is somewhere", lambda: bool(places()), LONG_S)
    (first,) = places()
    lab.run("kill", first)
    wait_for("it moved", lambda: bool(places() - {first}), LONG_S)
    assert places() | {first} == {"h2", "h3"}
    lab.run("start", first)
    lab.openstack_all("router unset far --external-gateway", "router delete far")
    wait_for("it is gone", lambda: not places(), LONG_S)


def test_a_packet_too_long_for_the_next_network_is_refused_by_name(lab: LabUnderTest) -> None:
    """a is told the MTU of blue by the router; what may be cut up arrives."""
    made = lab.place.require()
    ping = ("ip", "netns", "exec", made.instance_netns("a"), "ping", "-c", "2", "-W", "3", "-s", "1400")
    assert "mtu = 1300" in try_run(*ping, "-M", "do", address_of(lab, "b")) + " ".join(lab_log(lab))
    assert "1 received" in try_run(*ping, "-M", "dont", "-c", "1", address_of(lab, "b"))


def lab_log(lab: LabUnderTest) -> tuple[str, ...]:
    """What a's kernel remembers of ways that are narrower than they look."""
    netns = lab.place.require().instance_netns("a")
    return ("mtu = 1300",) if "mtu 1300" in run("ip", "-n", netns, "route", "get", address_of(lab, "b")) else ()


def test_ipv6_comes_to_instances_that_run(lab: LabUnderTest) -> None:
    """A subnet and a router are there at once; an NDP proxy is met from outside, and others are not."""
    lab.openstack_all(
        "address scope create six --ip-version 6",
        "subnet pool create pool6 --pool-prefix 2001:db8::/48 --default-prefix-length 64 --address-scope six",
        f"subnet create world6 --network world --ip-version 6 --subnet-pool pool6 --subnet-range 2001:db8::/64"
        f" --gateway {OUTSIDE6} --no-dhcp",
        "subnet create red6 --network red --ip-version 6 --subnet-pool pool6 --subnet-range 2001:db8:0:1::/64"
        " --ipv6-ra-mode slaac --ipv6-address-mode slaac",
        "router add subnet edge red6",
    )
    made = lab.place.require()
    netns = made.instance_netns("a")
    wait_for("a default route", lambda: "default" in run("ip", "-n", netns, "-6", "route"), LONG_S)
    with open_client(lab.place.clouds) as client:
        port = client.find("ports", "a")
    (address,) = (fixed["ip_address"] for fixed in port["fixed_ips"] if ":" in fixed["ip_address"])
    wait_for("a's address", lambda: address in run("ip", "-n", netns, "-6", "addr"), LONG_S)
    run("ip", "-n", made.outside, "-6", "route", "add", "2001:db8:0:1::/64", "dev", "eth0")
    assert not answers(lab, "outside", address)
    lab.openstack_all(
        "router set edge --enable-ndp-proxy", f"router ndp proxy create edge --name web --port a --ip-address {address}"
    )
    wait_answer(lab, "outside", address)
    assert not answers(lab, "outside", "2001:db8:0:1::77")
    lab.openstack_all(
        "router ndp proxy delete web", "router set edge --disable-ndp-proxy", "router remove subnet edge red6"
    )
    wait_for("no default route", lambda: "default" not in run("ip", "-n", netns, "-6", "route"), LONG_S)


def test_a_host_without_power_and_a_partition(lab: LabUnderTest) -> None:
    """An HA router goes on from another host; after a return, and after mended cables, one copy is active."""
    lab.openstack_all("router set edge --disable", "router set edge --ha", "router set edge --enable")
    first = wait_single(lab)
    source = "b" if first == "h1" else "a"
    wait_answer(lab, source, OUTSIDE)
    assert "has no power" in lab.run("kill", first)
    assert wait_single(lab) != first
    wait_answer(lab, source, OUTSIDE)
    assert "agent" in lab.run("start", first)
    wait_for("its copy", lambda: "ha-" in inside(lab, first, "ip", "-br", "link"), LONG_S)
    second = wait_single(lab)
    assert "underlay" in lab.run("cut", second)
    wait_for("two sides, one active copy each", lambda: len(find_active(lab)) == 2, LONG_S)
    lab.run("mend", second)
    wait_single(lab)
    wait_answer(lab, source, OUTSIDE)


def test_a_program_of_a_host_is_killed(lab: LabUnderTest) -> None:
    """The agent is no part of the way; the switch is, and comes back with all that was on it."""
    lab.openstack_all("router set edge --disable", "router set edge --no-ha --distributed", "router set edge --enable")
    wait_for("the namespaces are gone", lambda: not find_active(lab), LONG_S)
    wait_answer(lab, "a", address_of(lab, "b"))
    lab.run("kill", "h1", "--only", "agent")
    assert answers(lab, "a", address_of(lab, "b"))
    assert "h1: started agent" in lab.run("start", "h1")
    lab.run("kill", "h1", "--only", "switch")
    assert not answers(lab, "a", address_of(lab, "b"))
    assert "does not answer" in lab.run("status", status=1)
    assert "h1: started switch" in lab.run("start", "h1")
    wait_answer(lab, "a", address_of(lab, "b"))


def test_what_is_not_there_is_said(lab: LabUnderTest) -> None:
    """A program that does not run, and a namespace that several hosts have; nothing is touched."""
    before = lab.leftovers()[0]
    assert "no dnsmasq runs on h1" in lab.run("kill", "h1", "--only", "dnsmasq", status=1)
    assert "'qmeta' is several: h1/qmeta" in lab.run("exec", "qmeta", "--", "true", status=1)
    assert "meta0" in lab.run("exec", "h1/qmeta", "--", "ip", "-br", "link")
    assert sorted(lab.leftovers()[0]) == sorted(before)

"""The lab as its user meets it: the commands of the tutorial, on real Open vSwitch, and kill -9 in between."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from netloom.lab import processes
from netloom.lab.client import open_client
from netloom.lab.shell import wait_for
from tests.dataplane.conftest import why_not
from tests.dataplane.lab_kit import NETLOOM, LabUnderTest, make_lab

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """Three hosts, and network blue with v4 and v6 subnets."""
    if reason := why_not():
        pytest.skip(reason)
    with make_lab() as made:
        made.run("up", "--hosts", "3")
        made.openstack("network create blue")
        made.openstack("subnet create blue4 --network blue --subnet-range 192.0.2.0/24 --dns-nameserver 192.0.2.53")
        made.openstack(
            "subnet create blue6 --network blue --ip-version 6 --subnet-range fd00:6::/64"
            " --ipv6-ra-mode slaac --ipv6-address-mode slaac"
        )
        yield made


def test_instances_on_different_hosts_reach_each_other(lab: LabUnderTest) -> None:
    """Booted on two hosts, with addresses off the wire, they ping in both families; MTU and DNS are as the API says."""
    lab.run("boot", "a", "--network", "blue", "--host", "h1")
    lab.run("boot", "b", "--network", "blue", "--host", "h2")
    assert "passed" in lab.run("ping", "a", "b", "-4")
    assert "passed" in lab.run("ping", "b", "a", "-6")
    assert "nameserver 192.0.2.53" in lab.run("exec", "a", "--", "cat", "/etc/resolv.conf")
    assert "mtu 1450" in lab.run("exec", "a", "--", "ip", "link", "show", "eth0")
    assert lab.openstack("port show a -f value -c status") == "ACTIVE\n"
    assert "br-int" in lab.run("exec", "h1", "--", "ovs-vsctl", "list-br")


def test_another_network_with_the_same_addresses_is_another_world(lab: LabUnderTest) -> None:
    """A network with the same prefix reaches its own instances and none of the first network's."""
    lab.openstack("network create red")
    lab.openstack("subnet create red4 --network red --subnet-range 192.0.2.0/24")
    for name, host in (("r1", "h1"), ("r2", "h2")):
        lab.run("boot", name, "--network", "red", "--host", host)
    assert "passed" in lab.run("ping", "r1", "r2")
    own = {address for name in ("r1", "r2") for address in lab.place.require().instances[name].addresses}
    foreign = set(lab.place.require().instances["a"].addresses) | set(lab.place.require().instances["b"].addresses)
    for address in foreign - own:
        assert "no answer" in lab.run("ping", "r1", address, "--count", "1", status=1)


def test_old_tunnel_ports_of_others_take_no_packet_away(lab: LabUnderTest) -> None:
    """Neutron's agent left ports for one remote host each: the switch prefers them, and instances go on pinging."""
    made = lab.place.require()
    for here, there in (("h1", "h2"), ("h2", "h1")):
        lab.run("exec", here, "--", "ovs-vsctl", "add-port", "br-tun", "vxlan-old", "--", "set", "interface",
                "vxlan-old", "type=vxlan", f"options:remote_ip={made.hosts[there].tunnel_ip}",
                f"options:local_ip={made.hosts[here].tunnel_ip}", "options:in_key=flow", "options:out_key=flow",
                "options:df_default=true", "options:egress_pkt_mark=0")  # fmt: skip
    number = lab.run("exec", "h2", "--", "ovs-vsctl", "get", "interface", "vxlan-old", "ofport").strip()

    def is_let_in() -> bool:
        dump = ("ovs-ofctl", "-O", "OpenFlow14", "--no-names", "dump-flows", "br-tun", "table=0")
        return re.search(rf"in_port={number}\b", lab.run("exec", "h2", "--", *dump)) is not None

    wait_for("flows of the old port", is_let_in, 60)
    for family in ("-4", "-6"):
        assert "passed" in lab.run("ping", "a", "b", family)
    for host in ("h1", "h2"):
        lab.run("exec", host, "--", "ovs-vsctl", "del-port", "br-tun", "vxlan-old")
    wait_for("no flows of it", lambda: not is_let_in(), 60)
    assert "passed" in lab.run("ping", "a", "b")


PHYSICAL = {"provider:physical_network": "physnet1"}


@pytest.mark.parametrize(
    ("kind", "given", "mtu"),
    [
        ("geneve", {}, 1450),
        ("gre", {}, 1458),
        ("vlan", {**PHYSICAL, "provider:segmentation_id": 3000}, 1500),
        ("flat", PHYSICAL, 1500),
    ],
)
def test_every_type_of_network_carries(lab: LabUnderTest, kind: str, given: dict[str, Any], mtu: int) -> None:
    """GENEVE, GRE, VLAN and flat networks reach from host to host with packets as long as their MTU."""
    with open_client(lab.place.clouds) as client:
        network = client.create("networks", "network", name=kind, **{"provider:network_type": kind}, **given)
        client.create("subnets", "subnet", network_id=network["id"], ip_version=4, cidr="198.51.100.0/24")
    assert network["mtu"] == mtu
    for number, host in (("1", "h1"), ("2", "h3")):
        lab.run("boot", f"{kind}{number}", "--network", kind, "--host", host)
    address = lab.place.require().instances[f"{kind}2"].addresses[0]
    assert "passed" in lab.run("ping", f"{kind}1", address)
    longest = ("ping", "-c", "3", "-W", "10", "-M", "do", "-s", str(mtu - 28), address)
    assert "ttl=" in lab.run("exec", f"{kind}1", "--", *longest)
    lab.run("delete", f"{kind}1", f"{kind}2")


def test_dhcpv6_gives_the_address_of_the_port(lab: LabUnderTest) -> None:
    """A stateful v6 subnet: the instance takes just the address that the API says, and is reached there."""
    with open_client(lab.place.clouds) as client:
        network = client.create("networks", "network", name="six")
        modes = {"ipv6_ra_mode": "dhcpv6-stateful", "ipv6_address_mode": "dhcpv6-stateful"}
        client.create("subnets", "subnet", network_id=network["id"], ip_version=6, cidr="fd00:66::/64", **modes)
    for name, host in (("s1", "h1"), ("s2", "h2")):
        lab.run("boot", name, "--network", "six", "--host", host)
    assert "passed" in lab.run("ping", "s1", "s2")
    lab.run("delete", "s1", "s2")


def test_a_port_that_nobody_plugs_says_so(lab: LabUnderTest) -> None:
    """Status lists it with the reason that the API gives."""
    lab.openstack("port create nobody --network blue --host h2")
    wait_for("the reason", lambda: "nobody" in lab.run("status").partition("Other ports")[2], 60)
    lab.openstack("port delete nobody")


def test_an_agent_restarts_and_nothing_is_lost(lab: LabUnderTest) -> None:
    """While the agents of both hosts are started anew, pings every 50 ms all come back."""
    address = lab.place.require().instances["b"].addresses[0]
    command = [*NETLOOM, "lab", "exec", "a", "--", "ping", "-q", "-i", "0.05", "-c", "80", "-W", "2", address]
    with subprocess.Popen(command, env=lab.env, stdout=subprocess.PIPE, text=True) as pinging:
        lab.run("restart", "h1", "h2")
        shown, _ = pinging.communicate(timeout=60)
    assert " 0% packet loss" in shown
    wait_for("agents alive", lambda: "silent" not in lab.run("status"), 60)


def test_a_boot_that_fails_leaves_nothing(lab: LabUnderTest) -> None:
    """No such network, no such host, a name that is taken: an error in a sentence, and nothing half made."""
    before = lab.place.require(), lab.leftovers()[1]
    ports = lab.openstack("port list -f value -c id")
    assert "there is no network 'none'" in lab.run("boot", "x", "--network", "none", status=1)
    assert "there is no host 'h9'" in lab.run("boot", "x", "--network", "blue", "--host", "h9", status=1)
    assert "there is an instance 'a' already" in lab.run("boot", "a", "--network", "blue", status=1)
    assert "there is no subnet 'none'" in lab.run("boot", "x", "--network", "blue", "--subnet", "none", status=1)
    assert (lab.place.require(), lab.leftovers()[1]) == before
    assert lab.openstack("port list -f value -c id") == ports


def test_deleting_an_instance_deletes_its_port(lab: LabUnderTest) -> None:
    """The port, the plug and the namespace go together."""
    lab.run("boot", "short", "--network", "blue", "--no-dhcp")
    assert "passed" in lab.run("ping", "short", "a")
    lab.run("delete", "short")
    assert "short" not in lab.openstack("port list -f value -c name")
    assert f"{lab.prefix}i-short" not in lab.leftovers()[1]


def test_a_lab_that_is_up_is_left_alone(lab: LabUnderTest) -> None:
    """A second `up` says what is there and changes nothing."""
    before = lab.leftovers()
    assert "a lab is up" in lab.run("up", status=1)
    assert lab.leftovers() == before


def test_instances_go_on_without_the_server(lab: LabUnderTest) -> None:
    """The server is killed and the agents start anew from what they have on disk: pings pass and DHCP answers."""
    lab.run("boot", "c", "--network", "blue", "--host", "h1")
    lab.run("boot", "d", "--network", "blue", "--host", "h2")
    for pid, command in processes.find_owned(lab.place.directory).items():
        if " server --config-file" in command:
            os.kill(pid, signal.SIGKILL)
    lab.run("restart", "h1", "h2", "h3")
    assert "passed" in lab.run("ping", "c", "d", "-4")
    ask = ("udhcpc", "-n", "-q", "-f", "-t", "20", "-T", "1", "-i", "eth0", "-s", "/bin/true")
    address = lab.place.require().instances["c"].addresses[0]
    assert f"lease of {address} obtained" in lab.run("exec", "c", "--", *ask)
    assert "does not answer" in lab.run("status", status=1)


def test_down_cleans_after_kill(lab: LabUnderTest) -> None:
    """kill -9 of everything the lab runs: status says what is dead, `down` leaves nothing."""
    for pid in processes.find_owned(lab.place.directory):
        os.kill(pid, signal.SIGKILL)
    shown = lab.run("status", status=1)
    assert "does not answer" in shown
    lab.run("down")
    assert lab.leftovers() == ([], [], [])
    assert "there was no lab" in lab.run("down")


@pytest.mark.parametrize("after", ["host h2", "the server", "the agents"])
def test_an_interrupted_up_is_cleaned_by_the_next(lab: LabUnderTest, after: str) -> None:
    """kill -9 of `lab up` in the middle; the next one starts from nothing and comes up whole."""
    command = [*NETLOOM, "lab", "up", "--hosts", "2"]
    marker = {"host h2": "hosts/h2", "the server": "netloom.conf", "the agents": "hosts/h1/netloom.conf"}[after]
    with subprocess.Popen(command, env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as starting:
        wait_for(after, (lab.place.directory / marker).exists, 60)
        starting.kill()
    assert lab.leftovers() != ([], [], [])
    lab.run("up", "--hosts", "2")
    assert lab.run("status").count("alive") == 2
    lab.run("down")
    assert lab.leftovers() == ([], [], [])

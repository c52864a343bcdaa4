"""Switching as an operator of the lab drives it, by the openstack command and `netloom lab`: rules on each of the three
firewalls, limits, a trunk, an instance that moves, drift, and what cannot be, said in words."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.lab.migrate import PING_MS
from netloom.lab.shell import wait_for
from tests.dataplane.hybrid_rig import why_not_hybrid
from tests.dataplane.lab_kit import LabUnderTest, make_lab
from tests.dataplane.rig import Instance
from tests.dataplane.traffic import measure, try_rate

pytestmark = pytest.mark.dataplane

GROUP = """
security group create web
security group rule create web --protocol tcp --dst-port 80
security group rule create web --protocol 112
security group rule create web --protocol icmp --icmp-type 13
security group rule create web --protocol tcp --dst-port 8000:8003 --ethertype IPv6
security group rule create web --protocol icmp --icmp-type 8
"""
TRIED = {
    "": {"tcp/80": True, "tcp/81": False, "ip/112": True, "ip/113": False, "icmp/13": True},
    "-6": {"tcp/8003": True, "tcp/8004": False},
}
TRUNK = """
network create red
subnet create red4 --network red --subnet-range 10.20.0.0/24
port create parent --network blue
port create sub101 --network red
port create sub102 --network red
network trunk create trunk1 --parent-port parent --subport port=sub101,segmentation-type=vlan,segmentation-id=101
"""


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """h1 keeps rules in Open vSwitch, h2 in iptables, h3 in nft. Instance a asks; native, hybrid, nft are asked."""
    if reason := why_not_hybrid():
        pytest.skip(reason)
    with make_lab() as made:
        made.run("up", "--hosts", "3", "--bridge-hosts", "1")
        made.run("restart", "h2", "--host-option", "securitygroup.firewall_driver=iptables_hybrid")
        wait_for("h2 says that it is hybrid", lambda: read_agent(made, "h2").get("ovs_hybrid_plug") is True, 30)
        script(
            made,
            """
network create blue
subnet create blue4 --network blue --subnet-range 10.0.0.0/24
subnet create blue6 --network blue --ip-version 6 --subnet-range fd00:b::/64 --ipv6-ra-mode slaac \
--ipv6-address-mode slaac
""",
        )
        for name, host in (("a", "h1"), ("native", "h1"), ("hybrid", "h2"), ("nft", "h3")):
            made.run("boot", name, "--network", "blue", "--host", host)
        yield made


def script(lab: LabUnderTest, lines: str) -> str:
    """Commands of one openstack program, which starts once for all of them; its exit status says nothing of them."""
    program = str(Path(sys.executable).parent / "openstack")
    env = {**lab.env, "OS_CLIENT_CONFIG_FILE": str(lab.place.clouds), "OS_CLOUD": "netloom"}
    done = subprocess.run(
        [program], env=env, input=lines.strip() + "\n", timeout=180, check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert not re.search("Exception|^Failed|error:", done.stdout, re.MULTILINE), done.stdout
    return done.stdout


def read_agent(lab: LabUnderTest, host: str) -> dict[str, object]:
    """What the agent of a host's switch says of itself."""
    listed = json.loads(lab.openstack(f"network agent list --host {host} --agent-type open-vswitch -f json"))
    shown = lab.openstack(f"network agent show {listed[0]['ID']} -f json -c configuration")
    found: dict[str, object] = json.loads(shown)["configuration"]
    return found


def reach(lab: LabUnderTest, target: str, tried: dict[str, bool], *options: str) -> dict[str, bool]:
    """What passes from a to the target."""
    status = 0 if all(tried.values()) else 1
    shown = lab.run("reach", "a", target, *tried, "--wait", "1.5", *options, status=status)
    return {line.split(", ")[-1].strip(): line.startswith("passed") for line in shown.splitlines() if ", " in line}


@pytest.mark.parametrize("target", ["native", "hybrid", "nft"])
def test_rules_mean_the_same_on_every_firewall(lab: LabUnderTest, target: str) -> None:
    """Ports, ranges, protocols by number and types of ICMP pass as the group says and nothing else does."""
    if target == "native":
        script(lab, GROUP)
    script(lab, f"port set {target} --no-security-group --security-group web")
    for option, tried in TRIED.items():
        assert reach(lab, target, tried, *filter(None, [option])) == tried
    script(lab, f"port set {target} --no-security-group --security-group default")
    assert reach(lab, target, {"tcp/81": True}) == {"tcp/81": True}


def test_a_limit_holds_on_both_switches(lab: LabUnderTest) -> None:
    """Five Mbit/s are that within ten per cent, whoever switches, once what may come at once has come."""
    script(lab, "network qos policy create slow\n"
                "network qos rule create slow --type bandwidth-limit --max-kbps 5000 --egress")  # fmt: skip
    for name in ("native", "hybrid", "nft"):
        lab.openstack(f"port set {name} --qos-policy slow")
        found = try_rate(5, lambda name=name: measure(find(lab, name), find(lab, "a"), "udp", 20))  # type: ignore[misc]
        print(f"limit 5 Mbit/s, {name}: {found:.2f}")
        assert found == pytest.approx(5, rel=0.1)
        assert " Mbit/s " in lab.run("rate", name, "a", "--seconds", "1")
        lab.openstack(f"port unset {name} --qos-policy")


def find(lab: LabUnderTest, name: str) -> Instance:
    """An instance of the lab, for those who measure."""
    made, one = lab.place.require(), lab.place.require().instances[name]
    address = next(address for address in one.addresses if ":" not in address)
    return Instance(one.port_id, one.device, made.instance_netns(name), "eth0", one.mac, address)


def test_an_instance_tags_its_own_frames(lab: LabUnderTest) -> None:
    """A subport is a device with an address in its own network; another comes and goes while the instance runs."""
    script(lab, TRUNK)
    lab.run("boot", "t", "--port", "parent", "--host", "h1")
    lab.run("boot", "r", "--network", "red", "--host", "h2")
    assert "10.20.0." in lab.run("tag", "t", "101")
    address = read_address(lab, "sub101")
    assert "passed" in lab.run("ping", "r", address)
    assert lab.openstack("network trunk show trunk1 -f value -c status").strip() == "ACTIVE"
    lab.openstack("network trunk set trunk1 --subport port=sub102,segmentation-type=vlan,segmentation-id=102")
    lab.run("tag", "t", "102")
    lab.openstack("network trunk unset trunk1 --subport sub102")
    lab.run("untag", "t", "102")
    assert "no answer" in lab.run("ping", "r", read_address(lab, "sub102"), "--count", "1", status=1)
    assert "passed" in lab.run("ping", "r", address)


def read_address(lab: LabUnderTest, port: str) -> str:
    found: str = json.loads(lab.openstack(f"port show {port} -f json -c fixed_ips"))["fixed_ips"][0]["ip_address"]
    return found


def test_an_instance_moves_between_switches(lab: LabUnderTest) -> None:
    """With its trunk from one Open vSwitch to another, and from Open vSwitch to Linux bridges; few pings are lost."""
    lost_ms = []
    for name, host in (("t", "h2"), ("native", "h3"), ("native", "h1")):
        shown = lab.run("migrate", name, host)
        found = re.search(r"(\d+) of (\d+) pings", shown)
        assert found, shown
        lost_ms.append(int(found[1]) * PING_MS)
        port = {"t": "parent"}.get(name, name)
        assert lab.openstack(f"port show {port} -f value -c binding_host_id").strip() == host
    print(f"ms of pings lost: {lost_ms}")
    assert min(lost_ms) <= 100
    assert max(lost_ms) < 1000
    assert "passed" in lab.run("ping", "r", read_address(lab, "sub101"))
    assert "passed" in lab.run("ping", "a", "native", "-6")


def test_what_was_changed_by_hand_is_healed_and_told(lab: LabUnderTest) -> None:
    """Flows that somebody deletes, and a tap that somebody takes out of its bridge, come back; the API counts them."""
    before = int(str(read_agent(lab, "h1").get("drift_healed", 0)))
    lab.run("exec", "h1", "--", "ovs-ofctl", "-O", "OpenFlow14", "del-flows", "br-int", "table=80")
    wait_for("the count", lambda: int(str(read_agent(lab, "h1").get("drift_healed", 0))) > before, 90)
    assert "passed" in lab.run("ping", "a", "native")
    tap = lab.place.require().instances["nft"].device
    lab.run("exec", "h3", "--", "ip", "link", "set", tap, "nomaster")
    wait_for("the tap", lambda: " master brq" in lab.run("exec", "h3", "--", "ip", "-o", "link", "show", tap), 90)
    assert "passed" in lab.run("ping", "a", "nft")


def test_what_cannot_be_is_said(lab: LabUnderTest) -> None:
    """A tunnel that a host has not, an address that it has not, a tag twice: each with its reason."""
    script(lab, "network create far --provider-network-type geneve\n"
                "subnet create far4 --network far --subnet-range 10.9.0.0/24")  # fmt: skip
    assert "host h3 has no geneve tunnels" in lab.run("boot", "x", "--network", "far", "--host", "h3", status=1)
    words = lab.run("restart", "h2", "--host-option", "ovs.local_ip=192.0.2.9", status=1)
    assert "this host has no such address" in words
    lab.run("restart", "h2", "--host-option", "securitygroup.firewall_driver=iptables_hybrid")
    assert "has eth0.101 already" in lab.run("tag", "t", "101", status=1)
    assert "what is tried is" in lab.run("reach", "a", "nft", "tcp/70000", status=1)

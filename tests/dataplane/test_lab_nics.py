"""NICs as an operator of the lab drives them: virtual functions, macvtap devices on them, and two NICs that are one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netloom.drivers.sriov.tree import Function, find_file, load_functions, make_function, set_function
from netloom.lab.client import open_client
from netloom.lab.functions import PF
from netloom.lab.shell import run, wait_for
from tests.dataplane.lab_kit import LabUnderTest, make_lab

pytestmark = pytest.mark.dataplane

PATIENCE_S = 60.0
NETWORKS = (
    "network create vl --provider-network-type vlan --provider-physical-network physnet1 --provider-segment 150",
    "subnet create v4 --network vl --subnet-range 10.5.0.0/24",
    "subnet create v6 --network vl --ip-version 6 --subnet-range fd00:5::/64",
    "network create tunnelled",
    "subnet create t4 --network tunnelled --subnet-range 10.6.0.0/24",
    "network qos policy create fast",
    "network qos rule create fast --type bandwidth-limit --max-kbps 40000000 --egress",
)


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """Two hosts, each with a bond to the provider network and a NIC of two functions. o and p are on Open vSwitch, d
    has a function, m and n macvtap devices on functions."""
    with make_lab() as made:
        made.run("up", "--hosts", "2", "--nic-functions", "2", "--bonds")
        made.openstack_all(*NETWORKS)
        for name, host, vnic_type in (
            ("o", "h1", "normal"), ("p", "h2", "normal"), ("d", "h1", "direct"), ("m", "h1", "macvtap"),
            ("n", "h2", "macvtap"),
        ):  # fmt: skip
            made.run("boot", name, "--network", "vl", "--host", host, "--vnic-type", vnic_type)
        yield made


def read_port(lab: LabUnderTest, instance: str) -> dict[str, Any]:
    with open_client(lab.place.clouds) as client:
        found: dict[str, Any] = client.find("ports", instance)
        return found


def change_port(lab: LabUnderTest, instance: str, **given: Any) -> None:
    with open_client(lab.place.clouds) as client:
        client.send("PUT", f"ports/{client.find('ports', instance)['id']}", json={"port": given})


def read_bonds(lab: LabUnderTest, host: str) -> dict[str, str]:
    """What the agent of a host's switch says of the NICs of its bond."""
    found: dict[str, str] = read_agent(lab, host).get("bonds", {}).get("br-ex:bond-ex", {})
    return found


def read_agent(lab: LabUnderTest, host: str) -> dict[str, Any]:
    """What the agent of a host's switch says of itself."""
    with open_client(lab.place.clouds) as client:
        agents = client.list("agents", host=host, agent_type="Open vSwitch agent")
    found: dict[str, Any] = agents[0]["configurations"]
    return found


def read_function(lab: LabUnderTest, host: str, number: int) -> Function:
    return load_functions(find_file(lab.place.sysfs(host), PF))[number]


def until(what: str, holds: Callable[[], bool], why: Callable[[], str] = str) -> None:
    wait_for(what, holds, PATIENCE_S, why)


def pings(lab: LabUnderTest, source: str, target: str) -> bool:
    done = run("ip", "netns", "exec", f"{lab.prefix}i-{source}", "sh", "-c", f"ping -nqc 1 -W 1 {target} || true")
    return " 1 received" in done


def test_functions_macvtap_devices_and_the_switch_meet(lab: LabUnderTest) -> None:
    """In one VLAN, on one host and between two, in both families; each function is set as its port says."""
    addresses = {name: [one["ip_address"] for one in read_port(lab, name)["fixed_ips"]] for name in "opdmn"}
    for source, target in (("m", "n"), ("m", "o"), ("n", "o"), ("d", "m"), ("d", "p"), ("p", "m")):
        for address in addresses[target]:
            until(f"{source} reaches {target}", lambda one=(source, address): pings(lab, *one))  # type: ignore[misc]
    lab.run("reach", "d", "m", "tcp/80", "udp/53", "--wait", "10")
    mac = read_port(lab, "d")["mac_address"]
    assert read_function(lab, "h1", 0) == {
        **make_function(0), "address": mac, "vlan_list": [{"vlan": 150, "qos": 0}], "link_state": "enable",
    }  # fmt: skip
    assert "h2: ens1 on physnet1, 1 of 2 functions are free" in lab.run("nic", "h2")


def test_a_port_that_is_switched_off_is_off_in_the_nic(lab: LabUnderTest) -> None:
    """The function's link, so that nothing passes; and its spoof check goes with port security."""
    address = read_port(lab, "o")["fixed_ips"][0]["ip_address"]
    until("m reaches o", lambda: pings(lab, "m", address))
    change_port(lab, "m", admin_state_up=False)
    until("the function is off", lambda: read_function(lab, "h1", 1)["link_state"] == "disable")
    until("m is cut off", lambda: not pings(lab, "m", address))
    change_port(lab, "m", admin_state_up=True)
    until("m is back", lambda: pings(lab, "m", address))
    change_port(lab, "m", security_groups=[], port_security_enabled=False)
    until("nobody checks who m is", lambda: read_function(lab, "h1", 1)["spoofchk"] is False)


def test_what_somebody_changes_in_a_function_is_healed(lab: LabUnderTest) -> None:
    """Another VLAN cuts the instance off, and is seen and put back; the agent tells how often that was."""
    address = read_port(lab, "o")["fixed_ips"][0]["ip_address"]
    before = read_agent(lab, "h2").get("drift_healed", 0)
    set_function(find_file(lab.place.sysfs("h2"), PF), 0, ("vlan", "7"))
    until("it is put back", lambda: read_function(lab, "h2", 0)["vlan_list"][0]["vlan"] == 150)
    until("it is told", lambda: read_agent(lab, "h2").get("drift_healed", 0) > before)
    until("n reaches o", lambda: pings(lab, "n", address))


def test_what_a_nic_cannot_be_is_said(lab: LabUnderTest) -> None:
    """No function left; a network that it does not carry; a rate above its speed; a move."""
    said = lab.run("boot", "x", "--network", "vl", "--host", "h1", "--vnic-type", "direct", status=1)
    assert "no virtual function of h1 is free: of 2 on ens1 all are taken, by d, m" in said
    said = lab.run("boot", "x", "--network", "tunnelled", "--host", "h2", "--vnic-type", "macvtap", status=1)
    assert "SR-IOV carries flat and VLAN networks, not vxlan" in said
    assert "which does not move with it" in lab.run("migrate", "d", "h2", status=1)
    with open_client(lab.place.clouds) as client:
        policy = client.get("qos/policies", name="fast")["policies"][0]["id"]
    change_port(lab, "d", qos_policy_id=policy)
    until("the NIC refuses", lambda: "Invalid argument" in (read_port(lab, "d")["waits_for"] or ""))
    change_port(lab, "d", qos_policy_id=None)
    until("d is as it was", lambda: read_port(lab, "d")["status"] == "ACTIVE")


def test_a_function_that_is_given_back_is_as_it_was(lab: LabUnderTest) -> None:
    """Reset in the NIC, its device on the host again, and the next instance has it."""
    for vnic_type in ("direct", "macvtap"):
        lab.run("boot", "y", "--network", "vl", "--host", "h2", "--vnic-type", vnic_type)
        assert read_function(lab, "h2", 1)["address"] == read_port(lab, "y")["mac_address"]
        lab.run("delete", "y")
        until("it is reset", lambda: read_function(lab, "h2", 1) == make_function(1))
        assert "ens1v1" in run("ip", "-n", f"{lab.prefix}h2", "link", "show", "dev", "ens1v1")


def test_a_bond_goes_on_with_the_cable_that_is_left(lab: LabUnderTest) -> None:
    """Whichever is pulled; the agent says which NICs are in use, and both are when it is mended."""
    both = dict.fromkeys(("eth1", "eth2"), "in use, LACP negotiated")
    until("both are in use", lambda: read_bonds(lab, "h1") == both, lambda: str(read_bonds(lab, "h1")))
    address = read_port(lab, "p")["fixed_ips"][0]["ip_address"]
    for cable, device in (("provider", "eth1"), ("provider-2", "eth2")):
        lab.run("cut", "h1", "--only", cable)
        one = {**both, device: "LACP not negotiated"}
        until(f"{device} is out", lambda one=one: read_bonds(lab, "h1") == one)  # type: ignore[misc]
        until("traffic goes on", lambda: pings(lab, "o", address))
        lab.run("mend", "h1")
        until("both are in use again", lambda: read_bonds(lab, "h1") == both)


def test_a_bond_whose_nics_are_missing_says_so_and_heals(lab: LabUnderTest) -> None:
    """The ports behind it wait for a NIC, in the switch's words; with the first that comes they are ACTIVE."""
    host = f"{lab.prefix}h1"
    lab.run("restart", "h1", "--host-option", "netloom.bonds=br-ex:bond-ex:eth8+eth9")
    missing = "bond bond-ex of br-ex has no NIC that works: eth8: could not open network device eth8 (No such device)"
    until("o says what it waits for", lambda: missing in (read_port(lab, "o")["waits_for"] or ""))
    assert read_port(lab, "d")["status"] == "ACTIVE", "it leaves by another NIC"
    run("ip", "-n", host, "link", "set", "eth1", "down")
    run("ip", "-n", host, "link", "set", "eth1", "name", "eth8", "up")
    until("o is ACTIVE", lambda: read_port(lab, "o")["status"] == "ACTIVE")
    address = read_port(lab, "p")["fixed_ips"][0]["ip_address"]
    until("traffic is back", lambda: pings(lab, "o", address))
    told = {"eth8": "in use, LACP negotiated", "eth9": "could not open network device eth9 (No such device)"}
    until("the agent says the rest", lambda: read_bonds(lab, "h1") == told, lambda: str(read_bonds(lab, "h1")))

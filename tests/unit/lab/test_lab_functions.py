"""The lab's NICs: what the switch in one lets pass, whose a function is, and what is refused beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.drivers.sriov.tree import make_function
from netloom.lab.addressing import Wanted
from netloom.lab.boot import hear
from netloom.lab.cloud import Shape, plan_hosts, render_agent_config
from netloom.lab.functions import find_free, list_slots, make_profile
from netloom.lab.nic_switch import PF, WIRE, Budget, Frame, Function, admit, find_outputs, parse_functions
from netloom.lab.shell import LabError
from netloom.lab.state import LINUXBRIDGE, MACVTAP, Host, Instance, Lab, Place, decode_lab, encode_lab, with_instance
from netloom.lab.trouble import choose_nics

A, B, C, PF_MAC, OTHER = (bytes([2, 0, 0, 0, 0, last]) for last in (1, 2, 3, 9, 7))
ALL = b"\xff" * 6
FUNCTIONS = {"vf0": Function(A, 100), "vf1": Function(B, 100), "vf2": Function(C), "vf3": Function(bytes(6))}


def make_frame(target: bytes, source: bytes, vlan: int = 0) -> Frame:
    return Frame(target + source + b"\x08\x00rest", vlan)


def send(came: str, frame: Frame, functions: dict[str, Function] = FUNCTIONS) -> dict[str, int]:
    """Where it goes, with the tag that it has there."""
    admitted = admit(frame, came, functions)
    found = find_outputs(admitted, came, functions, PF_MAC) if admitted else ()
    return {device: out.vlan for device, out in found}


def test_functions_of_one_vlan_reach_each_other_and_the_wire_under_its_tag() -> None:
    """Untagged to one another, tagged to the world, and never one of another VLAN."""
    assert send("vf0", make_frame(B, A)) == {"vf1": 0}
    assert send("vf0", make_frame(OTHER, A)) == {WIRE: 100}
    assert send("vf0", make_frame(C, A)) == {WIRE: 100}
    assert send("vf0", make_frame(ALL, A)) == {"vf1": 0, PF: 100, WIRE: 100}
    assert send(WIRE, make_frame(A, OTHER, 100)) == {"vf0": 0}
    assert send(WIRE, make_frame(A, OTHER, 101)) == {}
    assert send(WIRE, make_frame(A, OTHER)) == {}
    assert send(WIRE, make_frame(PF_MAC, OTHER)) == {PF: 0}
    assert send(PF, make_frame(C, PF_MAC)) == {"vf2": 0}


def test_a_forged_sender_is_dropped_unless_nobody_checks() -> None:
    """Spoof check on and off; port security is what says so."""
    forged = make_frame(B, OTHER)
    assert send("vf0", forged) == {}
    assert send("vf0", forged, {**FUNCTIONS, "vf0": Function(A, 100, spoof_check=False)}) == {"vf1": 0}


def test_a_function_that_is_off_or_was_never_set_passes_nothing() -> None:
    """Neither way; the others go on."""
    off = {**FUNCTIONS, "vf0": Function(A, 100, up=False)}
    assert send("vf0", make_frame(B, A), off) == {}
    assert send(WIRE, make_frame(ALL, OTHER, 100), off) == {"vf1": 0, PF: 100}
    assert send("vf3", make_frame(B, bytes(6))) == {}


def test_tags_of_an_instance_pass_where_its_function_is_trusted_and_has_no_vlan() -> None:
    """With a VLAN of its own what it tags is dropped."""
    assert send("vf0", make_frame(OTHER, A, 5)) == {}
    trusted = {**FUNCTIONS, "vf2": Function(C, trusted=True)}
    assert send(WIRE, make_frame(C, OTHER, 5), trusted) == {"vf2": 5}
    assert send(WIRE, make_frame(C, OTHER, 5)) == {}


def test_a_rate_is_kept_after_a_burst() -> None:
    """Of ten megabits a second, whatever is offered in two seconds."""
    budget = Budget(0, 0)
    passed = sum(budget.take(12_000, 10_000_000, now=at / 1000) for at in range(2000) for _ in range(2))
    assert abs(passed * 12_000 / 20_000_000 - 1) < 0.1
    assert all(budget.take(12_000, 0, now=3) for _ in range(10_000)), "no rate is no limit"


def test_what_the_driver_sets_is_what_the_switch_reads() -> None:
    """The one file between them, in the words of `ip`."""
    held = {
        **make_function(1),
        "address": "02:00:00:00:00:01",
        "link_state": "disable",
        "rate": {"max_tx": 5, "min_tx": 0},
    }
    found = parse_functions(json.dumps([make_function(0), held]))
    assert found == {"vf0": Function(bytes(6)), "vf1": Function(A, up=False, rate=5_000_000)}


LAB = Lab(hosts={"h1": Host("h1", 1, True, functions=2, bonded=True), "h2": Host("h2", 2, True)})


def test_the_first_free_function_is_given_and_none_is_none() -> None:
    """An instance of the same host takes one; the error names those that have them."""
    first, second = list_slots(LAB.hosts["h1"])
    assert (first, second) == ("0000:03:10.0", "0000:03:10.1")
    one = Instance("one", "h1", "blue", "d1", vnic_type=MACVTAP, slot=first)
    elsewhere = replace(one, name="far", host="h2", slot=second)
    lab = with_instance(with_instance(LAB, one), elsewhere)
    assert find_free(lab, lab.hosts["h1"]) == second
    full = with_instance(lab, replace(one, name="two", slot=second))
    with pytest.raises(LabError, match=r"no virtual function of h1 is free: of 2 on ens1 all are taken, by one, two"):
        find_free(full, full.hosts["h1"])
    with pytest.raises(LabError, match=r"h2 has no NIC with virtual functions: `netloom lab up --nic-functions 4`"):
        find_free(lab, lab.hosts["h2"])
    with pytest.raises(LabError, match=r"h2 switches with Linux bridges, and has no NIC with virtual functions"):
        find_free(lab, replace(lab.hosts["h2"], switch=LINUXBRIDGE))
    assert make_profile(one)["pci_slot"] == first
    assert decode_lab(encode_lab(full)) == full


def test_a_host_is_told_of_its_nics(tmp_path: Path) -> None:
    """The agent's file has the NIC's tree and the bond where there are such, and is as it was where not."""
    told, plain = (render_agent_config(Place(tmp_path), LAB.hosts[name]) for name in ("h1", "h2"))
    assert f"[sriov_nic]\nphysical_device_mappings = physnet1:ens1\nsysfs = {tmp_path}/hosts/h1/sys\n" in told
    assert "bonds = br-ex:bond-ex:eth1+eth2\n" in told
    assert "sriov" not in plain and "bonds" not in plain


def test_hosts_with_linux_bridges_have_neither() -> None:
    """Their agents have no such hands; too many functions, and NICs without a network for them, are refused."""
    made = plan_hosts(Shape(2, 1, nic_functions=4, bonds=True))
    assert [(host.functions, host.bonded) for host in made] == [(4, True), (0, False)]
    for shape, words in (
        (Shape(nic_functions=33), "--nic-functions 33: allowed are 0 to 32"),
        (Shape(nic_functions=1, physnet=False), "not with --no-physnet"),
        (Shape(bonds=True, physnet=False), "not with --no-physnet"),
    ):
        with pytest.raises(LabError, match=words):
            plan_hosts(shape)


def test_each_cable_can_be_pulled() -> None:
    """Both of a bond, and that of the NIC with functions."""
    assert choose_nics(LAB.hosts["h1"], "") == ("underlay", "provider", "provider-2", "functions")
    assert choose_nics(LAB.hosts["h1"], "provider-2") == ("provider-2",)
    with pytest.raises(LabError, match=r"--only provider-2: h2 has underlay and provider"):
        choose_nics(LAB.hosts["h2"], "provider-2")


def test_past_the_switch_only_servers_hand_out_addresses() -> None:
    """What nobody hands out is set as from a config drive; an instance on the switch hears its host."""
    wanted = tuple(Wanted("10.0.0.5", 24, "", how) for how in ("dhcp", "slaac", "dhcpv6"))
    past, plugged = Instance("a", "h1", "n", "d", slot="0000:03:10.0"), Instance("b", "h1", "n", "d")
    assert [one.how for one in hear(LAB, past, wanted)] == ["static"] * 3
    served = replace(LAB, server_options=("dhcp_driver=dnsmasq",))
    assert [one.how for one in hear(served, past, wanted)] == ["dhcp", "static", "static"]
    assert hear(LAB, plugged, wanted) == wanted

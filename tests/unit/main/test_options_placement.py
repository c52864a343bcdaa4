"""Options of guarantees: what an agent tells of its host, and how the server finds Placement."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from netloom.main.hosts.agent import describe_host
from netloom.main.options import host_placement
from netloom.main.options.checks import OptionError
from netloom.main.options.host import load_host_options
from netloom.main.options.server import load_server_options

BANDWIDTHS = "resource_provider_bandwidths"
WITHOUT = "resource_provider_packet_processing_without_direction"
WITH = "resource_provider_packet_processing_with_direction"
MAPPED = "bridge_mappings = physnet0:br-ex, p:br-b\nresource_provider_default_hypervisor = h1.example.org\n"


def describe(tmp_path: Path, text: str) -> dict[str, Any]:
    file = tmp_path / "agent.ini"
    file.write_text(f"[DEFAULT]\nhost = h1\nstate_path = {tmp_path}\n{text}")
    return describe_host(load_host_options([file]))


def test_an_agent_tells_what_its_host_guarantees(tmp_path: Path) -> None:
    """With the names and forms of Neutron's agent; what is left out is no amount."""
    told = describe(
        tmp_path,
        f"[ovs]\n{MAPPED}{BANDWIDTHS} = br-ex:1000:2000, br-b::5, rp_tunnelled\n"
        "resource_provider_hypervisors = br-b:other\n"
        f"resource_provider_inventory_defaults = allocation_ratio:2, reserved:7\n{WITHOUT} = :30, h9:40\n",
    )
    assert told[BANDWIDTHS] == {
        "br-ex": {"egress": 1000, "ingress": 2000},
        "br-b": {"egress": None, "ingress": 5},
        "rp_tunnelled": {"egress": None, "ingress": None},
    }
    homes = {"br-b": "other", "br-ex": "h1.example.org", "rp_tunnelled": "h1.example.org"}
    assert told["resource_provider_hypervisors"] == homes
    assert told["resource_provider_inventory_defaults"] == {"allocation_ratio": 2.0, "reserved": 7}
    assert told[WITHOUT] == {"h1.example.org": {"any": 30}, "h9": {"any": 40}} and told[WITH] == {}


def test_a_host_that_guarantees_nothing_says_so(tmp_path: Path) -> None:
    """Else what it guaranteed before would stay in Placement."""
    told = describe(tmp_path, f"[ovs]\n{MAPPED}")
    assert told[BANDWIDTHS] == {} and told[WITHOUT] == told[WITH] == {}
    inventory = {"allocation_ratio": 1.0, "min_unit": 1, "step_size": 1, "reserved": 0}
    assert told["resource_provider_packet_processing_inventory_defaults"] == inventory


def test_nics_and_linux_bridges_tell_too(tmp_path: Path) -> None:
    """What is said of NICs goes with them, to be shown as their agent's."""
    nics = f"[sriov_nic]\nphysical_device_mappings = physnet0:eth1\n{BANDWIDTHS} = eth1:5:6\n"
    told = describe(tmp_path, f"[ovs]\n{MAPPED}{nics}")["nic_resource_providers"]
    assert told[BANDWIDTHS] == {"eth1": {"egress": 5, "ingress": 6}}
    bridges = "[linux_bridge]\nphysical_interface_mappings = physnet0:eth2\n[netloom]\nswitch = linuxbridge\n"
    assert describe(tmp_path, f"[ovs]\n{BANDWIDTHS} = eth2:7:8\n{bridges}")[BANDWIDTHS] == {
        "eth2": {"egress": 7, "ingress": 8}
    }


@pytest.mark.parametrize(
    ("option", "value", "allowed"),
    [
        (BANDWIDTHS, "br-c:1:2", "carries no network here"),
        (BANDWIDTHS, "br-ex:1:2,br-ex:3:4", "each name once"),
        (BANDWIDTHS, "br-ex:-1:2", "kbit/s"),
        (BANDWIDTHS, "br-ex:1:2147483648", "at most 2147483647"),
        (WITHOUT, "h1:1:2", "1000 packets/s"),
        (WITH, "h1:x:2", "1000 packets/s"),
        (WITH, "h1:1:2", f"there is {WITHOUT} already"),
        ("resource_provider_inventory_defaults", "total:1", "allocation_ratio"),
        ("resource_provider_inventory_defaults", "allocation_ratio:nan", "none negative"),
        ("resource_provider_packet_processing_inventory_defaults", "min_unit:-1", "none negative"),
    ],
)
def test_a_bad_amount_stops_the_agent(tmp_path: Path, option: str, value: str, allowed: str) -> None:
    """At the start, with what is allowed; nothing that Placement would refuse is told."""
    both = f"{WITHOUT} = :1\n" if "already" in allowed else ""
    with pytest.raises(OptionError) as error:
        describe(tmp_path, f"[ovs]\n{MAPPED}{both}{option} = {value}\n")
    assert error.value.option == f"[ovs] {option}" and allowed in str(error.value)


@pytest.mark.parametrize(
    ("name", "whole", "found"),
    [("h1", "h1.example.org", "h1.example.org"), ("h1", "localhost", "h1"), ("h1", None, "h1"),
     ("h1.example.org", "x", "h1.example.org"), ("localhost", "x", "localhost")],
)  # fmt: skip
def test_a_hypervisor_is_called_as_libvirt_calls_it(
    monkeypatch: pytest.MonkeyPatch, name: str, whole: str | None, found: str
) -> None:
    """By the machine's whole name, where it has one."""

    def look_up(*given: object, **more: object) -> list[tuple[object, ...]]:
        if whole is None:
            raise OSError("no such name")
        return [(0, 0, 0, whole, ())]

    monkeypatch.setattr(socket, "gethostname", lambda: name)
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    assert host_placement.find_hypervisor() == found


def test_placement_is_found_as_neutron_finds_it(tmp_path: Path) -> None:
    """By Keystone, or at an address that asks for no login; without either it is told nothing."""

    def load(text: str) -> Any:
        file = tmp_path / "neutron.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {tmp_path}\n[placement]\n{text}")
        return load_server_options([file]).placement

    assert load("") is None
    assert load("auth_type = noauth\nauth_section = http://p:8778/\n").settings.url == "http://p:8778"
    login = load("auth_type = password\nauth_url = http://k\nusername = u\npassword = s\nregion_name = r\n")
    assert (login.settings.login.v3, login.settings.login.region_name) == ("http://k/v3", "r")
    for text, name in (("auth_url = http://k\n", "username"), ("auth_type = noauth\n", "auth_section")):
        with pytest.raises(OptionError) as error:
            load(text)
        assert error.value.option == f"[placement] {name}"

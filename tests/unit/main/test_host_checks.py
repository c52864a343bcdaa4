"""An agent's options held against its host: what is not there is refused with what there is."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from netloom.main.hosts.agent import describe_host, serve_agent
from netloom.main.options.checks import OptionError
from netloom.main.options.host import HostOptions
from netloom.main.options.host_checks import Seen, check_host, read_devices
from netloom.main.options.host_uplinks import Uplinks

SEEN = Seen(
    {"127.0.0.1": "lo", "192.0.2.1": "eth0", "2001:db8::1": "eth1", "fe80::1": "eth0"},
    {"lo": 65536, "eth0": 1500, "eth1": 9000},
    frozenset({"br-ex", "br-int"}),
)


def make_options(**given: object) -> HostOptions:
    return replace(HostOptions("h1", Path("state"), "", Path("ovs")), **given)  # type: ignore[arg-type]


def refuse(options: HostOptions, seen: Seen = SEEN) -> OptionError:
    with pytest.raises(OptionError) as error:
        check_host(options, seen)
    return error.value


@pytest.mark.parametrize(("address", "mtu"), [("192.0.2.1", 1500), ("2001:db8::1", 9000), ("", 0)])
def test_a_tunnel_address_of_the_host_is_taken(address: str, mtu: int) -> None:
    """In either family, and the MTU of its device is told to the server; without an address nothing is."""
    options = check_host(make_options(local_ip=address), SEEN)
    assert options.tunnel_mtu == mtu
    assert describe_host(options).get("tunnel_mtu", 0) == mtu


def test_a_tunnel_address_of_another_host_is_refused() -> None:
    """With the addresses that could have been meant, not the loopback's and not link-local ones."""
    error = refuse(make_options(local_ip="192.0.2.7"))
    assert (error.option, error.value) == ("[ovs] local_ip", "192.0.2.7")
    assert error.reason == "this host has no such address; it has 192.0.2.1, 2001:db8::1"
    assert refuse(make_options(local_ip="192.0.2.7", switch="linuxbridge")).option == "[vxlan] local_ip"


def test_a_bridge_that_is_not_there_is_refused() -> None:
    """With the bridges that are there; a switch that does not answer stops no start."""
    options = make_options(bridge_mappings={"physnet1": "br-ex", "physnet2": "br-none"})
    error = refuse(options)
    assert (error.option, error.value) == ("[ovs] bridge_mappings", "physnet2:br-none")
    assert "it has br-ex, br-int (ovs-vsctl add-br br-none)" in error.reason
    assert check_host(options, replace(SEEN, bridges=None)) == options


def test_a_nic_that_is_not_there_is_refused() -> None:
    """On a host with Linux bridges, where NICs stand in the place of bridges."""
    options = make_options(switch="linuxbridge", bridge_mappings={"physnet1": "eth7"})
    error = refuse(options)
    assert (error.option, error.value) == ("[linux_bridge] physical_interface_mappings", "physnet1:eth7")
    assert "eth0, eth1, lo" in error.reason


def test_a_nic_of_sriov_that_is_not_there_is_refused() -> None:
    """Its functions would never come; one that is there is taken."""
    uplinks = Uplinks(device_mappings={"physnet1": ("eth0",), "physnet2": ("eth1", "ens9")})
    error = refuse(make_options(uplinks=uplinks))
    assert (error.option, error.value) == ("[sriov_nic] physical_device_mappings", "physnet2:ens9")
    assert "eth0, eth1, lo" in error.reason
    options = make_options(uplinks=replace(uplinks, device_mappings={"physnet1": ("eth0",)}))
    assert check_host(options, SEEN).uplinks == options.uplinks


def test_what_this_machine_has_is_read() -> None:
    """The loopback's address, and its MTU."""
    seen = read_devices()
    assert (seen.addresses.get("127.0.0.1"), seen.mtus["lo"] > 1500) == ("lo", True)


@pytest.mark.parametrize("switch", ["openvswitch", "linuxbridge"])
def test_an_agent_does_not_start_with_an_address_of_another_host(tmp_path: Path, switch: str) -> None:
    """It ends before anything is done, whatever it switches with."""
    options = make_options(local_ip="192.0.2.77", switch=switch, ovs_rundir=tmp_path, state_path=tmp_path / "state")
    with pytest.raises(OptionError, match=r"local_ip = 192\.0\.2\.77: this host has no such address"):
        asyncio.run(serve_agent(options))
    assert not (tmp_path / "state").exists()

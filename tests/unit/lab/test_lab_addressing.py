"""How each address of an instance comes, and what its DHCP clients do with an answer."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from netloom.lab.addressing import DHCLIENT6_SCRIPT, UDHCPC_SCRIPT, Wanted, find_wanted, write_script


def subnet(cidr: str, **given: Any) -> dict[str, Any]:
    version = 6 if ":" in cidr else 4
    base = {"id": cidr, "cidr": cidr, "ip_version": version, "gateway_ip": None, "enable_dhcp": True}
    return {**base, "ipv6_address_mode": None, **given}


def port(*fixed: tuple[str, str]) -> dict[str, Any]:
    return {"fixed_ips": [{"ip_address": ip, "subnet_id": subnet_id} for ip, subnet_id in fixed]}


@pytest.mark.parametrize(
    ("given", "how"),
    [
        (subnet("10.0.0.0/24"), "dhcp"),
        (subnet("10.0.0.0/24", enable_dhcp=False), "static"),
        (subnet("fd00::/64", ipv6_address_mode="slaac"), "slaac"),
        (subnet("fd00::/64", ipv6_address_mode="dhcpv6-stateless"), "slaac"),
        (subnet("fd00::/64", ipv6_address_mode="dhcpv6-stateful"), "dhcpv6"),
        (subnet("fd00::/64", ipv6_address_mode="dhcpv6-stateful", enable_dhcp=False), "static"),
        (subnet("fd00::/64"), "static"),
    ],
)
def test_the_subnet_says_how_an_address_comes(given: dict[str, Any], how: str) -> None:
    """DHCP, SLAAC or DHCPv6 as the subnet says; by hand where it hands out nothing."""
    ip = "fd00::5" if given["ip_version"] == 6 else "10.0.0.5"
    prefix = int(given["cidr"].partition("/")[2])
    assert find_wanted(port((ip, given["id"])), [given], True) == (Wanted(ip, prefix, "", how),)


def test_no_dhcp_sets_all_by_hand() -> None:
    """--no-dhcp: what the API says, with the gateway."""
    blue = subnet("10.0.0.0/24", gateway_ip="10.0.0.1")
    assert find_wanted(port(("10.0.0.5", blue["id"])), [blue], False) == (Wanted("10.0.0.5", 24, "10.0.0.1", "static"),)


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A folder with an `ip` that writes down what it is asked."""
    write_script(tmp_path / "ip", f'#!/bin/sh\necho "ip $*" >>{tmp_path}/said\n')
    return tmp_path


def call(folder: Path, text: str, *arguments: str, **env: str) -> list[str]:
    script = write_script(folder / "script", text)
    path = f"{folder}:{os.environ['PATH']}"
    subprocess.run([script, *arguments], env={"PATH": path, "interface": "eth0", **env}, check=True)
    said = folder / "said"
    return said.read_text().splitlines() if said.exists() else []


def test_udhcpc_sets_what_the_server_says(recorded: Path) -> None:
    """Address, MTU, default route and name servers of a lease are put in place."""
    text = UDHCPC_SCRIPT.replace("/etc/netns/@NETNS@", str(recorded))
    said = call(
        recorded, text, "bound", ip="10.0.0.5", mask="24", mtu="1450", router="10.0.0.1", dns="8.8.8.8 9.9.9.9",
        domain="example.org",
    )  # fmt: skip
    assert said == [
        "ip link set eth0 mtu 1450",
        "ip -4 addr replace 10.0.0.5/24 dev eth0",
        "ip route replace default via 10.0.0.1 dev eth0",
    ]
    assert (recorded / "resolv.conf").read_text() == "search example.org\nnameserver 8.8.8.8\nnameserver 9.9.9.9\n"


def test_classless_routes_replace_the_router(recorded: Path) -> None:
    """With option 121 the router option is not used (RFC 3442)."""
    text = UDHCPC_SCRIPT.replace("/etc/netns/@NETNS@", str(recorded))
    routes = "169.254.169.254/32 10.0.0.2 0.0.0.0/0 10.0.0.1 10.9.0.0/16 0.0.0.0"
    said = call(recorded, text, "renew", ip="10.0.0.5", mask="24", router="10.0.0.99", staticroutes=routes)
    assert said == [
        "ip -4 addr replace 10.0.0.5/24 dev eth0",
        "ip route replace 169.254.169.254/32 via 10.0.0.2 dev eth0 onlink",
        "ip route replace 0.0.0.0/0 via 10.0.0.1 dev eth0 onlink",
        "ip route replace 10.9.0.0/16 dev eth0",
    ]


def test_dhclient_takes_its_v6_address(recorded: Path) -> None:
    """An address of DHCPv6 is a single one (/128): prefixes come from router advertisements."""
    said = call(
        recorded, DHCLIENT6_SCRIPT, reason="BOUND6", new_ip6_address="fd00::5", new_max_life="600",
        new_preferred_life="300",
    )  # fmt: skip
    assert said == ["ip -6 addr replace fd00::5/128 dev eth0 valid_lft 600 preferred_lft 300"]

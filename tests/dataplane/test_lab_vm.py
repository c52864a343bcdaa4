"""A real kernel as an instance of the lab: addresses by DHCP, metadata, and traffic to it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from netloom.lab.client import open_client
from netloom.lab.shell import LabError, wait_for
from netloom.lab.vm import PROGRAM, check_programs, get_kernel, read_console
from tests.dataplane.conftest import why_not
from tests.dataplane.lab_kit import LabUnderTest, make_lab

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def lab() -> Iterator[LabUnderTest]:
    """Two hosts and network blue; skipped where there is no QEMU, or no kernel to be had."""
    if reason := why_not() or ("" if shutil.which(PROGRAM) else f"needs {PROGRAM}"):
        pytest.skip(reason)
    try:
        check_programs()
        get_kernel()
    except LabError as error:
        pytest.skip(str(error))
    with make_lab() as made:
        made.run("up", "--hosts", "2")
        with open_client(made.place.clouds) as client:
            network = client.create("networks", "network", name="blue")
            client.create("subnets", "subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
            modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
            client.create("subnets", "subnet", network_id=network["id"], ip_version=6, cidr="fd00:6::/64", **modes)
        yield made


def test_a_real_kernel_boots_and_is_told_of_itself(lab: LabUnderTest) -> None:
    """It has the addresses of its port in both families, and its own metadata; another instance reaches its server."""
    lab.run("boot", "a", "--network", "blue", "--host", "h1")
    lab.run("boot", "real", "--network", "blue", "--host", "h2", "--kind", "vm")
    one = lab.place.require().instances["real"]
    shown = lab.run("console", "real")
    assert all(f"NETLOOM address {address}" in shown for address in one.addresses)
    v4 = next(address for address in one.addresses if ":" not in address)
    fetched = lab.run("exec", "a", "--", "curl", "-sm", "30", f"http://{v4}/")
    assert json.loads(fetched)["uuid"] == one.device_id
    assert "passed" in lab.run("ping", "a", "real", "-4")
    assert "passed" in lab.run("ping", "a", "real", "-6")
    assert any("metadata" in line for line in read_console(lab.place, "real"))


def test_it_is_reached_by_floating_ip(lab: LabUnderTest) -> None:
    """The machine outside pings and fetches from it, once its groups let that in."""
    with open_client(lab.place.clouds) as client:
        physical = {"provider:network_type": "flat", "provider:physical_network": "physnet1", "router:external": True}
        outside = client.create("networks", "network", name="outside", **physical)
        prefix = {"cidr": "203.0.113.0/24", "gateway_ip": "203.0.113.1", "enable_dhcp": False, "ip_version": 4}
        client.create("subnets", "subnet", network_id=outside["id"], **prefix)
        router = client.create("routers", "router", external_gateway_info={"network_id": outside["id"]})
        (inside,) = (one for one in client.list("subnets") if one["cidr"] == "10.0.0.0/24")
        client.send("PUT", f"routers/{router['id']}/add_router_interface", json={"subnet_id": inside["id"]})
        port = client.find("ports", "real")
        for rule in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80}):
            (group,) = port["security_groups"]
            client.create("security-group-rules", "security_group_rule", security_group_id=group, direction="ingress",
                          **rule)  # fmt: skip
        given = {"floating_network_id": outside["id"], "port_id": port["id"]}
        address = client.create("floatingips", "floatingip", **given)["floating_ip_address"]
    fetch = ("exec", "outside", "--", "curl", "-sm", "30", f"http://{address}/")
    wait_for("the floating IP", lambda: "passed" in try_run(lab, "ping", "outside", address), 60)
    assert json.loads(lab.run(*fetch))["uuid"] == lab.place.require().instances["real"].device_id


def try_run(lab: LabUnderTest, *arguments: str) -> str:
    """What it prints, however it ends."""
    try:
        return lab.run(*arguments)
    except AssertionError:
        return ""


def test_nothing_runs_in_it_from_outside(lab: LabUnderTest) -> None:
    """exec and ping from it say so; an unknown kind is refused before anything is made."""
    assert "is a virtual machine" in lab.run("exec", "real", "--", "true", status=1)
    assert "is a virtual machine" in lab.run("ping", "real", "a", status=1)
    assert "there are namespace and vm" in lab.run("boot", "x", "--network", "blue", "--kind", "cat", status=1)


def test_namespaces_read_their_metadata_too(lab: LabUnderTest) -> None:
    """An instance that is a namespace is told its name by the lab's metadata service."""
    answer = lab.run("exec", "a", "--", "curl", "-sm", "30", "http://169.254.169.254/latest/meta-data/hostname")
    assert answer.strip() == "a"


def test_it_is_deleted_with_all_of_it(lab: LabUnderTest) -> None:
    """Process, device and port go."""
    device = lab.place.require().instances["real"].device
    lab.run("delete", "real")
    prefix = lab.prefix

    def is_gone() -> bool:
        return device not in subprocess.run(
            ["ip", "-n", f"{prefix}h2", "link"], capture_output=True, text=True, check=True
        ).stdout  # fmt: skip

    wait_for("the device gone", is_gone, 60)
    assert "real" not in lab.openstack("port list -f value -c name")

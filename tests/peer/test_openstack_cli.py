"""The ordinary openstack command, as people use it, against a server of its own on loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

START_S = 20.0
COMMAND = shutil.which("openstack", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))

pytestmark = pytest.mark.skipif(COMMAND is None, reason="python-openstackclient is not installed: pip install .[dev]")


@dataclass(frozen=True)
class OpenStack:
    """The command as one of the two users that the server makes."""

    folder: Path

    def run(self, cloud: str, *words: str) -> subprocess.CompletedProcess[str]:
        given = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(self.folder / "clouds.yaml"), "HOME": str(self.folder)}
        assert COMMAND is not None
        return subprocess.run(
            [COMMAND, "--os-cloud", cloud, *words], env=given, capture_output=True, text=True, timeout=60
        )

    def demo(self, *words: str) -> Any:
        return self.ask("netloom-demo", *words)

    def admin(self, *words: str) -> Any:
        return self.ask("netloom", *words)

    def ask(self, cloud: str, *words: str) -> Any:
        """What the command answers, decoded where it is JSON. The command must succeed."""
        done = self.run(cloud, *words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
        return json.loads(done.stdout) if "json" in words else done.stdout


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    folder = tmp_path_factory.mktemp("server")
    server = subprocess.Popen([sys.executable, "-m", "tests.peer.serve_api", str(folder)])
    try:
        deadline = time.monotonic() + START_S
        while not (folder / "clouds.yaml").exists():
            assert server.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.05)
        yield OpenStack(folder)
    finally:
        server.terminate()
        server.wait(20)


def test_a_network_is_made_used_and_deleted(openstack: OpenStack) -> None:
    """network, subnet and port: create, list, show, set, delete."""
    network = openstack.demo("network", "create", "blue", "-f", "json")
    assert network["name"] == "blue"
    subnet = openstack.demo(
        "subnet", "create", "--network", "blue", "--subnet-range", "10.0.0.0/24", "--dns-nameserver", "192.0.2.53",
        "blue4", "-f", "json",
    )  # fmt: skip
    assert (subnet["gateway_ip"], subnet["dns_nameservers"]) == ("10.0.0.1", ["192.0.2.53"])
    port = openstack.demo(
        "port", "create", "--network", "blue", "--fixed-ip", "subnet=blue4,ip-address=10.0.0.9", "--tag", "web", "p1",
        "-f", "json",
    )  # fmt: skip
    assert port["fixed_ips"] == [{"subnet_id": subnet["id"], "ip_address": "10.0.0.9"}]
    found = openstack.demo("port", "list", "--fixed-ip", "ip-address=10.0.0.9", "-f", "json")
    assert [p["ID"] for p in found] == [port["id"]]
    assert [p["Name"] for p in openstack.demo("port", "list", "--tags", "web", "-f", "json")] == ["p1"]
    openstack.demo("port", "set", "--name", "p2", "p1")
    assert openstack.demo("port", "show", "p2", "-f", "json")["name"] == "p2"
    openstack.demo("network", "set", "--tag", "t", "blue")
    assert openstack.demo("network", "show", "blue", "-f", "json")["tags"] == ["t"]
    refused = openstack.run("netloom-demo", "network", "delete", "blue")
    assert refused.returncode != 0
    assert "409" in refused.stderr
    openstack.demo("port", "delete", "p2")
    openstack.demo("network", "delete", "blue")
    assert openstack.demo("network", "list", "-f", "json") == []


def test_an_administrator_works_for_projects(openstack: OpenStack) -> None:
    """--project by name, provider attributes, quotas, agents, zones."""
    projects = {p["Name"]: p["ID"] for p in openstack.admin("project", "list", "-f", "json")}
    network = openstack.admin(
        "network", "create", "--project", "demo", "--provider-network-type", "vxlan", "--provider-segment", "77", "red",
        "-f", "json",
    )  # fmt: skip
    assert (network["project_id"], network["provider:segmentation_id"]) == (projects["demo"], 77)
    assert [n["Name"] for n in openstack.demo("network", "list", "-f", "json")] == ["red"]
    openstack.admin("quota", "set", "--ports", "7", "demo")
    limits = {row["Resource"]: row["Limit"] for row in openstack.admin("quota", "show", "demo", "-f", "json")}
    assert limits["ports"] == 7
    agents = openstack.admin("network", "agent", "list", "-f", "json")
    assert {a["Agent Type"] for a in agents} == {"Open vSwitch agent", "DHCP agent"}
    zones = openstack.admin("availability", "zone", "list", "--network", "-f", "json")
    assert [z["Zone Name"] for z in zones] == ["nova"]


def test_the_identity_of_the_server_is_a_keystone_to_the_command(openstack: OpenStack) -> None:
    """token, catalog, user, role assignment; and a member is no administrator."""
    token = openstack.demo("token", "issue", "-f", "json")
    assert token["project_id"]
    assert {s["Type"] for s in openstack.demo("catalog", "list", "-f", "json")} == {"network", "identity"}
    assert {u["Name"] for u in openstack.admin("user", "list", "-f", "json")} == {"admin", "demo"}
    names = openstack.admin("role", "assignment", "list", "--names", "--user", "demo", "-f", "json")
    assert [(a["Role"], a["Project"]) for a in names] == [("member", "demo@Default")]
    refused = openstack.run("netloom-demo", "network", "create", "--share", "all")
    assert refused.returncode != 0
    assert "disallowed by policy" in refused.stderr

"""The ordinary openstack command, as people use it, against a real server with users of its own."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from netloom.feed import pki
from tests.faults.host import attached
from tests.faults.server import Server, free_port
from tests.peer.openstack import COMMAND, OpenStack
from tests.peer.tls_proxy import proxying

pytestmark = pytest.mark.skipif(COMMAND is None, reason="python-openstackclient is not installed: pip install .[dev]")


@pytest.fixture(scope="module")
def openstack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenStack]:
    """A server with one host."""
    folder = tmp_path_factory.mktemp("server")
    server = Server(folder, auth="builtin")
    server.start()
    try:
        with attached(server, "h1"):
            yield OpenStack(folder)
    finally:
        server.stop()


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """(certificate of 127.0.0.1 with the authority that signed it, key)."""
    now, key = datetime.now(UTC), pki.make_key()
    authority = pki.make_authority(now)
    certificate = pki.issue(authority, "127.0.0.1", key.public_key(), now, server=True)
    (folder / "api.pem").write_bytes(certificate + authority.certificate)
    (folder / "api.key").write_bytes(pki.encode_key(key))
    return folder / "api.pem", folder / "api.key"


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
    assert {a["Agent Type"] for a in agents} == {"Open vSwitch agent", "DHCP agent", "L3 agent", "Metadata agent"}
    zones = openstack.admin("availability", "zone", "list", "--network", "-f", "json")
    assert {z["Zone Name"] for z in zones} == {"nova"}


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


def test_the_server_speaks_tls_itself(tmp_path: Path) -> None:
    """use_ssl: clouds.yaml, the catalog and the challenge say https, and the command trusts the certificate."""
    certificate, key = make_certificate(tmp_path)
    given = {"use_ssl": "true", "ssl.cert_file": str(certificate), "ssl.key_file": str(key)}
    extra = tuple(word for name, value in given.items() for word in ("--set", f"{name}={value}"))
    server = Server(tmp_path / "state", auth="builtin", extra=extra, scheme="https")
    server.start()
    try:
        openstack = OpenStack(server.state)
        urls = read_urls(openstack)
        assert urls == {"network": server.url, "identity": f"{server.url}/identity"}
        assert openstack.demo("network", "create", "blue", "-f", "json")["name"] == "blue"
    finally:
        server.stop()


def test_behind_a_proxy_everything_names_the_public_url(tmp_path: Path) -> None:
    """public_url: clouds.yaml, the catalog and links of pages lead through the proxy that speaks TLS."""
    certificate, key = make_certificate(tmp_path)
    port = free_port()
    public = f"https://127.0.0.1:{port}"
    server = Server(tmp_path / "state", auth="builtin", extra=("--set", f"netloom.public_url={public}"))
    server.start()
    try:
        with proxying(port, server.port, certificate, key):
            openstack = OpenStack(server.state, cacert=certificate)
            assert f'auth_url: "{public}/identity/v3"' in (server.state / "clouds.yaml").read_text()
            assert read_urls(openstack) == {"network": public, "identity": f"{public}/identity"}
            for name in ("a", "b", "c"):
                openstack.demo("network", "create", name)
            assert len(openstack.demo("network", "list", "--limit", "2", "-f", "json")) == 3
            assert find_next(server, openstack.demo("token", "issue", "-f", "json")["id"]).startswith(f"{public}/v2.0/")
    finally:
        server.stop()


def find_next(server: Server, token: str) -> str:
    """The link to the second page, as one is given it who comes past the proxy."""
    request = urllib.request.Request(f"{server.url}/v2.0/networks?limit=2", headers={"X-Auth-Token": token})
    with urllib.request.urlopen(request, timeout=20) as reply:
        links = json.loads(reply.read())["networks_links"]
    return next(str(link["href"]) for link in links if link["rel"] == "next")


def read_urls(openstack: OpenStack) -> dict[str, str]:
    """The public address of each service, from the catalog."""
    catalog = openstack.demo("catalog", "list", "-f", "json")
    return {
        service["Type"]: next(one["url"] for one in service["Endpoints"] if one["interface"] == "public")
        for service in catalog
    }

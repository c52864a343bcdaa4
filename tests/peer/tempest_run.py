"""Tempest against Netloom behind a real Keystone: `python -m tests.peer.tempest_run [regular expression …]`.

Starts both and two hosts that say of every port that it is wired, makes the external network that Tempest wants to know
of, runs all of `tempest.api.network` and the API tests of `neutron_tempest_plugin` (or what the expressions name), and
prints what failed, what was left out and why, and each skip with its reason. Status 1 if a test failed. The results are
written to build/tempest.json as well.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.host import attached
from tests.faults.server import Server
from tests.peer import judges, keystone
from tests.peer.keystone import PASSWORD, Keystone

REGEX = (r"^tempest\.api\.network", r"^neutron_tempest_plugin\.(api|tap_as_a_service\.api)\.")
LEFT_OUT: Mapping[str, str] = {
    r"test_ports\.PortsTestJSON\.test_port_shut_down": "waits for the port of a central DHCP server; here each host "
    "answers DHCP itself, so there is no such port",
    r"ExternalGWMultihomingRoutersTest\.test_(create|update)_router_enable_default_route_bfd": "wants the attribute of "
    "an extension of OVN without asking whether it is announced; it is not",
}
"""Tests that want what there is not by design, as regular expressions, and what that is."""
REPORT = judges.ROOT / "build" / "tempest.json"
WORKERS = 2
Result = dict[str, Any]

CONFIG = """
[DEFAULT]
log_file = tempest.log
debug = false
[oslo_concurrency]
lock_path = {folder}/lock
[auth]
use_dynamic_credentials = true
admin_username = admin
admin_password = {password}
admin_project_name = admin
admin_domain_name = Default
tempest_roles = member
[identity]
uri_v3 = {keystone}
auth_version = v3
region = RegionOne
[identity-feature-enabled]
api_v3 = true
[service_available]
nova = false
glance = false
cinder = false
swift = false
horizon = false
neutron = true
[network]
public_network_id = {external}
floating_network_name = public
project_network_cidr = 10.100.0.0/16
project_network_mask_bits = 26
project_networks_reachable = false
[network-feature-enabled]
ipv6 = true
ipv6_subnet_attributes = true
api_extensions = {extensions}
[validation]
run_validation = false
[neutron_plugin_options]
available_type_drivers = flat,vlan,gre,vxlan,geneve,local
provider_vlans = physnet1
agent_availability_zone = nova
create_shared_resources = true
"""


@contextmanager
def open_cloud(folder: Path) -> Iterator[tuple[Keystone, Server]]:
    """A Keystone and a Netloom that trusts it, with two hosts; quotas as the plug-in's own jobs set them."""
    cloud = Keystone(folder / "keystone")
    cloud.make()
    cloud.start()
    options = {
        "keystone_authtoken.auth_url": cloud.url, "keystone_authtoken.username": "netloom",
        "keystone_authtoken.password": PASSWORD, "keystone_authtoken.project_name": "service",
        "ml2_type_vlan.network_vlan_ranges": "physnet1:1:4000", "ml2_type_flat.flat_networks": "*",
        "quotas.quota_router": "100", "quotas.quota_floatingip": "500", "quotas.quota_security_group": "150",
        "quotas.quota_security_group_rule": "1000",
    }  # fmt: skip
    extra = tuple(word for name, value in options.items() for word in ("--set", f"{name}={value}"))
    server = Server(folder / "netloom", auth="keystone", extra=extra)
    try:
        cloud.make_people(server.url)
        server.start()
        told = {"bridge_mappings": {"physnet1": "br-ex"}}
        with attached(server, "h1", wires=True, told=told), attached(server, "h2", wires=True, told=told):
            yield cloud, server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()
        cloud.stop()


def call(server: Server, token: str, method: str, path: str, **body: Any) -> Any:
    headers = {"Content-Type": "application/json", "X-Auth-Token": token}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(f"{server.url}/v2.0/{path}", data, headers, method=method)
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.loads(reply.read() or b"null")


def make_external(server: Server, token: str) -> str:
    """The network that floating IPs come from; its id."""
    network = {"name": "public", "router:external": True, "is_default": True}
    made = call(server, token, "POST", "networks", network=network)["network"]["id"]
    for version, cidr in ((4, "203.0.113.0/24"), (6, "2001:db8:ffff::/64")):
        call(server, token, "POST", "subnets",
             subnet={"network_id": made, "ip_version": version, "cidr": cidr, "enable_dhcp": False})  # fmt: skip
    return str(made)


def make_pools(server: Server, token: str) -> None:
    """The default subnet pools, which the topology for the asking is made of."""
    for prefix, length in (("10.128.0.0/12", 26), ("fd00:128::/48", 64)):
        pool = {"name": "default", "prefixes": [prefix], "default_prefixlen": length, "is_default": True}
        call(server, token, "POST", "subnetpools", subnetpool={**pool, "shared": True})


def write_config(folder: Path, cloud: Keystone, server: Server) -> None:
    token = cloud.issue("admin", "admin")
    make_pools(server, token)
    extensions = [one["alias"] for one in call(server, token, "GET", "extensions")["extensions"]]
    text = CONFIG.format(
        folder=folder, password=PASSWORD, keystone=cloud.url, external=make_external(server, token),
        extensions=",".join(extensions),
    )  # fmt: skip
    (folder / "etc").mkdir(exist_ok=True)
    (folder / "etc" / "tempest.conf").write_text(text)


def run_tempest(folder: Path, expressions: Sequence[str]) -> list[Result]:
    """The result of each test."""
    tools, workspace = judges.VENV / "bin", folder / "tempest"
    environment = judges.plain_environment(PATH=f"{tools}:/usr/bin:/bin", HOME=str(folder))
    subprocess.run([str(tools / "tempest"), "init", str(workspace)], env=environment, check=True, capture_output=True)
    shutil.copy(folder / "etc" / "tempest.conf", workspace / "etc" / "tempest.conf")
    regex = "|".join(f"({one})" for one in expressions)
    command = [str(tools / "tempest"), "run", "--regex", regex, "--concurrency", str(WORKERS)]
    command += ["--exclude-regex", "|".join(LEFT_OUT)]
    with (folder / "tempest.out").open("wb") as out:
        subprocess.run(command, cwd=workspace, env=environment, check=False, stdout=out, stderr=out)
    stream = subprocess.run(
        [str(tools / "stestr"), "last", "--subunit"], cwd=workspace, env=environment, capture_output=True, check=False
    )
    reader = [str(tools / "python"), str(Path(__file__).with_name("subunit_results.py"))]
    found = subprocess.run(reader, input=stream.stdout, capture_output=True, check=True, env=environment)
    results: list[Result] = json.loads(found.stdout)
    return results


def render_report(results: Sequence[Result], elapsed_s: float) -> list[str]:
    """Failures first, then what was left out, skips by reason, and the count."""
    lines = []
    for one in results:
        if one["status"] not in ("success", "skip", "xfail"):
            lines += [
                f"*** {one['id']}: {one['status']}",
                *("    " + line for line in one["reason"].splitlines()[-12:]),
            ]
    skips = [one for one in results if one["status"] == "skip"]
    for reason, count in Counter(shorten(one["reason"]) for one in skips).most_common():
        lines.append(f"skipped {count}: {reason}")
    lines += [f"left out {pattern}: {reason}" for pattern, reason in LEFT_OUT.items()]
    counts = Counter(one["status"] for one in results)
    words = ", ".join(f"{count} {status}" for status, count in counts.most_common())
    return [*lines, f"{len(results)} tests in {elapsed_s:.0f} s: {words}"]


def shorten(reason: str) -> str:
    last = (reason.strip().splitlines() or ["no reason given"])[-1]
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>", last)[:300]


def run(expressions: Sequence[str]) -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed."""
    keystone.install()
    judges.install()
    folder = Path(tempfile.mkdtemp(prefix="netloom-tempest-"))
    began = time.monotonic()
    try:
        with open_cloud(folder) as (cloud, server):
            write_config(folder, cloud, server)
            results = run_tempest(folder, expressions)
            faults = [line for line in server.log.read_text(errors="replace").splitlines() if "Traceback" in line]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    report = render_report(results, time.monotonic() - began)
    if faults:
        report.append(f"*** the server's log has {len(faults)} tracebacks")
    REPORT.write_text(json.dumps(results, indent=1))
    bad = [one for one in results if one["status"] not in ("success", "skip", "xfail")]
    return report, bool(results) and not bad and not faults


def main(expressions: Sequence[str]) -> int:
    report, good = run(expressions or REGEX)
    print("\n".join(report))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

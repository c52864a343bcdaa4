"""Metadata on a real switch: two tenants with one address each get their own, forged headers count for nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_planned

pytestmark = pytest.mark.dataplane

SECRET = "between us and Nova"
DOCUMENT = "http://169.254.169.254/openstack/latest/meta_data.json"
DOCUMENT6 = "http://[fe80::a9fe:a9fe%25{}]/openstack/latest/meta_data.json"


@contextmanager
def start_nova(rig: Rig) -> Iterator[None]:
    """The lab's responder, where the agent looks for Nova."""
    command = ("nsenter", f"--net=/run/netns/{rig.host.netns}", sys.executable, "-m", "netloom.lab.metadata")
    with (rig.folder / "nova.log").open("ab") as out:
        process = subprocess.Popen([*command, "--secret", SECRET], stdout=out, stderr=out)
    try:
        wait_until(lambda: "8775" in rig.host.inside("ss", "-Hltn"))
        yield
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def rig() -> Iterator[Rig]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as made, start_nova(made):
        made.extra["metadata_proxy_shared_secret"] = SECRET
        made.start_agent()
        made.wait_log("metadata: instances are answered", timeout_s=40)
        yield made


def is_told(one: Instance, url: str = DOCUMENT) -> bool:
    return fetch(one, url, "-m", "1").startswith("{")


def boot(rig: Rig, name: str, number: int, address: str, tenant: str, **given: object) -> Instance:
    """An instance of its own network and tenant, with a v6 address too."""
    network = rig.make_network(name, "10.0.0.0/24")
    body = {"network_id": network, "cidr": "fd00:7::/64", "ip_version": 6}
    rig.ask("POST", "subnets", {"subnet": body})
    port = {
        "fixed_ips": [{"ip_address": address}, {"ip_address": "fd00:7::5"}], "project_id": tenant,
        "device_id": f"instance-{name}", "device_owner": "compute:nova", **given,
    }  # fmt: skip
    (made,) = rig.make_ports(network, 1, **port)
    one = rig.boot(made, number)
    run("ip", "netns", "exec", one.netns, "sysctl", "-qw", f"net.ipv6.conf.{one.device}.disable_ipv6=0")
    run("ip", "-n", one.netns, "route", "add", "169.254.169.254/32", "dev", one.device)
    rig.plug([one])
    wait_until(lambda: rig.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE")
    return one


def fetch(one: Instance, url: str = DOCUMENT, *more: str) -> str:
    """What the instance gets; the status alone where it is not 200."""
    command = ["ip", "netns", "exec", one.netns, "curl", "-sg", "-m", "10", "-w", "\n%{http_code}", *more, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return body if status == "200" else status


@pytest.fixture(scope="module")
def instances(rig: Rig) -> tuple[Instance, Instance]:
    return boot(rig, "one", 1, "10.0.0.5", "tenant-1"), boot(rig, "two", 2, "10.0.0.5", "tenant-2")


def test_one_address_twice_is_two_instances(instances: tuple[Instance, Instance]) -> None:
    """Two tenants use one address on one host: each is told of its own instance, over both IP versions."""
    for one, number in zip(instances, ("one", "two"), strict=True):
        wait_until(partial(is_told, one))
        told = json.loads(fetch(one))
        assert told["uuid"] == f"instance-{number}"
        assert told["project_id"] == f"tenant-{1 if number == 'one' else 2}"
        wait_until(partial(is_told, one, DOCUMENT6.format(one.device)))
        assert json.loads(fetch(one, DOCUMENT6.format(one.device)))["uuid"] == f"instance-{number}"
        assert fetch(one, "http://169.254.169.254/latest/meta-data/local-ipv4") == "10.0.0.5"


def test_a_forged_header_counts_for_nothing(instances: tuple[Instance, Instance]) -> None:
    """An instance that says it is another, in any spelling, is still told of itself."""
    one, _ = instances
    forged = [
        word
        for name in ("X-Instance-ID", "x-instance-id", "X_Instance_ID", "X-Tenant-ID", "X-Forwarded-For")
        for word in ("-H", f"{name}: instance-two")
    ]
    assert json.loads(fetch(one, DOCUMENT, *forged))["uuid"] == "instance-one"
    assert fetch(one, "http://169.254.169.254/latest/meta-data/local-ipv4", *forged) == "10.0.0.5"


def test_a_forged_address_reaches_nothing(instances: tuple[Instance, Instance]) -> None:
    """An instance that takes an address of the other's, or the proxy's own, gets no answer by it."""
    one, _ = instances
    for address in ("10.0.0.6", "169.254.169.253"):
        run("ip", "-n", one.netns, "addr", "add", f"{address}/32", "dev", one.device)
        assert fetch(one, DOCUMENT, "--interface", address, "-m", "2") == "000"
        run("ip", "-n", one.netns, "addr", "del", f"{address}/32", "dev", one.device)


def test_a_large_answer_and_a_post_pass(instances: tuple[Instance, Instance]) -> None:
    """What an instance posts reaches Nova, and is got back; too much is refused."""
    one, _ = instances
    url = "http://169.254.169.254/openstack/latest/password"
    assert fetch(one, url, "-d", "x" * 8000) == ""
    assert fetch(one, url) == "x" * 8000
    assert fetch(one, url, "-d", "y" * 70000) in ("413", "000")


def test_the_agent_is_killed_and_started_again(rig: Rig, instances: tuple[Instance, Instance]) -> None:
    """kill -9 of the agent: a new one finds all in place, has nothing to do and answers at once."""
    rig.stop_agent(signal.SIGKILL)
    wait_planned(rig)
    rig.start_agent()
    for one, number in zip(instances, ("one", "two"), strict=True):
        wait_until(partial(is_told, one))
        assert json.loads(fetch(one))["uuid"] == f"instance-{number}"

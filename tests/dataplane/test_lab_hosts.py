"""Hosts and namespaces of the lab, on the real system, with no server yet."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from netloom.lab import cloud, hosts, instances, namespaces, processes
from netloom.lab.shell import LabError, run, wait_for
from netloom.lab.state import Host, Instance, Lab, with_instance
from tests.dataplane.conftest import why_not
from tests.dataplane.lab_kit import LabUnderTest, make_lab, say_nothing

pytestmark = pytest.mark.dataplane


@pytest.fixture
def bench() -> Iterator[LabUnderTest]:
    if reason := why_not():
        pytest.skip(reason)
    with make_lab() as lab:
        yield lab


def make_hosts(bench: LabUnderTest, count: int = 2) -> Lab:
    made = [Host(f"h{number}", number, physnet=True) for number in range(1, count + 1)]
    lab = bench.place.save(Lab(bench.prefix, {host.name: host for host in made}))
    hosts.make_underlay(lab, bench.place)
    for host in made:
        hosts.make_host(lab, bench.place, host)
    return lab


def test_hosts_see_each_other_and_not_their_nics(bench: LabUnderTest) -> None:
    """Tunnel addresses answer in both families, with the bridge's MAC; the NIC below it stays silent."""
    lab = make_hosts(bench)
    inside = ("ip", "netns", "exec", lab.host_netns("h1"))
    for address in (lab.hosts["h2"].tunnel_ip, lab.hosts["h2"].tunnel_ip6):
        run(*inside, "ping", "-c", "3", "-W", "10", address)
        neighbour = run("ip", "-n", lab.host_netns("h1"), "neigh", "show", "to", address)
        assert "lladdr 02:00:00:00:00:02" in neighbour
    heard = run(*inside, "arping", "-c", "3", "-w", "5", "-I", "br-phy", lab.hosts["h2"].tunnel_ip)
    assert set(re.findall(r"reply from .*\[([0-9A-F:]+)\]", heard)) == {"02:00:00:00:00:02"}
    assert hosts.read_fault(lab, bench.place, "h1") == ""
    assert "br-ex" in hosts.vsctl(bench.place, "h2", "list-br")


def test_a_dead_switch_is_reported(bench: LabUnderTest) -> None:
    """When ovs-vswitchd of a host is gone, status says so and where its log is."""
    lab = make_hosts(bench, 1)
    os.kill(int((bench.place.host("h1") / "ovs-vswitchd.pid").read_text()), signal.SIGKILL)
    assert "log: " in hosts.read_fault(lab, bench.place, "h1")


def test_two_instances_on_one_switch(bench: LabUnderTest) -> None:
    """A NIC is plugged with the port's id and MAC; TCP passes, as whole checksums are made."""
    lab = make_hosts(bench, 1)
    hosts.vsctl(bench.place, "h1", "add-br", "br-int", "--", "set", "bridge", "br-int", "datapath_type=netdev")
    for number in (1, 2):
        mac, port_id = f"fa:16:3e:00:00:0{number}", f"{number}0000000-0000-4000-8000-000000000000"
        made = Instance(f"i{number}", "h1", "net", "d", port_id, mac)
        lab = bench.place.save(with_instance(lab, made))
        instances.make_instance(lab, bench.place, made, 1450)
        netns = lab.instance_netns(made.name)
        run("ip", "-n", netns, "addr", "add", f"192.0.2.{number}/24", "dev", "eth0")
    assert instances.ping(lab, "i1", "192.0.2.2")[0] == 3
    assert instances.ping(lab, "i1", "192.0.2.9", count=1, wait_s=1) == (0, None)
    server = "import socket as s; l = s.create_server(('', 7)); c, _ = l.accept(); c.send(c.recv(9))"
    client = "import socket as s; c = s.create_connection(('192.0.2.2', 7), 30); c.send(b'hello'); print(c.recv(9))"
    log = bench.place.directory / "hosts" / "tcp.log"
    python = shutil.which("python3") or ""
    netns = lab.instance_netns("i2")
    listener = processes.start([python, "-c", server], bench.place.directory, log, netns)
    wait_for("a listener", lambda: ":7" in run("ip", "netns", "exec", netns, "ss", "-ltn"), 60)
    assert run("ip", "netns", "exec", lab.instance_netns("i1"), python, "-c", client) == "b'hello'\n"
    assert listener.wait(30) == 0
    shown = hosts.vsctl(bench.place, "h1", "get", "Interface", lab.instances["i1"].device, "external_ids")
    assert "iface-id" in shown and "fa:16:3e:00:00:01" in shown
    instances.remove_instance(lab, bench.place, lab.instances["i1"])
    instances.remove_instance(lab, bench.place, lab.instances["i1"])
    assert lab.instance_netns("i1") not in namespaces.list_namespaces()


def test_down_without_memory(bench: LabUnderTest) -> None:
    """With the state file gone or garbled, everything is still found by its mark."""
    for damage in (Path.unlink, lambda path: path.write_text("{")):
        make_hosts(bench)
        damage(bench.place.state)
        assert cloud.down(bench.place, bench.prefix, say_nothing)
        assert bench.leftovers() == ([], [], [])
    assert not cloud.down(bench.place, bench.prefix, say_nothing)


def test_a_namespace_of_another_lab_is_not_taken(bench: LabUnderTest) -> None:
    """A name that another lab uses is refused with the owner's name, and survives our sweep."""
    other = Path("/nonexistent/other-lab")
    name = f"{bench.prefix}x"
    namespaces.make_namespace(name, other)
    try:
        with pytest.raises(LabError, match=r"is there already and belongs to /nonexistent/other-lab"):
            namespaces.make_namespace(name, bench.place.directory)
        cloud.down(bench.place, bench.prefix, say_nothing)
        assert name in namespaces.list_namespaces()
    finally:
        namespaces.remove_namespace(name, other)

"""What tests of distributed routers share: a tenant with two networks, and traffic that can be asked about."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import OUTSIDE, Cloud
from tests.dataplane.wire import open_socket

PORT = 7777


def make_tenant(cloud: Cloud, external: str = "") -> tuple[str, dict[str, str]]:
    """A distributed router with the networks red, 10.1.0.0/24, and blue, 10.2.0.0/24."""
    networks = {name: cloud.make_plain_network(name) for name in ("red", "blue")}
    subnets = [cloud.make_subnet(networks["red"], "10.1.0.0/24"), cloud.make_subnet(networks["blue"], "10.2.0.0/24")]
    return cloud.make_router(*subnets, external=external, distributed=True), networks


def boot_bare(cloud: Cloud, host: str, network: str) -> Instance:
    """An instance that has no address yet."""
    rig = cloud.hosts[host]
    cloud.count += 1
    (port,) = rig.make_ports(network, 1, port_security_enabled=False)
    (one,) = rig.cable([port], rig.make_space(f"i{cloud.count}"), cloud.count)
    run("ip", "netns", "exec", one.netns, "ethtool", "-K", one.device, "tx", "off")
    rig.plug([one])
    wait_until(lambda: rig.ask("GET", f"ports/{one.id}")["port"]["status"] == "ACTIVE")
    return one


def read_ttl(one: Instance, address: str) -> int:
    shown = run("ip", "netns", "exec", one.netns, "ping", "-n", "-c", "1", "-W", "2", address)
    found = re.search(r"ttl=(\d+)", shown)
    assert found, shown
    return int(found[1])


def find_gateway(cloud: Cloud, router: str) -> tuple[str, str]:
    """(the gateway's address, its host)."""
    ports = cloud.api.list_ports(device_id=router, device_owner="network:router_gateway")
    return ports[0]["fixed_ips"][0]["ip_address"], ports[0]["binding:host_id"]


def count_watched(rig: Rig) -> int:
    """Tunnels whose other end is heard of by BFD."""
    shown = rig.host.vsctl("--columns=bfd_status", "list", "interface")
    return len(re.findall(r"\bstate=up", shown))


def measure_outage(one: Instance, change: Callable[[], object], settled: Callable[[], object] = lambda: True) -> float:
    """The longest time without an answer from outside while `change` happens, until it is `settled` and answers come
    for a second more; 20 ms from ping to ping. It fails where none come any more."""
    command = ["ip", "netns", "exec", one.netns, "ping", "-n", "-D", "-i", "0.02", OUTSIDE]
    answered: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        reading = threading.Thread(target=read_moments, args=(process, answered))
        reading.start()
        try:
            wait_until(lambda: len(answered) > 10)
            change()
            wait_until(settled)
            end = time.time() + 1
            wait_until(lambda: answered[-1] > end)
        finally:
            process.kill()
            reading.join()
    return max(later - sooner for sooner, later in pairwise(answered))


def read_moments(process: subprocess.Popen[str], answered: list[float]) -> None:
    """When answers came, by the clock of `ping -D`, as they come."""
    assert process.stdout is not None
    answered.extend(float(found[1]) for line in process.stdout if (found := re.match(r"\[([0-9.]+)\].* ttl=", line)))


def talk(client: str, server: str, address: str, port: int = 0, timeout_s: float = 2) -> bytes:
    """What a client hears from a server that greets whoever connects; nothing where it does not get through."""
    inside = ("ip", "netns", "exec")
    serve = subprocess.Popen([*inside, server, sys.executable, "-c", SERVE, str(PORT)], stdout=subprocess.PIPE)
    try:
        assert serve.stdout is not None
        serve.stdout.readline()
        command = [
            "ip",
            "netns",
            "exec",
            client,
            sys.executable,
            "-c",
            CONNECT,
            address,
            str(port or PORT),
            str(timeout_s),
        ]
        return subprocess.run(command, capture_output=True, check=False).stdout
    finally:
        serve.kill()
        serve.communicate()


def wait_talk(client: str, server: str, address: str, port: int = 0) -> None:
    """Until the client gets through, by TCP with checksums that hold."""
    wait_until(lambda: talk(client, server, address, port) == b"hello")


SERVE = """
import socket, sys
s = socket.create_server(("", int(sys.argv[1])))
print("ready", flush=True)
while True:
    c, _ = s.accept()
    c.sendall(b"hello")
    c.close()
"""
CONNECT = """
import socket, sys
try:
    s = socket.create_connection((sys.argv[1], int(sys.argv[2])), float(sys.argv[3]))
    sys.stdout.buffer.write(s.recv(5))
except OSError:
    pass
"""


@contextmanager
def probe(netns: str, address: str) -> Iterator[Callable[[], float]]:
    """Pings all the time; what is yielded returns the moment of the first answer, by the clock of the kernel."""
    command = ["ip", "netns", "exec", netns, "ping", "-n", "-D", "-i", "0.002", address]
    run("ip", "-n", netns, "neigh", "flush", "dev", "eth0")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        lines = process.stdout
        yield lambda: next(float(line[1:].split("]")[0]) for line in lines if " ttl=" in line)
    finally:
        process.kill()
        process.communicate()


@contextmanager
def listen(netns: str, device: str = "eth0") -> Iterator[Callable[[], list[tuple[str, str]]]]:
    """(source, destination) of the IPv4 packets that come in by the device from here on."""
    wire = open_socket(netns, device)

    def heard() -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        while True:
            try:
                frame = wire.recv(2048)
            except BlockingIOError:
                return found
            if frame[12:14] == b"\x08\x00":
                found.append((socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])))

    heard()
    try:
        yield heard
    finally:
        wire.close()

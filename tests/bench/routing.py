"""Distributed routers beside plain switching and routers in namespaces, between the same two hosts: JSON on stdout.

    PYTHONPATH=. python tests/bench/routing.py [--quick] [forms] [many]

Rounds take turns, so what the machine does besides falls on all three alike; figures are medians. Then two hundred
distributed routers on one host, from nothing, and the agent started anew.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.dataplane.conftest import why_not
from tests.dataplane.distributed_kit import read_ttl
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance, Rig
from tests.dataplane.rig_cloud import Cloud, make_cloud, pings, wait_ping
from tests.dataplane.traffic import measure

Figures = dict[str, Any]
Pairs = dict[str, tuple[Instance, Instance]]
ROUTERS = 200
SENT = 64


def say(*words: object) -> None:
    print(*words, file=sys.stderr, flush=True)


# -- between two hosts -------------------------------------------------------------------------------------------------


def make_pairs(cloud: Cloud) -> Pairs:
    """An instance on h1 and one on h2: on one network, and behind a router of either kind. That in a namespace is on
    either host, as it is scheduled."""
    names = ("red", "blue", "grey", "green")
    networks = {name: cloud.make_plain_network(name) for name in names}
    subnets = {name: cloud.make_subnet(networks[name], f"10.{n}.0.0/24") for n, name in enumerate(names, 1)}
    cloud.make_router(subnets["red"], subnets["blue"], distributed=True)
    cloud.make_router(subnets["grey"], subnets["green"])
    a, b = cloud.boot("h1", networks["red"], "10.1.0.1"), cloud.boot("h2", networks["red"], "10.1.0.1")
    c = cloud.boot("h2", networks["blue"], "10.2.0.1")
    d, e = cloud.boot("h1", networks["grey"], "10.3.0.1"), cloud.boot("h2", networks["green"], "10.4.0.1")
    pairs = {"switched": (a, b), "distributed": (a, c), "standalone": (d, e)}
    for one in (a, b, c, d, e):
        run("ip", "-n", one.netns, "link", "set", one.device, "mtu", "1450")  # as DHCP says
    for one, other in pairs.values():
        wait_ping(one.netns, other.address, 30)
    return pairs


def take_turns(pairs: Pairs, rounds: int, work: Callable[[Instance, Instance], float]) -> dict[str, float]:
    """The median of each pair, and of what the distributed router has of plain switching in one and the same round.
    Each is first in its turn."""
    found: dict[str, list[float]] = {name: [] for name in pairs}
    for turn in range(rounds):
        names = list(pairs)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            found[name].append(work(*pairs[name]))
    both = zip(found["distributed"], found["switched"], strict=True)
    found["distributed_to_switched"] = [routed / switched for routed, switched in both]
    return {name: round(statistics.median(values), 3) for name, values in found.items()}


def count_packets(one: Instance, other: Instance, seconds: float = 2.0) -> float:
    """UDP packets of 64 bytes a second that arrive, of as many as one process sends."""
    inside = ("ip", "netns", "exec")
    count = [*inside, other.netns, sys.executable, "-c", COUNT, str(seconds)]
    with subprocess.Popen(count, stdout=subprocess.PIPE, text=True) as there:
        assert there.stdout is not None
        there.stdout.readline()
        run(*inside, one.netns, sys.executable, "-c", SEND, other.address, str(seconds), str(SENT))
        return float(there.stdout.readline())


COUNT = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 7779))
s.settimeout(5)
print("ready", flush=True)
s.recv(2000)
begin, got = time.monotonic(), 0
try:
    while time.monotonic() - begin < float(sys.argv[1]):
        s.recv(2000)
        got += 1
except OSError:
    pass
print(got / float(sys.argv[1]), flush=True)
"""
SEND = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.connect((sys.argv[1], 7779))
data, end = bytes(int(sys.argv[3])), time.monotonic() + float(sys.argv[2]) + 0.5
while time.monotonic() < end:
    try:
        for _ in range(100):
            s.send(data)
    except OSError:
        pass
"""


def time_first(cloud: Cloud) -> Callable[[Instance, Instance], float]:
    """Milliseconds until a ping is answered that no switch has seen the like of; instances know their neighbours."""

    def work(one: Instance, other: Instance) -> float:
        for rig in cloud.hosts.values():
            run("ovs-appctl", "-t", f"{rig.host.rundir}/vs.ctl", "dpctl/del-flows", env=rig.host.env)
        shown = run("ip", "netns", "exec", one.netns, "ping", "-n", "-c", "1", "-W", "2", other.address)
        found = re.search(r"time=([0-9.]+) ms", shown)
        assert found, shown
        return float(found[1])

    return work


def bench_forms(quick: bool) -> Figures:
    rounds = 2 if quick else 7
    with make_cloud(2) as cloud:
        pairs = make_pairs(cloud)
        hops = {name: 64 - read_ttl(one, other.address) for name, (one, other) in pairs.items()}
        say("hops", hops)
        mbit = take_turns(pairs, rounds, lambda one, other: measure(one, other, "tcp", seconds=4))
        say("Mbit/s", mbit)
        packets = take_turns(pairs, rounds, count_packets)
        say("packets/s", packets)
        first = take_turns(pairs, 3 * rounds, time_first(cloud))
        say("first packet, ms", first)
    return {"hops": hops, "tcp_mbit_s": mbit, "udp_64_packets_s": packets, "first_ping_ms": first}


# -- many routers ------------------------------------------------------------------------------------------------------


def read_cpu(rig: Rig) -> float:
    """Seconds that the agent and the switch have worked."""
    ticks = 0
    for pid in (rig.agent.pid if rig.agent else 0, int((rig.host.rundir / "ovs-vswitchd.pid").read_text())):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def bench_many(quick: bool) -> Figures:
    """All with two networks of the same addresses, and an instance behind the first; the agent comes when all is
    asked for."""
    count = 20 if quick else ROUTERS
    with make_cloud(1) as cloud:
        rig = cloud.hosts["h1"]
        wait_until(lambda: "br-int" in rig.host.vsctl("list-br").split(), 30)
        rig.stop_agent()
        networks = [make_tenant(cloud) for _ in range(count)]
        ports = [rig.make_ports(red, 1, port_security_enabled=False)[0] for red, _ in networks]
        ones = [rig.boot(port, n) for n, port in enumerate(ports[:1])]
        rig.plug([*ones, *rig.cable(ports[1:], rig.make_space("crowd"), 1)])
        run("ip", "-n", ones[0].netns, "route", "add", "default", "via", "10.1.0.1", "dev", ones[0].device)
        before, began = read_cpu_of_switch(rig), time.perf_counter()
        rig.start_agent()
        rig.wait_log(f"{count} ports wired, 0 wait", timeout_s=120)
        cold_s = time.perf_counter() - began
        cpu_s = read_cpu(rig) - before
        wait_ping(ones[0].netns, "10.2.0.1", 30)
        more = [time_one_more(cloud, count + n) for n in range(3 if quick else 9)]
        flows = len(rig.dump_flows())
        since = len(rig.read_log())
        rig.stop_agent(signal.SIGKILL)
        rig.start_agent()
        rig.wait_log("ports wired, 0 wait", since, 120)
        quiet = " ops" not in rig.read_log(since)
    return {
        "routers": count, "cold_s": round(cold_s, 2), "cpu_s": round(cpu_s, 2), "flows": flows,
        "one_more_ms": round(1000 * statistics.median(more), 1), "restart_sends_nothing": quiet,
    }  # fmt: skip


def make_tenant(cloud: Cloud) -> tuple[str, str]:
    red, blue = cloud.make_plain_network("red"), cloud.make_plain_network("blue")
    cloud.make_router(cloud.make_subnet(red, "10.1.0.0/24"), cloud.make_subnet(blue, "10.2.0.0/24"), distributed=True)
    return red, blue


def read_cpu_of_switch(rig: Rig) -> float:
    fields = Path(f"/proc/{(rig.host.rundir / 'ovs-vswitchd.pid').read_text().strip()}/stat").read_text()
    return sum(map(int, fields.rpartition(")")[2].split()[11:13])) / os.sysconf("SC_CLK_TCK")


def time_one_more(cloud: Cloud, number: int) -> float:
    """Seconds from the request that joins a network to a router, until the router answers there."""
    red, blue = cloud.make_plain_network("red"), cloud.make_plain_network("blue")
    subnets = [cloud.make_subnet(red, "10.1.0.0/24"), cloud.make_subnet(blue, "10.2.0.0/24")]
    router = cloud.make_router(subnets[0], distributed=True)
    cloud.count = number
    one = cloud.boot("h1", red, "10.1.0.1")
    wait_ping(one.netns, "10.1.0.1", 30)
    began = time.perf_counter()
    cloud.api.ask("PUT", f"routers/{router}/add_router_interface", {"subnet_id": subnets[1]})
    wait_until(lambda: pings(one.netns, "10.2.0.1", wait_s=0.1), 30)
    return time.perf_counter() - began


def main() -> None:
    quick, only = "--quick" in sys.argv, {"forms", "many"} & set(sys.argv)
    if reason := why_not():
        print(json.dumps({"skipped": reason}))
        return
    wanted = {"forms": bench_forms, "many": bench_many}
    print(json.dumps({name: work(quick) for name, work in wanted.items() if name in sys.argv or not only}, indent=2))


if __name__ == "__main__":
    main()

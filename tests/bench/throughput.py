"""What a packet and a connection cost with security groups and without, for each way of switching, in one run.

`python tests/bench/throughput.py [seconds]` prints JSON, with the machine that it ran on. Each figure is the median of
three rounds in which all are taken in turn, so that what else the machine does falls on all alike. Needs root.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import netns

from netloom.agent.wanted import Wanted
from netloom.drivers import merge_needs
from netloom.drivers.filter.iptables import IptablesDriver
from netloom.drivers.filter.nft import FilterDriver
from netloom.drivers.ovs.driver import OvsDriver
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Key, State, Thing
from netloom.model.slices import Slices
from netloom.reconcile.plan import plan
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.host import Renderer
from tests.bench import groups
from tests.bench.groups import bench_speed, make_member, make_slices
from tests.bench.switch import Figures, describe
from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.group_kit import add_rule, introduce, make_dual_network, make_group
from tests.dataplane.hybrid_rig import make_hybrid_rig, why_not_hybrid
from tests.dataplane.ovs import run, start_host, stop_host
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active

ROUNDS = 3
PORTS, RULES, MEMBERS = 200, 20, 1000
RULES_APART = 20
"""Rules of the group, of which a packet meets the last."""


@contextmanager
def make_ovs_rig() -> Iterator[Rig]:
    with make_rig() as rig:
        yield rig


RIGS: dict[str, Callable[[], Any]] = {
    "openvswitch": make_ovs_rig, "iptables_hybrid": make_hybrid_rig, "linuxbridge": make_bridge_rig,
}  # fmt: skip


# -- traffic -----------------------------------------------------------------------------------------------------------


def boot_pairs(rig: Rig) -> dict[str, tuple[Instance, Instance]]:
    """Two instances whose groups let TCP in by the last of several rules, and two without port security."""
    network, group = make_dual_network(rig, "n0"), make_group(rig, "web", bare=False)
    for number in range(RULES_APART - 1):
        port = 20_000 + number
        add_rule(rig, group, direction="ingress", protocol="udp", port_range_min=port, port_range_max=port)
    add_rule(rig, group, direction="ingress", protocol="tcp")
    held = rig.make_ports(network, 2, security_groups=[group])
    free = rig.make_ports(network, 2, port_security_enabled=False, security_groups=[])
    made = [rig.boot(port, number, 16) for number, port in enumerate((*held, *free))]
    rig.plug(made)
    for one in made:
        run("ip", "-n", one.netns, "link", "set", one.device, "mtu", "1450")  # as DHCP would have told it
    wait_active(rig, network_id=network)
    pairs = {"with_groups": (made[0], made[1]), "without_port_security": (made[2], made[3])}
    for a, b in pairs.values():
        introduce(a, b)
    return pairs


def bench_traffic() -> Figures:
    """Mbit/s of one TCP connection, and connections opened and closed a second, one after the other."""
    taken: dict[tuple[str, str], list[Figures]] = {}
    with ExitStack() as stack:
        pairs = {}
        for name, make in RIGS.items():
            rig = stack.enter_context(make())
            rig.start_agent()
            rig.wait_log("following")
            pairs[name] = boot_pairs(rig)
        for _ in range(ROUNDS):
            for name, of_rig in pairs.items():
                for kind, (a, b) in of_rig.items():
                    taken.setdefault((name, kind), []).append(bench_speed(a, b))
    figures: Figures = {}
    for (name, kind), rounds in taken.items():
        figures.setdefault(name, {})[kind] = {
            what: {"median": statistics.median(one[what] for one in rounds), "all": [one[what] for one in rounds]}
            for what in rounds[0]
        }
    return figures


# -- rendering ---------------------------------------------------------------------------------------------------------

Render = Callable[[Slices, HostFacts], dict[str, tuple[Thing, ...]]]


def make_facts(way: str, ports: int) -> HostFacts:
    """Devices as each way has them."""
    name = {"openvswitch": "t", "iptables_hybrid": "qvo", "linuxbridge": "tap"}[way]
    held = {f"p{n}": Interface(f"{name}p{n}", n + 1) for n in range(ports)}
    return HostFacts("h1", interfaces=held, datapath_type="netdev", hybrid=way == "iptables_hybrid")


def make_render(way: str) -> Render:
    return BridgeRenderer().render if way == "linuxbridge" else Renderer().render


def bench_rendering(way: str) -> Figures:
    """The first time, and one member more of a group of 10,000 that 100 ports are in."""
    slices, facts = make_slices(PORTS, RULES, MEMBERS), make_facts(way, PORTS)
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        made = make_render(way)(slices, facts)
        took.append(time.perf_counter() - began)
    kinds: dict[str, int] = {}
    for thing in (thing for things in made.values() for thing in things):
        kinds[thing.kind] = kinds.get(thing.kind, 0) + 1
    return {
        "first": {**describe(took), "things": dict(sorted(kinds.items())), "product": PORTS * RULES * MEMBERS},
        "one_more_of_10000_for_100_ports": bench_member(way),
    }


class Crowd:
    """A host whose ports are in a group of so many members, as it is wanted; `grow` puts in one member more."""

    def __init__(self, way: str, ports: int = 100, members: int = 10_000) -> None:
        self._slices, self._facts = make_slices(ports, RULES, members), make_facts(way, ports)
        self._render, self._wanted, self._members = make_render(way), Wanted(), members
        self.update()

    def update(self) -> set[Key]:
        return self._wanted.update(self._render(self._slices, self._facts))

    def find_things(self, kinds: frozenset[str]) -> State:
        return {key: thing for key, thing in self._wanted.state.items() if thing.kind in kinds}

    def grow(self) -> None:
        held, n = self._slices["members/g"], self._members
        put = {f"member/m{n}": make_member(n)}
        after = apply_delta(held, SliceDelta("members/g", held.revision, held.revision + 1, put))
        assert after is not None
        self._slices["members/g"], self._members = after, n + 1


def bench_member(way: str) -> Figures:
    crowd, took, touched = Crowd(way), [], 0
    for _ in range(groups.ROUNDS):
        crowd.grow()
        began = time.perf_counter()
        touched = len(crowd.update())
        took.append(time.perf_counter() - began)
    return {**describe(took), "things_touched": touched}


# -- applying ----------------------------------------------------------------------------------------------------------


Hands = OvsDriver | IptablesDriver | FilterDriver


@contextmanager
def make_hands(way: str) -> Iterator[Hands]:
    """The driver that holds the rules, of a host that is made for it. Needs root."""
    folder = Path(tempfile.mkdtemp(prefix="nl-t-"))
    host = start_host(f"nlt-{folder.name[5:]}", folder)
    netns.pushns(host.netns)
    hands: dict[str, Callable[[], Hands]] = {
        "openvswitch": lambda: OvsDriver(host.rundir), "iptables_hybrid": IptablesDriver, "linuxbridge": FilterDriver,
    }  # fmt: skip
    try:
        yield hands[way]()
    finally:
        netns.popns()
        stop_host(host)
        shutil.rmtree(folder)


async def bench_apply(way: str, driver: Hands) -> Figures:
    """All of a group of 10,000 at once, then one member more again and again: how long the driver takes over it."""
    crowd, took, count = Crowd(way), [], 0
    needs = merge_needs([driver])
    held = crowd.find_things(driver.kinds)
    began = time.perf_counter()
    failures = await driver.apply(plan(held, {}, needs))
    first = time.perf_counter() - began
    assert not failures, failures[0]
    for _ in range(groups.ROUNDS):
        crowd.grow()
        crowd.update()
        before, held = held, crowd.find_things(driver.kinds)
        ops = plan(held, before, needs)
        began = time.perf_counter()
        failures = await driver.apply(ops)
        took.append(time.perf_counter() - began)
        assert not failures, failures[0]
        count = len(ops)
    await driver.close()
    return {"first_ms": round(first * 1000), "first_things": len(held) - groups.ROUNDS * count, "ops": count,
            **describe(took)}  # fmt: skip


def bench_applying() -> Figures:
    figures = {}
    for way in RIGS:
        with make_hands(way) as driver:
            figures[way] = asyncio.run(bench_apply(way, driver))
    return figures


# -- the machine -------------------------------------------------------------------------------------------------------


def describe_machine() -> Figures:
    info = Path("/proc/cpuinfo").read_text()
    models = [line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cpus": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "openvswitch": read_version("ovs-vswitchd", "--version"),
        "nft": read_version("nft", "--version"),
        "iptables": read_version("iptables", "--version"),
        "load": [round(one, 2) for one in os.getloadavg()],
    }


def read_version(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout.splitlines() or [""])[0]


def main() -> int:
    if len(sys.argv) > 1:
        groups.LONG_S = float(sys.argv[1])
    reason = why_not_hybrid()
    rendering = {way: bench_rendering(way) for way in RIGS}
    figures: dict[str, Any] = {
        "machine": describe_machine(), "rendering": rendering,
        "one_more_of_10000_applied": {"not measured": reason} if reason else bench_applying(),
        "traffic": {"not measured": reason} if reason else bench_traffic(),
    }  # fmt: skip
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

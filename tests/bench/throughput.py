"""What a packet and a connection cost with security groups and without, for each way of switching, in one run.

`python tests/bench/throughput.py [seconds]` prints JSON, with the machine that it ran on. Each figure is the median of
three rounds in which all are taken in turn, so that what else the machine does falls on all alike. Needs root.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from netloom.agent.wanted import Wanted
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.plan import Thing
from netloom.model.slices import Slices
from netloom.render.bridges.host import BridgeRenderer
from netloom.render.host import Renderer
from tests.bench import groups
from tests.bench.groups import bench_speed, make_member, make_slices
from tests.bench.switch import Figures, describe
from tests.dataplane.bridge_rig import make_bridge_rig
from tests.dataplane.group_kit import add_rule, introduce, make_dual_network, make_group
from tests.dataplane.hybrid_rig import make_hybrid_rig, why_not_hybrid
from tests.dataplane.ovs import run
from tests.dataplane.rig import Instance, Rig, make_rig, wait_active

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
    return HostFacts("h1", interfaces=held, hybrid=way == "iptables_hybrid")


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


def bench_member(way: str, ports: int = 100, members: int = 10_000) -> Figures:
    slices, facts = make_slices(ports, RULES, members), make_facts(way, ports)
    render, wanted = make_render(way), Wanted()
    wanted.update(render(slices, facts))
    took, touched = [], 0
    for n in range(groups.ROUNDS):
        delta = SliceDelta("members/g", n + 1, n + 2, {f"member/m{members + n}": make_member(members + n)})
        after = apply_delta(slices["members/g"], delta)
        assert after is not None
        slices["members/g"] = after
        began = time.perf_counter()
        touched = len(wanted.update(render(slices, facts)))
        took.append(time.perf_counter() - began)
    return {**describe(took), "things_touched": touched}


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
        "traffic": {"not measured": reason} if reason else bench_traffic(),
    }  # fmt: skip
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The figures of security groups: what a rule or a member costs, in the renderer and until a packet shows it.

`python tests/bench/groups.py` prints them alone; `make bench` has them among the others.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from immutables import Map

from netloom.agent.wanted import Wanted
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import Address, GroupRow, MemberRow, NetworkRow, PortRow, Row, RuleRow, Segment, Slice
from netloom.render.host import Renderer
from tests.bench.switch import Figures, describe
from tests.dataplane.group_kit import (
    add_rule,
    connect,
    drop_rule,
    introduce,
    listen,
    make_dual_network,
    make_group,
    make_members,
    put_in,
)
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active
from tests.dataplane.wire import await_ping, open_socket

ROUNDS = 60
LONG_S = 2.0


# -- the renderer ------------------------------------------------------------------------------------------------------


def make_member(n: int) -> MemberRow:
    return MemberRow(f"m{n}", (f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}",), n)


def make_slices(ports: int, rules: int, members: int) -> dict[str, Slice]:
    """Ports of one network and one group, whose rules name a group of so many members; half of the rules each way."""
    rows: dict[str, Row] = {
        f"rule/{n}": RuleRow(str(n), ("ingress", "egress")[n % 2], 4, 6, 1000 + n, 1000 + n, remote="members/g")
        for n in range(rules)
    }
    own: dict[str, Row] = {
        f"port/p{n}": PortRow(
            f"p{n}", "n", f"fa:16:3e:00:{n >> 8:02x}:{n & 255:02x}", addresses=(Address(f"10.200.{n >> 8}.{n & 255}"),),
            groups=("g",),
        )
        for n in range(ports)
    }  # fmt: skip
    network: dict[str, Row] = {"network/n": NetworkRow("n", 1, segments=(Segment("local"),))}
    crowd: dict[str, Row] = {f"member/m{n}": make_member(n) for n in range(members)}
    named = {"host/h1": own, "network/n": network, "group/g": {"group/g": GroupRow("g"), **rows}, "members/g": crowd}
    return {name: Slice(name, 1, Map(found)) for name, found in named.items()}


def bench_renderer() -> Figures:
    """First of 200 ports with 20 rules and a group of 1,000, then of one member more in a group of 10,000."""
    return {
        "first_of_200_ports_20_rules_1000_members": bench_first(200, 20, 1000),
        "one_more_of_10000_for_100_ports": bench_member(100, 20, 10_000),
        "one_more_of_2000_for_100_ports": bench_member(100, 500, 2000),
    }


def make_facts(ports: int) -> HostFacts:
    return HostFacts("h1", interfaces={f"p{n}": Interface(f"t{n}", n + 1) for n in range(ports)})


def bench_first(ports: int, rules: int, members: int) -> Figures:
    slices, facts = make_slices(ports, rules, members), make_facts(ports)
    took = []
    for _ in range(3):
        began = time.perf_counter()
        groups = Renderer().render(slices, facts)
        took.append(time.perf_counter() - began)
    flows = sum(thing.kind == "flow" for things in groups.values() for thing in things)
    of_groups = sum(len(things) for name, things in groups.items() if name.startswith(("groups/", "members/", "sets/")))
    return {**describe(took), "flows": flows, "of_groups": of_groups, "product": ports * rules * members}


def bench_member(ports: int, rules: int, members: int) -> Figures:
    slices, facts = make_slices(ports, rules, members), make_facts(ports)
    renderer, wanted = Renderer(), Wanted()
    wanted.update(renderer.render(slices, facts))
    took, touched = [], 0
    for n in range(ROUNDS):
        delta = SliceDelta("members/g", n + 1, n + 2, {f"member/m{members + n}": make_member(members + n)})
        after = apply_delta(slices["members/g"], delta)
        assert after is not None
        slices["members/g"] = after
        began = time.perf_counter()
        touched = len(wanted.update(renderer.render(slices, facts)))
        took.append(time.perf_counter() - began)
    return {**describe(took), "flows_touched": touched}


# -- the switch --------------------------------------------------------------------------------------------------------


def bench_groups() -> Figures:
    """All of it on one host. Needs root."""
    with make_rig() as rig:
        rig.start_agent()
        rig.wait_log("following")
        network = make_dual_network(rig, "n0")
        web, crowd, busy = (make_group(rig, name, bare=name == "crowd") for name in ("web", "crowd", "busy"))
        a, b = boot_two(rig, network, busy, web)
        figures: Figures = {"rule_to_enforced": bench_rule(rig, a, b, web)}
        make_members(rig, crowd, 2000)
        add_rule(rig, web, direction="ingress", remote_group_id=crowd)
        figures["member_of_2000_to_enforced"] = bench_join(rig, a, b, busy, crowd)
        figures["flows_per_port"] = bench_flows(rig, network, web)
        add_rule(rig, web, direction="ingress", protocol="tcp")
        figures["with_groups"] = bench_speed(a, b)
        for one in (a, b):
            body = {"port": {"security_groups": [], "port_security_enabled": False}}
            rig.ask("PUT", f"ports/{one.id}", body)
        wait_active(rig, network_id=network)
        time.sleep(0.5)
        figures["without_groups"] = bench_speed(a, b)
        return figures


def boot_two(rig: Rig, network: str, mine: str, theirs: str) -> tuple[Instance, Instance]:
    ports = [rig.make_ports(network, 1, security_groups=[group])[0] for group in (mine, theirs)]
    a, b = (rig.boot(port, number, 16) for number, port in enumerate(ports))
    rig.plug([a, b])
    wait_active(rig, network_id=network)
    introduce(a, b)
    return a, b


def bench_rule(rig: Rig, a: Instance, b: Instance, group: str) -> Figures:
    """A rule is created, and a ping that it lets in is tried every millisecond: from the answer to its own."""

    def allow() -> Callable[[], None]:
        rule = add_rule(rig, group, direction="ingress", protocol="icmp")
        return lambda: drop_rule(rig, rule)

    return bench_change(rig, a, b, allow)


def bench_join(rig: Rig, a: Instance, b: Instance, before: str, crowd: str) -> Figures:
    def join() -> Callable[[], None]:
        put_in(rig, a.id, before, crowd)
        return lambda: put_in(rig, a.id, before)

    return bench_change(rig, a, b, join)


def bench_change(rig: Rig, a: Instance, b: Instance, allow: Callable[[], Callable[[], None]]) -> Figures:
    took = []
    with open_socket(a.netns, a.device) as wire:
        for _ in range(ROUNDS):
            undo = allow()
            answered = time.perf_counter()
            took.append(await_ping(wire, a, b) - answered)
            undo()
            wait_refused(wire, a, b)
    figures = describe(took)
    return {**figures, "p99_ms": round(sorted(took)[int(len(took) * 0.99)] * 1000, 1)}


def wait_refused(wire: socket.socket, a: Instance, b: Instance) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            await_ping(wire, a, b, timeout_s=0.1)
        except AssertionError:
            return
    raise AssertionError("it goes on being answered")


def bench_flows(rig: Rig, network: str, group: str) -> Figures:
    """What forty ports more in a group that is here already cost, each with an address of v4 and of v6."""
    before = len(rig.dump_flows())
    ports = rig.make_ports(network, 40, security_groups=[group])
    rig.plug(rig.cable(ports, rig.make_space("more"), 100))
    wait_active(rig, network_id=network)
    return {"all": before, "each_more": round((len(rig.dump_flows()) - before) / 40, 1)}


def bench_speed(a: Instance, b: Instance) -> Figures:
    return {"mbit_s": measure_throughput(a, b), "connections_s": measure_connections(a, b)}


def measure_throughput(a: Instance, b: Instance) -> int:
    with listen(b, 9000) as server, connect(a, b, 9000) as client:
        held, got = server.accept()[0], [0]

        def read() -> None:
            while data := held.recv(1 << 18):
                got[0] += len(data)

        reader = threading.Thread(target=read)
        reader.start()
        began = time.perf_counter()
        while time.perf_counter() < began + LONG_S:
            client.sendall(bytes(1 << 16))
        client.close()
        reader.join()
        return round(got[0] * 8 / (time.perf_counter() - began) / 1e6)


def measure_connections(a: Instance, b: Instance) -> int:
    """One after the other, each opened and closed."""
    with listen(b, 9001) as server:
        server.settimeout(5)
        count, began = 0, time.perf_counter()
        while time.perf_counter() < began + LONG_S:
            connect(a, b, 9001).close()
            server.accept()[0].close()
            count += 1
        return round(count / LONG_S)


def main() -> int:
    figures: dict[str, Any] = {"renderer": bench_renderer(), "switch": bench_groups()}
    print(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""What a test waits for before it looks: no answer that an earlier state could have given is taken for one."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Collection

from pyroute2.netlink.exceptions import NetlinkError

from tests.dataplane.ovs import PATIENCE_S, wait_until
from tests.dataplane.rig import Instance, Rig


def wait_active(rig: Rig, timeout_s: float = 60, **where: str) -> None:
    """Until every port is ACTIVE."""

    def all_active() -> bool:
        return all(port["status"] == "ACTIVE" for port in rig.list_ports(**where, fields="status"))

    wait_until(all_active, timeout_s)


def wait_applied(rig: Rig, timeout_s: float = PATIENCE_S) -> None:
    """Until every host that is connected to the server has acknowledged all that the API has said so far."""
    behind = "netloom_feed_hosts_behind"
    wait_until(lambda: read_figure(rig, behind) == 0, timeout_s, lambda: read_figure(rig, behind))


def read_figure(rig: Rig, name: str) -> float:
    """One of the figures that the server has at /metrics."""
    with urllib.request.urlopen(f"{rig.server.url}/metrics", timeout=60) as reply:
        found = re.search(rf"^{name} ([0-9.e+]+)$", reply.read().decode(), re.MULTILINE)
    assert found, name
    return float(found[1])


def wait_quiet(rig: Rig, *but: str) -> None:
    """Until nothing was written for a second, and there is nothing to do at this host: what hosts say of themselves is
    written some time after, and may change what they are told."""
    seen, since = -1.0, time.monotonic()

    def is_quiet() -> bool:
        nonlocal seen, since
        now = read_figure(rig, "netloom_store_commit_seconds_count")
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > 1

    wait_until(is_quiet)
    wait_planned(rig, but=but)


def wait_planned(*rigs: Rig, timeout_s: float = PATIENCE_S, but: Collection[str] = ()) -> None:
    """Until what the API said is applied, and somebody without a memory has nothing to do at any of these hosts. Who
    looks while the agent is at work may see half of a change, and devices that go meanwhile: that is no answer yet.
    `but`: kinds of things that do not count, as nobody here knows them."""
    seen: dict[str, object] = {}
    wait_applied(rigs[0], timeout_s)

    def is_level(rig: Rig) -> bool:
        try:
            seen[rig.name] = tuple(op for op in rig.plan_anew() if op.thing.kind not in but)
        except (OSError, NetlinkError, AssertionError) as error:
            seen[rig.name] = repr(error)
        return seen[rig.name] == ()

    wait_until(lambda: all(is_level(rig) for rig in rigs), timeout_s, lambda: seen)


def fill(rig: Rig, count: int, networks: int = 10) -> list[Instance]:
    """Start the agent and give it `count` ports on ten networks, plugged and ACTIVE; the two of them that can ping."""
    rig.start_agent()
    rig.wait_log("following")
    crowd, talkers = rig.make_space("crowd"), []
    for n in range(networks):
        network = rig.make_network(f"n{n}", f"10.0.{n}.0/24")
        ports = rig.make_ports(network, count // networks)
        booted = [rig.boot(port, number) for number, port in enumerate(ports[:2])] if n == 0 else []
        talkers += booted
        rig.plug([*booted, *rig.cable(ports[len(booted) :], crowd, 1 + n * 100 + len(booted))])
    wait_active(rig)
    return talkers

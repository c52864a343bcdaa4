"""What ports say beside their groups, on Linux bridges: limits, marks, logs; what cannot be; and what others break."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.dataplane.bridge_rig import BridgeRig, make_bridge_rig
from tests.dataplane.conftest import why_not
from tests.dataplane.group_kit import add_rule, make_group
from tests.dataplane.ovs import run, wait_until
from tests.dataplane.rig import Instance
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.test_qos import count_arrivals, make_policy
from tests.dataplane.traffic import measure, try_rate
from tests.dataplane.wire import make_echo, open_socket

pytestmark = pytest.mark.dataplane

ECHO = 8
"""The ICMP type of a request."""


@pytest.fixture(scope="module")
def rig() -> Iterator[BridgeRig]:
    if reason := why_not():
        pytest.skip(reason)
    with make_bridge_rig() as made:
        made.start_agent()
        yield made


class Numbers:
    """Of networks and instances, each once."""

    last = 0

    @classmethod
    def take(cls) -> int:
        cls.last += 1
        return cls.last


def boot_pair(rig: BridgeRig, **given: Any) -> tuple[Instance, Instance]:
    """A port as told, and one that is free, on a network of their own."""
    number = Numbers.take()
    network = rig.make_network(f"n{number}", f"10.{number}.0.0/24")
    (held,) = rig.make_ports(network, 1, **{"port_security_enabled": False, **given})
    (free,) = rig.make_ports(network, 1, port_security_enabled=False)
    pair = rig.boot(held, 2 * number), rig.boot(free, 2 * number + 1)
    wait_active(rig)
    return pair


def test_what_a_port_sends_and_receives_is_held_to_its_rate(rig: BridgeRig) -> None:
    """20 Mbit/s out and 10 Mbit/s in, within ten per cent; and all of it goes with the policy."""
    policy = make_policy(
        rig,
        bandwidth_limit={"max_kbps": 20_000, "direction": "egress"},
        bandwidth_limit_={"max_kbps": 10_000, "direction": "ingress"},
    )
    held, free = boot_pair(rig, qos_policy_id=policy)
    sent = try_rate(20, lambda: measure(held, free, "udp", seconds=4))
    received = try_rate(10, lambda: measure(free, held, "udp", seconds=4))
    assert sent == pytest.approx(20, rel=0.1)
    assert received == pytest.approx(10, rel=0.1)
    wait_planned(rig)
    rig.ask("PUT", f"ports/{held.id}", {"port": {"qos_policy_id": None}})
    wait_until(lambda: "htb" not in rig.host.inside("tc", "qdisc", "show", "dev", held.tap))
    wait_planned(rig)
    wait_until(lambda: "limit rate" not in rig.host.inside("nft", "list", "table", "bridge", "netloom"))


def test_packets_a_second_are_held_both_ways(rig: BridgeRig) -> None:
    """1,000 packets/s out and 2,000 in, offered 4,000."""
    policy = make_policy(
        rig,
        packet_rate_limit={"max_kpps": 1, "direction": "egress"},
        packet_rate_limit_={"max_kpps": 2, "direction": "ingress"},
    )
    held, free = boot_pair(rig, qos_policy_id=policy)
    assert try_rate(1000, lambda: count_arrivals(rig, held, free, 4000)) == pytest.approx(1000, rel=0.1)
    assert try_rate(2000, lambda: count_arrivals(rig, free, held, 4000)) == pytest.approx(2000, rel=0.1)


def hear_mark(source: Instance, target: Instance) -> int:
    """The DSCP that a packet arrives with."""
    sender, hearer = open_socket(source.netns, source.device), open_socket(target.netns, target.device)
    with closing(sender) as wire, closing(hearer) as heard:
        frame = make_echo(source, target.mac, target.address, b"marked, or not.\0")
        found: list[int] = []

        def arrived() -> bool:
            wire.send(frame)
            try:
                while True:
                    got = heard.recv(2048)
                    # An answer to a packet of before has the mark of that.
                    if got[:14] == frame[:14] and got[34] == ECHO and got[-16:] == frame[-16:]:
                        found.append(got[15] >> 2)
            except BlockingIOError:
                return bool(found)

        wait_until(arrived)
        return found[0]


def test_packets_leave_with_the_mark(rig: BridgeRig) -> None:
    """DSCP 26 on what the port sends; what it receives is as it was."""
    held, free = boot_pair(rig, qos_policy_id=make_policy(rig, dscp_marking={"dscp_mark": 26}))
    assert (hear_mark(held, free), hear_mark(free, held)) == (26, 0)


def test_what_passes_and_what_is_dropped_is_written_down(rig: BridgeRig) -> None:
    """A log of a group has a line for a connection that is let in, and for each packet that is not, and no others."""
    group = make_group(rig, "watched")
    add_rule(rig, group, direction="ingress", ethertype="IPv4", protocol="icmp", port_range_min=8)
    held, free = boot_pair(rig, port_security_enabled=True, security_groups=[group])
    said = len(rig.read_log())
    body = {"name": "all", "resource_type": "security_group", "resource_id": group, "event": "ALL"}
    rig.ask("POST", "log/logs", {"log": body})
    ping, call = ("ping", "-c", "1", "-W", "1", held.address), ("curl", "-s", "-m", "1", f"http://{held.address}:81")
    lines = (
        rf"netloom.packets action={{}} direction=ingress port={held.id} .* src={free.address} dst={held.address} {{}}"
    )

    def is_told(event: str, words: str, command: tuple[str, ...]) -> bool:
        run("ip", "netns", "exec", free.netns, *command, check=False)
        return re.search(lines.format(event, words), rig.read_log(said)) is not None

    wait_until(lambda: is_told("ACCEPT", "protocol=1 type=8", ping))
    wait_until(lambda: is_told("DROP", r"protocol=6 sport=\d+ dport=81", call))
    assert not re.search(lines.format("DROP", "protocol=1"), rig.read_log(said))
    wait_planned(rig)


def hears_copy(source: Instance, target: Instance, watcher: Instance) -> bool:
    """Whether the watcher gets a frame of its own making that `source` sends to `target`, within a second."""
    wires = [open_socket(one.netns, one.device) for one in (source, watcher)]
    with closing(wires[0]) as wire, closing(wires[1]) as heard:
        mark = os.urandom(16)
        wire.send(make_echo(source, target.mac, target.address, mark))

        def came() -> bool:
            try:
                while True:
                    frame = heard.recv(2048)
                    if frame[42:58] == mark and frame[34] == ECHO:
                        return True
            except BlockingIOError:
                return False

        try:
            wait_until(came, 1)
        except AssertionError:
            return False
    return True


def add_tap(rig: BridgeRig, source: Instance, watcher: Instance, direction: str) -> str:
    services = {found["port_id"]: found["id"] for found in rig.ask("GET", "taas/tap_services")["tap_services"]}
    if watcher.id not in services:
        body = {"tap_service": {"port_id": watcher.id}}
        services[watcher.id] = rig.ask("POST", "taas/tap_services", body)["tap_service"]["id"]
    flow = {"tap_service_id": services[watcher.id], "source_port": source.id, "direction": direction}
    return str(rig.ask("POST", "taas/tap_flows", {"tap_flow": flow})["tap_flow"]["id"])


def test_what_a_port_sends_and_gets_is_copied(rig: BridgeRig) -> None:
    """To two watchers, each its own directions; what somebody takes away comes back; and with the taps copies end."""
    one, other = boot_pair(rig)
    sees_sent, sees_all = boot_pair(rig)
    assert not hears_copy(one, other, sees_sent)
    taps = [add_tap(rig, one, sees_sent, "OUT"), add_tap(rig, one, sees_all, "BOTH")]
    for sender, target, watcher in ((one, other, sees_sent), (one, other, sees_all), (other, one, sees_all)):
        wait_until(lambda a=sender, b=target, c=watcher: hears_copy(a, b, c))  # type: ignore[misc]
    assert not hears_copy(other, one, sees_sent)
    wait_planned(rig)
    rig.host.inside("tc", "qdisc", "del", "dev", one.tap, "clsact")
    run("ip", "-n", rig.host.netns, "link", "set", one.tap, "mtu", "1400")  # which the agent hears of, and looks
    wait_until(lambda: hears_copy(other, one, sees_all))
    for tap in taps:
        rig.ask("DELETE", f"taas/tap_flows/{tap}")
    wait_until(lambda: "clsact" not in rig.host.inside("tc", "qdisc", "show", "dev", one.tap))
    assert not hears_copy(one, other, sees_all)


def test_rules_that_somebody_flushes_come_back_at_once(rig: BridgeRig) -> None:
    """A chain is emptied, a set's elements, the whole table: healed without the slow clock, and counted in the API."""
    held, _ = boot_pair(rig, port_security_enabled=True)
    netns = rig.host.netns

    def count_healed() -> int:
        (agent,) = rig.ask("GET", "agents?agent_type=Linux%20bridge%20agent")["agents"]
        return int(agent["configurations"].get("drift_healed", 0))

    for words in (
        f"flush chain bridge netloom guard_{held.id[:11]}",
        "flush map bridge netloom senders",
        "delete table inet netloom",
    ):
        before = count_healed()
        run("ip", "netns", "exec", netns, "nft", *words.split())
        wait_planned(rig)
        wait_until(lambda before=before: count_healed() > before)  # type: ignore[misc]


def test_a_subport_that_this_kernel_cannot_carry_says_so(rig: BridgeRig) -> None:
    """A subport is a VLAN of its parent's device; where the kernel has none the port says why it is not ACTIVE."""
    networks = [rig.make_network(f"n{n}", f"10.{n}.0.0/24") for n in (Numbers.take(), Numbers.take())]
    body = {"network_id": networks[0], "port_security_enabled": False}
    parent = rig.ask("POST", "ports", {"port": body})["port"]
    sub = rig.ask("POST", "ports", {"port": {**body, "network_id": networks[1]}})["port"]
    told = {"port_id": sub["id"], "segmentation_type": "vlan", "segmentation_id": 100}
    rig.ask("POST", "trunks", {"trunk": {"port_id": parent["id"], "sub_ports": [told]}})
    parent = rig.ask("PUT", f"ports/{parent['id']}", {"port": {"binding:host_id": rig.name}})["port"]
    rig.boot(parent, 2 * Numbers.take())
    tried = ("link", "add", "link", "eth0", "name", "try", "type", "vlan", "id", "5")
    run("ip", "-n", rig.host.netns, *tried, check=False)
    has_vlans = "try@" in run("ip", "-n", rig.host.netns, "-o", "link")

    def is_right() -> bool:
        (port,) = rig.list_ports(id=sub["id"])
        return port["status"] == "ACTIVE" if has_vlans else "carry no subports of trunks" in (port["waits_for"] or "")

    wait_until(is_right)
    assert rig.list_ports(id=parent["id"])[0]["status"] == "ACTIVE"

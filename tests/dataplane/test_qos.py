"""Limits of QoS policies on real traffic: what gets through, against what the policy says."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.ovs import wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.traffic import measure, try_rate
from tests.dataplane.wire import make_echo, open_socket

pytestmark = pytest.mark.dataplane


@pytest.fixture
def rig() -> Iterator[Rig]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as made:
        made.start_agent()
        made.wait_log("following")
        yield made


def make_policy(rig: Rig, **rules: dict[str, Any]) -> str:
    """A policy with a rule of each type given."""
    policy: str = rig.ask("POST", "qos/policies", {"policy": {"name": "gold"}})["policy"]["id"]
    for kind, body in rules.items():
        kind = kind.rstrip("_")
        rig.ask("POST", f"qos/policies/{policy}/{kind}_rules", {f"{kind}_rule": body})
    return policy


def boot_pair(rig: Rig, policy: str) -> tuple[Instance, Instance]:
    """One port under the policy, and one that is free."""
    network = rig.make_network("red", "10.1.0.0/24")
    (held,) = rig.make_ports(network, 1, port_security_enabled=False, qos_policy_id=policy)
    (free,) = rig.make_ports(network, 1, port_security_enabled=False)
    pair = rig.boot(held, 1), rig.boot(free, 2)
    rig.plug(pair)
    wait_active(rig)
    return pair


@pytest.mark.parametrize("kind", ["tcp", "udp"])
def test_what_a_port_sends_and_receives_is_held_to_its_rate(rig: Rig, kind: str) -> None:
    """20 Mbit/s out by a meter, 10 Mbit/s in by a queue: measured within ten per cent, and changed while it runs."""
    policy = make_policy(
        rig,
        bandwidth_limit={"max_kbps": 20_000, "direction": "egress"},
        bandwidth_limit_={"max_kbps": 10_000, "direction": "ingress"},
    )
    held, free = boot_pair(rig, policy)
    sent = try_rate(20, lambda: measure(held, free, kind, seconds=4))
    received = try_rate(10, lambda: measure(free, held, kind, seconds=4))
    print(f"limits 20 and 10 Mbit/s, {kind}: {sent:.2f} out, {received:.2f} in")
    assert sent == pytest.approx(20, rel=0.1)
    assert received == pytest.approx(10, rel=0.1)
    wait_planned(rig)
    (rule,) = (
        rule for rule in rig.ask("GET", f"qos/policies/{policy}")["policy"]["rules"] if rule["direction"] == "ingress"
    )
    body = {"bandwidth_limit_rule": {"max_kbps": 5_000}}
    rig.ask("PUT", f"qos/policies/{policy}/bandwidth_limit_rules/{rule['id']}", body)
    wait_until(lambda: "5Mbit" in rig.host.inside("tc", "class", "show", "dev", held.tap))
    assert try_rate(5, lambda: measure(free, held, kind)) == pytest.approx(5, rel=0.1)
    rig.ask("PUT", f"ports/{held.id}", {"port": {"qos_policy_id": None}})
    wait_until(lambda: "htb" not in rig.host.inside("tc", "qdisc", "show", "dev", held.tap))
    wait_until(lambda: "meter=" not in rig.host.ofctl("dump-meters", "br-int"))
    assert any(measure(held, free, kind, seconds=3) > 30 for _ in range(4))
    wait_planned(rig)


def test_what_a_network_allows_holds_for_its_ports(rig: Rig) -> None:
    """8 Mbit/s by the network's policy, 16 where the port has one of its own, and without either many times that."""
    slow, quick = (
        make_policy(rig, bandwidth_limit={"max_kbps": kbps, "direction": "egress"}) for kbps in (8_000, 16_000)
    )
    network = rig.make_network("red", "10.1.0.0/24", qos_policy_id=slow)
    plain, own = (rig.make_ports(network, 1, port_security_enabled=False)[0] for _ in range(2))
    rig.ask("PUT", f"ports/{own['id']}", {"port": {"qos_policy_id": quick}})
    one, other = rig.boot(plain, 1), rig.boot(own, 2)
    rig.plug([one, other])
    wait_active(rig)
    wait_planned(rig)
    for source, target, wanted in ((one, other, 8), (other, one, 16)):
        found = try_rate(wanted, lambda s=source, t=target: measure(s, t, "udp", seconds=4))  # type: ignore[misc]
        print(f"limit {wanted} Mbit/s: {found:.2f}")
        assert found == pytest.approx(wanted, rel=0.1)
    rig.ask("PUT", f"networks/{network}", {"network": {"qos_policy_id": None}})
    wait_planned(rig)
    assert any(measure(one, other, "udp", seconds=3) > 20 for _ in range(4))


def count_arrivals(rig: Rig, source: Instance, target: Instance, per_s: int, seconds: float = 3.0) -> float:
    """Packets a second that arrive at `target` when `source` sends `per_s`, after the first; 0: it was slower."""
    sender, hearer = open_socket(source.netns, source.device), open_socket(target.netns, target.device)
    frame = make_echo(source, target.mac, target.address, b"packets a second")
    with closing(sender) as wire, closing(hearer) as heard:
        start = time.perf_counter()
        sent = got = 0
        while (now := time.perf_counter() - start) < seconds:
            if sent < now * per_s:
                wire.send(frame)
                sent += 1
            found = drain(heard, frame)
            got += found if now > 1 else 0
        time.sleep(0.05)
        got += drain(heard, frame)
    return got / (seconds - 1) if sent > per_s * seconds * 0.8 else 0.0


def drain(wire: Any, frame: bytes) -> int:
    count = 0
    while True:
        try:
            got = wire.recv(2048)
            count += (got[:14], got[-16:]) == (frame[:14], frame[-16:])
        except BlockingIOError:
            return count


def test_packets_a_second_are_held_both_ways(rig: Rig) -> None:
    """1,000 packets/s out and 2,000 in, offered 4,000: small packets, which no limit of bandwidth would hold."""
    policy = make_policy(
        rig,
        packet_rate_limit={"max_kpps": 1, "direction": "egress"},
        packet_rate_limit_={"max_kpps": 2, "direction": "ingress"},
    )
    held, free = boot_pair(rig, policy)
    sent = try_rate(1000, lambda: count_arrivals(rig, held, free, 4000))
    received = try_rate(2000, lambda: count_arrivals(rig, free, held, 4000))
    print(f"limits 1,000 and 2,000 packets/s: {sent:.0f} out, {received:.0f} in")
    assert sent == pytest.approx(1000, rel=0.1)
    assert received == pytest.approx(2000, rel=0.1)


def test_packets_leave_with_the_mark(rig: Rig) -> None:
    """DSCP 26 (AF31) on what the port sends, IPv4; what it receives is as it was."""
    policy = make_policy(rig, dscp_marking={"dscp_mark": 26}, bandwidth_limit={"max_kbps": 100_000})
    held, free = boot_pair(rig, policy)
    for source, target, mark in ((held, free, 26), (free, held, 0)):
        sender, hearer = open_socket(source.netns, source.device), open_socket(target.netns, target.device)
        with closing(sender) as wire, closing(hearer) as heard:
            frame = make_echo(source, target.mac, target.address, b"marked, or not.\0")
            wire.send(frame)
            found: list[int] = []

            def arrived(heard: Any = heard, found: list[int] = found, frame: bytes = frame) -> bool:
                try:
                    got = heard.recv(2048)
                except BlockingIOError:
                    return False
                # An answer to a packet of before has the mark of that: this one is a question (ICMP type 8).
                if got[:14] == frame[:14] and got[34] == 8 and got[-16:] == frame[-16:]:
                    found.append(got[15] >> 2)
                return bool(found)

            wait_until(arrived)
            assert found == [mark]

"""Security groups that change under traffic: connections cut, rules changed without a window, members by the thousand.

There are as many changes of members as NETLOOM_CHURN says (400).
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import why_not
from tests.dataplane.group_kit import (
    Knocking,
    accept,
    add_rule,
    connect,
    drop_rule,
    in_space,
    introduce,
    listen,
    make_dual_network,
    make_group,
    make_members,
    put_in,
)
from tests.dataplane.ovs import PATIENCE_S, run, wait_until
from tests.dataplane.rig import Instance, Rig, make_rig
from tests.dataplane.settled import wait_active, wait_planned
from tests.dataplane.wire import Pinging, await_ping, open_socket

pytestmark = pytest.mark.dataplane

CHURN = int(os.environ.get("NETLOOM_CHURN", "400"))
RULES, MEMBERS = 500, 2000


class Town:
    """Three instances on one host: a may speak to b as a member of `friends`, c may not."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        network = make_dual_network(rig, "n0")
        self.friends = make_group(rig, "friends", bare=False)
        self.strangers = make_group(rig, "strangers", bare=False)
        self.web = make_group(rig, "web", bare=False)
        self.rule = add_rule(rig, self.web, direction="ingress", remote_group_id=self.friends)
        ports = [rig.make_ports(network, 1, security_groups=[group])[0]
                 for group in (self.friends, self.web, self.strangers)]  # fmt: skip
        self.a, self.b, self.c = (rig.boot(port, number, 16) for number, port in enumerate(ports))
        rig.plug([self.a, self.b, self.c])
        wait_active(rig)
        introduce(self.a, self.b)
        introduce(self.c, self.b)
        with open_socket(self.a.netns, self.a.device) as wire:
            await_ping(wire, self.a, self.b)


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig:
        rig.start_agent()
        rig.wait_log("following")
        yield Town(rig)


def is_dead(connection_from: Instance, connection_to: Instance, port: int) -> bool:
    try:
        connect(connection_from, connection_to, port, 0.3).close()
    except OSError:
        return True
    return False


def test_a_connection_is_cut_when_its_rule_is_withdrawn(town: Town) -> None:
    """While a connection speaks, its one rule goes: neither side hears the other; when the rule is back, they do."""
    rig, a, b = town.rig, town.a, town.b
    with listen(b, 8080) as door:
        drop_rule(rig, town.rule)
        wait_planned(rig)  # else the first caller may come in by the old rule and be cut
        assert is_dead(a, b, 8080)
        rule = add_rule(rig, town.web, direction="ingress", protocol="tcp", port_range_min=8080, port_range_max=8090)
        wait_until(lambda: not is_dead(a, b, 8080))
        client = connect(a, b, 8080)
        held = accept(door, client)
        held.settimeout(PATIENCE_S)
        client.send(b"one")
        assert held.recv(9) == b"one"
        held.send(b"two")
        assert client.recv(9) == b"two"
        drop_rule(rig, rule)
        wait_planned(rig)
        assert is_dead(a, b, 8080)
        held.settimeout(0.4)
        client.settimeout(0.4)
        client.send(b"three")
        with pytest.raises(TimeoutError):
            held.recv(9)
        held.send(b"four")
        with pytest.raises(TimeoutError):
            client.recv(9)
        add_rule(rig, town.web, direction="ingress", protocol="tcp", port_range_min=8080, port_range_max=8090)
        held.settimeout(PATIENCE_S)
        client.settimeout(PATIENCE_S)
        assert held.recv(9) == b"three"  # sent again, as TCP does
        assert client.recv(9) == b"four"
        client.close()
        held.close()
    town.rule = add_rule(rig, town.web, direction="ingress", remote_group_id=town.friends)
    wait_planned(rig)


def test_rules_change_without_a_window(town: Town) -> None:
    """A hundred rules come and go, one by one, in the groups of both who ping: no ping is lost, and none of another."""
    rig, a, b = town.rig, town.a, town.b
    pinging, knocking = Pinging(a, b.address, 0.005), Knocking(town.c, b, 0.005)
    for n in range(100):
        group = (town.web, town.friends)[n % 2]
        rule = add_rule(
            rig, group, direction="ingress", protocol="tcp", port_range_min=100 + n, port_range_max=1000 + n
        )
        more = add_rule(rig, group, direction="ingress", protocol="udp", remote_group_id=town.strangers)
        drop_rule(rig, rule)
        drop_rule(rig, more)
    got, lost = pinging.stop()
    sent, came = knocking.stop()
    assert got > 50 and sent > 50
    assert (lost, came) == ([], 0)


def test_a_crowd_and_many_rules(town: Town) -> None:
    """500 rules that name a group of 2,000: rules and members add up; one member more is a handful of flows."""
    rig = town.rig
    crowd, busy = make_group(rig, "crowd"), make_group(rig, "busy", bare=False)
    for n in range(0, RULES, 100):
        rules = [
            {"security_group_id": busy, "direction": "ingress", "protocol": "tcp", "remote_group_id": crowd,
             "port_range_min": 1000 + 2 * (n + k), "port_range_max": 1000 + 2 * (n + k)}
            for k in range(100)
        ]  # fmt: skip
        rig.ask("POST", "security-group-rules", {"security_group_rules": rules})
    members = make_members(rig, crowd, MEMBERS)
    wait_planned(rig)
    flows = len(rig.dump_flows())
    began = time.perf_counter()
    put_in(rig, town.b.id, town.web, busy)
    wait_planned(rig)
    print(f"{MEMBERS} members and {RULES} rules: {time.perf_counter() - began:.1f} s")
    made = len(rig.dump_flows()) - flows
    assert MEMBERS + RULES <= made <= 1.05 * (MEMBERS + RULES) + 20, made
    said = len(rig.read_log())
    put_in(rig, members[0])
    found = rig.wait_log(r"([0-9]+) ops, 0 refused", said)
    assert int(found[1]) == 1, found[0]
    wait_planned(rig)


def test_fragments_pass_with_their_first(town: Town) -> None:
    """A ping of three fragments is let in, and answered, by a rule that names its type; a stranger's is not."""
    rule = add_rule(town.rig, town.web, direction="ingress", protocol="icmp", port_range_min=8,
                    remote_ip_prefix=f"{town.a.address}/32")  # fmt: skip
    drop_rule(town.rig, town.rule)
    wait_planned(town.rig)
    wait_until(lambda: "3 received" in ping_in_pieces(town.a, town.b))
    assert "0 received" in ping_in_pieces(town.c, town.b)
    more = add_rule(town.rig, town.web, direction="ingress", protocol="udp", port_range_min=9053, port_range_max=9054)
    wait_planned(town.rig)
    for port in (9053, 9054):
        wait_until(lambda port=port: hears(town.b, town.a, port, bytes(4000)))  # type: ignore[misc]
    assert not hears(town.b, town.a, 9055, bytes(4000))
    drop_rule(town.rig, more)
    town.rule = add_rule(town.rig, town.web, direction="ingress", remote_group_id=town.friends)
    drop_rule(town.rig, rule)
    wait_planned(town.rig)


def ping_in_pieces(one: Instance, other: Instance) -> str:
    ping = ("ping", "-c", "3", "-i", "0.05", "-W", "1", "-s", "4000", other.address)
    return run("ip", "netns", "exec", one.netns, *ping, check=False)


def hears(one: Instance, other: Instance, port: int, data: bytes) -> bool:
    """Whether `one` gets a datagram from `other` at this port."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((one.address, port))
        return made

    with in_space(one.netns, make) as into, in_space(other.netns, lambda: socket.socket(type=socket.SOCK_DGRAM)) as out:
        into.settimeout(0.5)
        out.sendto(data, (one.address, port))
        try:
            return into.recv(9000) == data
        except TimeoutError:
            return False


def churn(rig: Rig, members: list[str], group: str, changes: int, rate: float = 100) -> float:
    """Ports leave the group and join it again, so many times, no more than `rate` a second; how many a second it was.
    Each was a change: by every port's revision in the API."""
    before = count_changes(rig, members)
    began = time.monotonic()
    for done in range(changes):
        time.sleep(max(0.0, began + done / rate - time.monotonic()))
        put_in(rig, members[done // 2 % len(members)], *(() if done % 2 == 0 else (group,)))
    took_s = time.monotonic() - began
    assert count_changes(rig, members) - before == changes
    return changes / took_s


def count_changes(rig: Rig, ports: list[str]) -> int:
    """Of all these ports together, since they were made."""
    network = rig.networks["crowd-net"]
    shown = {port["id"]: port["revision_number"] for port in rig.list_ports(network_id=network)}
    return sum(shown[port] for port in ports)


def test_members_come_and_go_while_others_speak(town: Town) -> None:
    """Up to a hundred a second, in a group that rules name: allowed pings lose nothing, refused ones never pass."""
    rig = town.rig
    members = make_members_once(rig, town.friends)
    pinging, knocking = Pinging(town.a, town.b.address), Knocking(town.c, town.b)
    per_s = churn(rig, members, town.friends, CHURN)
    print(f"{CHURN} changes of members, {per_s:.0f} a second")
    got, lost = pinging.stop()
    sent, came = knocking.stop()
    assert got > 50 and sent > 50
    assert (lost, came) == ([], 0)
    put_in(rig, town.c.id, town.friends)  # and were they let in, they would be seen
    knocking = Knocking(town.c, town.b)
    wait_until(lambda: knocking.came > 0)
    knocking.stop()
    put_in(rig, town.c.id, town.strangers)
    wait_planned(rig)


def make_members_once(rig: Rig, group: str) -> list[str]:
    network = rig.make_network("crowd-net", "10.64.0.0/16")
    body = {"ports": [{"network_id": network, "security_groups": [group]} for _ in range(300)]}
    return [port["id"] for port in rig.ask("POST", "ports", body)["ports"]]


def test_what_dies_in_the_middle_opens_nothing(town: Town) -> None:
    """Agent and switch are killed while members come and go: who may speak does again, who may not never did."""
    try_deaths(town)


def try_deaths(town: Town, switch: bool = True) -> None:
    """`switch`: there is one that can be killed, too."""
    rig, a, b = town.rig, town.a, town.b
    members = [port["id"] for port in rig.list_ports(network_id=rig.networks["crowd-net"], fields="id")]
    knocking, pinging = Knocking(town.c, b), Pinging(a, b.address)
    said = len(rig.read_log())
    churn(rig, members, town.friends, 100)
    rig.stop_agent(signal.SIGKILL)
    churn(rig, members, town.friends, 100)
    rig.start_agent()
    rig.wait_log("ports wired, 0 wait", said)
    churn(rig, members, town.friends, 100)
    assert pinging.stop()[1] == []  # the switch goes on by itself
    if switch:
        rig.host.stop("ovs-vswitchd")
        rig.host.start_switch()
        churn(rig, members, town.friends, 100)
    with open_socket(a.netns, a.device) as wire:
        await_ping(wire, a, b)
    sent, came = knocking.stop()
    assert sent > 100 and came == 0
    wait_planned(rig)


def test_what_is_dropped_and_let_pass_is_written_down(town: Town) -> None:
    """A log of a port: one line for a connection, one for each packet refused, none when it is switched off."""
    rig, a, b = town.rig, town.a, town.b
    body = {"resource_type": "security_group", "target_id": b.id, "event": "ALL"}
    log = rig.ask("POST", "log/logs", {"log": body})["log"]["id"]
    wait_planned(rig)
    said = len(rig.read_log())
    knocking = Knocking(town.c, b)
    found = rig.wait_log(
        rf"action=DROP direction=ingress port={b.id} .*logs={log} .*src={town.c.address} .*type=8", said
    )
    assert knocking.stop()[1] == 0 and found
    with listen(b, 9100) as door:
        rule = add_rule(rig, town.web, direction="ingress", protocol="tcp", port_range_min=9100, port_range_max=9100)
        wait_until(lambda: not is_dead(a, b, 9100))
        door.accept()[0].close()
        rig.wait_log(rf"action=ACCEPT direction=ingress port={b.id} .*src={a.address} .*dport=9100", said)
        drop_rule(rig, rule)
    rig.ask("DELETE", f"log/logs/{log}")
    wait_planned(rig)
    said, knocking = len(rig.read_log()), Knocking(town.c, b)
    wait_until(lambda: knocking.sent > 20)
    knocking.stop()
    assert "action=" not in rig.read_log(said)

"""What a distributed router does besides: limits, helpers, sizes, as flows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from netloom.model.device import FlowBody
from netloom.model.facts import HostFacts
from netloom.model.flow import Action, CheckLarger, Ct, Meter
from netloom.model.plan import Thing
from netloom.model.slices import (
    Address,
    FloatingRow,
    HelperRow,
    InterfaceRow,
    NetworkRow,
    QosRow,
    RouterHost,
    RouterRow,
    Row,
    Segment,
    Slice,
    SubnetRow,
)
from netloom.render.host import render_host
from netloom.render.pipeline import INBOUND, KNOWN, OUTBOUND, SIZE

FACTS = HostFacts("h1", "192.0.2.1", ("vxlan",), {"physnet": "br-ex"}, ofports={("br-int", "int-br-ex"): 3})
FTP = HelperRow("c", "tcp", 21, "ftp")


def make_slices(*more: Row, mtu: int = 1450, policy: str = "", **router: Any) -> dict[str, Slice]:
    """A router of h1's with the network red inside, a gateway and a floating IP."""
    row = RouterRow("r", distributed=True, gateway_port_id="gw", hosts=(RouterHost("h1"),), **router)
    ports = (
        InterfaceRow("in", "red", "fa:16:3e:00:00:01", "internal", (Address("10.1.0.1", "s1"),)),
        InterfaceRow("gw", "ext", "fa:16:3e:00:00:02", "gateway", (Address("203.0.113.10", "s2"),)),
    )
    floating = FloatingRow("f", "ext", "203.0.113.50", "fa:16:3e:00:00:03", "10.1.0.5", "p", "h1", policy)
    held: dict[str, Row] = {"router/r": row, "floating/f": floating}
    held |= {f"interface/{port.id}": port for port in ports} | {f"helper/{n}": one for n, one in enumerate(more)}
    outside = NetworkRow("ext", 7, external=True, segments=(Segment("flat", "physnet"),))
    inside = NetworkRow("red", 8, mtu=mtu, segments=(Segment("vxlan", "", 8),))
    rules = {f"qos/{d}": QosRow(d, "bandwidth_limit", d, 1000) for d in ("egress", "ingress")}
    return {
        "router/r": Slice("router/r", 1, held),
        "network/ext": Slice("network/ext", 1, {
            "network/ext": outside, "subnet/s2": SubnetRow("s2", "ext", "203.0.113.0/24", 4, "203.0.113.1"),
        }),
        "network/red": Slice("network/red", 1, {
            "network/red": inside, "subnet/s1": SubnetRow("s1", "red", "10.1.0.0/24", 4, "10.1.0.1"),
        }),
        "policy/slow": Slice("policy/slow", 1, dict(rules)),
    }  # fmt: skip


def find_things(slices: dict[str, Slice]) -> tuple[Thing, ...]:
    return render_host(slices, FACTS)["router/r"]


def find_actions(things: Iterable[Thing], table: int) -> list[tuple[Action, ...]]:
    bodies = [thing.value for thing in things if thing.kind == "flow" and thing.key[2] == table]
    return [body.actions for body in bodies if isinstance(body, FlowBody)]


def count_metered(things: Iterable[Thing], table: int) -> int:
    return sum(any(isinstance(action, Meter) for action in actions[:1]) for actions in find_actions(things, table))


def test_a_floating_ip_is_metered_where_it_is_translated() -> None:
    """One meter each way, first of what is done, and none for others."""
    assert not [thing for thing in find_things(make_slices()) if thing.kind == "meter"]
    things = find_things(make_slices(policy="slow"))
    assert len([thing for thing in things if thing.kind == "meter"]) == 2
    assert (count_metered(things, INBOUND), count_metered(things, OUTBOUND)) == (1, 1)


def test_a_gateway_is_metered_for_all_that_has_no_floating_ip() -> None:
    """Its own address and what is hidden behind it."""
    things = find_things(make_slices(gateway_policy="slow"))
    assert (count_metered(things, INBOUND), count_metered(things, OUTBOUND)) == (1, 1)
    both = find_things(make_slices(gateway_policy="slow", policy="slow"))
    ids = [thing.key[2] for thing in both if thing.kind == "meter"]
    assert len(set(ids)) == 4
    assert all(4096 <= id & 0xFFFF < 0xFF00 for id in ids), "numbers that no port has"


def test_a_policy_that_is_not_known_yet_limits_nothing() -> None:
    """What passes is not held up by what is missing."""
    slices = make_slices(policy="slow")
    del slices["policy/slow"]
    assert not [thing for thing in find_things(slices) if thing.kind == "meter"]


def find_algs(things: Iterable[Thing], table: int) -> list[int]:
    return sorted(a.alg for actions in find_actions(things, table) for a in actions if isinstance(a, Ct) and a.alg)


def test_a_helper_is_there_where_connections_begin() -> None:
    """In and out of floating IPs, and out of what is hidden; announced connections are let in then."""
    plain, helped = find_things(make_slices()), find_things(make_slices(FTP))
    assert find_algs(plain, INBOUND) == find_algs(plain, OUTBOUND) == []
    assert (find_algs(helped, INBOUND), find_algs(helped, OUTBOUND)) == ([21], [21, 21])
    assert len(find_actions(helped, KNOWN)) == len(find_actions(plain, KNOWN)) + 1


def test_a_helper_that_the_switch_has_not_is_left_out() -> None:
    """Of other protocols, and at other ports, where it would read one direction alone."""
    others = (HelperRow("x", "udp", 5060, "sip"), replace(FTP, port=2121))
    assert set(find_things(make_slices(*others))) == set(find_things(make_slices()))


def test_only_what_may_be_too_long_is_looked_at() -> None:
    """From outside, where packets are longer, into the network that takes less; nothing where all take the same."""
    assert find_actions(find_things(make_slices(mtu=1500)), SIZE) == []
    checks = [a for actions in find_actions(find_things(make_slices()), SIZE) for a in actions]
    assert [a.size for a in checks if isinstance(a, CheckLarger)] == [1464, 1464], "v4 and v6, with the frame's head"

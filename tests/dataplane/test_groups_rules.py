"""Every kind of security group rule, v4 and v6, in both directions, with frames through a real Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from netloom.testing.story_traffic import make_answer, make_more, make_traffic
from tests.dataplane.conftest import why_not
from tests.dataplane.frames import await_frame, drain, encode_packet
from tests.dataplane.group_kit import add_rule, make_group
from tests.dataplane.rig import make_rig
from tests.dataplane.rule_field import CASES, TCP80, Case, Field, fill_field, say, try_case

pytestmark = pytest.mark.dataplane


@pytest.fixture(scope="module")
def field() -> Iterator[Field]:
    """The table, and a port whose group is stateless."""
    if reason := why_not():
        pytest.skip(reason)
    with make_rig() as rig:
        rig.start_agent()
        rig.wait_log("following")
        free = make_group(rig, "free", stateful=False)
        add_rule(rig, free, direction="ingress", **TCP80)
        add_rule(rig, free, direction="egress", protocol="tcp", remote_ip_prefix="10.9.0.0/16")
        with fill_field(rig, True, {("both", "free"): free}) as filled:
            yield filled


@pytest.mark.parametrize("direction", ["ingress", "egress"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].replace(" ", "_"))
def test_a_rule_lets_through_what_it_says_and_nothing_else(field: Field, case: Case, direction: str) -> None:
    """Of all that is tried, what the rule allows arrives as it was sent, and nothing else does."""
    try_case(field, case, direction)


def test_an_answer_passes_with_its_connection(field: Field) -> None:
    """By the switch's conntrack: what answers is let out without a rule, the same before it was asked is not."""
    port, wire = field.ports["ingress", "one port"]
    peer, peer_wire = field.peers["open"]
    asked = make_traffic(peer, port, ["tcp", "80", "from", "7777", "to", "it"])
    answer = encode_packet(make_answer(asked))
    drain(peer_wire)
    wire.send(answer)
    assert not await_frame(peer_wire, answer, 0.1)
    drain(wire)
    peer_wire.send(encode_packet(asked))
    assert await_frame(wire, encode_packet(asked), 20)
    wire.send(answer)
    assert await_frame(peer_wire, answer, 20)
    peer_wire.send(encode_packet(make_more(asked)))
    assert await_frame(wire, encode_packet(make_more(asked)), 20)


def test_a_stateless_group_lets_no_answer_out(field: Field) -> None:
    """Each packet is asked for by itself, also the answer to one that was let in."""
    port, wire = field.ports["both", "free"]
    peer, peer_wire = field.peers["open"]
    asked = make_traffic(peer, port, ["tcp", "80", "to", "it"])
    drain(wire)
    peer_wire.send(encode_packet(asked))
    assert await_frame(wire, encode_packet(asked), 20)
    refused = say("tcp 81", peer, port)
    peer_wire.send(refused)
    assert not await_frame(wire, refused, 0.1)
    drain(peer_wire)
    wire.send(encode_packet(make_answer(asked)))
    assert not await_frame(peer_wire, encode_packet(make_answer(asked)), 0.1)

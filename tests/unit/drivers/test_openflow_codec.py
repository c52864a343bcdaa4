from __future__ import annotations

import struct

import pytest

from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow.actions import encode_action, encode_actions, encode_instructions
from netloom.drivers.ovs.openflow.check import find_fault
from netloom.drivers.ovs.openflow.decode import decode_actions, decode_instructions
from netloom.drivers.ovs.openflow.fields import CodecError, decode_match, encode_match
from netloom.model.flow import (
    CONTROLLER,
    COOKIE_MAGIC,
    WIDTH,
    Action,
    Conjunction,
    Ct,
    Goto,
    Meter,
    Output,
    PopVlan,
    SetField,
    ToController,
    make_match,
)
from tests.dataplane.flow_samples import ACTIONS, MATCHES

# The expected bytes are those of the tables in the OpenFlow 1.4 specification and of `ovs-ofctl parse-…` on real flows.


def test_every_field_is_in_the_samples() -> None:
    """A field that is added to the model is tried on a real switch too."""
    assert {name for match in MATCHES for name in match} == WIDTH.keys() - {"vlan_tci", "nx_in_port"}


@pytest.mark.parametrize("tests", MATCHES, ids=str)
def test_a_match_comes_back(tests: dict[str, int | str | tuple[int, int]]) -> None:
    """A match is the same value after a journey through its bytes, and passes the check of prerequisites."""
    match = make_match(**tests)
    data = encode_match(match)
    assert len(data) % 8 == 0
    assert decode_match(data, 0) == (match, len(data))
    assert find_fault(match) == ""


@pytest.mark.parametrize("actions", [actions for _, actions in ACTIONS], ids=str)
def test_actions_come_back(actions: tuple[Action, ...]) -> None:
    """What a flow does is the same value after a journey through its bytes."""
    assert decode_instructions(encode_instructions(actions)) == actions


def test_prerequisites_precede_what_needs_them() -> None:
    """The ethertype is on the wire before the address that only it makes meaningful (OpenFlow 1.4, 7.2.3.6)."""
    data = encode_match(make_match(eth_type=0x800, ip_dst="10.0.0.0/8", arp_op=1))
    assert data.index(bytes.fromhex("80000a02")) < data.index(bytes.fromhex("80001908"))


def test_known_bytes() -> None:
    """The bytes are the ones that ovs-ofctl writes for the same flow."""
    assert encode_match(make_match(in_port=1)).hex() == "0001000c" + "80000004" + "00000001" + "00000000"
    assert encode_action(Output(1)).hex() == "0000001000000001" + "0000000000000000"
    assert encode_action(PopVlan()).hex() == "0012000800000000"
    assert encode_action(SetField("reg0", 5)).hex() == "00190010" + "00010004" + "00000005" + "00000000"
    assert encode_instructions((Goto(9),)).hex() == "0001000809000000"
    assert encode_instructions((Meter(3), Output(1))).hex().startswith("0006000800000003" + "0004001800000000")
    assert encode_instructions(()) == b""


def test_a_reason_travels_as_user_data() -> None:
    """The reason of a packet comes back in one byte of user data."""
    assert encode_action(ToController(7)).endswith(struct.pack("!HHB3x", 3, 5, 7))


@pytest.mark.parametrize(
    ("actions", "words"),
    [
        ((Goto(1), Output(2)), "goto last"),
        ((Output(1), Meter(2)), "meter first"),
        ((Output(CONTROLLER),), "ToController"),
        ((Conjunction(1, 3, 2),), "clause 3 of 2"),
        ((SetField("reg0", 1 << 32),), "does not fit"),
        ((Ct(zone=1 << 16),), "does not fit"),
        ((SetField("nowhere", 1),), "does not fit"),
    ],
)
def test_what_openflow_cannot_say_is_refused_in_words(actions: tuple[Action, ...], words: str) -> None:
    """A flow that could never be sent names what is wrong with it."""
    with pytest.raises(CodecError, match=words):
        encode_instructions(actions)


@pytest.mark.parametrize(
    ("match", "words"),
    [
        (make_match(ip_dst="10.0.0.1"), "ip_dst needs eth_type=0x800"),
        (make_match(eth_type=0x86DD, ip_dst="10.0.0.1"), "ip_dst needs eth_type=0x800"),
        (make_match(eth_type=0x800, tcp_dst=80), "tcp_dst needs ip_proto=0x6"),
        (make_match(eth_type=0x86DD, ip_proto=58, icmpv6_type=136, nd_sll=1), "nd_sll needs icmpv6_type=0x87"),
        (make_match(eth_type=0x800, ct_nw_src="10.0.0.1"), "needs a ct_state"),
        (make_match(vlan_tci=0x1005), "vlan_vid"),
    ],
)
def test_a_forgotten_prerequisite_is_named(match: tuple[tuple[str, int, int | None], ...], words: str) -> None:
    """A match that the switch would refuse, or dump in another form, is explained before it is sent."""
    assert words in find_fault(match)


def test_messages_are_cut_at_their_length() -> None:
    """Messages come whole however the bytes were cut."""
    stream = of.encode_hello(1) + of.encode(of.ECHO_REQUEST, 2, b"abc") + of.encode(of.BARRIER_REPLY, 3)
    buffer, found = bytearray(), []
    for byte in stream:
        buffer.append(byte)
        found += list(of.split_messages(buffer))
    assert [(m.type, m.xid) for m in found] == [(of.HELLO, 1), (of.ECHO_REQUEST, 2), (of.BARRIER_REPLY, 3)]
    assert found[1].body == b"abc" and not buffer


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n", bytes(8), b"\x05\x0a\x00\x07\x00\x00\x00\x01"])
def test_what_is_no_openflow_is_refused(data: bytes) -> None:
    """A peer that speaks something else is found out at its first message."""
    with pytest.raises(CodecError):
        list(of.split_messages(bytearray(data)))


def test_a_message_longer_than_a_message_can_be_is_refused() -> None:
    """A flow with too many outputs is refused here, not cut short on the wire."""
    actions = tuple(Output(n + 1) for n in range(5000))
    with pytest.raises(CodecError, match="longer"):
        of.encode_flow_mod(of.ADD, 0, 1, (), actions, COOKIE_MAGIC, 1)


@pytest.mark.parametrize("cut", range(1, 24))
def test_bytes_cut_short_are_refused(cut: int) -> None:
    """A mangled action list is an error of ours to handle, never another exception."""
    data = encode_actions((SetField("reg1", 5), ToController(3)))
    with pytest.raises((CodecError, struct.error)):
        decode_actions(data, 0, len(data) - cut)


def test_errors_are_told_in_words() -> None:
    """What the switch says in numbers an operator reads in words."""
    message = of.Message(of.ERROR, 7, struct.pack("!HH", 4, 9))
    assert str(of.decode_error(message)) == "bad match missing prerequisite"
    assert not of.decode_error(message).may_pass
    assert of.SwitchError(1, 2, 9).may_pass
    assert str(of.SwitchError(1, 99, 3)) == "99 code 3"

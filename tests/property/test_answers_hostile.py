"""Whatever an instance sends, the agent gives a frame or nothing, and only to that instance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.model.address import Ip, Mac
from netloom.model.slices import DhcpOption
from netloom.render.answers import answer_frame
from netloom.render.answers.frames import Packet, parse_frame, render_frame
from netloom.render.answers.options import render_extras
from tests.examples import count_examples
from tests.unit.answers.answers_kit import (
    CLIENT_ID,
    MAC,
    PORT,
    SETTINGS,
    dhcp4,
    dhcp6,
    ia_na,
    option,
    option6,
    scope_of,
    solicit_router,
)

SCOPE = scope_of()
SEEDS = [
    dhcp4(1, option(55, b"\1\3\6\x79"), option(61, b"\1abc"), option(81, b"\4\0\0")),
    dhcp4(3, option(50, b"\x0a\0\0\5"), option(57, b"\5\xdc")),
    dhcp6(
        1, CLIENT_ID, option6(14, b""), ia_na("2001:db8::5", "::1"), option6(6, b"\0\x17\0\x18"), option6(39, b"\1\0")
    ),
    dhcp6(4, CLIENT_ID, ia_na("2001:db8::5")),
    solicit_router(body=b"\1\1" + bytes(6)),
]


def check(frame: bytes) -> None:
    reply = answer_frame(frame, PORT, SCOPE, SETTINGS)
    if reply is not None:
        assert parse_frame(reply).eth_dst in (MAC, "ff:ff:ff:ff:ff:ff", "33:33:00:00:00:01")


@given(st.binary(max_size=400))
def test_any_bytes_are_answered_or_not(frame: bytes) -> None:
    """Nothing raises."""
    check(frame)


@settings(max_examples=count_examples(300))
@given(
    st.sampled_from(SEEDS),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=6),
    st.integers(0, 400),
)
def test_a_mangled_question_is_answered_or_not(seed: bytes, edits: list[tuple[int, int]], cut: int) -> None:
    """A real question with bytes changed, or cut short."""
    frame = bytearray(seed)
    for at, value in edits:
        frame[at % len(frame)] = value
    check(bytes(frame))
    check(bytes(frame[: max(0, len(frame) - cut)]))


@settings(max_examples=count_examples(300))
@given(st.sampled_from([(4, 68, 67), (6, 546, 547)]), st.integers(0, 13), st.binary(max_size=300))
def test_a_well_formed_packet_with_any_options(service: tuple[int, int, int], kind: int, options: bytes) -> None:
    """Right headers and lengths, and anything inside."""
    version, sport, dport = service
    if version == 4:
        base = parse_frame(dhcp4(kind)).payload[:243]
        payload = base + options
    else:
        payload = bytes((kind,)) + b"\1\2\3" + CLIENT_ID + options
    src, dst = ("10.0.0.5", "10.0.0.1") if version == 4 else ("fe80::1", "ff02::1:2")
    check(render_frame(Packet(Mac(MAC), Mac(MAC), Ip(src), Ip(dst), 17, payload, sport, dport)))


def test_the_largest_packet_there_is() -> None:
    """A jumbo message full of associations is bounded in what comes back."""
    many = ia_na(*["2001:db8::9"] * 2000)
    for options in ((CLIENT_ID, many), (CLIENT_ID, *[ia_na(iaid=n.to_bytes(4, "big")) for n in range(4000)])):
        reply = answer_frame(dhcp6(1, *options), PORT, SCOPE, SETTINGS)
        assert reply is not None and len(reply) < 2000


@given(st.text(max_size=30), st.text(max_size=80), st.sampled_from([4, 6]))
def test_any_extra_option_is_encoded_or_left_out(name: str, value: str, version: int) -> None:
    """What the API let through is never the end of DHCP on a host."""
    render_extras((DhcpOption(name, value, version), DhcpOption("26", value, version)), version)

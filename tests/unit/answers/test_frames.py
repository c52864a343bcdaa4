"""Frames against bytes written down by hand, and against anything at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netloom.model.address import Ip, Mac
from netloom.render.answers.frames import Malformed, Packet, checksum, parse_frame, render_frame

UDP4 = bytes.fromhex(
    "020000000002" "020000000001" "0800"
    "4500" "001e" "0000" "4000" "4011" "26cd" "0a000001" "0a000002"
    "0035" "0400" "000a" "7f39" "6869"
)  # fmt: skip


def test_an_ipv4_frame_is_what_the_wire_has() -> None:
    """A UDP packet of two bytes is built with the checksums that a capture of it shows."""
    packet = Packet(
        Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02"), Ip("10.0.0.1"), Ip("10.0.0.2"), 17, b"hi", 53, 1024
    )
    assert render_frame(packet) == UDP4
    assert parse_frame(UDP4) == packet


def test_the_checksum_of_rfc_1071() -> None:
    """The example in the RFC's section 3 comes out right."""
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == ~0xDDF2 & 0xFFFF


def test_padding_after_a_short_packet_is_dropped() -> None:
    """An Ethernet minimum frame's padding is no part of the payload."""
    assert parse_frame(UDP4 + bytes(18)).payload == b"hi"


def test_a_fragment_is_malformed() -> None:
    """Only whole packets are read."""
    with pytest.raises(Malformed):
        parse_frame(UDP4[:20] + b"\x20\x00" + UDP4[22:])


@given(
    st.binary(max_size=200), st.integers(0, 65535), st.sampled_from([4, 6]),
    st.lists(st.integers(0, 65535), max_size=2), st.integers(1, 255),
)  # fmt: skip
def test_what_is_written_is_read_back(payload: bytes, port: int, version: int, vlans: list[int], hops: int) -> None:
    """Both IP versions, with and without VLAN tags, survive the round trip."""
    src, dst = (("10.0.0.1", "10.0.0.2") if version == 4 else ("fe80::1", "ff02::1:2"))  # fmt: skip
    macs = Mac("02:00:00:00:00:01"), Mac("02:00:00:00:00:02")
    packet = Packet(*macs, Ip(src), Ip(dst), 17, payload, port, port ^ 1, hops, tuple(vlans))
    assert parse_frame(render_frame(packet)) == packet


@given(st.binary(max_size=120))
def test_any_bytes_are_a_packet_or_malformed(data: bytes) -> None:
    """Nothing else is raised."""
    try:
        parse_frame(data)
    except Malformed:
        pass


@given(st.integers(0, len(UDP4) - 1))
def test_a_cut_frame_is_malformed(size: int) -> None:
    """A frame cut anywhere says so."""
    with pytest.raises(Malformed):
        parse_frame(UDP4[:size])

"""What the lab's commands for switching make of words, pings and frames."""

from __future__ import annotations

import struct

import pytest

from netloom.lab.migrate import Lost, read_lost
from netloom.lab.prober import WORD, checksum, is_asked, make_icmp, parse_args
from netloom.lab.probes import Rate, What, parse_what
from netloom.lab.shell import LabError
from netloom.lab.tagger import PACKET_AUXDATA, SOL_PACKET, STATUS_VLAN_VALID, add_tag, find_tag


@pytest.mark.parametrize(
    ("text", "what"), [("tcp/80", What("tcp", 80)), ("icmp/255", What("icmp", 255)), ("ip/0", What("ip", 0))]
)
def test_what_is_tried(text: str, what: What) -> None:
    """A protocol and a number."""
    assert parse_what(text) == what and what.answered == (what.kind == "tcp")


@pytest.mark.parametrize("text", ["", "tcp", "tcp/", "tcp/65536", "ip/256", "icmp/-1", "sctp/80", "tcp/80x"])
def test_what_cannot_be_tried(text: str) -> None:
    """It is refused with the forms that there are."""
    with pytest.raises(LabError, match="what is tried is tcp/<port>"):
        parse_what(text)


def test_a_rate_is_of_payload() -> None:
    """Mbit/s and packets a second of what arrived; nothing in no time is none."""
    assert (Rate(1_250_000, 1000, 2.0, 0.1).mbits, Rate(1_250_000, 1000, 2.0, 0.1).packets) == (5.0, 500.0)
    assert Rate(0, 0, 0.0, 0.0).mbits == 0.0


def test_pings_are_missed_by_their_numbers() -> None:
    """Below the highest that came back; those that are late at the end are not lost."""
    told = "".join(f"64 bytes from 10.0.0.2: icmp_seq={n} ttl=64 time=0.3 ms\n" for n in (1, 2, 5, 4, 8))
    told += "From 10.0.0.1 icmp_seq=9 Destination Host Unreachable\n"
    assert read_lost("a", told) == Lost("a", 8, 3)
    assert read_lost("a", "") == Lost("a", 0, 0)


@pytest.mark.parametrize("version", [4, 6])
def test_an_icmp_message_is_known_by_its_type(version: int) -> None:
    """It is taken with its checksum, and one of another type, or of somebody else, is not."""
    header = b"" if version == 6 else bytes([0x45]) + bytes(19)
    args = parse_args(["serve", "icmp", "13", "--family", str(version)])
    message = make_icmp(version, 13)
    assert WORD in message and is_asked(args, header + message)
    assert version == 6 or checksum(message) == 0
    assert not is_asked(args, header + make_icmp(version, 14))


def test_a_frame_gets_its_tag_and_the_kernel_tells_of_one() -> None:
    """802.1Q after the addresses; and what packet(7) says beside a frame is read."""
    frame = bytes(range(12)) + b"\x08\x00rest"
    assert add_tag(frame, 101) == frame[:12] + b"\x81\x00\x00\x65" + frame[12:]
    told = struct.pack("=IIIHHHH", STATUS_VLAN_VALID, 60, 60, 0, 0, (3 << 13) | 101, 0x8100)
    assert find_tag([(1, 2, b""), (SOL_PACKET, PACKET_AUXDATA, told)]) == 101
    assert find_tag([(SOL_PACKET, PACKET_AUXDATA, bytes(20))]) == 0 == find_tag([])

"""Which frames the kernel is told to hand to the agent of a host with Linux bridges."""

from __future__ import annotations

import struct

import pytest

from netloom.drivers.bridge.frames import LONGEST, PROGRAM, encode_program, match_frame

V4, V6 = b"\x08\x00", b"\x86\xdd"
MACS = bytes(12)


def make_v4(protocol: int, ports: bytes, options: bytes = b"", fragment: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBH8x", 0x45 + len(options) // 4, 0, 100, 0, fragment, 64, protocol, 0)
    return MACS + V4 + head + options + ports


def make_v6(protocol: int, body: bytes) -> bytes:
    return MACS + V6 + struct.pack("!IHBB32x", 6 << 28, 8, protocol, 255) + body


ASK, OTHER = struct.pack("!HH", 68, 67), struct.pack("!HH", 68, 68)
ASK6, OTHER6 = struct.pack("!HHHH", 546, 547, 8, 0), struct.pack("!HHHH", 547, 546, 8, 0)


@pytest.mark.parametrize(
    ("frame", "wanted"),
    [
        (make_v4(17, ASK), True),
        (make_v4(17, ASK, bytes(8)), True),
        (make_v4(17, OTHER), False),
        (make_v4(6, ASK), False),
        (make_v4(17, ASK, fragment=100), False),
        (make_v4(17, b""), False),
        (make_v6(17, ASK6), True),
        (make_v6(17, OTHER6), False),
        (make_v6(58, b"\x85\x00"), True),
        (make_v6(58, b"\x86\x00"), False),
        (make_v6(6, ASK6), False),
        (MACS + b"\x08\x06" + bytes(28), False),
        (b"", False),
    ],
)
def test_questions_to_the_host_are_taken_and_nothing_else(frame: bytes, wanted: bool) -> None:
    """DHCP, DHCPv6 and router solicitations; answers, fragments and all other traffic never wake the agent."""
    assert match_frame(PROGRAM, frame) == (LONGEST if wanted else 0)


def test_a_program_is_as_the_kernel_reads_it() -> None:
    """Eight bytes a step, and each jump stays inside."""
    assert len(encode_program(PROGRAM)) == 8 * len(PROGRAM)
    assert all(at + 1 + max(yes, no) < len(PROGRAM) for at, (code, _, yes, no) in enumerate(PROGRAM) if code != "ret")

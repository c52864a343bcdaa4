"""Lines about packets that security groups let pass or dropped."""

from __future__ import annotations

import logging

import pytest

from netloom.agent.packet_log import BURST, Logged, PacketLog, describe_frame
from netloom.model.slices import LogMark, PortRow

ETHERNET = bytes.fromhex("fa163e000002fa163e000001")
V4 = bytes.fromhex("450000280001000040060000 0a000005 0a000006 9c40 0050".replace(" ", ""))
V6 = bytes.fromhex("6000000000083a40") + bytes(15) + b"\1" + bytes(15) + b"\2" + b"\x80\0\0\0"
PORT = PortRow("p1", "n1", "fa:16:3e:00:00:02", project_id="demo", logs=(LogMark("l1", "ALL"), LogMark("l2", "DROP")))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (ETHERNET + b"\x08\0" + V4, "src=10.0.0.5 dst=10.0.0.6 protocol=6 sport=40000 dport=80"),
        (ETHERNET + b"\x86\xdd" + V6, "src=::1 dst=::2 protocol=58 type=128 code=0"),
        (ETHERNET + b"\x08\0" + V4[:20], "src=10.0.0.5 dst=10.0.0.6 protocol=6"),
        (ETHERNET + b"\x08\0" + V4[:9], "ethertype=0800"),
        (ETHERNET + b"\x88\xcc", "ethertype=88cc"),
        (b"", "ethertype="),
    ],
)
def test_a_frame_in_words(frame: bytes, words: str) -> None:
    """Who speaks to whom; of a packet that is cut short, what is there."""
    assert describe_frame(frame).endswith(words)


def test_a_flood_costs_lines_up_to_a_rate(caplog: pytest.LogCaptureFixture) -> None:
    """What is above it is counted, and told with the next line."""
    caplog.set_level(logging.INFO, "netloom.packets")
    now = [0.0]
    log = PacketLog(lambda number: PORT if number == 7 else None, lambda: now[0])
    packet = Logged("DROP", "ingress", 7, ETHERNET + b"\x08\0" + V4)
    for _ in range(int(BURST) + 40):
        log.take(packet)
    assert len(caplog.messages) == BURST
    assert caplog.messages[0].startswith(
        "action=DROP direction=ingress port=p1 project=demo logs=l1,l2 fa:16:3e:00:00:01 > "
    )
    now[0] = 0.011
    log.take(packet)
    assert caplog.messages[-1].endswith("left_out=40")


def test_a_packet_that_no_log_is_about_is_no_line(caplog: pytest.LogCaptureFixture) -> None:
    """The port is gone, or its logs are of other events."""
    caplog.set_level(logging.INFO, "netloom.packets")
    port = PortRow("p1", "n1", "fa:16:3e:00:00:02", logs=(LogMark("l2", "DROP"),))
    log = PacketLog({7: port}.get, lambda: 0.0)
    log.take(Logged("ACCEPT", "egress", 7, b""))
    log.take(Logged("DROP", "egress", 8, b""))
    assert not caplog.messages

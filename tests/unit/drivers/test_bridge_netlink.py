"""Messages of the kernel that the agent of a host with Linux bridges reads byte by byte."""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import cast

import pytest

from netloom.agent.packet_log import Logged, read_head
from netloom.drivers.bridge import nflog, watch
from netloom.drivers.bridge.nflog import Head


def attribute(kind: int, body: bytes) -> bytes:
    value = struct.pack("=HH", 4 + len(body), kind) + body
    return value + bytes(-len(value) % 4)


def message(kind: int, *attributes: bytes) -> bytes:
    body = bytes(4) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


PACKET = message(
    nflog.PACKET, attribute(nflog.PREFIX, b"DROP ingress 7\0"), attribute(nflog.HARDWARE, b"m" * 14),
    attribute(nflog.PAYLOAD, b"\x45payload"),
)  # fmt: skip


def test_a_packet_that_a_rule_hands_over() -> None:
    """Its words, and the frame with its header before the packet; several at once, and what is none left out."""
    head = Head("DROP ingress 7", b"m" * 14 + b"\x45payload")
    assert list(nflog.parse_messages(PACKET + message(2) + PACKET)) == [head, head]


@pytest.mark.parametrize("cut", range(0, len(PACKET), 5))
def test_what_is_cut_short_breaks_nothing(cut: int) -> None:
    """Half a message is no packet."""
    assert list(nflog.parse_messages(PACKET[:cut])) == []


@pytest.mark.parametrize(
    ("prefix", "wanted"),
    [
        ("DROP ingress 7", Logged("DROP", "ingress", 7, b"f")),
        ("ACCEPT egress 12", Logged("ACCEPT", "egress", 12, b"f")),
        ("", None),
        ("DROP sideways 7", None),
        ("REJECT ingress 7", None),
        ("DROP ingress x", None),
    ],
)
def test_only_our_own_words_are_taken(prefix: str, wanted: Logged | None) -> None:
    """Whatever else somebody has the kernel log in our group."""
    assert read_head(Head(prefix, b"f")) == wanted


def generation(thread: int) -> bytes:
    return message(watch.NEW_GENERATION, attribute(watch.MAKER, thread.to_bytes(4, "big")))


def change(table: bytes) -> bytes:
    return message(10 << 8 | 6, attribute(watch.TABLE, table + b"\0"))


@pytest.mark.parametrize(
    ("told", "meddling"),
    [
        (change(b"netloom") + generation(1 << 30), 1),
        (change(b"netloom") + generation(os.getpid()), 0),
        (change(b"theirs") + generation(1 << 30), 0),
        (change(b"netloom") + change(b"theirs") + generation(1 << 30) + generation(1 << 30), 1),
        (generation(1 << 30), 0),
    ],
    ids=["another's in ours", "ours", "another's own", "both", "no change"],
)
def test_who_changed_which_table(told: bytes, meddling: int) -> None:
    """Another program in our tables is news; we ourselves, and others in their own, are none."""
    one = watch.LinkWatch("netloom")
    assert one.count_meddling(told) == meddling


class Overrun:
    """A socket of which the kernel says that it had more to tell than there was room for, and then goes on."""

    def __init__(self) -> None:
        self.told: list[bytes | OSError] = [b"one", OSError(errno.ENOBUFS, "no room"), b"two", BlockingIOError()]

    def recv(self, size: int) -> bytes:
        found = self.told.pop(0)
        if isinstance(found, OSError):
            raise found
        return found


def test_what_was_lost_is_told_of() -> None:
    """Nothing says what it was, so it may have been anything; what came before and after it is read all the same."""
    assert list(watch.read_all(cast(socket.socket, Overrun()))) == [b"one", None, b"two"]

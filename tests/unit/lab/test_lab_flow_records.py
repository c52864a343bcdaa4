"""What a collector of the lab reads of NetFlow, sFlow and IPFIX, as the formats have it."""

from __future__ import annotations

import random
import struct
from contextlib import ExitStack
from dataclasses import asdict
from ipaddress import ip_address
from socket import AF_INET, SOCK_DGRAM, socket

import pytest

from netloom.lab.collect import make_row
from netloom.lab.collector import listen
from netloom.lab.flow_records import Decoder, Seen, read_frame
from netloom.lab.state import Host, Lab

FOUR, SIX = Seen("10.0.0.1", "10.0.0.2", 6, 40000, 80), Seen("2001:db8::1", "2001:db8::2", 17, 40000, 53)
PING = Seen("10.0.0.1", "10.0.0.2", 1, 0, 0)


def pack(seen: Seen) -> tuple[bytes, bytes, bytes]:
    """Source, target, ports."""
    ends = [ip_address(end).packed for end in (seen.source, seen.target)]
    return ends[0], ends[1], struct.pack("!HH", seen.source_port, seen.target_port)


def make_frame(seen: Seen, tags: bytes = b"") -> bytes:
    source, target, ports = pack(seen)
    if len(source) == 4:
        head = b"\x46" + bytes(8) + bytes([seen.protocol]) + bytes(2) + source + target + bytes(4)  # with an option
        return bytes(12) + tags + b"\x08\x00" + head + ports
    return bytes(12) + tags + b"\x86\xdd" + bytes(6) + bytes([seen.protocol]) + b"\x40" + source + target + ports


def make_netflow(*flows: Seen) -> bytes:
    records = b""
    for seen in flows:
        source, target, ports = pack(seen)
        records += source + target + bytes(24) + ports + bytes(2) + bytes([seen.protocol]) + bytes(9)
    return struct.pack("!HH", 5, len(flows)) + bytes(20) + records


def make_sflow(*flows: Seen, agent: bytes = bytes(4)) -> bytes:
    """Each sample has another record before its frame, and counters before itself, which are passed over."""
    samples = b""
    for seen in flows:
        frame = make_frame(seen)
        record = struct.pack("!II", 1, 16 + len(frame)) + bytes(16) + frame
        sample = bytes(28) + struct.pack("!I", 2) + struct.pack("!II", 1001, 4) + bytes(4) + record
        samples += struct.pack("!II", 2, 8) + bytes(8) + struct.pack("!II", 1, len(sample)) + sample
    head = struct.pack("!II", 5, 1 if len(agent) == 4 else 2) + agent + bytes(12)
    return head + struct.pack("!I", 2 * len(flows)) + samples


TEMPLATES = {256: ((8, 4), (12, 4)), 257: ((27, 16), (28, 16))}


def make_ipfix(*flows: Seen, templates: bool = True) -> bytes:
    """A field with a length of its own and one of an enterprise come before the others."""
    sets = b""
    for id, ends in TEMPLATES.items() if templates else ():
        fields = ((82, 65535), (0x8000 | 5, 2), *ends, (4, 1), (7, 2), (11, 2))
        body = struct.pack("!HH", id, len(fields))
        for number, length in fields:
            body += struct.pack("!HH", number, length) + (bytes(4) if number & 0x8000 else b"")
        sets += struct.pack("!HH", 2, 4 + len(body)) + body
    for seen in flows:
        source, target, ports = pack(seen)
        body = b"\x03eth" + bytes(2) + source + target + bytes([seen.protocol]) + ports + bytes(3)  # padded
        sets += struct.pack("!HH", 256 if len(source) == 4 else 257, 4 + len(body)) + body
    return struct.pack("!HH", 10, 16 + len(sets)) + bytes(12) + sets


@pytest.mark.parametrize(
    ("how", "data", "flows", "version"),
    [
        ("netflow", make_netflow(FOUR, PING), [FOUR, PING], 5),
        ("sflow", make_sflow(FOUR, SIX, PING), [FOUR, SIX, PING], 5),
        ("sflow", make_sflow(SIX, agent=bytes(16)), [SIX], 5),
        ("ipfix", make_ipfix(FOUR, SIX, PING), [FOUR, SIX, PING], 10),
        ("ipfix", make_ipfix(FOUR, templates=False), [], 10),
    ],
)
def test_a_flow_is_read_in_the_words_of_each(how: str, data: bytes, flows: list[Seen], version: int) -> None:
    """Of both IP versions, as far as each has them; without the template nobody knows what IPFIX says."""
    decoder = Decoder()
    assert decoder.read(how, data) == flows
    assert decoder.version == version


def test_templates_are_remembered() -> None:
    """They are told now and then, and hold for what comes after."""
    decoder = Decoder()
    assert decoder.read("ipfix", make_ipfix(FOUR, templates=False)) == [] and decoder.unread == 1
    assert decoder.read("ipfix", make_ipfix()) == []
    assert decoder.read("ipfix", make_ipfix(FOUR, templates=False)) == [FOUR]


@pytest.mark.parametrize("tags", [b"", b"\x81\x00\x00\x05", b"\x88\xa8\x00\x05\x81\x00\x00\x07"])
def test_tags_are_looked_past(tags: bytes) -> None:
    """One, or one around another."""
    assert list(read_frame(make_frame(FOUR, tags))) == [FOUR]


@pytest.mark.parametrize(
    ("how", "data"), [("netflow", make_netflow(FOUR)), ("sflow", make_sflow(FOUR, SIX)), ("ipfix", make_ipfix(SIX))]
)
def test_anybody_may_send_anything(how: str, data: bytes) -> None:
    """What is cut short or garbled gives no more than was said, and stops nobody."""
    chance = random.Random(5)
    for size in range(len(data)):
        Decoder().read(how, data[:size] + chance.randbytes(len(data) - size))
        assert len(Decoder().read(how, data[:size])) <= 2


def test_a_collector_tells_its_exporters_apart() -> None:
    """Each protocol by its socket; a template of one exporter says nothing of another's records."""
    with ExitStack() as stack:
        here, other = ("127.0.0.1", 0), ("127.0.0.2", 0)
        wires, senders = ([stack.enter_context(socket(AF_INET, SOCK_DGRAM)) for _ in range(2)] for _ in range(2))
        for one, address in zip((*wires, *senders), (here, here, here, other), strict=True):
            one.bind(address)
        for data in (make_ipfix(FOUR), make_ipfix(FOUR, templates=False)):
            senders[0].sendto(data, wires[0].getsockname())
        senders[1].sendto(make_ipfix(FOUR, templates=False), wires[0].getsockname())
        senders[1].sendto(make_netflow(PING), wires[1].getsockname())
        heard = listen({wires[0]: "ipfix", wires[1]: "netflow"}, 0)
    assert heard == {
        ("ipfix", 10, "127.0.0.1", FOUR): 2,
        ("ipfix", 10, "127.0.0.2", None): 1,
        ("netflow", 5, "127.0.0.2", PING): 1,
    }


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (FOUR, "tcp 10.0.0.1:40000 → 10.0.0.2:80"),
        (SIX, "udp [2001:db8::1]:40000 → [2001:db8::2]:53"),
        (PING, "icmp 10.0.0.1 → 10.0.0.2"),
        (Seen("10.0.0.1", "10.0.0.2", 112, 0, 0), "ip/112 10.0.0.1 → 10.0.0.2"),
    ],
)
def test_a_row_says_who_told_what(seen: Seen, words: str) -> None:
    """The host by its name, where it is one of the lab's; ports where there are some."""
    lab = Lab(hosts={"h2": Host("h2", 2)})
    for host, name in (("10.99.0.2", "h2"), ("192.0.2.9", "192.0.2.9")):
        told = {"how": "sflow", "version": 5, "host": host, "flow": asdict(seen), "count": 3}
        assert make_row(lab, told) == ("sflow 5", name, words, "3")
        assert "template" in make_row(lab, {**told, "flow": None})[2]

"""What a switch tells collectors, decoded as far as one looks at it: the version, and which packets or flows it saw.

NetFlow 5 (Cisco's format, IPv4 alone), sFlow 5 (sflow.org, sFlow version 5), IPFIX (RFC 7011). What cannot be read is
passed over: a collector listens to whoever sends.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address

VARIABLE = 65535
"""RFC 7011, 7: a field that says its own length."""
TEMPLATE, FIRST_DATA = 2, 256  # RFC 7011, 3.3.2
ENDS = ((8, 12), (27, 28))
"""Addresses of source and target among the elements of IPFIX (RFC 7012), by IP version."""
PROTOCOL, SOURCE_PORT, TARGET_PORT = 4, 7, 11
PORTS = (6, 17)
"""Protocols that have ports where one looks for them."""
TAGS = (b"\x81\x00", b"\x88\xa8")


@dataclass(frozen=True, slots=True)
class Seen:
    """A flow, or a packet. Ports are 0 where there are none."""

    source: str
    target: str
    protocol: int
    source_port: int
    target_port: int


class Decoder:
    """Of one exporter: IPFIX tells in templates how the records look that follow. `version`: as last heard; `unread`:
    how many sets of records came whose template did not."""

    def __init__(self) -> None:
        self.version, self.unread = 0, 0
        self._templates: dict[int, list[tuple[int, int]]] = {}

    def read(self, how: str, data: bytes) -> list[Seen]:
        """`how`: netflow, sflow or ipfix."""
        read = {"netflow": self._read_netflow, "sflow": self._read_sflow, "ipfix": self._read_ipfix}[how]
        try:
            return list(read(data))
        except (struct.error, IndexError, ValueError):
            return []

    # -- NetFlow 5 -----------------------------------------------------------------------------------------------------

    def _read_netflow(self, data: bytes) -> Iterator[Seen]:
        self.version, count = struct.unpack_from("!HH", data)
        for at in range(24, 24 + 48 * count, 48):
            source, target = struct.unpack_from("!4s4s", data, at)
            yield make_seen(source, target, data[at + 38], *struct.unpack_from("!HH", data, at + 32))

    # -- sFlow 5 -------------------------------------------------------------------------------------------------------

    def _read_sflow(self, data: bytes) -> Iterator[Seen]:
        """The headers of sampled packets."""
        self.version, kind = struct.unpack_from("!II", data)
        at = 20 if kind == 1 else 32  # behind the agent's address: of IPv4 or IPv6
        (count,) = struct.unpack_from("!I", data, at + 4)
        at += 8
        for _ in range(count):
            sample, length = struct.unpack_from("!II", data, at)
            if sample == 1:
                yield from read_sample(data[at + 8 : at + 8 + length])
            at += 8 + length

    # -- IPFIX ---------------------------------------------------------------------------------------------------------

    def _read_ipfix(self, data: bytes) -> Iterator[Seen]:
        self.version, length = struct.unpack_from("!HH", data)
        at = 16
        while at < length:
            kind, size = struct.unpack_from("!HH", data, at)
            if size < 4:
                return
            body = data[at + 4 : at + size]
            if kind == TEMPLATE:
                self._templates |= read_templates(body)
            elif kind >= FIRST_DATA and kind in self._templates:
                yield from read_records(self._templates[kind], body)
            else:
                self.unread += kind >= FIRST_DATA
            at += size


def make_seen(source: bytes, target: bytes, protocol: int, source_port: int, target_port: int) -> Seen:
    return Seen(str(ip_address(source)), str(ip_address(target)), protocol, source_port, target_port)


def read_sample(sample: bytes) -> Iterator[Seen]:
    (count,) = struct.unpack_from("!I", sample, 28)
    at = 32
    for _ in range(count):
        kind, length = struct.unpack_from("!II", sample, at)
        if kind == 1:  # a raw packet header: protocol, length, stripped, size, and the frame
            yield from read_frame(sample[at + 24 : at + 8 + length])
        at += 8 + length


def read_frame(frame: bytes) -> Iterator[Seen]:
    at = 12
    while frame[at : at + 2] in TAGS:
        at += 4
    kind, packet = frame[at : at + 2], frame[at + 2 :]
    if kind == b"\x08\x00":
        yield read_ends(packet, packet[9], 12, 4, 4 * (packet[0] & 15))
    elif kind == b"\x86\xdd":
        yield read_ends(packet, packet[6], 8, 16, 40)


def read_ends(packet: bytes, protocol: int, at: int, width: int, header: int) -> Seen:
    source, target = packet[at : at + width], packet[at + width : at + 2 * width]
    ports = struct.unpack_from("!HH", packet, header) if protocol in PORTS else (0, 0)
    return make_seen(source, target, protocol, *ports)


def read_templates(body: bytes) -> Mapping[int, list[tuple[int, int]]]:
    """By a template's number, its fields: (element, length)."""
    found: dict[int, list[tuple[int, int]]] = {}
    at = 0
    while at + 4 <= len(body):
        id, count = struct.unpack_from("!HH", body, at)
        at += 4
        found[id] = []
        for _ in range(count):
            number, length = struct.unpack_from("!HH", body, at)
            at += 8 if number & 0x8000 else 4  # with an enterprise's number after it
            found[id].append((number, length))
    return found


def read_records(fields: list[tuple[int, int]], body: bytes) -> Iterator[Seen]:
    at, least = 0, sum(1 if length == VARIABLE else length for _, length in fields)
    while 0 < least <= len(body) - at:  # what is shorter than a record is padding
        values = {}
        for number, length in fields:
            if length == VARIABLE:
                length, at = body[at], at + 1
            values[number], at = body[at : at + length], at + length
        ports = [int.from_bytes(values.get(number, b""), "big") for number in (SOURCE_PORT, TARGET_PORT)]
        for source, target in ENDS:
            if {source, target, PROTOCOL} <= values.keys():
                yield make_seen(values[source], values[target], values[PROTOCOL][0], *ports)

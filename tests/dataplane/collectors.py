"""What a switch tells collectors, decoded as far as tests look at it: the version, and which packets or flows it saw.

NetFlow 5 (Cisco's format), sFlow 5 (sflow.org, sFlow version 5), IPFIX (RFC 7011).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address

VARIABLE = 65535
"""RFC 7011, 7: a field that says its own length."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A flow, or a packet: (source, target, protocol, source port, target port)."""

    source: str
    target: str
    protocol: int
    source_port: int
    target_port: int


@dataclass
class Decoder:
    """Of one exporter: IPFIX tells in templates how the records look that follow."""

    version: int = 0

    def __post_init__(self) -> None:
        self._templates: dict[int, list[tuple[int, int]]] = {}

    def read_netflow(self, data: bytes) -> list[Seen]:
        self.version, count = struct.unpack_from("!HH", data)
        return [self._read_netflow_record(data[24 + 48 * n : 72 + 48 * n]) for n in range(count)]

    @staticmethod
    def _read_netflow_record(record: bytes) -> Seen:
        source, target = struct.unpack_from("!4s4s", record)
        ports = struct.unpack_from("!HH", record, 32)
        return Seen(str(IPv4Address(source)), str(IPv4Address(target)), record[38], *ports)

    def read_sflow(self, data: bytes) -> list[Seen]:
        """The headers of sampled packets."""
        self.version, kind = struct.unpack_from("!II", data)
        assert kind == 1, "the agent has an IPv4 address"
        (count,) = struct.unpack_from("!I", data, 24)
        at, found = 28, []
        for _ in range(count):
            sample, length = struct.unpack_from("!II", data, at)
            found += self._read_sample(data[at + 8 : at + 8 + length]) if sample == 1 else []
            at += 8 + length
        return found

    @staticmethod
    def _read_sample(sample: bytes) -> list[Seen]:
        (count,) = struct.unpack_from("!I", sample, 28)
        at, found = 32, []
        for _ in range(count):
            kind, length = struct.unpack_from("!II", sample, at)
            if kind == 1:  # a raw packet header: protocol, length, stripped, size, and the frame
                found += read_frame(sample[at + 24 : at + 8 + length])
            at += 8 + length
        return found

    def read_ipfix(self, data: bytes) -> list[Seen]:
        self.version, length = struct.unpack_from("!HH", data)
        at, found = 16, []
        while at < length:
            kind, size = struct.unpack_from("!HH", data, at)
            body = data[at + 4 : at + size]
            if kind == 2:
                self._learn(body)
            elif kind in self._templates:
                found += self._read_records(self._templates[kind], body)
            at += size
        return found

    def _learn(self, body: bytes) -> None:
        at = 0
        while at + 4 <= len(body):
            id, count = struct.unpack_from("!HH", body, at)
            at += 4
            fields = []
            for _ in range(count):
                number, length = struct.unpack_from("!HH", body, at)
                at += 8 if number & 0x8000 else 4  # with an enterprise's number after it
                fields.append((number, length))
            self._templates[id] = fields

    @staticmethod
    def _read_records(fields: list[tuple[int, int]], body: bytes) -> list[Seen]:
        found, at = [], 0
        while at < len(body):
            values = {}
            for number, length in fields:
                if length == VARIABLE:
                    length, at = body[at], at + 1
                values[number], at = body[at : at + length], at + length
            if {8, 12, 4, 7, 11} <= values.keys():
                source, target = (str(IPv4Address(values[number])) for number in (8, 12))
                ports = [int.from_bytes(values[number], "big") for number in (7, 11)]
                found.append(Seen(source, target, values[4][0], ports[0], ports[1]))
        return found


def read_frame(frame: bytes) -> list[Seen]:
    if frame[12:14] != b"\x08\x00" or frame[23] not in (6, 17):
        return []
    source, target = struct.unpack_from("!4s4s", frame, 26)
    return [Seen(str(IPv4Address(source)), str(IPv4Address(target)), frame[23], *struct.unpack_from("!HH", frame, 34))]

"""Meters as OpenFlow 1.4 (7.3.4.5) carries them: one band that drops what is above the rate."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from netloom.drivers.ovs.openflow.fields import CodecError
from netloom.drivers.ovs.openflow.messages import MULTIPART_REQUEST, encode
from netloom.model.device import MeterBody

METER_MOD = 29
ADD, MODIFY, DELETE = 0, 1, 2
KBPS, PKTPS, BURST = 1, 2, 4
DROP_BAND, METER_CONFIG, ALL_METERS = 1, 10, 0xFFFFFFFF
UNITS = {"kbps": KBPS, "pktps": PKTPS}
_MOST = 0xFFFFFFFF


def encode_meter_mod(command: int, id: int, body: MeterBody | None, xid: int) -> bytes:
    """Make, change or (without `body`) delete a meter. CodecError where it does not fit."""
    if body is None:
        return encode(METER_MOD, xid, struct.pack("!HHI", command, 0, id))
    if body.unit not in UNITS or not (0 < body.rate <= _MOST and 0 < body.burst <= _MOST):
        raise CodecError(f"{body} is no meter")
    band = struct.pack("!HHII4x", DROP_BAND, 16, body.rate, body.burst)
    return encode(METER_MOD, xid, struct.pack("!HHI", command, UNITS[body.unit] | BURST, id) + band)


def encode_meter_dump(xid: int) -> bytes:
    return encode(MULTIPART_REQUEST, xid, struct.pack("!HH4xI4x", METER_CONFIG, 0, ALL_METERS))


def decode_meter_dump(body: bytes) -> Iterator[tuple[int, MeterBody | None]]:
    """(id, meter) of one multipart reply; None for one that is not as we make them. CodecError for no such reply."""
    (kind,) = struct.unpack_from("!H", body)
    if kind != METER_CONFIG:
        raise CodecError(f"multipart reply of type {kind}")
    at = 8
    while at + 8 <= len(body):
        length, flags, id = struct.unpack_from("!HHI", body, at)
        if length < 8 or at + length > len(body):
            raise CodecError(f"meter of length {length}")
        yield id, read_meter(flags, body[at + 8 : at + length])
        at += length


def read_meter(flags: int, bands: bytes) -> MeterBody | None:
    units = [unit for unit, flag in UNITS.items() if flags & ~_STATS == flag | BURST]
    if not units or len(bands) != 16:
        return None
    kind, _, rate, burst = struct.unpack_from("!HHII", bands)
    return MeterBody(units[0], rate, burst) if kind == DROP_BAND else None


_STATS = 8
"""A flag that Open vSwitch adds by itself."""

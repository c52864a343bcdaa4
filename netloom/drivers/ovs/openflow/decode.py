"""Actions from bytes to values: what a switch dumped, as it was rendered.

Open vSwitch keeps the form in which an action came, so each is read as `actions` writes it, and in the few
other forms that operators' own flows have. An action that we never write raises CodecError.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from functools import lru_cache

from netloom.drivers.ovs.openflow import actions as wire
from netloom.drivers.ovs.openflow.fields import FULL, CodecError, decode_test, read_header
from netloom.model.address import ip_text
from netloom.model.flow import (
    CONTROLLER,
    Action,
    CheckLarger,
    Conjunction,
    Ct,
    CtClear,
    DecTtl,
    Goto,
    Group,
    Meter,
    Move,
    Multipath,
    Nat,
    Output,
    PopVlan,
    PushVlan,
    Resubmit,
    SetField,
    ToController,
)

EXPERIMENTER = 0xFFFF
_NX_BASE = 0x10000


def _split(data: bytes, at: int, end: int) -> Iterator[bytes]:
    while at < end:
        length = struct.unpack_from("!H", data, at + 2)[0]
        if length < 8 or at + length > end:
            raise CodecError(f"action of length {length}")
        yield data[at : at + length]
        at += length


def _output(data: bytes) -> Action:
    port, max_len = struct.unpack_from("!IH", data, 4)
    return ToController(0, max_len) if port == CONTROLLER else Output(port)


def _set_field(data: bytes) -> Action:
    return SetField(*decode_test(data, 4)[0])


def _reg_load2(data: bytes) -> Action:
    return SetField(*decode_test(data, 10)[0])


def _reg_load(data: bytes) -> Action:
    where, _, _ = read_header(data, 12)
    bits, value = struct.unpack_from("!H", data, 10)[0], struct.unpack_from("!Q", data, 16)[0]
    start, size = bits >> 6, (bits & 0x3F) + 1
    mask = ((1 << size) - 1) << start
    return SetField(where, value << start, None if mask == FULL[where] else mask)


def _move(data: bytes) -> Action:
    bits, src_from, dst_from = struct.unpack_from("!HHH", data, 10)
    src, _, after = read_header(data, 16)
    dst, _, _ = read_header(data, after)
    return Move(src, dst, bits, src_from, dst_from)


def _resubmit(data: bytes) -> Action:
    port, table = struct.unpack_from("!HB", data, 10)
    return Resubmit(table, None if port == wire.SAME_PORT else port)


def _controller(data: bytes) -> Action:
    max_len, _, reason = struct.unpack_from("!HHB", data, 10)
    return ToController(reason, max_len)


def properties(data: bytes, at: int) -> Iterator[tuple[int, bytes]]:
    """The (type, payload) pairs of a property list; each is padded to eight bytes."""
    while at + 4 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if length < 4 or at + length > len(data):
            raise CodecError(f"property of length {length}")
        yield kind, data[at + 4 : at + length]
        at += length + (-length % 8)


def _controller2(data: bytes) -> Action:
    found = dict(properties(data, 16))
    userdata = found.get(3, b"\x00")
    if len(userdata) != 1 or found.keys() - {0, 3}:
        raise CodecError("a controller action that is not ours")
    return ToController(userdata[0], int.from_bytes(found.get(0, b"\xff\xff")[:2], "big"))


def _conjunction(data: bytes) -> Action:
    clause, of, number = struct.unpack_from("!BBI", data, 10)
    return Conjunction(number, clause + 1, of)


def _multipath(data: bytes) -> Action:
    fields, basis, algorithm, most, argument, bits = struct.unpack_from("!HH2xHHI2xH", data, 10)
    if (fields, basis, algorithm, argument, bits) != (1, 0, 0, 0, 31):
        raise CodecError("multipath of a form that is not ours")
    return Multipath(most + 1, read_header(data, 28)[0])


def _check_larger(data: bytes) -> Action:
    size, bit = struct.unpack_from("!HH", data, 10)
    if bit:
        raise CodecError("check_pkt_larger of a form that is not ours")
    return CheckLarger(size, read_header(data, 14)[0])


def _nat(data: bytes) -> Nat:
    flags, present = struct.unpack_from("!HH", data, 12)
    at, addresses, ports = 16, [], []
    for bit, size in ((wire.NAT_V4_MIN, 4), (wire.NAT_V4_MAX, 4), (wire.NAT_V6_MIN, 16), (wire.NAT_V6_MAX, 16)):
        if present & bit:
            addresses.append(ip_text(int.from_bytes(data[at : at + size], "big"), 4 if size == 4 else 6))
            at += size
    for bit in (wire.NAT_PORT_MIN, wire.NAT_PORT_MAX):
        if present & bit:
            ports.append(struct.unpack_from("!H", data, at)[0])
            at += 2
    kind = "src" if flags & wire.NAT_SRC else "dst" if flags & wire.NAT_DST else ""
    first, last = [*addresses, "", ""][:2]
    low, high = [*ports, 0, 0][:2]
    return Nat(kind, first, last, low, high)


def _ct(data: bytes) -> Action:
    flags, source, bits, table, alg = struct.unpack_from("!HIHB3xH", data, 10)
    zone: int | str = bits
    if source:
        zone = read_header(data, 12)[0]
        if bits != 15:
            raise CodecError("a conntrack zone that is not the low 16 bits of a register")
    nat, writes = None, []
    for inner in _split(data, 24, len(data)):
        if inner[:2] == b"\xff\xff" and inner[8:10] == b"\x00\x24":
            nat = _nat(inner)
        else:
            action = decode_action(inner)
            if not isinstance(action, SetField):
                raise CodecError("an action inside ct that is not a write")
            writes.append(action)
    commit, force = bool(flags & wire.CT_COMMIT), bool(flags & wire.CT_FORCE)
    return Ct(commit, force, zone, None if table == wire.NO_TABLE else table, tuple(writes), nat, alg)


_DECODERS: dict[int, Callable[[bytes], Action]] = {
    0: _output,
    17: lambda data: PushVlan(struct.unpack_from("!H", data, 4)[0]),
    18: lambda _: PopVlan(),
    22: lambda data: Group(struct.unpack_from("!I", data, 4)[0]),
    24: lambda _: DecTtl(),
    25: _set_field,
    _NX_BASE + 6: _move,
    _NX_BASE + 7: _reg_load,
    _NX_BASE + 10: _multipath,
    _NX_BASE + 49: _check_larger,
    _NX_BASE + 14: _resubmit,
    _NX_BASE + 20: _controller,
    _NX_BASE + 33: _reg_load2,
    _NX_BASE + 34: _conjunction,
    _NX_BASE + 35: _ct,
    _NX_BASE + 37: _controller2,
    _NX_BASE + 43: lambda _: CtClear(),
}


@lru_cache(maxsize=1 << 14)
def decode_action(data: bytes) -> Action:
    """The action whose whole bytes are `data`."""
    kind: int = struct.unpack_from("!H", data)[0]
    try:
        if kind == EXPERIMENTER:
            vendor, subtype = struct.unpack_from("!IH", data, 4)
            kind = _NX_BASE + subtype if vendor == wire.NX_ID else -1
        decoder = _DECODERS.get(kind)
        if decoder is None:
            raise CodecError(f"unknown action {kind}")
        return decoder(data)
    except (struct.error, IndexError) as error:
        raise CodecError(f"action {kind} is cut short") from error


def decode_actions(data: bytes, at: int, end: int) -> tuple[Action, ...]:
    return tuple(decode_action(part) for part in _split(data, at, end))


@lru_cache(maxsize=4096)
def decode_instructions(data: bytes) -> tuple[Action, ...]:
    """All that a flow does, as one list: a meter first, a goto last."""
    head: list[Action] = []
    body: tuple[Action, ...] = ()
    tail: list[Action] = []
    at = 0
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("!HH", data, at)
        if length < 8 or at + length > len(data):
            raise CodecError(f"instruction of length {length}")
        if kind == 1:
            tail.append(Goto(data[at + 4]))
        elif kind == 4:
            body = decode_actions(data, at + 8, at + length)
        elif kind == 6:
            head.append(Meter(struct.unpack_from("!I", data, at + 4)[0]))
        else:
            raise CodecError(f"unknown instruction {kind}")
        at += length
    return (*head, *body, *tail)

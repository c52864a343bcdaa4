"""Messages: framing, the handshake, flow changes, bundles, dumps, packets in and out, errors.

Encoders return whole messages; the transaction number (xid) is the caller's, and is how an error finds its cause.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from netloom.drivers.ovs.openflow.actions import NX_ID, encode_actions, encode_instructions
from netloom.drivers.ovs.openflow.decode import decode_instructions, properties
from netloom.drivers.ovs.openflow.fields import CodecError, decode_known, decode_match, encode_match
from netloom.model.flow import COOKIE_MAGIC, COOKIE_MASK, Action, Match

VERSION = 5  # OpenFlow 1.4
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER, FEATURES_REQUEST, FEATURES_REPLY = range(7)
SET_CONFIG, PACKET_IN, PACKET_OUT, FLOW_MOD = 9, 10, 13, 14
MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, SET_ASYNC = 18, 19, 20, 21, 28
NOBODY = 0xFFFFFFFF
"""The xid of what nobody waits for: an error that answers it is nobody's."""
BUNDLE_CONTROL, BUNDLE_ADD = 33, 34

BUNDLE_OPEN, BUNDLE_COMMIT, BUNDLE_DISCARD = 0, 4, 6
BUNDLE_FLAGS = 3  # atomic and ordered
ADD, DELETE_STRICT = 0, 4
ANY = 0xFFFFFFFF
NO_BUFFER = 0xFFFFFFFF
MAX_LENGTH = 0xFFFF

_HEAD = struct.Struct("!BBHI")
_FLOW_MOD = struct.Struct("!QQBBHHHIIIHH")
_FLOW_STATS = struct.Struct("!HBxIIHHHHH2xQQQ")
_BUNDLE = struct.Struct("!I2xH")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it came: its type, its xid and what follows the header."""

    type: int
    xid: int
    body: bytes


@dataclass(frozen=True, slots=True)
class FlowEntry:
    """A flow as the switch dumps it. actions is None where the body holds what Netloom never writes."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...] | None
    cookie: int
    packets: int = 0
    bytes: int = 0
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A packet for the agent. `reason` is what the flow's ToController said; `fields` hold in_port and registers."""

    data: bytes
    reason: int
    in_port: int
    fields: dict[str, int]
    table: int = 0
    cookie: int = 0


@dataclass(frozen=True, slots=True)
class SwitchError:
    """The switch's refusal of the message that had this xid."""

    xid: int
    type: int
    code: int

    @property
    def may_pass(self) -> bool:
        """Whether the same message may be accepted later: what it refers to may come, or room be made."""
        return (self.type, self.code) in _PASSING or self.type in (6, 12)

    def __str__(self) -> str:
        name = _ERROR_TYPES.get(self.type, str(self.type))
        return f"{name} {_ERROR_CODES.get((self.type, self.code), f'code {self.code}')}"


_ERROR_TYPES = {
    0: "hello failed", 1: "bad request", 2: "bad action", 3: "bad instruction", 4: "bad match", 5: "flow mod failed",
    6: "group mod failed", 12: "meter mod failed", 17: "bundle failed", 0xFFFF: "experimenter error",
}  # fmt: skip
_PASSING = frozenset({(2, 4), (2, 9), (5, 1)})  # bad output port, bad group, table full
_ERROR_CODES = {
    (2, 0): "unknown type", (2, 1): "bad length", (2, 4): "bad output port", (2, 5): "bad argument",
    (2, 9): "bad group", (2, 10): "not possible with this match", (2, 13): "bad field", (2, 14): "bad field length",
    (2, 15): "bad field value", (3, 2): "bad table", (3, 3): "unsupported", (4, 1): "bad length",
    (4, 6): "bad field", (4, 7): "bad value", (4, 8): "bad mask", (4, 9): "missing prerequisite",
    (4, 10): "field given twice", (5, 1): "table full", (5, 2): "bad table", (5, 3): "not permitted",
    (5, 4): "overlap", (12, 3): "unknown meter", (17, 10): "a message in it failed", (17, 2): "bad id",
    (17, 3): "id in use", (17, 5): "bad type",
}  # fmt: skip


def encode(kind: int, xid: int, body: bytes = b"") -> bytes:
    """One message. CodecError where it is longer than a message can be."""
    length = 8 + len(body)
    if length > MAX_LENGTH:
        raise CodecError(f"a message of {length} bytes is longer than OpenFlow allows")
    return _HEAD.pack(VERSION, kind, length, xid) + body


def split_messages(buffer: bytearray) -> Iterator[Message]:
    """The whole messages at the start of `buffer`, taken out of it. CodecError if it is no OpenFlow 1.4."""
    at = 0
    try:
        while len(buffer) - at >= 8:
            version, kind, length, xid = _HEAD.unpack_from(buffer, at)
            if length < 8 or (version != VERSION and kind not in (HELLO, ERROR)):
                raise CodecError(f"OpenFlow version {version}, message of length {length}")
            if len(buffer) - at < length:
                return
            body = bytes(buffer[at + 8 : at + length])
            at += length
            yield Message(kind, xid, body)
    finally:
        del buffer[:at]


def encode_hello(xid: int) -> bytes:
    """Hello with the version bitmap that allows 1.4 alone."""
    return encode(HELLO, xid, struct.pack("!HHI", 1, 8, 1 << VERSION))


def encode_flow_mod(
    command: int, table: int, priority: int, match: Match, actions: Sequence[Action], cookie: int, xid: int
) -> bytes:
    """A change of one flow. Removal touches only flows that carry our cookie."""
    mask = COOKIE_MASK if command == DELETE_STRICT else 0
    head = _FLOW_MOD.pack(cookie, mask, table, command, 0, 0, priority, NO_BUFFER, ANY, ANY, 0, 0)
    instructions = encode_instructions(actions) if command == ADD else b""
    return encode(FLOW_MOD, xid, head + encode_match(match) + instructions)


def decode_flow_mod(body: bytes) -> tuple[int, FlowEntry]:
    """(command, flow) of a flow-mod's body: what a simulated switch needs."""
    cookie, _, table, command, _, _, priority, *_ = _FLOW_MOD.unpack_from(body)
    match, at = decode_match(body, _FLOW_MOD.size)
    return command, FlowEntry(table, priority, match, decode_instructions(body[at:]), cookie)


def encode_bundle_control(bundle: int, step: int, xid: int) -> bytes:
    return encode(BUNDLE_CONTROL, xid, struct.pack("!IHH", bundle, step, BUNDLE_FLAGS))


def encode_bundle_add(bundle: int, message: bytes, xid: int) -> bytes:
    """`message` as part of a bundle; both carry the same xid (OpenFlow 1.4, 7.3.9.6)."""
    return encode(BUNDLE_ADD, xid, _BUNDLE.pack(bundle, BUNDLE_FLAGS) + set_xid(message, xid))


def set_xid(message: bytes, xid: int) -> bytes:
    return message[:4] + xid.to_bytes(4, "big") + message[8:]


def encode_flow_dump(xid: int) -> bytes:
    """Ask for all flows of all tables, whosever they are."""
    flows = struct.pack("!B3xII4xQQ", 0xFF, ANY, ANY, 0, 0)
    return encode(MULTIPART_REQUEST, xid, struct.pack("!HH4x", 1, 0) + flows + encode_match(()))


FLOW_MONITOR = 16
_WATCH = 2 | 4 | 8
"""OFPFMF_ADD, _REMOVED, _MODIFY: and without _NO_ABBREV, so that one's own changes are told as an xid alone."""
_CHANGED, _ABBREVIATED = 3, 4


def encode_flow_monitor(xid: int) -> bytes:
    """Ask to be told of each change of a flow by somebody else (OpenFlow 1.4, 7.3.5.17)."""
    watch = struct.pack("!IIIHBB", 1, ANY, ANY, _WATCH, 0xFF, 0)
    return encode(MULTIPART_REQUEST, xid, struct.pack("!HH4x", FLOW_MONITOR, 0) + watch + encode_match(()))


def find_meddling(body: bytes) -> bool:
    """Whether a multipart reply of the monitor's tells that somebody changed, made or removed a flow of ours.

    One that was overwritten has the cookie of whoever did it. Where more happened than the switch told, it may be so.
    """
    at = 8
    while at + 4 <= len(body):
        length, event = struct.unpack_from("!HH", body, at)
        if length < 8:
            raise CodecError(f"flow update of length {length}")
        if event > _ABBREVIATED or event == _CHANGED:
            return True
        if event != _ABBREVIATED and struct.unpack_from("!Q", body, at + 16)[0] & COOKIE_MASK == COOKIE_MAGIC:
            return True
        at += length
    return False


def decode_flow_dump(body: bytes) -> tuple[list[FlowEntry], Counter[int]]:
    """Of one multipart reply the flows that are ours, and how many others there are by cookie.

    A flow with our cookie whose match is unknown to us is left out.
    """
    (kind,) = struct.unpack_from("!H", body)
    if kind != 1:
        raise CodecError(f"multipart reply of type {kind}")
    at, out, others = 8, [], Counter[int]()
    while at < len(body):
        length, table, sec, nsec, priority, _, _, _, _, cookie, packets, size = _FLOW_STATS.unpack_from(body, at)
        if length < _FLOW_STATS.size or at + length > len(body):
            raise CodecError(f"flow of length {length}")
        if cookie & COOKIE_MASK != COOKIE_MAGIC:
            others[cookie] += 1
        elif (read := _read_flow(body, at, length)) is not None:
            out.append(FlowEntry(table, priority, *read, cookie, packets, size, sec + nsec / 1e9))
        at += length
    return out, others


def _read_flow(body: bytes, at: int, length: int) -> tuple[Match, tuple[Action, ...] | None] | None:
    try:
        match, start = decode_match(body, at + _FLOW_STATS.size)
    except CodecError:
        return None
    return match, _read_instructions(body[start : at + length])


def _read_instructions(data: bytes) -> tuple[Action, ...] | None:
    try:
        return decode_instructions(data)
    except CodecError:
        return None


def encode_flow_stats(flows: Sequence[FlowEntry], xid: int, more: bool = False) -> bytes:
    """The multipart reply that `decode_flow_dump` reads: what a simulated switch answers."""
    parts = []
    for flow in flows:
        tail = encode_match(flow.match) + encode_instructions(flow.actions or ())
        length = _FLOW_STATS.size + len(tail)
        head = (length, flow.table, 0, 0, flow.priority, 0, 0, 0, 0, flow.cookie, flow.packets, flow.bytes)
        parts.append(_FLOW_STATS.pack(*head) + tail)
    return encode(MULTIPART_REPLY, xid, struct.pack("!HH4x", 1, int(more)) + b"".join(parts))


def encode_packet_setup(xids: Sequence[int]) -> list[bytes]:
    """What a connection must say before packets come to it: whole packets, in the format with user data."""
    config = encode(SET_CONFIG, xids[0], struct.pack("!HH", 0, 0xFFFF))
    form = encode(EXPERIMENTER, xids[1], struct.pack("!III", NX_ID, 16, 2))
    only_packets = b"".join(struct.pack("!HHI", kind, 8, mask) for kind, mask in _ASYNC)
    return [config, form, encode(SET_ASYNC, xids[2], only_packets)]


_ASYNC = ((0, 0x3F), (1, 0x3F), (2, 0), (3, 0), (4, 0), (5, 0))
"""Packet-in for the six reasons of 1.4 (a seventh bit is refused) in either role; no port status, no flow removed."""


def decode_packet_in(body: bytes) -> PacketIn | None:
    """The packet of an NXT_PACKET_IN2; None for any other experimenter message."""
    vendor, subtype = struct.unpack_from("!II", body)
    if (vendor, subtype) != (NX_ID, 30):
        return None
    found = dict(properties(body, 8))
    metadata = found.get(6, b"")
    fields = {name: value for name, value, _ in decode_known(metadata, 0, len(metadata))}
    return PacketIn(
        data=found.get(0, b""),
        reason=found.get(7, b"\x00")[0],
        in_port=fields.get("in_port", 0),
        fields=fields,
        table=found.get(3, b"\x00")[0],
        cookie=int.from_bytes(found.get(4, b"")[-8:], "big"),
    )


def encode_packet_out(data: bytes, actions: Sequence[Action], in_port: int, xid: int) -> bytes:
    """Send `data` through `actions` as if it had come in by `in_port`."""
    body = encode_actions(actions)
    return encode(PACKET_OUT, xid, struct.pack("!IIH6x", NO_BUFFER, in_port, len(body)) + body + data)


def decode_error(message: Message) -> SwitchError:
    """The error, with the xid of the refused message (also where that was inside a bundle)."""
    kind, code = struct.unpack_from("!HH", message.body)
    return SwitchError(message.xid, kind, code)

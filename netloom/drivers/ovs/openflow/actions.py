"""Actions from values to bytes, in the form that Open vSwitch gives back unchanged.

A function per action, and the table that finds it. A masked write goes as NXAST_REG_LOAD2, because OpenFlow 1.4's own
set-field has no mask; a packet for the agent goes as NXAST_CONTROLLER2, whose user data brings the reason back.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from netloom.drivers.ovs.openflow.fields import FULL, CodecError, encode_header, encode_test
from netloom.model.address import ip_int, ip_version
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

NX_ID = 0x2320
CT_COMMIT, CT_FORCE = 1, 2
NAT_SRC, NAT_DST = 1, 2
NAT_V4_MIN, NAT_V4_MAX, NAT_V6_MIN, NAT_V6_MAX, NAT_PORT_MIN, NAT_PORT_MAX = (1 << n for n in range(6))
SAME_PORT = 0xFFF8  # OFPP_IN_PORT in 16 bits: resubmit without changing in_port
NO_TABLE = 0xFF
MAX_ACTIONS = 0xF000
"""Bytes of actions that fit a flow-mod with any match inside a bundle: the whole may have 65,535."""


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 8)


def _of(kind: int, body: bytes) -> bytes:
    whole = _pad(bytes(4) + body)
    return struct.pack("!HH", kind, len(whole)) + whole[4:]


def _nx(subtype: int, body: bytes) -> bytes:
    whole = _pad(bytes(10) + body)
    return struct.pack("!HHIH", 0xFFFF, len(whole), NX_ID, subtype) + whole[10:]


def _output(action: Output) -> bytes:
    return struct.pack("!HHIH6x", 0, 16, action.port, 0)


def _to_controller(action: ToController) -> bytes:
    max_len = struct.pack("!HHH2x", 0, 6, action.max_len)
    return _nx(37, bytes(6) + max_len + struct.pack("!HHB3x", 3, 5, action.reason))


def _set_field(action: SetField) -> bytes:
    if action.mask is None or action.mask == FULL[action.field]:
        return _of(25, encode_test(action.field, action.value, None))
    return _nx(33, encode_test(action.field, action.value, action.mask))


def _move(action: Move) -> bytes:
    bits = struct.pack("!HHH", action.bits, action.src_from, action.dst_from)
    return _nx(6, bits + encode_header(action.src) + encode_header(action.dst))


def _resubmit(action: Resubmit) -> bytes:
    return _nx(14, struct.pack("!HB", SAME_PORT if action.in_port is None else action.in_port, action.table))


def _push_vlan(action: PushVlan) -> bytes:
    return _of(17, struct.pack("!H", action.ethertype))


def _pop_vlan(_: PopVlan) -> bytes:
    return _of(18, b"")


def _dec_ttl(_: DecTtl) -> bytes:
    return _of(24, b"")


def _group(action: Group) -> bytes:
    return _of(22, struct.pack("!I", action.id))


def _conjunction(action: Conjunction) -> bytes:
    if not 1 <= action.clause <= action.of <= 64:
        raise CodecError(f"conjunction clause {action.clause} of {action.of}")
    return _nx(34, struct.pack("!BBI", action.clause - 1, action.of, action.id))


def _nat(nat: Nat) -> bytes:
    present, body = 0, b""
    for text, v4, v6 in ((nat.first, NAT_V4_MIN, NAT_V6_MIN), (nat.last, NAT_V4_MAX, NAT_V6_MAX)):
        if text:
            version = ip_version(text)
            present |= v4 if version == 4 else v6
            body += ip_int(text).to_bytes(4 if version == 4 else 16, "big")
    for port, bit in ((nat.port_first, NAT_PORT_MIN), (nat.port_last, NAT_PORT_MAX)):
        if port:
            present |= bit
            body += port.to_bytes(2, "big")
    flags = {"": 0, "src": NAT_SRC, "dst": NAT_DST}[nat.kind]
    return _nx(36, struct.pack("!2xHH", flags, present) + body)


def _ct(action: Ct) -> bytes:
    flags = (CT_COMMIT if action.commit else 0) | (CT_FORCE if action.force else 0)
    if isinstance(action.zone, str):
        zone = encode_header(action.zone) + struct.pack("!H", 15)  # from bit 0, 16 bits
    else:
        zone = struct.pack("!IH", 0, action.zone)
    table = NO_TABLE if action.table is None else action.table
    inner = (b"" if action.nat is None else _nat(action.nat)) + b"".join(_set_field(a) for a in action.actions)
    return _nx(35, struct.pack("!H", flags) + zone + struct.pack("!B3xH", table, action.alg) + inner)


def _multipath(action: Multipath) -> bytes:
    if not 1 <= action.links <= 0xFFFF:
        raise CodecError(f"multipath over {action.links} links")
    # symmetric_l4, basis 0; modulo_n; all bits of the field from bit 0
    body = struct.pack("!HH2xHHI2xH", 1, 0, 0, action.links - 1, 0, 31) + encode_header(action.field)
    return _nx(10, body)


def _check_larger(action: CheckLarger) -> bytes:
    """Its result goes to bit 0."""
    return _nx(49, struct.pack("!HH", action.size, 0) + encode_header(action.field))


def _ct_clear(_: CtClear) -> bytes:
    return _nx(43, b"")


_ENCODERS: dict[type, Callable[[Any], bytes]] = {
    Output: _output,
    ToController: _to_controller,
    SetField: _set_field,
    Move: _move,
    Resubmit: _resubmit,
    PushVlan: _push_vlan,
    PopVlan: _pop_vlan,
    DecTtl: _dec_ttl,
    Group: _group,
    Conjunction: _conjunction,
    Ct: _ct,
    CtClear: _ct_clear,
    Multipath: _multipath,
    CheckLarger: _check_larger,
}


@lru_cache(maxsize=1 << 14)
def encode_action(action: Action) -> bytes:
    """The bytes of one action; CodecError for one that OpenFlow 1.4 cannot carry at that place."""
    encoder = _ENCODERS.get(type(action))
    if encoder is None:
        raise CodecError(f"{type(action).__name__} may stand only at its own place: a meter first, a goto last")
    if isinstance(action, Output) and action.port == CONTROLLER:
        raise CodecError("output to the controller has no reason: use ToController")
    try:
        return encoder(action)
    except (struct.error, OverflowError, KeyError) as error:
        raise CodecError(f"{action} does not fit OpenFlow: {error}") from error


def encode_actions(actions: Sequence[Action]) -> bytes:
    """An action list as a packet-out carries it."""
    return b"".join([encode_action(action) for action in actions])


def encode_instructions(actions: Sequence[Action]) -> bytes:
    """The instructions of a flow: meter, apply-actions, goto-table, in the order that OpenFlow 1.4 (5.9) fixes."""
    head = tail = b""
    if actions and type(actions[0]) is Meter:
        head, actions = struct.pack("!HHI", 6, 8, actions[0].id), actions[1:]
    if actions and type(actions[-1]) is Goto:
        tail, actions = struct.pack("!HHB3x", 1, 8, actions[-1].table), actions[:-1]
    if not actions:
        return head + tail
    body = b"".join([encode_action(action) for action in actions])
    if len(body) > MAX_ACTIONS:
        raise CodecError(f"{len(actions)} actions are longer than a message can be")
    return head + struct.pack("!HH4x", 4, 8 + len(body)) + body + tail

"""The meters of one bridge: read them, and make, change and delete them one by one.

A meter has no cookie, so all meters of a bridge that is ours alone are ours. Deleting one takes the flows along that
name it (OpenFlow 1.4, 6.4), so flows are changed before; that is the plan's order, for flows need meters.
"""

from __future__ import annotations

from collections.abc import Sequence

from netloom.drivers.ovs.channel import Channel
from netloom.drivers.ovs.openflow import messages as of
from netloom.drivers.ovs.openflow import meters as wire
from netloom.drivers.ovs.openflow.fields import CodecError
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

METER_FAILED, EXISTS, UNKNOWN = 12, 1, 2
"""An error's type and its codes (OpenFlow 1.4, 7.5.4.13)."""


async def read_meters(channel: Channel, bridge: str, timeout_s: float) -> State:
    """Every meter of the bridge; none where the switch knows of no meters."""
    xid = channel.next_xid()
    parts = await channel.request(wire.encode_meter_dump(xid), xid, timeout_s)
    channel.take_errors()
    if parts[-1].type == of.ERROR:
        return {}
    out: dict[Key, Thing] = {}
    for part in parts:
        for id, body in wire.decode_meter_dump(part.body):
            key: Key = ("meter", bridge, id)
            out[key] = Thing(key, body)
    return out


async def apply_meters(channel: Channel, ops: Sequence[Op], timeout_s: float) -> list[Failure]:
    """Each op; one that is there already is changed, and one that is gone already is no failure."""
    failures, again = await send_all(channel, [(op, first_command(op)) for op in ops], timeout_s)
    if again:
        more, left = await send_all(channel, again, timeout_s)
        failures += more + [Failure(op, "the meter comes and goes") for op, _ in left]
    return failures


def first_command(op: Op) -> int:
    if isinstance(op, Put):
        return wire.ADD if op.before is None else wire.MODIFY
    return wire.DELETE


Sent = tuple[Op, int]


async def send_all(channel: Channel, wanted: Sequence[Sent], timeout_s: float) -> tuple[list[Failure], list[Sent]]:
    """(what was refused, what has to be tried as its opposite: made for changed, changed for made)."""
    by_xid: dict[int, Sent] = {}
    failures, messages = list[Failure](), list[bytes]()
    for op, command in wanted:
        xid = channel.next_xid()
        try:
            body = op.thing.value if isinstance(op, Put) else None
            messages.append(wire.encode_meter_mod(command, op.thing.key[2], body, xid))
            by_xid[xid] = op, command
        except CodecError as fault:
            failures.append(Failure(op, str(fault), retry=False))
    await channel.send(messages, timeout_s)
    again: list[Sent] = []
    for error in await channel.barrier(timeout_s):
        if error.xid not in by_xid:
            continue
        op, command = by_xid[error.xid]
        if (error.type, error.code) == (METER_FAILED, UNKNOWN) and command == wire.MODIFY:
            again.append((op, wire.ADD))
        elif (error.type, error.code) == (METER_FAILED, EXISTS) and command == wire.ADD:
            again.append((op, wire.MODIFY))
        elif not (error.type == METER_FAILED and command == wire.DELETE):
            failures.append(Failure(op, str(error), retry=error.may_pass))
    return failures, again

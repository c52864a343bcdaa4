"""The order in which flows change, so that every prefix of a plan fails closed (law 3).

    close   flows that let packets on go away, from the table where packets enter; flows that drop come
    turn    flows that stay with another body change, from the last table back; halves of conjunctions do not turn:
            they lose what they must lose when flows close, and get what is new when flows open
    open    new flows come, from the last table back; flows that drop go away

A new path becomes whole behind the door before the door opens, and an old one loses its door first. A turned flow
changes between the two: a port number that was given to another port then meets neither the old port's rights (closed
already) nor the new one's (not open yet). Within a table the narrow flow outlives the broad one when closing
and precedes it when opening, so that no packet falls through to a broad flow that was never meant for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from netloom.model.device import FlowBody
from netloom.model.flow import Conjunction, CtClear, Match, SetField
from netloom.model.plan import Op, Put, Remove, Thing

Phase = tuple[int, Op]


def lets_on(value: FlowBody) -> bool:
    """Whether the flow does more with a packet than drop it (writing to a packet that goes nowhere is dropping it)."""
    return any(not isinstance(action, SetField | CtClear) for action in value.actions)


def split_flows(puts: Sequence[Put], removes: Sequence[Remove]) -> tuple[list[Op], list[Phase]]:
    """(what closes, what turns or opens): the latter with 0 for a turn and 1 for an opening."""
    closing: list[Op] = []
    opening: list[Phase] = []
    for op in removes:
        if lets_on(op.thing.value):
            closing.append(op)
        else:
            opening.append((1, op))
    for put in puts:
        if put.before is not None and is_half(put.before.value) and is_half(put.thing.value):
            _split_half(put, put.before, closing, opening)
        elif put.before is not None and lets_on(put.before.value) and lets_on(put.thing.value):
            opening.append((0, put))
        elif lets_on(put.thing.value):
            opening.append((1, put))
        else:
            _add_drop(put, closing, opening)
    return closing, opening


def is_half(value: FlowBody) -> bool:
    """Whether the flow is a part of conjunctions. What it lets pass depends on the other part."""
    return bool(value.actions) and all(isinstance(action, Conjunction) for action in value.actions)


def _split_half(put: Put, before: Thing, closing: list[Op], opening: list[Phase]) -> None:
    """Were it to turn while the other part has not, the two might agree on what neither end lets pass."""
    old, new = before.value.actions, put.thing.value.actions
    kept = tuple(action for action in new if action in old)
    if kept == new:
        closing.append(put)
    elif len(kept) == len(old):
        opening.append((1, put))
    else:
        between = Thing(put.thing.key, FlowBody(put.thing.value.cookie, kept), put.thing.why)
        closing.append(Put(between, before))
        opening.append((1, Put(put.thing, between)))


def _add_drop(put: Put, closing: list[Op], opening: list[Phase]) -> None:
    """A new drop needs its bridge, which may only now be made, so it leads what turns and opens."""
    if put.before is None:
        opening.append((-1, put))
    else:
        closing.append(put)


def order_closing(ops: Iterable[Op]) -> list[Op]:
    """From the table where packets enter, the broad flow before the narrow one."""
    return sorted(ops, key=_closing_key)


def order_opening(phases: Iterable[Phase]) -> list[Op]:
    """New drops first, then what turns, then what opens; each from the last table back, the narrow flow first."""
    return [op for _, op in sorted(phases, key=_opening_key)]


def _closing_key(op: Op) -> tuple[Any, ...]:
    _, bridge, table, priority, match = op.thing.key
    return table, priority, bridge, _match_key(match)


def _match_key(match: Match) -> tuple[Any, ...]:
    """A match in a form that can be compared: an exact test has no mask to compare with."""
    return tuple((name, value, -1 if mask is None else mask) for name, value, mask in match)


def _opening_key(phase: Phase) -> tuple[Any, ...]:
    step, op = phase
    _, bridge, table, priority, match = op.thing.key
    return step, -table, isinstance(op, Remove), -priority, bridge, _match_key(match)

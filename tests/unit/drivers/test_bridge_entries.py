"""Messages of rtnetlink for entries of tables: read back by a library that others wrote, and answers as they come."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from netloom.drivers.bridge.entries import AT_ONCE, EVERYBODY, is_bad, make_message, parse_answers
from netloom.model.bridge import Leads, Neighbour
from netloom.model.plan import Op, Put, Remove, Thing

MAC, END, SIX = "fa:16:3e:00:00:0b", "192.0.2.2", "2001:db8::5"
REPLACED, APPENDED, GONE = 0x505, 0xC05, 0x005
BRIDGE = Thing(("bridge_fdb", "vxlan-7", MAC), Leads())
TUNNEL = Thing(("tunnel_fdb", "vxlan-7", MAC, END), Leads())
FLOOD = Thing(("tunnel_fdb", "vxlan-7", EVERYBODY, END), Leads())
NEIGHBOUR = Thing(("neighbour", "vxlan-7", SIX), Neighbour(MAC))


def read_back(op: Op) -> tuple[dict[str, Any], dict[str, Any]]:
    told: Any = ndmsg(make_message(op, 9, 63))
    told.decode()
    head = {key: told["header"][key] for key in ("length", "type", "flags", "sequence_number")}
    body = {key: told[key] for key in ("family", "ifindex", "state", "flags")}
    return head, {**body, **dict(told["attrs"])}


@pytest.mark.parametrize(
    ("thing", "flags", "body"),
    [
        (BRIDGE, REPLACED, {"family": 7, "state": 0x40, "flags": 4, "NDA_LLADDR": MAC}),
        (TUNNEL, REPLACED, {"family": 7, "state": 0x80, "flags": 2, "NDA_LLADDR": MAC, "NDA_DST": END}),
        (FLOOD, APPENDED, {"family": 7, "state": 0x80, "flags": 2, "NDA_LLADDR": EVERYBODY, "NDA_DST": END}),
        (NEIGHBOUR, REPLACED, {"family": 10, "state": 0x80, "flags": 0, "NDA_DST": SIX, "NDA_LLADDR": MAC}),
    ],
    ids=lambda given: given.kind if isinstance(given, Thing) else "",
)
def test_what_is_asked_of_the_kernel(thing: Thing, flags: int, body: dict[str, Any]) -> None:
    """A MAC leads to one port of a bridge and to one host by a tunnel, what is for everybody to any number of them; an
    address has one MAC."""
    put, gone = read_back(Put(thing)), read_back(Remove(thing))
    length = len(make_message(Put(thing), 9, 63))
    assert put == ({"length": length, "type": 28, "flags": flags, "sequence_number": 63}, {**body, "ifindex": 9})
    named = {key: value for key, value in body.items() if (key, thing) != ("NDA_LLADDR", NEIGHBOUR)}
    assert (gone[0]["type"], gone[0]["flags"], gone[1]) == (29, GONE, {**named, "ifindex": 9})


def answer(number: int, code: int, kind: int = 2) -> bytes:
    return struct.pack("=IHHIIi16x", 36, kind, 0, number, 0, -code)


def test_answers_are_told_apart_by_their_numbers() -> None:
    """Several in one packet, another message between, and one that is cut short at the end."""
    data = answer(1, 0) + answer(5, 7, kind=3) + answer(0, 19) + answer(2, 0)[:10]
    assert list(parse_answers(data)) == [(1, 0), (0, 19)]
    assert list(parse_answers(bytes(AT_ONCE))) == []


@pytest.mark.parametrize(
    ("op", "fine"),
    [
        (Put(BRIDGE), {0}), (Put(TUNNEL), {0, 17}), (Put(NEIGHBOUR), {0}), (Remove(BRIDGE), {0, 2, 19, 95}),
        (Remove(TUNNEL), {0, 2, 19, 95}), (Remove(NEIGHBOUR), {0, 2, 19, 95}),
    ],
)  # fmt: skip
def test_what_is_as_it_should_be_is_no_failure(op: Op, fine: set[int]) -> None:
    """There already, or gone already."""
    assert {code for code in range(134) if not is_bad(op, code)} == fine

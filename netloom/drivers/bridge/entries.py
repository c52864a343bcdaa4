"""Entries of the tables of bridges and tunnels, many at a time: a network of thousands of ports has as many.

Law: each is answered for, in its order; one that is refused keeps no other from being made. Raises OSError where the
kernel does not answer at all.

A message of rtnetlink asks for one (RFC 3549, 2 and 3.1.2; `struct ndmsg` of the kernel's uapi/linux/neighbour.h).
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing

from netloom.model.address import ip_version, parse_ip
from netloom.model.plan import Failure, Op, Put, Thing

KINDS = frozenset({"bridge_fdb", "tunnel_fdb", "neighbour"})
NEW, DELETE, ANSWER = 28, 29, 2  # RTM_NEWNEIGH, RTM_DELNEIGH, NLMSG_ERROR
REQUEST, ACK, REPLACE, CREATE, APPEND = 0x001, 0x004, 0x100, 0x400, 0x800
PERMANENT, STATIC = 0x80, 0x40  # NUD_PERMANENT, NUD_NOARP
SELF, MASTER = 0x02, 0x04  # NTF_SELF, NTF_MASTER
NDA_DST, NDA_LLADDR = 1, 2
FAMILIES = {4: 2, 6: 10}
BRIDGES = 7  # AF_BRIDGE
EVERYBODY = "00:00:00:00:00:00"
"""In a tunnel's table: all that leads nowhere else."""
NO_DEVICE, EXISTS, NO_SUCH = 19, 17, (2, 19, 95)
"""Errors: of a device that is in no bridge any more the kernel knows no such table."""
AT_ONCE = 64
"""As many answers fit into a socket's buffer many times over."""
PATIENCE_S = 10.0
HEAD, BODY, ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=BxxxiHBB"), struct.Struct("=HH")


def apply_entries(ops: Sequence[Op]) -> list[Failure]:
    """Make each op so; those that the kernel refused, in its words."""
    indexes = {name: find_index(name) for name in {op.thing.key[1] for op in ops}}
    there = [op for op in ops if indexes[op.thing.key[1]]]
    missing = [op for op in ops if isinstance(op, Put) and not indexes[op.thing.key[1]]]
    failures = [Failure(op, f"there is no device {op.thing.key[1]}") for op in missing]
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as wire:
        wire.settimeout(PATIENCE_S)
        wire.bind((0, 0))
        for at in range(0, len(there), AT_ONCE):
            some = there[at : at + AT_ONCE]
            codes = ask(wire, [make_message(op, indexes[op.thing.key[1]], n) for n, op in enumerate(some)])
            failures += [
                Failure(op, os.strerror(code)) for op, code in zip(some, codes, strict=True) if is_bad(op, code)
            ]
    return failures


def find_index(name: str) -> int:
    """0: there is no such device."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def is_bad(op: Op, code: int) -> bool:
    """One that is there already, or gone already, is as it should be."""
    if isinstance(op, Put):
        return code != 0 and not (code == EXISTS and op.thing.kind == "tunnel_fdb")
    return code != 0 and code not in NO_SUCH


def ask(wire: socket.socket, messages: Sequence[bytes]) -> list[int]:
    """The error of each, 0: none. Their numbers are their places."""
    wire.send(b"".join(messages))
    codes: dict[int, int] = {}
    while len(codes) < len(messages):
        codes |= dict(parse_answers(wire.recv(1 << 16)))
    return [codes[number] for number in range(len(messages))]


def parse_answers(data: bytes) -> Iterator[tuple[int, int]]:
    """(number, error) of each answer in what came."""
    while len(data) >= HEAD.size:
        length, kind, _, number, _ = HEAD.unpack_from(data)
        if kind == ANSWER:
            yield number, -struct.unpack_from("=i", data, HEAD.size)[0]
        data = data[max(length + 3 & ~3, HEAD.size) :]


# -- messages ----------------------------------------------------------------------------------------------------------


def make_message(op: Op, index: int, number: int) -> bytes:
    """What asks the kernel for one op on the device of that index."""
    put = isinstance(op, Put)
    family, state, flags, attributes = describe_entry(op.thing, put)
    # What is for everybody goes to many hosts by a tunnel, so those are appended. Any other MAC leads to one, and the
    # kernel takes a second without a word and does nothing: where the old one is still there, it has to be replaced.
    many = op.thing.kind == "tunnel_fdb" and op.thing.key[2] == EVERYBODY
    how = CREATE | (APPEND if many else REPLACE) if put else 0
    body = BODY.pack(family, index, state, flags, 0) + attributes
    return HEAD.pack(HEAD.size + len(body), NEW if put else DELETE, REQUEST | ACK | how, number, 0) + body


def describe_entry(thing: Thing, put: bool) -> tuple[int, int, int, bytes]:
    """(family, state, flags, attributes)."""
    kind, _, name, *rest = thing.key
    if kind == "neighbour":
        mac = pack_mac(thing.value.mac) if put else b""
        return FAMILIES[ip_version(name)], PERMANENT, 0, pack_ip(name) + mac
    if kind == "bridge_fdb":
        return BRIDGES, STATIC, MASTER, pack_mac(name)
    return BRIDGES, PERMANENT, SELF, pack_mac(name) + pack_ip(rest[0])


def pack_mac(mac: str) -> bytes:
    return pack_attribute(NDA_LLADDR, bytes.fromhex(mac.replace(":", "")))


def pack_ip(ip: str) -> bytes:
    return pack_attribute(NDA_DST, parse_ip(ip).packed)


def pack_attribute(kind: int, value: bytes) -> bytes:
    length = ATTRIBUTE.size + len(value)
    return ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)

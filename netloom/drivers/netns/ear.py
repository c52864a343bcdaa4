"""What happens in namespaces of ours, as the kernel tells it: two sockets hear of all of them, however many there are.

Law: they listen in a namespace of their own, where only those that were named here have a number: nothing of others is
heard, and no namespace is held that is to go.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from netloom.drivers.bridge.nflog import parse_attributes
from netloom.drivers.bridge.watch import MAKER, NEW_GENERATION, NFNLGRP_NFTABLES, is_own, parse_messages
from netloom.drivers.netns import kernel

NETLINK_ROUTE, NETLINK_NETFILTER, SOL_NETLINK, LISTEN_ALL_NSID = 0, 12, 270, 8
SO_RCVBUFFORCE, ROOM = 33, 4 << 20
GROUPS = (1, 5, 7, 8, 9, 11, 19, 28)
"""Of rtnetlink: links, addresses, routes and rules of both versions, and namespaces that end (linux/rtnetlink.h).
Neighbours are not among them: the kernel would speak of them all day."""
NEW_NUMBER, NUMBER_GONE, GET_NUMBER = 88, 89, 90
NUMBER, DESCRIPTOR = 1, 3
"""Attributes of a message about the number that a namespace has here (linux/net_namespace.h)."""
PROCESS = 0x3FFFFF
"""The part of a port of netlink that is the number of the process, in sockets that we make."""
ANSWER_S = 5.0

News = tuple[int, bool]
"""Number of a namespace, and whether another program is known to have done it; else the kernel did, for whatever
reason."""


@dataclass(frozen=True, slots=True)
class Ear:
    """`control` gives namespaces their numbers."""

    links: socket.socket
    rules: socket.socket
    control: socket.socket

    def close(self) -> None:
        for wire in (self.links, self.rules, self.control):
            wire.close()


def open_ear() -> Ear:
    """Made by a thread that ends with it. Raises OSError, such as of a process that may not listen in others."""
    made: list[Ear | OSError] = []

    def work() -> None:
        try:
            kernel.check(kernel.load_libc().unshare(kernel.CLONE_NEWNET), "a new namespace")
            made.append(make_ear())
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    (found,) = made
    if isinstance(found, OSError):
        raise found
    return found


def make_ear() -> Ear:
    wires: list[socket.socket] = []
    try:
        links = sum(1 << group - 1 for group in GROUPS)
        for family, groups in (
            (NETLINK_ROUTE, links),
            (NETLINK_NETFILTER, 1 << NFNLGRP_NFTABLES - 1),
            (NETLINK_ROUTE, 0),
        ):
            wires.append(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family))
            prepare(wires[-1], groups)
    except OSError:
        for wire in wires:
            wire.close()
        raise
    return Ear(*wires)


def prepare(wire: socket.socket, groups: int) -> None:
    if not groups:
        wire.settimeout(ANSWER_S)
        return
    wire.setblocking(False)
    wire.setsockopt(SOL_NETLINK, LISTEN_ALL_NSID, 1)
    with suppress(OSError):
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM)
    wire.bind((0, groups))


def name_space(ear: Ear, path: Path) -> int:
    """The number that the namespace has here; from now on it is heard. Raises OSError."""
    with kernel.open_namespace(path) as there:
        with suppress(FileExistsError):
            ask(ear, NEW_NUMBER, {DESCRIPTOR: there, NUMBER: -1})
        answer = ask(ear, GET_NUMBER, {DESCRIPTOR: there})
    return find_number(answer)


def ask(ear: Ear, kind: int, attributes: dict[int, int]) -> bytes:
    """Body of the answer. Raises OSError with the kernel's number."""
    acknowledge, request = 4, 1
    flags = request | (acknowledge if kind == NEW_NUMBER else 0)
    body = bytes(4) + b"".join(struct.pack("=HHi", 8, name, value) for name, value in attributes.items())
    ear.control.send(struct.pack("=IHHII", 16 + len(body), kind, flags, 0, 0) + body)
    data = ear.control.recv(1 << 16)
    code = struct.unpack_from("=i", data, 16)[0] if struct.unpack_from("=H", data, 4)[0] == 2 else 0
    if code:
        raise OSError(-code, os.strerror(-code))
    return data[16:]


def find_number(body: bytes) -> int:
    """-1: none."""
    found = dict(parse_attributes(body[4:])).get(NUMBER)
    return int(struct.unpack("=i", found)[0]) if found else -1


def hear(wire: socket.socket, rules: bool) -> Iterator[News | None]:
    """What there is to be heard; None: more happened than there was room for, so that some is lost."""
    while True:
        try:
            data, told, _, _ = wire.recvmsg(1 << 16, 64)
        except BlockingIOError:
            return
        except OSError:
            yield None
            continue
        yield from (find_rule_news if rules else find_link_news)(find_sender(told), data)


def find_sender(told: list[tuple[int, int, bytes]]) -> int:
    """Number of the namespace that it comes from; -1: from the one where we listen."""
    for level, kind, data in told:
        if (level, kind) == (SOL_NETLINK, LISTEN_ALL_NSID):
            return int(struct.unpack_from("=i", data)[0])
    return -1


def find_link_news(number: int, data: bytes) -> Iterator[News]:
    while len(data) >= 16:
        length, kind, _, _, port = struct.unpack_from("=IHHII", data)
        if length < 16 or length > len(data):
            return
        if kind == NUMBER_GONE:
            yield find_number(data[16:length]), False
        elif number >= 0 and port & PROCESS != os.getpid() & PROCESS:
            yield number, port != 0
        data = data[length + 3 & ~3 :]


def find_rule_news(number: int, data: bytes) -> Iterator[News]:
    """Of nft the last message about a change says whose it was."""
    for kind, body in parse_messages(data):
        maker = int.from_bytes(dict(parse_attributes(body)).get(MAKER, b""), "big")
        if kind == NEW_GENERATION and number >= 0 and not is_own(maker):
            yield number, True

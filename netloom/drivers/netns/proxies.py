"""Addresses that a device answers for on behalf of others, as the kernel lists them: a dump that needs a flag of its
own, in plain netlink (linux/neighbour.h)."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

RTM_NEWNEIGH, RTM_GETNEIGH, NLMSG_ERROR, NLMSG_DONE = 28, 30, 2, 3
NLM_F_REQUEST, NLM_F_DUMP = 0x001, 0x300
NTF_PROXY, NDA_DST = 0x08, 1
HEADER = "=IHHII"
NEIGHBOUR = "=BxxxiHBB"


def list_proxies() -> Iterator[tuple[int, str]]:
    """(number of the device, IPv6 address) of the namespace that the thread is in. Raises OSError."""
    body = struct.pack(NEIGHBOUR, socket.AF_INET6, 0, 0, NTF_PROXY, 0)
    head = struct.pack(HEADER, 16 + len(body), RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(5)
        sock.send(head + body)
        while True:
            for kind, message in split_messages(sock.recv(1 << 16)):
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    return
                if kind == RTM_NEWNEIGH:
                    yield from parse_proxy(message)


def split_messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, at)
        yield kind, data[at + 16 : at + length]
        at += (max(length, 16) + 3) & ~3


def parse_proxy(message: bytes) -> Iterator[tuple[int, str]]:
    family, index, _, flags, _ = struct.unpack_from(NEIGHBOUR, message)
    at = struct.calcsize(NEIGHBOUR)
    while family == socket.AF_INET6 and flags & NTF_PROXY and at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        if kind == NDA_DST:
            yield index, socket.inet_ntop(socket.AF_INET6, message[at + 4 : at + length])
        at += (max(length, 4) + 3) & ~3

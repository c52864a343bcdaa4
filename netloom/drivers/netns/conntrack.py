"""Connections that the kernel remembers, forgotten by address: one message of netlink, whatever their number.

A translation that is taken away goes on for those that it was begun with, until their entries are gone.
"""

from __future__ import annotations

import socket
import struct

NETLINK_NETFILTER = 12
NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE = 1, 2
NLM_F_REQUEST, NLM_F_ACK, NLMSG_ERROR = 1, 4, 2
CTA_TUPLE_ORIG, CTA_TUPLE_REPLY, CTA_FILTER = 1, 2, 25
CTA_TUPLE_IP, CTA_TUPLE_PROTO = 1, 2
CTA_IP_V4_SRC, CTA_IP_V4_DST = 1, 2
CTA_PROTO_NUM, CTA_PROTO_DST_PORT = 1, 3
CTA_FILTER_ORIG_FLAGS, CTA_FILTER_REPLY_FLAGS = 1, 2
F_SRC, F_DST, F_PROTO, F_DST_PORT = 1 << 0, 1 << 1, 1 << 3, 1 << 5
NESTED = 0x8000
ENOENT = 2


def pack_attribute(kind: int, body: bytes) -> bytes:
    return struct.pack("=HH", len(body) + 4, kind) + body.ljust((len(body) + 3) & ~3, b"\0")


def pack_tuple(side: int, address: int, ip: str, protocol: int = 0, port: int = 0) -> tuple[bytes, int]:
    """A tuple with one IPv4 address, and perhaps a protocol and port; and the flags of what is in it."""
    flags = F_SRC if address == CTA_IP_V4_SRC else F_DST
    body = pack_attribute(NESTED | CTA_TUPLE_IP, pack_attribute(address, socket.inet_aton(ip)))
    if protocol:
        flags |= F_PROTO | (F_DST_PORT if port else 0)
        inner = pack_attribute(CTA_PROTO_NUM, bytes((protocol,)))
        inner += pack_attribute(CTA_PROTO_DST_PORT, struct.pack(">H", port)) if port else b""
        body += pack_attribute(NESTED | CTA_TUPLE_PROTO, inner)
    return pack_attribute(NESTED | side, body), flags


def pack_delete(side: int, tuple_: bytes, flags: int) -> bytes:
    """The message that deletes every entry with that tuple (linux/netfilter/nfnetlink_conntrack.h)."""
    which = CTA_FILTER_ORIG_FLAGS if side == CTA_TUPLE_ORIG else CTA_FILTER_REPLY_FLAGS
    filters = pack_attribute(NESTED | CTA_FILTER, pack_attribute(which, struct.pack("=I", flags)))
    body = struct.pack(">BBH", socket.AF_INET, 0, 0) + tuple_ + filters
    kind = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE
    return struct.pack("=IHHII", len(body) + 16, kind, NLM_F_REQUEST | NLM_F_ACK, 1, 0) + body


def forget_floating(ip: str) -> None:
    """Connections that came to the address from outside, or left under it."""
    for side in (CTA_TUPLE_ORIG, CTA_TUPLE_REPLY):
        send(pack_delete(side, *pack_tuple(side, CTA_IP_V4_DST, ip)))


def forget_forwarded(ip: str, protocol: int, port: int) -> None:
    """Connections that came to one port of the address."""
    send(pack_delete(CTA_TUPLE_ORIG, *pack_tuple(CTA_TUPLE_ORIG, CTA_IP_V4_DST, ip, protocol, port)))


def send(message: bytes) -> None:
    """In the thread's own namespace. That there is no such entry is fine; raises OSError for anything else."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER) as sock:
        sock.settimeout(5)
        sock.send(message)
        answer = sock.recv(4096)
    length, kind = struct.unpack_from("=IH", answer)
    error = -struct.unpack_from("=i", answer, 16)[0] if kind == NLMSG_ERROR and length >= 20 else 0
    if error not in (0, ENOENT):
        raise OSError(error, "connections could not be forgotten")

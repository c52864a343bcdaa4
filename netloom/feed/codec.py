"""Frames: four bytes of length, most significant first, then that many bytes of msgpack.

A length beyond the limit, an end in the middle and a body that is no message all end the connection they came on.
"""

from __future__ import annotations

import asyncio
import struct

from netloom.feed.messages import Message, MessageError, encode_message

MAX_FROM_HOST = 16 << 20
"""Bytes: an acknowledgement names every port of a host at most once."""
MAX_FROM_SERVER = 256 << 20
MAX_JOIN = 64 << 10
"""Bytes that somebody without a certificate may make the server hold."""

_LENGTH = struct.Struct("!I")


async def receive_frame(reader: asyncio.StreamReader, limit: int) -> bytes:
    """The next body. Raises EOFError at a clean end, MessageError at any other."""
    try:
        head = await reader.readexactly(_LENGTH.size)
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise MessageError("the stream ended inside a frame") from None
        raise EOFError from None
    (length,) = _LENGTH.unpack(head)
    if length > limit:
        raise MessageError(f"a frame of {length} bytes; the limit is {limit}")
    try:
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError:
        raise MessageError("the stream ended inside a frame") from None


def make_frame(message: Message) -> bytes:
    body = encode_message(message)
    return _LENGTH.pack(len(body)) + body

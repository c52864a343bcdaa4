"""Frames by way of a broker, for relays that need the same: said once, however many relays there are.

Law: a broker carries nothing that matters. Who is due a frame is told so by its own connection, with the key that opens
that frame alone; what does not come in time is asked for there. So a broker that is lost, slow, empty or says things
twice costs a delay, and one that is read by others tells them nothing (law 9).
"""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY, NAME = 16, 16
NONCE = bytes(12)
"""The same for all: each frame has a key of its own."""
MIN_BYTES = 512
"""A frame that is shorter costs a relay's connection no more than the word that it is due."""
MIN_READERS = 2
SHELF_BYTES = 64 << 20


class Broker(Protocol):
    """Takes blobs, if it can, and brings them to whoever listens; or not."""

    @property
    def ready(self) -> bool: ...

    def publish(self, blob: bytes) -> bool:
        """Whether it was taken to be sent. Never waits."""
        ...


class Listener(Protocol):
    """Brings blobs of a subject to a shelf."""

    @property
    def ready(self) -> bool: ...

    def listen(self, subject: str) -> None:
        """From now on to this one; begin anew where it is the same."""
        ...


def seal(frame: bytes) -> tuple[bytes, bytes]:
    """(key, blob): the blob says nothing without the key, and is found by it."""
    key = os.urandom(KEY)
    return key, find_blob_name(key) + AESGCM(key).encrypt(NONCE, frame, None)


def open_sealed(key: bytes, blob: bytes) -> bytes | None:
    """The frame; None where the blob is not what was sealed."""
    try:
        return AESGCM(key).decrypt(NONCE, blob[NAME:], None)
    except (InvalidTag, ValueError):
        return None


def find_blob_name(key: bytes) -> bytes:
    return blake2b(key, digest_size=NAME, person=b"netloom-bus").digest()


class Offers:
    """The server's side: which frames of a commit go by the broker, each published once."""

    def __init__(
        self, broker: Broker, subject: str, min_bytes: int = MIN_BYTES, min_readers: int = MIN_READERS
    ) -> None:
        self.subject = subject
        self.published = 0
        self._broker = broker
        self._min_bytes, self._min_readers = min_bytes, min_readers
        self._keys: dict[Hashable, bytes] = {}

    def offer(self, name: Hashable, frame: bytes, readers: int) -> bytes | None:
        """The key of the frame, published by now; None: it is to be sent as ever."""
        if len(frame) < self._min_bytes or readers < self._min_readers:
            return None
        key = self._keys.get(name)
        if key is None and self._broker.ready:
            made, blob = seal(frame)
            if self._broker.publish(blob):
                key = self._keys[name] = made
                self.published += 1
        return key

    def clear(self) -> None:
        """The next commit."""
        self._keys.clear()


class Shelf:
    """The relay's side: blobs that came and were not asked for yet; so many bytes of them, the oldest go first."""

    def __init__(self, most: int = SHELF_BYTES) -> None:
        self._blobs: OrderedDict[bytes, bytes] = OrderedDict()
        self._size = 0
        self._most = most
        self._news = asyncio.Event()

    def put(self, blob: bytes) -> None:
        name = blob[:NAME]
        self._drop(name)
        self._blobs[name] = blob
        self._size += len(blob)
        while self._size > self._most:
            self._drop(next(iter(self._blobs)))
        self._news.set()

    def _drop(self, name: bytes) -> bytes | None:
        blob = self._blobs.pop(name, None)
        self._size -= len(blob or b"")
        return blob

    async def take(self, key: bytes, within_s: float) -> bytes | None:
        """The frame that the key opens, as soon as it is here; None: it did not come, or is not what it should be."""
        name, loop = find_blob_name(key), asyncio.get_running_loop()
        ends = loop.time() + within_s
        while name not in self._blobs:
            self._news.clear()
            try:
                async with asyncio.timeout(max(0.0, ends - loop.time())):
                    await self._news.wait()
            except TimeoutError:
                return None
        return open_sealed(key, self._drop(name) or b"")

"""The frames that bring a connection to where the server is, each made once for all who get the same.

Law: what a host is sent leads from what it has to what the server has, and says what that is by digest: a host whose
copy then differs asks for that slice whole, and for no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from netloom.feed import messages as m
from netloom.feed.bus import Offers
from netloom.feed.codec import make_frame
from netloom.feed.connection import Connection
from netloom.feed.parts import SliceSource
from netloom.model.delta import SliceDelta
from netloom.model.digest import change_digest, digest_rows
from netloom.model.slices import Slice

PART = 64 << 10
"""Bytes that are written before it is waited for the host to take them."""
SHORT = 16
"""Rows up to which a slice is sent whole rather than what is newer in it."""
COMPARED_SLICES, COMPARED_ROWS = 8, 2000
"""How much of what a host has is compared at a time: its agent counts the digests in between its work."""


class Frames:
    """Of one hub. Holds the digest of each slice that is followed, and the frames of the last commit."""

    def __init__(self, source: SliceSource, revision: Callable[[], int]) -> None:
        self._source = source
        self._revision = revision
        self._digests: dict[str, tuple[Slice, int]] = {}
        self._frames: dict[tuple[str, str, int, int], bytes] = {}
        self.offers: Offers | None = None
        self.count_readers: Callable[[str], int] = lambda name: 0
        """How many connections that hear the bus follow a slice."""
        self.encoded = 0
        """Frames of slices that were made; one that went to a thousand hosts counts once."""
        self.sent = 0
        """Frames of slices that were sent, each to one connection."""

    def advance(self, deltas: Mapping[str, SliceDelta]) -> None:
        """The source has gone on by this."""
        self._frames.clear()
        if self.offers is not None:
            self.offers.clear()
        for name, delta in deltas.items():
            self._advance_digest(name, delta)

    def forget(self, name: str) -> None:
        self._digests.pop(name, None)

    # -- what a connection is told -------------------------------------------------------------------------------------

    def make(self, connection: Connection, gone: Iterable[str]) -> Iterator[bytes]:
        """All that it has to be told to be where the server is now, in parts; of this moment, whenever they are read.

        `gone`: what it may follow no longer.
        """
        after, connection.after = connection.after, []
        # A relay lets a host go before it hears that what the host led to is gone: the host would sweep it.
        frames = [make_frame(message) for message in after if isinstance(message, m.Dismissed)]
        frames += [make_frame(m.Gone(name)) for name in gone]
        first = connection.revision < 0 and not connection.is_relay
        behind, connection.behind = connection.behind, {}
        # A host's own slice goes last: when a port appears in it, the network it needs is there already.
        names = sorted(behind, key=connection.interest.__contains__)
        frames += [self._make_frame(connection, name, behind[name]) for name in names]
        if connection.due:
            frames.append(make_frame(m.Due(connection.due)))
            connection.due = {}
        if first:
            frames += [make_frame(m.Gone(name)) for name in connection.have if name not in connection.sent]
            connection.have = {}
        connection.revision = self._revision()
        at = m.At(connection.revision, list(dict.fromkeys(connection.requests)))
        connection.requests.clear()
        frames.append(make_frame(at))
        frames += [make_frame(message) for message in after if not isinstance(message, m.Dismissed)]
        return join_parts(frames)

    def _make_frame(self, connection: Connection, name: str, delta: SliceDelta | None) -> bytes:
        found = self._source.slice(name)
        if found is None or (delta is not None and delta.gone):
            connection.sent[name] = 0
            return make_frame(m.Gone(name))
        digest = self.digest(found)
        kept = connection.have.pop(name, None)
        before = connection.sent[name]
        connection.sent[name] = found.revision
        if kept is not None and kept[1] == digest:
            return make_frame(m.Keep(name, found.revision))
        self.sent += 1
        if delta is not None and delta.revision == found.revision:
            frame = self._encode(found, "delta", delta.start, lambda: m.make_delta(delta, digest))
            return b"" if self._lend(connection, found, delta.start, frame) else frame
        start = kept[0] if kept is not None else before
        if connection.version >= 2 and 0 < start < found.revision and len(found.rows) > SHORT:
            return self._encode(found, "since", start, lambda: m.make_since(found, start, digest))
        return self._encode(found, "whole", 0, lambda: m.make_whole(found, digest))

    def _lend(self, connection: Connection, found: Slice, start: int, frame: bytes) -> bool:
        """Whether the connection finds the frame on the bus."""
        if self.offers is None or not connection.on_bus:
            return False
        key = self.offers.offer((found.name, start, found.revision), frame, self.count_readers(found.name))
        if key is not None:
            connection.due[found.name] = (found.revision, key)
        return key is not None

    def _encode(self, found: Slice, kind: str, start: int, make: Callable[[], m.Message]) -> bytes:
        """The frame, made once for all hosts that follow the slice."""
        name = (found.name, kind, start, found.revision)
        frame = self._frames.get(name)
        if frame is None:
            frame = self._frames[name] = make_frame(make())
            self.encoded += 1
        return frame

    def make_compare(self, connection: Connection) -> bytes:
        """Digests of the next few of the slices that it has; nothing where there is nothing to compare."""
        if connection.version < 2 or not connection.sent:
            return b""
        names = list(connection.sent)
        at = connection.compared % len(names)
        digests: dict[str, tuple[int, str]] = {}
        rows = 0
        for name in (*names[at:], *names[:at])[:COMPARED_SLICES]:
            found = self._source.slice(name)
            rows += len(found.rows) if found else 0
            if digests and rows > COMPARED_ROWS:
                break
            connection.compared += 1
            if found and name not in connection.behind and connection.sent[name] == found.revision:
                digests[name] = (found.revision, self.digest(found))
        return make_frame(m.Compare(digests)) if digests else b""

    # -- digests -------------------------------------------------------------------------------------------------------

    def digest(self, found: Slice) -> str:
        kept = self._digests.get(found.name)
        if kept is None or kept[0] is not found:
            kept = self._digests[found.name] = (found, digest_rows(found.rows))
        return f"{kept[1]:032x}"

    def _advance_digest(self, name: str, delta: SliceDelta) -> None:
        """Keep a slice's digest by its changed rows alone."""
        kept, found = self._digests.get(name), self._source.slice(name)
        if kept is None or found is None or kept[0].revision != delta.start:
            self._digests.pop(name, None)
            return
        self._digests[name] = (found, change_digest(kept[1], kept[0].rows, delta.put, delta.drop))


def join_parts(frames: Iterable[bytes]) -> Iterator[bytes]:
    """The frames in pieces that are worth a write each."""
    held: list[bytes] = []
    size = 0
    for frame in frames:
        held.append(frame)
        size += len(frame)
        if size >= PART:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)

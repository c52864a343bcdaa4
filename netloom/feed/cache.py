"""The slices of a host on its disk, so that it is what it was when no server answers.

One file a slice, replaced whole: msgpack of (format, name, revision, rows), named by the slice's hash. Beside it what
changed since: one step a change, until the steps are as long as the whole. A file that cannot be read is as good as
none, and so is a step that does not go on from what is there: the server sends what is newer again.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from netloom.feed.messages import MessageError, encode_rows, parse_rows
from netloom.model.delta import SliceDelta, apply_delta
from netloom.model.slices import Slice, find_changed

LOG = logging.getLogger("netloom.feed")
FORMAT = 1
SHORT = 4096
"""Bytes of steps that any slice may have; a long one as many as it has itself."""
_LENGTH = struct.Struct("!I")


class Kept(msgspec.Struct, frozen=True):
    """A slice as a file holds it."""

    format: int
    name: str
    revision: int
    rows: dict[str, msgspec.Raw]


class Step(msgspec.Struct, frozen=True):
    """What leads a slice from revision `start` to `revision`."""

    start: int
    revision: int
    put: dict[str, msgspec.Raw] = {}
    drop: list[str] = []


@dataclass(slots=True)
class Saved:
    """A slice as its files have it, and how many bytes they are."""

    slice: Slice
    whole: int
    steps: int = 0


class Cache:
    """The folder. Blocks for as long as small files take."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._saved: dict[str, Saved] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.slice"

    def load(self) -> dict[str, Slice]:
        """All slices that can be read."""
        found = (self._load_one(path) for path in sorted(self._folder.glob("*.slice")))
        return {slice.name: slice for slice in found if slice is not None}

    def _load_one(self, path: Path) -> Slice | None:
        found, path = load_file(path), find_steps(path)
        if found is None:
            return None
        try:
            size, body = self.path(found.name).stat().st_size, path.read_bytes() if path.exists() else b""
            for step in split_steps(body):
                found = take_step(found, step)
            self._saved[found.name] = Saved(found, size, len(body))
        except (msgspec.MsgspecError, MessageError, OSError, UnicodeDecodeError) as error:
            LOG.warning("%s is left out from there on: %s", path, error)
        return found

    def save(self, found: Slice) -> None:
        """Raises OSError where it could not be written; it is written whole next time."""
        held = self._saved.pop(found.name, None)
        if held is None or not self._save_step(held, found):
            held = self._save_whole(found, held is None or held.steps > 0)
        self._saved[found.name] = held

    def _save_step(self, held: Saved, found: Slice) -> bool:
        """Whether a step was written; it is not where the steps would be longer than the whole."""
        changed = tuple(find_changed(held.slice, found))
        put = {key: found.rows[key] for key in changed if key in found.rows}
        drop = [key for key in changed if key not in found.rows]
        body = msgspec.msgpack.encode(Step(held.slice.revision, found.revision, encode_rows(put), drop))
        if held.steps + len(body) > max(held.whole, SHORT):
            return False
        with find_steps(self.path(found.name)).open("ab") as steps:
            steps.write(_LENGTH.pack(len(body)) + body)
        held.slice, held.steps = found, held.steps + _LENGTH.size + len(body)
        return True

    def _save_whole(self, found: Slice, stepped: bool) -> Saved:
        """`stepped`: there may be steps, which it takes the place of."""
        body = msgspec.msgpack.encode(Kept(FORMAT, found.name, found.revision, encode_rows(found.rows)))
        path = self.path(found.name)
        new = path.with_suffix(".new")
        new.write_bytes(body)
        new.replace(path)
        if stepped:
            find_steps(path).unlink(missing_ok=True)
        return Saved(found, len(body))

    def drop(self, name: str) -> None:
        self._saved.pop(name, None)
        path = self.path(name)
        path.unlink(missing_ok=True)
        find_steps(path).unlink(missing_ok=True)

    def mark_complete(self) -> None:
        """What is kept is all that the host followed at one moment."""
        (self._folder / "complete").touch()

    @property
    def complete(self) -> bool:
        return (self._folder / "complete").exists()


def find_steps(path: Path) -> Path:
    return path.with_suffix(".steps")


def take_step(found: Slice, step: Step) -> Slice:
    """The slice after it, if it goes on from there; else it is of an earlier file. Raises MessageError."""
    if step.start != found.revision:
        return found
    delta = SliceDelta(found.name, step.start, step.revision, parse_rows(step.put), tuple(step.drop))
    return apply_delta(found, delta) or found


def split_steps(body: bytes) -> Iterator[Step]:
    """Those that can be read. Raises MessageError and MsgspecError at the first that cannot."""
    at = 0
    while at < len(body):
        if len(body) < at + _LENGTH.size:
            raise MessageError("it ends inside a step")
        (length,) = _LENGTH.unpack_from(body, at)
        at += _LENGTH.size
        if len(body) < at + length:
            raise MessageError("it ends inside a step")
        yield msgspec.msgpack.decode(body[at : at + length], type=Step)
        at += length


def load_file(path: Path) -> Slice | None:
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=Kept)
        if kept.format != FORMAT:
            raise MessageError(f"format {kept.format}")
        return Slice(kept.name, kept.revision, parse_rows(kept.rows))
    except (msgspec.MsgspecError, MessageError, OSError, UnicodeDecodeError) as error:
        LOG.warning("%s is left out: %s", path, error)
        return None

"""The slices of a host on its disk, so that it is what it was when no server answers.

One file a slice, replaced whole: msgpack of (format, name, revision, rows), named by the slice's hash. A file that
cannot be read is as good as none: the server sends that slice again.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import msgspec

from netloom.feed.messages import MessageError, encode_rows, parse_rows
from netloom.model.slices import Slice, find_changed

LOG = logging.getLogger("netloom.feed")
FORMAT = 1
LONG = 128
"""Rows from which on a slice's encoded rows are kept, so that one that changed costs itself."""


class Kept(msgspec.Struct, frozen=True):
    """A slice as a file holds it."""

    format: int
    name: str
    revision: int
    rows: dict[str, msgspec.Raw]


class Cache:
    """The folder. Blocks for as long as small files take."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._encoded: dict[str, tuple[Slice, dict[str, msgspec.Raw]]] = {}  # of long slices, as last saved
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.slice"

    def load(self) -> dict[str, Slice]:
        """All slices that can be read."""
        found = (load_file(path) for path in sorted(self._folder.glob("*.slice")))
        return {slice.name: slice for slice in found if slice is not None}

    def save(self, found: Slice) -> None:
        body = msgspec.msgpack.encode(Kept(FORMAT, found.name, found.revision, self._encode(found)))
        path = self.path(found.name)
        new = path.with_suffix(".new")
        new.write_bytes(body)
        new.replace(path)

    def _encode(self, found: Slice) -> dict[str, msgspec.Raw]:
        """Its rows; of a long slice only those that changed are encoded again."""
        if len(found.rows) <= LONG:
            self._encoded.pop(found.name, None)
            return encode_rows(found.rows)
        held, rows = self._encoded.get(found.name, (None, {}))
        changed = find_changed(held, found)
        rows.update(encode_rows({key: found.rows[key] for key in changed if key in found.rows}))
        for key in changed:
            if key not in found.rows:
                rows.pop(key, None)
        self._encoded[found.name] = found, rows
        return rows

    def drop(self, name: str) -> None:
        self._encoded.pop(name, None)
        self.path(name).unlink(missing_ok=True)

    def mark_complete(self) -> None:
        """What is kept is all that the host followed at one moment."""
        (self._folder / "complete").touch()

    @property
    def complete(self) -> bool:
        return (self._folder / "complete").exists()


def load_file(path: Path) -> Slice | None:
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=Kept)
        if kept.format != FORMAT:
            raise MessageError(f"format {kept.format}")
        return Slice(kept.name, kept.revision, parse_rows(kept.rows))
    except (msgspec.MsgspecError, MessageError, OSError, UnicodeDecodeError) as error:
        LOG.warning("%s is left out: %s", path, error)
        return None

"""How far a service has been told: the last revision that it took, kept where the next server that tells finds it.

Law: a place only goes forward; and it never goes beyond what the service has taken.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from netloom.store.engine import Store
from netloom.store.meta import change_value, read_value


class Place(Protocol):
    """One number. Both calls block. Raises StoreError."""

    def load(self) -> int | None:
        """None: nothing was told yet."""
        ...

    def save(self, revision: int) -> None: ...


@dataclass(frozen=True, slots=True)
class StorePlace:
    """In the store, by the service's name: whichever server writes goes on from it.

    `old`: the file where servers kept it before; it is read once, and then no more.
    """

    store: Store
    name: str
    old: Path | None = None

    @property
    def key(self) -> str:
        return f"told/{self.name}"

    def load(self) -> int | None:
        found = read_value(self.store, self.key)
        if found is None and self.old is not None:
            return FilePlace(self.old).load()
        return parse_revision(found or "")

    def save(self, revision: int) -> None:
        change_value(self.store, self.key, lambda old: str(max(revision, parse_revision(old or "") or 0)))


def parse_revision(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


@dataclass(frozen=True, slots=True)
class FilePlace:
    """In a file of its own, replaced whole: for a server that shares its store with nobody."""

    path: Path

    def load(self) -> int | None:
        """None too where the file cannot be read."""
        try:
            found = json.loads(self.path.read_text())["revision"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) else None

    def save(self, revision: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps({"revision": max(revision, self.load() or 0)}))
        new.replace(self.path)

"""How far a service has been told: the last revision that it took, on disk."""

from __future__ import annotations

import json
from pathlib import Path


class Place:
    """One number in one file, replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> int | None:
        """None: nothing was told yet, or the file cannot be read."""
        try:
            found = json.loads(self._path.read_text())["revision"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if isinstance(found, int) else None

    def save(self, revision: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps({"revision": revision}))
        new.replace(self._path)

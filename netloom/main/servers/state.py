"""Small files that a server keeps beside its store: secrets are 0600 and are made once, replaced whole, never half."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path


def save_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace the file in one step; what was there stands until the new one is on disk."""
    new = path.with_name(path.name + ".new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "wb") as out:
        os.fchmod(out.fileno(), mode)
        if os.geteuid() == 0:  # a command that root types beside a server, which has a user of its own
            folder = path.parent.stat()
            os.fchown(out.fileno(), folder.st_uid, folder.st_gid)
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    new.replace(path)


def load_or_make(path: Path, make: Callable[[], bytes]) -> bytes:
    """What the file holds; what `make` gives, kept in it from now on, where there is none."""
    if not path.exists():
        save_file(path, make())
    return path.read_bytes()

"""Whose files a command leaves behind: those of the state folder's owner, whoever types it.

Law: what root does to a server's folder the server can read, for it runs as a user of its own and must see each token,
each revocation and each row. (`servers.state.save_file` gives a file away before it is there to be read.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def hand_over(folder: Path) -> Iterator[None]:
    """What root makes in the folder meanwhile is given to whom the folder belongs to."""
    try:
        yield
    finally:
        owner = find_owner(folder)
        if owner is not None:
            for path in find_strangers(folder):
                os.chown(path, *owner, follow_symlinks=False)


def find_owner(folder: Path) -> tuple[int, int] | None:
    """User and group of the folder where root is to act for them; None: there is nobody else to act for."""
    if os.geteuid() != 0 or not folder.exists():
        return None
    found = folder.stat()
    return (found.st_uid, found.st_gid) if found.st_uid else None


def find_strangers(folder: Path) -> list[Path]:
    """What is in the folder and does not belong to whom the folder belongs to."""
    user = folder.stat().st_uid
    return sorted(path for path in folder.rglob("*") if find_user(path, user) != user)


def find_user(path: Path, else_: int) -> int:
    """Whose it is; `else_` where it has just gone."""
    try:
        return path.lstat().st_uid
    except FileNotFoundError:
        return else_

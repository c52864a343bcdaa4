"""What servers on several machines have in common beside the store's objects: the authority of hosts, who joined and
who is revoked, the key of tokens, builtin users. It is in the database; the files in state_path follow.

Law: the store has the last word. A change is one to what the store says, swapped by comparing, so that a join token
is good once whichever server it is shown to; a server that comes with files of its own gives them where the store has
none, and else sets them aside.

Who can read the database can sign certificates and tokens: it is to be kept as the state folder of a server is.
"""

from __future__ import annotations

import asyncio
import logging
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import select

from netloom.main.servers.state import save_file
from netloom.store.engine import Store
from netloom.store.errors import StoreError
from netloom.store.meta import change_value, read_value
from netloom.store.schema import META

LOG = logging.getLogger("netloom.server")
PREFIX = "shared/"
FOLLOW_S = 1.0
"""How often files are brought to what other servers have written."""
Change = Callable[[bytes | None], bytes]
FOLLOWED = ("feed/hosts.json", "feed/tokens.json", "identity.json")
"""Files that change while servers run, by their place below state_path."""


@dataclass(frozen=True, slots=True)
class Share:
    """Values by name, such as "feed/hosts.json". All calls block. Raises StoreError."""

    store: Store

    def read(self, name: str) -> bytes | None:
        found = read_value(self.store, PREFIX + name)
        return None if found is None else b64decode(found)

    def change(self, name: str, change: Change) -> bytes:
        """The value after `change`, which is given the one before it and may be called again."""
        text = change_value(
            self.store, PREFIX + name,
            lambda old: b64encode(change(None if old is None else b64decode(old))).decode(),
        )  # fmt: skip
        return b64decode(text)

    def agree(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The value; what `make` gives, for all servers from now on, where there is none."""
        found = self.read(name)
        return self.change(name, lambda old: make() if old is None else old) if found is None else found

    def read_all(self) -> dict[str, bytes]:
        with self.store.read() as connection:
            rows = connection.execute(select(META.c.key, META.c.value).where(META.c.key.startswith(PREFIX)))
            return {key.removeprefix(PREFIX): b64decode(value) for key, value in rows}


def make_share(store: Store) -> Share | None:
    """None where the store is a file: its servers are of one machine, and have the folder in common."""
    return Share(store) if store.database.shared else None


def agree_on_file(share: Share | None, path: Path, name: str, make: Callable[[], bytes]) -> bytes:
    """What the file holds, which is what all servers have; made where there is none yet. It is for its owner alone."""
    own = path.read_bytes() if path.exists() else None
    if share is None and own is not None:
        return own
    found = make() if share is None else share.agree(name, lambda: make() if own is None else own)
    if own not in (None, found):
        set_aside(path)
    put_file(path, found)
    return found


def set_aside(path: Path) -> None:
    LOG.warning("%s is another than that of the store's other servers; it is %s.old now", path, path.name)
    path.replace(path.with_name(f"{path.name}.old"))


def put_file(path: Path, data: bytes) -> bool:
    """Bring the file to what the store says. Whether it was another."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    save_file(path, data)
    return True


def fetch(share: Share, folder: Path) -> list[str]:
    """Bring the files that change to what the store says; gives those that were others."""
    found = share.read_all()
    return [name for name in FOLLOWED if name in found and put_file(folder / name, found[name])]


async def follow_shared(share: Share, folder: Path, also: Callable[[], None] = lambda: None) -> None:
    """Until cancelled. `also`: brings more to what the store says. While that cannot be reached, files stay as they
    are."""
    while True:
        await asyncio.sleep(FOLLOW_S)
        try:
            await asyncio.to_thread(fetch, share, folder)
            await asyncio.to_thread(also)
        except (StoreError, OSError) as error:
            LOG.debug("what other servers have changed is not known: %s", error)

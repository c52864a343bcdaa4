"""What the server's end of the feed needs of the world, as protocols: slices, and whom it tells what hosts say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from netloom.feed import messages as m
from netloom.feed.connection import Connection
from netloom.feed.grants import Grant
from netloom.model.slices import Slice

FAILED = "the server failed; its log has the reason"
"""What is said to whom something unexpected happened with."""


class SliceSource(Protocol):
    """Slices, kept current while they are followed."""

    def follow(self, name: str) -> Slice | None: ...

    def unfollow(self, name: str) -> None: ...

    def slice(self, name: str) -> Slice | None: ...

    def leads(self, name: str) -> Iterable[str]:
        """The slices that a followed one leads to."""
        ...


class Fleet(Protocol):
    """Whom the hub tells what hosts say. What is awaited here delays that host alone."""

    async def admit(self, host: str, issued_s: float) -> None:
        """Raises JoinError for a host whose certificate of that second is void."""
        ...

    async def reach(self, revision: int) -> None:
        """Return when what there is to tell is of that revision, or of the newest there is. Raises JoinError where
        that cannot be found out: a host that was told more elsewhere is not told less here."""
        ...

    async def report(self, host: str, configurations: Mapping[str, Any], zone: str | None) -> None:
        """Raises MessageError for what this host cannot be."""
        ...

    async def acknowledge(self, host: str, revision: int, wired: list[str], pending: Mapping[str, str]) -> None: ...

    async def take_copies(self, host: str, copies: Mapping[str, str]) -> None:
        """What the copies of routers on the host are now."""
        ...

    async def present(self, host: str, here: bool) -> None: ...

    async def join(self, host: str, token: str, csr: str) -> m.Joined:
        """Raises JoinError."""
        ...

    async def renew(self, host: str, csr: str) -> m.Joined:
        """Raises JoinError."""
        ...


class Seats(Protocol):
    """Who is here, by which connection: the hub, as its relays see it."""

    def has(self, host: str) -> bool: ...

    def seat(self, host: str, connection: Connection) -> None:
        """The host is there from now on; where it was before it is no more."""
        ...

    def leave(self, host: str, connection: Connection) -> bool:
        """Whether the host was there, and is now gone."""
        ...

    async def acknowledge(self, connection: Connection, host: str, ack: m.Ack) -> None: ...


class Gate(Protocol):
    """Of a relay: who asks upstream before a host is let in."""

    async def attach(self, attach: m.Attach) -> None:
        """Return when all that the host follows is here. Raises JoinError where it may not follow."""
        ...

    def renew_word(self, host: str, grant: Grant) -> None:
        """Of a host that is in: the next word of it, or of a relay that speaks for it."""
        ...

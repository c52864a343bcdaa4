"""Who writes, where several servers share a database: a row that the writer touches, and others take when it stops.

Law: the lease saves time and no more. What makes two writers impossible is the key of the log; a server that wrongly
believes that it writes loses its next commit and learns from that. No two clocks are compared: an observer takes over
when it has seen no beat for LEASE_S by its own clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import msgspec
from sqlalchemy import Engine, insert, select, update
from sqlalchemy.exc import IntegrityError

from netloom.store.errors import StoreLocked
from netloom.store.schema import META

LEASE_S = 2.0
"""How long a writer may be silent before another takes over."""
BEAT_S = 0.5
"""How often it touches the row."""
KEY = "lease"
PEER_KEY = "peer_key"


@dataclass(frozen=True, slots=True)
class Lease:
    """`holder`: an id made anew by each server process; empty: nobody. `who` is for people, `address` for servers."""

    holder: str = ""
    who: str = ""
    address: str = ""
    term: int = 0
    beat: int = 0


def read_lease(engine: Engine) -> Lease:
    with engine.begin() as connection:
        text = connection.execute(select(META.c.value).where(META.c.key == KEY)).scalar_one_or_none()
    return msgspec.json.decode(text, type=Lease) if text else Lease()


def swap_lease(engine: Engine, old: Lease, new: Lease) -> bool:
    """Put `new` in the place of exactly `old`; False: somebody was faster."""
    text = msgspec.json.encode(new).decode()
    swap = update(META).where(META.c.key == KEY, META.c.value == msgspec.json.encode(old).decode()).values(value=text)
    with engine.execution_options(write=True).begin() as connection:
        if connection.execute(swap).rowcount:
            return True
    return old == Lease() and add_lease(engine, text)


def add_lease(engine: Engine, text: str) -> bool:
    """The first lease that a store has."""
    try:
        with engine.execution_options(write=True).begin() as connection:
            connection.execute(insert(META).values(key=KEY, value=text))
    except IntegrityError:
        return False
    return True


def load_key(engine: Engine, make: Callable[[], str]) -> str:
    """The secret that servers of this store, and nobody else, know; `make` gives it the first time."""
    for _ in range(2):
        with engine.begin() as connection:
            found = connection.execute(select(META.c.value).where(META.c.key == PEER_KEY)).scalar_one_or_none()
        if found:
            return str(found)
        try:
            with engine.execution_options(write=True).begin() as connection:
                connection.execute(insert(META).values(key=PEER_KEY, value=make()))
        except IntegrityError:  # another server was faster
            continue
    return load_key(engine, make)


@dataclass(slots=True)
class Watcher:
    """Tells a lease whose holder is silent from one that is alive, by this process's clock alone."""

    now: Callable[[], float] = time.monotonic
    seen: Lease = Lease()
    since: float = field(default=-1.0)

    def is_free(self, found: Lease, lease_s: float = LEASE_S) -> bool:
        if found != self.seen or self.since < 0:
            self.seen, self.since = found, self.now()
        return not found.holder or self.now() - self.since > lease_s


@dataclass(slots=True)
class HeldLease:
    """The lease, held by this process."""

    engine: Engine
    lease: Lease

    def renew(self) -> bool:
        """False: somebody else has it now."""
        new = replace(self.lease, beat=self.lease.beat + 1)
        if not swap_lease(self.engine, self.lease, new):
            return False
        self.lease = new
        return True

    def release(self) -> None:
        """The next may take it at once. One that somebody else took meanwhile stays theirs."""
        swap_lease(self.engine, self.lease, Lease(term=self.lease.term))


def take_lease(engine: Engine, found: Lease, holder: str, who: str, address: str) -> HeldLease | None:
    """In the place of `found`, which was free; None: somebody was faster."""
    mine = Lease(holder, who, address, found.term + 1)
    return HeldLease(engine, mine) if swap_lease(engine, found, mine) else None


def take_alone(
    engine: Engine,
    place: str,
    holder: str,
    who: str,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.monotonic,
) -> HeldLease:
    """For a command. Waits whether the holder is alive, where there is one. Raises StoreLocked naming it."""
    watcher = Watcher(now)
    found = read_lease(engine)
    if not watcher.is_free(found):
        sleep(LEASE_S * 1.1)
        found = read_lease(engine)
    held = take_lease(engine, found, holder, who, "") if watcher.is_free(found) else None
    if held is None:
        raise StoreLocked(
            f"{place} is in use: {found.who or 'another server'} writes to it. Nothing was changed. Stop every server "
            "that uses it first."
        )
    return held

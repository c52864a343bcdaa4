"""How often one may ask: a bucket of tokens for each project and for each token, which fills up again with time.

Law: whoever asks too much is told when to come back (429 with Retry-After), and nobody else notices. Administrators and
services are not counted: they work for all. Processes of one machine count together, whichever takes a connection.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Protocol

from netloom.intent.errors import ApiError
from netloom.intent.operation import Requester

MOST = 50_000
"""Buckets that are kept; those that nobody has asked of for the longest time go first."""
WAYS = 8
"""Places in a shared table where a key may be: of so many keys that meet, none is forgotten."""
SLOT = struct.Struct("=Qdd")


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second, by whose; 0: any number. `burst_s`: seconds' worth that may come at once. `shared`: where
    several processes count; None: there is one."""

    project: float = 0.0
    token: float = 0.0
    burst_s: float = 5.0
    shared: SharedLevels | None = None


class Levels(Protocol):
    """How full buckets are: (level, the second at which it was that)."""

    def find(self, key: Hashable) -> tuple[float, float] | None: ...

    def keep(self, key: Hashable, level: float, since: float) -> None: ...


class OwnLevels:
    """Of this process alone."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def find(self, key: Hashable) -> tuple[float, float] | None:
        return self._levels.get(key)

    def keep(self, key: Hashable, level: float, since: float) -> None:
        self._levels[key] = (level, since)
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)


class SharedLevels:
    """Of a process and all that it forks from then on; their hashes are the same, and so is the monotonic clock.

    A table in memory. There is no lock, which a process that is stopped could hold: two that count at the same
    microsecond may count one request less.
    """

    def __init__(self, most: int = MOST) -> None:
        self._slots = max(most, WAYS)
        self._memory = mmap.mmap(-1, SLOT.size * self._slots)

    def find(self, key: Hashable) -> tuple[float, float] | None:
        name, at = self._seek(key)
        found, level, since = SLOT.unpack_from(self._memory, at)
        return (level, since) if found == name else None

    def keep(self, key: Hashable, level: float, since: float) -> None:
        name, at = self._seek(key)
        SLOT.pack_into(self._memory, at, name, level, since)

    def _seek(self, key: Hashable) -> tuple[int, int]:
        """The key's number, and the place that it has or may have: that of whoever has not asked for longest."""
        name = hash(key) % (1 << 64) or 1
        first = name % (self._slots - WAYS + 1) * SLOT.size
        places = range(first, first + WAYS * SLOT.size, SLOT.size)
        slots = {place: SLOT.unpack_from(self._memory, place) for place in places}
        own = next((place for place, slot in slots.items() if slot[0] == name), None)
        return name, own if own is not None else min(slots, key=lambda place: slots[place][2])


class Buckets:
    """Of one rate. `now`: seconds of a clock that only goes forward."""

    def __init__(self, rate: float, burst_s: float, now: Callable[[], float], levels: Levels | None = None) -> None:
        self._rate = rate
        self._full = max(1.0, rate * burst_s)
        self._now = now
        self._levels = levels or OwnLevels()

    def take(self, key: Hashable) -> float:
        """Take one from the key's bucket; where it is empty, the seconds until it is not. 0: taken."""
        now = self._now()
        level, since = self._levels.find(key) or (self._full, now)
        level = min(self._full, level + (now - since) * self._rate)
        wait_s = 0.0 if level >= 1 else (1 - level) / self._rate
        self._levels.keep(key, level if wait_s else level - 1, now)
        return wait_s


class Limits:
    """Both rates; one of 0 costs nothing."""

    def __init__(self, rates: Rates, now: Callable[[], float]) -> None:
        self._project = Buckets(rates.project, rates.burst_s, now, rates.shared) if rates.project else None
        self._token = Buckets(rates.token, rates.burst_s, now, rates.shared) if rates.token else None
        self.on = self._project is not None or self._token is not None

    def check(self, requester: Requester, headers: Mapping[bytes, bytes]) -> None:
        """Raises ApiError 429."""
        if requester.is_admin or "service" in requester.roles:
            return
        waits = []
        if self._project is not None:
            waits.append(self._project.take(("project", requester.project_id)))
        if self._token is not None:
            # A number made of the token: nothing that could be shown to a server is kept.
            waits.append(self._token.take(("token", hash(headers.get(b"x-auth-token", b"") or requester.user_id))))
        wait_s = math.ceil(max(waits, default=0.0))
        if wait_s:
            raise ApiError(429, "OverLimit", f"Too many requests; the next one in {wait_s} s.", retry_after_s=wait_s)

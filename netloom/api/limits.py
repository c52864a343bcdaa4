"""How often one may ask: a bucket of tokens for each project and for each token, which fills up again with time.

Law: whoever asks too much is told when to come back (429 with Retry-After), and nobody else notices. Administrators and
services are not counted: they work for all.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from netloom.intent.errors import ApiError
from netloom.intent.operation import Requester

MOST = 50_000
"""Buckets that are kept; those that nobody has asked of for the longest time go first."""


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a second, by whose; 0: any number. `burst_s`: seconds' worth that may come at once."""

    project: float = 0.0
    token: float = 0.0
    burst_s: float = 5.0


class Buckets:
    """Of one rate. `now`: seconds of a clock that only goes forward."""

    def __init__(self, rate: float, burst_s: float, now: Callable[[], float], most: int = MOST) -> None:
        self._rate = rate
        self._full = max(1.0, rate * burst_s)
        self._now = now
        self._most = most
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def take(self, key: Hashable) -> float:
        """Take one from the key's bucket; where it is empty, the seconds until it is not. 0: taken."""
        now = self._now()
        level, since = self._levels.get(key, (self._full, now))
        level = min(self._full, level + (now - since) * self._rate)
        wait_s = 0.0 if level >= 1 else (1 - level) / self._rate
        self._levels[key] = (level if wait_s else level - 1, now)
        self._levels.move_to_end(key)
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        return wait_s


class Limits:
    """Both rates; one of 0 costs nothing."""

    def __init__(self, rates: Rates, now: Callable[[], float]) -> None:
        self._project = Buckets(rates.project, rates.burst_s, now) if rates.project else None
        self._token = Buckets(rates.token, rates.burst_s, now) if rates.token else None
        self.on = self._project is not None or self._token is not None

    def check(self, requester: Requester, headers: Mapping[bytes, bytes]) -> None:
        """Raises ApiError 429."""
        if requester.is_admin or "service" in requester.roles:
            return
        waits = []
        if self._project is not None:
            waits.append(self._project.take(requester.project_id))
        if self._token is not None:
            # A number made of the token: nothing that could be shown to a server is kept.
            waits.append(self._token.take(hash(headers.get(b"x-auth-token", b"") or requester.user_id)))
        wait_s = math.ceil(max(waits, default=0.0))
        if wait_s:
            raise ApiError(429, "OverLimit", f"Too many requests; the next one in {wait_s} s.", retry_after_s=wait_s)

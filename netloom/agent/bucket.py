"""A token bucket as a value that is told the time: what one port may cost the agent."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """`left` tokens at time `at` (seconds)."""

    left: float
    at: float

    def take(self, now: float, rate: float, burst: float) -> Bucket | None:
        """The bucket after one token was taken at `now`; None when there is none. It fills at `rate` up to `burst`.

        >>> Bucket(1.0, 0.0).take(0.0, rate=1.0, burst=1.0)
        Bucket(left=0.0, at=0.0)
        >>> Bucket(0.0, 0.0).take(0.5, rate=1.0, burst=1.0) is None
        True
        """
        left = min(burst, self.left + max(0.0, now - self.at) * rate)
        return Bucket(left - 1.0, now) if left >= 1.0 else None

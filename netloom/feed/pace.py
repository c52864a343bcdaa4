"""How often one connection may say what costs others something. Told the time; holds two numbers, never a queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Pace:
    """A budget that fills at `rate` a second up to `burst`; who spends more than there is waits for it."""

    rate: float
    burst: float
    left: float | None = None
    at: float = 0.0

    def spend(self, now_s: float, cost: float = 1.0) -> float:
        """Seconds to wait before what costs this much is done; it is paid for.

        >>> pace = Pace(rate=2.0, burst=1.0)
        >>> pace.spend(10.0), pace.spend(10.0), pace.spend(20.0)
        (0.0, 0.5, 0.0)
        """
        held = self.burst if self.left is None else self.left + max(0.0, now_s - self.at) * self.rate
        self.left, self.at = min(self.burst, held) - cost, now_s
        return max(0.0, -self.left / self.rate)

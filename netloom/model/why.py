"""The reason that every flow, rule and file carries (law 10)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Why:
    """Which intent caused a thing, at which revision, and which function made it.

    `ids` are "kind/id", the most specific first: ("port/9d1f…", "network/77ab…").
    """

    revision: int
    ids: tuple[str, ...]
    by: str

    def __str__(self) -> str:
        return f"{', '.join(self.ids) or 'host'} at revision {self.revision} by {self.by}"


HOST = Why(0, (), "host")
"""The reason of what a host holds for its own sake, such as the miss flow of a table."""

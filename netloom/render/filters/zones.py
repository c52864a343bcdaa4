"""Numbers of conntrack zones, which have 16 bits: one for each name, that depends on the names alone."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

MOST = 0xFFFF
FIRST = 1  # zone 0 is the host's own


def number_zones(names: Iterable[str]) -> dict[str, int]:
    """Where two names would have one number, the later by name moves.

    >>> sorted(number_zones(["a", "b"])) , len(set(number_zones(map(str, range(2000))).values()))
    (['a', 'b'], 2000)
    """
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in sorted(set(names)):
        number = int.from_bytes(blake2b(name.encode(), digest_size=2).digest(), "big") or FIRST
        while number in taken:
            number = number + 1 if number < MOST else FIRST
        taken.add(number)
        found[name] = number
    return found

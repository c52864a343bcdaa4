"""Numbers for subports, which have no device of their own: what stands for an ofport in registers and zones.

Law 1: a number comes of the subport's id and of what else is there, whatever was there before. It is in the half of
the ofports that a switch gives last, and moves only where two ids meet on one number or a device has it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b

FIRST, LAST = 0x8000, 0xFEFF
"""Of 16 bits, as connection zones are; above are the numbers that OpenFlow keeps for itself."""


def number_subports(ids: Iterable[str], taken: Collection[int]) -> dict[str, int]:
    """By id, a number of its own for each that nothing in `taken` has; as many as there is room for."""
    held, out = set(taken), {}
    for id in sorted(ids):
        number = find_free(hash_id(id), held)
        if number:
            held.add(number)
            out[id] = number
    return out


def hash_id(id: str) -> int:
    digest = blake2b(id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") % (LAST - FIRST + 1)


def find_free(start: int, held: Collection[int]) -> int:
    """The first free number from `start` on, round the end; 0 where there is none."""
    room = LAST - FIRST + 1
    return next((n for step in range(room) if (n := FIRST + (start + step) % room) not in held), 0)

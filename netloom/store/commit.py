"""What a server that tried to write may conclude from the log. Pure: rows in, a verdict out.

Law 7 rests on this and on the key of the log, and on nothing else: not on who believes to be the writer. The model in
`tests/property/test_law_7_two_writers.py` goes through every order of events with these functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Numbered(Protocol):
    @property
    def revision(self) -> int: ...


def has_happened(ours: Sequence[object], found: Sequence[object]) -> bool:
    """Whether the commit of `ours`, of which nobody said that it succeeded, did: it then begins what is `found` beyond
    the snapshot that it was made on. A transaction is there whole or not at all, and others may follow it."""
    return bool(ours) and list(found[: len(ours)]) == list(ours)


def continues(revision: int, last: int, found: Sequence[Numbered]) -> bool:
    """Whether `found`, which is all the log has up to `last`, follows on `revision` without a gap."""
    return last >= revision and [row.revision for row in found] == list(range(revision + 1, last + 1))


def is_shortened(revision: int, found: Sequence[Numbered]) -> bool:
    """Whether the log goes on, but its rows next to `revision` were dropped meanwhile: all is to be loaded anew."""
    return bool(found) and found[0].revision > revision + 1

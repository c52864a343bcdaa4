"""How many examples a property test tries: half of them in every run, which are the same each time; all of them, new
ones, where somebody searches (HYPOTHESIS_PROFILE=search)."""

from __future__ import annotations

import os

SEARCHING = os.environ.get("HYPOTHESIS_PROFILE") == "search"


def count_examples(count: int) -> int:
    return count if SEARCHING else max(5, count // 2)

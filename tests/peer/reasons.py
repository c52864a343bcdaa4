"""Why a judge's test may fail: files of regular expressions of tests' ids, two spaces, and the reason.

A reason says what the test wants that is no request of a client, or what differs and is meant to. A failure without one
is a failure.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

Reasons = Sequence[tuple[re.Pattern[str], str]]


def load_reasons(path: Path) -> Reasons:
    """(what the ids match, why) for each line that is no comment."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return [(re.compile(line[: line.index("  ")]), line[line.index("  ") :].strip()) for line in lines]


def find_reason(id: str, reasons: Reasons) -> str:
    return next((reason for pattern, reason in reasons if pattern.search(id)), "")


def render_report(
    results: Sequence[Mapping[str, str]], elapsed_s: float, known: Reasons, tail: int = 6
) -> tuple[list[str], int]:
    """The lines, and how many failed with no reason given. Each result has an `id`, a `word` (success, failure, skip or
    another) and a `text`, whose last `tail` lines are shown of a failure and whose first of a skip."""
    counts, reasons, skips, lines, bad = Counter[str](), Counter[str](), Counter[str](), list[str](), 0
    for one in results:
        reason = find_reason(one["id"], known) if one["word"] == "failure" else ""
        counts["left out" if reason else one["word"]] += 1
        if reason:
            reasons[reason] += 1
        elif one["word"] == "failure":
            bad += 1
            lines += [f"*** {one['id']}", *("    " + line for line in one["text"].splitlines()[-tail:])]
        elif one["word"] == "skip":
            skips[(one["text"].splitlines() or ["no reason given"])[0]] += 1
    lines += [f"skipped {count}: {reason}" for reason, count in skips.most_common()]
    lines += [f"left out {count}: {reason}" for reason, count in reasons.most_common()]
    words = ", ".join(f"{count} {word}" for word, count in counts.most_common())
    return [*lines, f"{len(results)} tests in {elapsed_s:.0f} s: {words}"], bad


def judge(
    results: Sequence[Mapping[str, str]], elapsed_s: float, left_out: Path, fewest: int
) -> tuple[list[str], bool]:
    """The report's lines, and whether nothing failed and enough passed. `fewest`: how many at least; 0 where some were
    chosen."""
    lines, bad = render_report(results, elapsed_s, load_reasons(left_out))
    passed = sum(one["word"] == "success" for one in results)
    if passed < fewest:
        lines.append(f"*** only {passed} tests passed; there are {fewest} at least")
    return lines, not bad and passed >= fewest

"""What processes have used so far, with all that they started: read before and after, a figure says who worked."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Figures = dict[str, Any]
TICKS = os.sysconf("SC_CLK_TCK")


def read_stat(pid: int) -> list[str]:
    """The fields of /proc/pid/stat after the name; none where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def find_tree(roots: Sequence[int]) -> set[int]:
    """The roots and all below them."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    parents = {pid: int(fields[1]) for pid in pids if (fields := read_stat(pid))}
    found = set(roots)
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def read_cpu(roots: Sequence[int]) -> float:
    """Seconds of CPU of the trees so far, as far as their processes live."""
    stats = (read_stat(pid) for pid in find_tree(roots))
    return sum(int(fields[11]) + int(fields[12]) for fields in stats if fields) / TICKS


class Usage:
    """CPU of several parties by name, from when it was made; the one that asks is "client"."""

    def __init__(self, parties: Mapping[str, Sequence[int]]) -> None:
        self._parties = dict(parties)
        self._began, self._before = time.perf_counter(), self._read()

    def _read(self) -> dict[str, float]:
        found = {name: read_cpu(pids) for name, pids in self._parties.items()}
        return {**found, "client": time.process_time()}

    def read(self, count: int) -> Figures:
        """Milliseconds for each of `count`, and what part of all cores those were."""
        seconds, now = time.perf_counter() - self._began, self._read()
        used = {name: now[name] - self._before[name] for name in now}
        busy = sum(used.values()) / (seconds * (os.cpu_count() or 1))
        return {
            "cpu_ms": {name: round(value * 1000 / count, 2) for name, value in used.items()},
            "busy": round(busy, 2),
        }

"""Processes that outlive us, told by a pid file and by their command line, which names the folder of their files."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

STOP_S = 2.0


def wait_for(holds: Callable[[], object], most_s: float) -> bool:
    end = time.monotonic() + most_s
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def read_pid(path: Path) -> int:
    try:
        return int(path.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def is_alive(pid: int, place: str) -> bool:
    """Whether it runs and is ours: a number may be another's by now, and the dead may not be buried yet."""
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes()
    except OSError:
        return False
    return bool(pid) and place.encode() in command


def end_process(pid: int, place: str) -> None:
    os.kill(pid, signal.SIGTERM)
    if not wait_for(lambda: not is_alive(pid, place), STOP_S):
        os.kill(pid, signal.SIGKILL)

"""Several processes of a server: who dies is replaced, who cannot start ends them all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
from netloom.main.servers.workers import run_workers, SHORT_S

def run(number):
    {body}

sys.exit(run_workers(2, run))
"""


def start(folder: Path, body: str) -> subprocess.Popen[str]:
    program = PROGRAM.format(body=body.replace("FOLDER", repr(str(folder))))
    return subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True)


WAIT = "(Path(FOLDER) / f'{number}-{os.getpid()}').touch(); signal.pause()"


def wait_for(folder: Path, count: int) -> list[str]:
    deadline = time.monotonic() + 30
    while len(list(folder.iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return sorted(path.name for path in folder.iterdir())


def test_a_process_that_is_killed_is_replaced_and_all_stop_together(tmp_path: Path) -> None:
    """A worker that dies of a signal comes back as the same worker; SIGTERM ends both and the whole, with status 0."""
    with start(tmp_path, WAIT) as parent:
        first = wait_for(tmp_path, 2)
        assert [name[0] for name in first] == ["0", "1"]
        os.kill(int(first[1][2:]), signal.SIGKILL)
        assert [name[0] for name in wait_for(tmp_path, 3)] == ["0", "1", "1"]
        parent.send_signal(signal.SIGTERM)
        assert parent.wait(20) == 0
        for name in wait_for(tmp_path, 3):
            assert not Path(f"/proc/{name[2:]}").exists()


def test_one_that_cannot_start_ends_them_all_with_its_reason(tmp_path: Path) -> None:
    """A worker that fails at once would fail again: the server ends with status 1 and the error on stderr."""
    body = "raise ValueError('the store is locked') if number else signal.pause()"
    with start(tmp_path, body) as parent:
        _, said = parent.communicate(timeout=30)
        assert parent.returncode == 1 and "the store is locked" in said

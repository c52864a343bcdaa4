"""conntrackd in a namespace: it tells other copies of a router which connections there are, and learns theirs.

Law: it is told what its copy is by keepalived, through a program of a few lines that lies beside its configuration; so
it works while the agent is away. One that was killed is started anew, and asks the others for what they know.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from netloom.drivers.netns.processes import end_process, is_alive, read_pid, wait_for
from netloom.model.netns import FOLDER

PROGRAM = "conntrackd"
START_S = 2.0
CONFIG, PID, LOCK, SOCKET = "sync.conf", "sync.pid", "sync.lock", "sync.ctl"
TURN = """#!/bin/sh
# Told by keepalived: what the copy here is now.
ask() {{ {program} -C {config} "$1"; }}
case $1 in
primary) ask -c; ask -f; ask -R; ask -B ;;
backup) ask -t; ask -n ;;
fault) ask -t ;;
esac
"""
"""A copy that becomes the active one commits what it was told to the kernel, then tells the others all that it has; one
that is the active one no more lets its own connections end, and asks for those of the others."""


def read(place: Path) -> str:
    """What it is told; empty where it does not run."""
    config = place / CONFIG
    runs = is_alive(read_pid(place / PID), str(place)) and (place / SOCKET).exists()
    return config.read_text().replace(str(place), FOLDER) if runs and config.exists() else ""


def prepare(place: Path, told: str) -> None:
    """The program that keepalived is told of: there, whole, before keepalived looks whether it is."""
    if told:
        new = place / "turn.new"
        new.write_text(TURN.format(program=PROGRAM, config=place / CONFIG))
        new.chmod(0o700)
        new.replace(place / "turn")


def put(place: Path, told: str) -> None:
    """In the thread's namespace; empty: it goes. Raises OSError."""
    if told == read(place):
        return
    stop(place)
    if not told:
        return
    if not shutil.which(PROGRAM):
        raise OSError(f"there is no {PROGRAM} on this host, which ha_conntrackd_enabled asks for")
    config = place / CONFIG
    config.write_text(told.replace(FOLDER, str(place)))
    start(place)
    if not wait_for(lambda: read(place), START_S):
        raise OSError(f"{PROGRAM} did not start: see {place / 'sync.log'}")
    subprocess.run([PROGRAM, "-C", str(config), "-n"], capture_output=True, timeout=START_S, check=False)


def start(place: Path) -> None:
    with (place / "sync.log").open("ab") as log:
        process = subprocess.Popen(
            [PROGRAM, "-C", str(place / CONFIG)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, cwd="/", close_fds=True,
        )  # fmt: skip
    (place / PID).write_text(str(process.pid))


def stop(place: Path) -> None:
    pid = read_pid(place / PID)
    if is_alive(pid, str(place)):
        end_process(pid, str(place))
    for name in (PID, LOCK, SOCKET, CONFIG):
        (place / name).unlink(missing_ok=True)

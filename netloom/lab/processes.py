"""The lab's processes: started with a mark in their environment, and found and stopped by that mark alone.

Law: nothing is signalled but by a handle (pidfd) opened before the mark was read, so a reused pid is never hit.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from time import monotonic

from netloom.lab.shell import LabError, run

MARK = "NETLOOM_LAB_OWNER"
PROC = Path("/proc")


def start(
    command: Iterable[str], owner: Path, log: Path, netns: str = "", env: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program that outlives this one, with the lab's mark, in a namespace, its output in `log`."""
    argv = ["ip", "netns", "exec", netns, *command] if netns else list(command)
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as out:
            return subprocess.Popen(
                argv, env=marked(owner, env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
            )
    except OSError as error:
        raise LabError(f"cannot start {argv[0]}: {error}") from None


def marked(owner: Path, env: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment with the lab's mark."""
    return {**os.environ, **(env or {}), MARK: str(owner)}


def find_owned(owner: Path) -> dict[int, str]:
    """Pid → command line of every living process that carries the lab's mark, but this one and its parents."""
    wanted = f"{MARK}={owner}".encode()
    skip = set(ancestors(os.getpid()))
    return {
        pid: read_command(pid)
        for pid in find_pids()
        if pid not in skip and wanted in read_environment(pid).split(b"\0")
    }


def find_in_netns(netns: str) -> set[int]:
    return {int(pid) for pid in run("ip", "netns", "pids", netns).split()}


def find_pids() -> Iterator[int]:
    return (int(entry.name) for entry in PROC.iterdir() if entry.name.isdecimal())


def read_environment(pid: int) -> bytes:
    """A zombie has none, so what is dead and not yet reaped is not found."""
    with suppress(OSError):
        return (PROC / str(pid) / "environ").read_bytes()
    return b""


def read_command(pid: int) -> str:
    with suppress(OSError):
        return (PROC / str(pid) / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    return ""


def ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])


def stop(pids: Iterable[int], owner: Path, *, netns: str = "", grace_s: float = 5.0) -> int:
    """Ask, then force, these processes to end; gives how many there were. One that has lost the mark (and is not in
    `netns`) meanwhile is somebody else's and is left alone."""
    opened = {pid: fd for pid in pids if (fd := open_handle(pid)) is not None}
    try:
        ours = set(find_owned(owner)) | (find_in_netns(netns) if netns else set())
        handles = [fd for pid, fd in opened.items() if pid in ours]
        signal_all(handles, signal.SIGTERM)
        left = wait_ended(handles, grace_s)
        signal_all(left, signal.SIGKILL)
        wait_ended(left, grace_s)
    finally:
        for fd in opened.values():
            os.close(fd)
    return len(handles)


def open_handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def signal_all(handles: Iterable[int], number: int) -> None:
    for fd in handles:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(fd, number)


def wait_ended(handles: Iterable[int], grace_s: float) -> list[int]:
    """Those that still run after `grace_s`."""
    left = set(handles)
    poll = select.poll()
    for fd in left:
        poll.register(fd, select.POLLIN)
    end = monotonic() + grace_s
    while left and (rest := end - monotonic()) > 0:
        for fd, _ in poll.poll(rest * 1000):
            poll.unregister(fd)
            left.discard(fd)
    return sorted(left)

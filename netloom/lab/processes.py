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
from time import CLOCK_BOOTTIME, clock_gettime, monotonic, sleep

from netloom.lab.shell import LabError, run

MARK = "NETLOOM_LAB_OWNER"
PROC = Path("/proc")
SETTLE_S, YOUNG_S = 2.0, 10.0
"""How long to wait for a process that is in the middle of exec, and how old it may be to be waited for."""
KERNEL_THREAD = 0x00200000  # PF_KTHREAD


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
    return read_settled(pid, "environ")


def read_command(pid: int) -> str:
    return read_settled(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace").strip()


def read_settled(pid: int, name: str) -> bytes:
    """A file of a process that the kernel fills as a program begins: in the middle of exec it is empty for a moment,
    seconds on a machine that is short of memory; that is waited for."""
    end = monotonic() + SETTLE_S
    while not (found := read_file(pid, name)) and monotonic() < end and is_beginning(pid):
        sleep(0.002)
    return found


def read_file(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return (PROC / str(pid) / name).read_bytes()
    return b""


def is_beginning(pid: int) -> bool:
    """Whether a process that shows nothing may show something soon: it is young, no zombie and none of the kernel's."""
    fields = read_file(pid, "stat").rpartition(b")")[2].split()  # proc(5): fields from the third on
    if len(fields) < 20 or fields[0] in (b"Z", b"X") or int(fields[6]) & KERNEL_THREAD:
        return False
    born_s = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return clock_gettime(CLOCK_BOOTTIME) - born_s < YOUNG_S


def ancestors(pid: int) -> Iterator[int]:
    while pid > 0:
        yield pid
        fields = read_file(pid, "stat").rpartition(b")")[2].split()
        if not fields:
            return
        pid = int(fields[1])


def stop(
    pids: Iterable[int], owner: Path, *, netns: str = "", grace_s: float = 5.0, how: signal.Signals = signal.SIGTERM
) -> int:
    """Ask, then force, these processes to end; gives how many there were. One that has lost the mark (and is not in
    `netns`) meanwhile is somebody else's and is left alone."""
    opened = {pid: fd for pid in pids if (fd := open_handle(pid)) is not None}
    try:
        ours = set(find_owned(owner)) | (find_in_netns(netns) if netns else set())
        handles = [fd for pid, fd in opened.items() if pid in ours]
        signal_all(handles, how)
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

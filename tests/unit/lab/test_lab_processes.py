"""Processes of the lab are found by their mark and nobody else's are touched."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import monotonic

import pytest

from netloom.lab import processes
from netloom.lab.shell import CommandFailed, LabError, run, succeeds, wait_for

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a lab's process, which ends with the test: one that is left would be a warning in another test."""
    with ExitStack() as stack:

        def start_one(owner: Path, *command: str) -> subprocess.Popen[bytes]:
            child = stack.enter_context(processes.start(command or ("sleep", "60"), owner, owner / "log"))
            stack.callback(child.kill)
            return child

        yield start_one


def test_what_was_started_is_found_and_stopped(tmp_path: Path, start: Start) -> None:
    """A lab's process is found by its mark, also by a command that knows nothing of it, and ends when asked."""
    child = start(tmp_path)
    assert processes.find_owned(tmp_path) == {child.pid: "sleep 60"}
    assert processes.stop([child.pid], tmp_path) == 1
    assert child.wait(5) == -15
    assert processes.find_owned(tmp_path) == {}


def test_what_does_not_want_to_end_is_killed(tmp_path: Path, start: Start) -> None:
    """A process that ignores the request is killed after the grace."""
    code = "import signal; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"
    child = start(tmp_path, sys.executable, "-c", code)
    wait_for("the process to ignore", lambda: (tmp_path / "log").read_text() == "up\n", 10)
    assert processes.stop([child.pid], tmp_path, grace_s=0.05) == 1
    assert child.wait(5) == -9


def test_a_stranger_is_left_alone(tmp_path: Path) -> None:
    """A pid that is not the lab's, as after a pid was used again, is not signalled."""
    with subprocess.Popen(["sleep", "60"]) as stranger:
        try:
            assert processes.stop([stranger.pid, 2**22 - 1], tmp_path) == 0
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_a_process_is_found_in_the_middle_of_exec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Start
) -> None:
    """While the kernel puts a program in place it shows neither environment nor command; that is waited for."""
    child, read, empty = start(tmp_path), processes.read_file, {"environ": 3, "cmdline": 3}

    def read_late(pid: int, name: str) -> bytes:
        if pid == child.pid and empty.get(name, 0):
            empty[name] -= 1
            return b""
        return read(pid, name)

    monkeypatch.setattr(processes, "read_file", read_late)
    assert processes.find_owned(tmp_path) == {child.pid: "sleep 60"}
    assert empty == {"environ": 0, "cmdline": 0}


def test_what_has_nothing_to_show_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Zombies, processes that are gone, and those that began long ago."""
    with subprocess.Popen(["true"]) as zombie:
        wait_for("a zombie", lambda: b") Z " in processes.read_file(zombie.pid, "stat"), 10)
        assert not processes.is_beginning(zombie.pid)
        assert processes.read_environment(zombie.pid) == b""
    assert not processes.is_beginning(2**22 - 1)
    with subprocess.Popen(["sleep", "60"]) as young:
        try:
            assert processes.is_beginning(young.pid)
            monkeypatch.setattr(processes, "YOUNG_S", 0.0)
            assert not processes.is_beginning(young.pid)
        finally:
            young.kill()


def test_another_lab_is_left_alone(tmp_path: Path, start: Start) -> None:
    """Two labs whose folders begin alike do not find each other's processes."""
    other = tmp_path / "lab2"
    other.mkdir()
    child = start(other)
    assert processes.find_owned(tmp_path / "lab") == {}
    processes.stop([child.pid], other)
    child.wait(5)


def test_the_command_itself_is_not_the_labs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`lab down` from a shell inside the lab ends neither itself nor the shell."""
    assert {os.getpid(), os.getppid()} <= set(processes.ancestors(os.getpid()))
    code = "import sys, pathlib, netloom.lab.processes as p; print(p.find_owned(pathlib.Path(sys.argv[1])))"
    assert run(sys.executable, "-c", code, str(tmp_path), env=processes.marked(tmp_path)) == "{}\n"


def test_a_command_that_fails_is_shown_whole() -> None:
    """The error names the command, its status and what it said."""
    with pytest.raises(CommandFailed, match=r"`sh -c 'echo no room >&2; exit 3'` failed \(3\): no room"):
        run("sh", "-c", "echo no room >&2; exit 3")
    with pytest.raises(CommandFailed, match=r"failed \(127\)"):
        run("no-such-program-here")
    with pytest.raises(CommandFailed, match=r"failed \(124\): not done after 0.05 s"):
        run("sleep", "5", timeout_s=0.05)
    assert (succeeds("true"), succeeds("false")) == (True, False)


def test_waiting_gives_up_with_a_reason() -> None:
    """After the deadline the error says what was waited for and why it may not have come."""
    start = monotonic()
    with pytest.raises(LabError, match=r"^port ACTIVE: not after 0.05 s; it is DOWN$"):
        wait_for("port ACTIVE", lambda: False, 0.05, lambda: "it is DOWN")
    assert monotonic() - start < 1

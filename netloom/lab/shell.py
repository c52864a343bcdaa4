"""Running other programs: the lab's hands. Law: a command that fails is shown whole, with what it said."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Mapping, Sequence
from time import monotonic, sleep

Say = Callable[[str], None]
"""How a long job tells the user what it is doing: one line a step."""


class LabError(Exception):
    """The lab cannot do what was asked; the text is for the user."""


class CommandFailed(LabError):
    """A program ended badly. `command`, `status` (124: it took too long) and `output` say all that is known."""

    def __init__(self, command: Sequence[str], status: int, output: str) -> None:
        self.command, self.status, self.output = tuple(command), status, output.strip()
        super().__init__(f"`{shlex.join(command)}` failed ({status}): {self.output or 'it said nothing'}")


def run(*command: str, input: str | None = None, env: Mapping[str, str] | None = None, timeout_s: float = 60) -> str:
    """What the command printed. Raises CommandFailed, also when the program is missing or does not end in time."""
    try:
        done = subprocess.run(
            command, input=input, env=env, timeout=timeout_s, check=False, capture_output=True, text=True,
            stdin=subprocess.DEVNULL if input is None else None,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandFailed(command, 124, f"not done after {timeout_s:g} s") from None
    except OSError as error:
        raise CommandFailed(command, 127, str(error)) from None
    if done.returncode:
        raise CommandFailed(command, done.returncode, done.stderr or done.stdout)
    return done.stdout


def succeeds(*command: str, env: Mapping[str, str] | None = None, timeout_s: float = 60) -> bool:
    try:
        run(*command, env=env, timeout_s=timeout_s)
    except CommandFailed:
        return False
    return True


def wait_for(what: str, ready: Callable[[], bool], deadline_s: float, why: Callable[[], str] = str) -> None:
    """Return as soon as `ready()`; after `deadline_s` raise LabError with `what` and the reason that `why()` gives."""
    end = monotonic() + deadline_s
    pause = 0.01
    while not ready():
        if monotonic() > end:
            reason = why()
            raise LabError(f"{what}: not after {deadline_s:g} s" + (f"; {reason}" if reason else ""))
        sleep(pause)
        pause = min(pause * 1.5, 0.25)

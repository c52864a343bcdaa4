"""Several processes of a server on one machine, on the same ports (SO_REUSEPORT): started, kept, stopped together.

Law: a process that ends by itself is started again; one that cannot even start ends them all, with its reason.
"""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable
from types import FrameType

LOG = logging.getLogger("netloom.server")
SHORT_S = 3.0
"""One that ends sooner than that after its start has not started."""


def run_workers(count: int, run: Callable[[int], None]) -> int:
    """Run `run(number)` in `count` child processes until SIGTERM or SIGINT; the exit status for the whole."""
    stopping: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.append(number)
        for child in list(children):
            os.kill(child, signal.SIGTERM)

    children: dict[int, tuple[int, float]] = {}
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for worker in range(count):
        children[start(worker, run)] = (worker, time.monotonic())
    status = 0
    while children:
        child, ended = os.wait()
        worker, began = children.pop(child)
        if stopping:
            continue
        LOG.error("process %d (worker %d) has ended: %s", child, worker, describe(ended))
        if time.monotonic() - began < SHORT_S and os.waitstatus_to_exitcode(ended) > 0:
            status = 1
            stop(signal.SIGTERM, None)
        else:
            children[start(worker, run)] = (worker, time.monotonic())
    return status


def start(worker: int, run: Callable[[int], None]) -> int:
    """Fork; the child never returns."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        run(worker)
        status = 0
    except Exception as error:
        LOG.error("%s", error, exc_info=not str(error))
    finally:
        os._exit(status)


def describe(ended: int) -> str:
    code = os.waitstatus_to_exitcode(ended)
    return f"signal {-code}" if code < 0 else f"status {code}"

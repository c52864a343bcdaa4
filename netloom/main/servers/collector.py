"""How long Python's collector of garbage holds up a server.

Law: what is kept is not looked at again and again. Each time that a quarter more has come to be kept, the collector
goes through all that was made since the start, and nobody is served meanwhile: 0.6 s with 50,000 ports. What outlives a
look that took long is put aside, so that the next look is short.

What is put aside still goes when nobody refers to it, as documents do, which are in no cycle. A cycle that was alive at
that moment and dies later (some connection, some task) stays: a few of them for each some thousand objects made.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

LONG_S = 0.03
"""Processor time of a look after which what was found alive is put aside."""
YOUNG = 20_000
"""How many objects come to be before the youngest are looked at, which takes half a millisecond then. With Python's own
700 the looks were a fifth of what working out slices takes at a start."""
OLDEST = 2
"""The generation that holds everything."""


class Looks:
    """Called by the collector before and after each of its looks."""

    def __init__(self, clock: Callable[[], float], put_aside: Callable[[], None]) -> None:
        self._clock, self._put_aside, self._began = clock, put_aside, 0.0

    def __call__(self, phase: str, look: Mapping[str, Any]) -> None:
        if look["generation"] != OLDEST:
            return
        if phase == "start":
            self._began = self._clock()
        elif self._clock() - self._began > LONG_S:
            self._put_aside()


@contextmanager
def short_looks() -> Iterator[None]:
    """Within it no look takes much more than LONG_S, however much was made since the start."""
    looks, before = Looks(time.thread_time, gc.freeze), gc.get_threshold()
    gc.callbacks.append(looks)
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.callbacks.remove(looks)

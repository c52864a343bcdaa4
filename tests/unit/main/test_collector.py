"""The collector of garbage stops a server for a moment, not for as long as everything takes."""

from __future__ import annotations

import gc

from netloom.main.servers.collector import LONG_S, Looks, short_looks


def look(seconds: float, generation: int = 2) -> int:
    """How often everything is put aside by a look that takes so long."""
    times, aside = [7.0, 7.0 + seconds], list[int]()
    looks = Looks(lambda: times.pop(0), lambda: aside.append(1))
    for phase in ("start", "stop"):
        looks(phase, {"generation": generation, "collected": 0, "uncollectable": 0})
    return len(aside)


def test_what_outlives_a_long_look_is_not_looked_at_again() -> None:
    """A short one puts nothing aside: what dies later is still found."""
    assert look(LONG_S * 2) == 1
    assert look(LONG_S / 2) == 0


def test_a_look_at_what_is_young_puts_nothing_aside() -> None:
    """Most of that is about to go."""
    assert look(LONG_S * 2, generation=1) == 0


def test_many_new_objects_are_put_aside() -> None:
    """As ports are that were made since the start; and nothing is told to the collector afterwards."""
    before, told, often = gc.get_freeze_count(), list(gc.callbacks), gc.get_threshold()
    kept: list[list[int]] = []
    with short_looks():
        while gc.get_freeze_count() == before and len(kept) < 3_000_000:
            kept += [[one] for one in range(100_000)]
            gc.collect()
    assert gc.get_freeze_count() > before + 50_000
    assert gc.callbacks == told and gc.get_threshold() == often

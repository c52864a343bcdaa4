"""The watch of NICs, where a NIC says nothing that can be read."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, cast

import pytest

from netloom.drivers.sriov.watch import NicWatch


class Nics:
    """Functions of NICs that cannot be read for these reasons, one after another."""

    def __init__(self, *reasons: Exception) -> None:
        self.reasons = list(reasons)

    async def is_meddled(self) -> bool:
        if self.reasons:
            raise self.reasons.pop(0)
        return True


def test_a_nic_that_says_nothing_is_looked_at_again(caplog: pytest.LogCaptureFixture) -> None:
    """Neither a NIC that is away nor words that nobody understands end the agent; each is told once."""
    caplog.set_level(logging.INFO)
    told: list[str] = []
    nics = Nics(OSError("no device"), OSError("no device"), ValueError("no JSON"), IndexError("no link"))
    watch = NicWatch(cast(Any, nics), lambda: told.append("meddled"))

    async def look() -> None:
        for _ in range(5):
            await watch.look()

    asyncio.run(look())
    assert told == ["meddled"] and len(caplog.records) == 3

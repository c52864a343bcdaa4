"""That somebody else changed a function of ours: NICs say little of it, so they are looked at now and then.

Law: what we set ourselves is no news. What the NICs hold is compared with what was read or set last.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from netloom.drivers.sriov import SriovDriver

LOG = logging.getLogger(__name__)
LOOK_S = 2.0


class NicWatch:
    """`on_meddling` is called when functions are other than they were left."""

    def __init__(self, driver: SriovDriver, on_meddling: Callable[[], None]) -> None:
        self._driver, self._on_meddling = driver, on_meddling
        self._trouble = ""

    async def run(self) -> None:
        """Watch until cancelled; a NIC that does not answer is left to the slow clock."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        try:
            if await self._driver.is_meddled():
                self._on_meddling()
            self._trouble = ""
        except (OSError, ValueError, LookupError) as error:  # what is no answer is none: the agent goes on
            if str(error) != self._trouble:
                LOG.info("the functions of NICs were not looked at: %s", error)
            self._trouble = str(error)

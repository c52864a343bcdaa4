"""What whoever follows says now and again on the connection that is there: its next certificate, its next word.

Law: at times that differ from one to the next, for thousands joined or came back in the same hour.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from netloom.feed import messages as m
from netloom.feed.codec import make_frame
from netloom.feed.grants import GRANT_LIFE_S, Grant

RENEW_LOOK_S = 3600.0
"""How often who is connected looks whether it is time for its next certificate."""
WORD_S = GRANT_LIFE_S / 3
"""How often a relay is given the next word."""


async def renew_certificate(
    writer: asyncio.StreamWriter, csr: Callable[[], str | None], chance: random.Random, look_s: float
) -> None:
    """Until cancelled. `csr`: a request for the next certificate, when it is time for one."""
    while True:
        request = csr()
        if request is not None:
            writer.write(make_frame(m.Renew(request)))
        await asyncio.sleep(look_s * chance.uniform(0.5, 1.0))


async def renew_word(
    writer: asyncio.StreamWriter, grant: Callable[[str], Grant | None], relay: str, chance: random.Random
) -> None:
    """Until cancelled. A relay goes on by the next word before the last one ends; a server (no name) needs none."""
    while True:
        await asyncio.sleep(WORD_S * chance.uniform(0.5, 1.0))
        if relay and (word := grant(relay)) is not None:
            writer.write(make_frame(m.Let(word)))

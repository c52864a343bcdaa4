"""Devices that tell nobody of changes are looked at between the turns; a look costs little and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from netloom.agent.looks import SHARE, Looks
from netloom.agent.mirror import Mirror
from netloom.model.device import Bridge
from netloom.model.plan import Key, Put, Thing
from tests.unit.agent.agent_kit import Device
from tests.waiting import until

ONE = Thing(("bridge", "one"), Bridge())
OTHER = Thing(("bridge", "other"), Bridge())


class Silent(Device):
    """One that is looked at. A look waits for `gate` when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.gate: asyncio.Event | None = None
        self.looked = 0

    async def look(self) -> dict[Key, Thing]:
        self.looked += 1
        found = await self.read()
        if self.gate is not None:
            await self.gate.wait()
        return found


def run(test: Callable[[Silent, Mirror], Awaitable[Any]]) -> None:
    async def main() -> None:
        device, telling = Silent(), Device()
        device.kinds, telling.kinds = frozenset({"bridge"}), frozenset({"flow"})
        mirror = Mirror({"silent": device, "telling": telling})
        await mirror.read()
        await mirror.apply((Put(ONE),))
        async with asyncio.timeout(30):
            await test(device, mirror)

    asyncio.run(main())


def test_what_somebody_changes_is_seen_and_what_we_change_is_not() -> None:
    """Something that went, came or is another; a driver that tells of changes itself is not looked at."""

    async def test(device: Silent, mirror: Mirror) -> None:
        assert mirror.find_looking() == ["silent"]
        assert not await mirror.differs("silent") and not await mirror.differs("telling")
        device.held[OTHER.key] = OTHER
        assert await mirror.differs("silent")
        mirror.mark_stale()
        assert not await mirror.differs("silent"), "it is to be read anyway"
        await mirror.read()
        assert not await mirror.differs("silent")
        del device.held[ONE.key]
        assert await mirror.differs("silent")

    run(test)


def test_a_look_that_we_changed_something_during_says_nothing() -> None:
    """It may have come of before the change, or of the middle of it; so may one of a device that does not answer."""

    async def test(device: Silent, mirror: Mirror) -> None:
        device.gate = asyncio.Event()
        looking = asyncio.ensure_future(mirror.differs("silent"))
        await until(lambda: device.looked == 1)
        await mirror.apply((Put(OTHER),))
        device.gate.set()
        assert not await looking
        assert not await mirror.differs("silent")
        device.held.clear()
        device.down = "away"
        assert not await mirror.differs("silent")

    run(test)


def test_looks_take_a_fiftieth_of_the_time_however_long_one_takes() -> None:
    """One that took a second is followed by most of a minute without; what is found is told at once."""
    now, waits, woken = [0.0], list[float](), list[int]()

    async def look_long(name: str) -> bool:
        now[0] += 1.0
        return True

    async def main() -> None:
        looks = Looks(look_long, lambda: now[0], lambda: woken.append(looks.found), 3.0)
        sleep = asyncio.sleep

        async def note(seconds: float) -> None:
            waits.append(seconds)
            await sleep(0)

        asyncio.sleep, kept = note, asyncio.sleep  # type: ignore[assignment]
        try:
            task = asyncio.ensure_future(looks.run(["a"]))
            while len(woken) < 3:
                await sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        finally:
            asyncio.sleep = kept

    asyncio.run(main())
    assert waits[0] == 3.0 and set(waits[1:]) == {1.0 * SHARE} and woken[:3] == [1, 2, 3]

"""macvtap devices as facts of a host: what changes wake the loop, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from netloom.agent.tap_facts import TapFacts
from netloom.agent.view import is_replugged
from netloom.model.facts import HostFacts, Interface
from tests.unit.agent.agent_kit import FakeSwitch

SLOT = "0000:03:10.0"


class Devices:
    """What the kernel would tell; `broken`: that it does not."""

    def __init__(self) -> None:
        self.held: dict[str, Interface] = {}
        self.reads = 0
        self.broken = False

    async def read(self) -> Mapping[str, Interface]:
        self.reads += 1
        if self.broken:
            raise OSError("no netlink")
        return dict(self.held)


class Links:
    """Links that change when the test says so."""

    def __init__(self) -> None:
        self.count = 1
        self.news = asyncio.Event()

    async def wait(self, seen: int) -> int:
        while self.count == seen:
            self.news.clear()
            await self.news.wait()
        return self.count

    def change(self) -> None:
        self.count += 1
        self.news.set()

    def close(self) -> None:
        """Nothing is held."""


def test_a_device_that_comes_is_a_change_and_other_links_are_none() -> None:
    """Read once for each change of links, whatever the number of turns; a read that fails leaves what was known."""

    async def whole() -> None:
        devices, switch, links = Devices(), FakeSwitch(HostFacts("h1")), Links()
        facts = TapFacts(switch, devices.read, links)
        try:
            for _ in range(3):
                assert (await facts.read_facts()).taps == {}
            assert devices.reads == 1
            waiting = asyncio.ensure_future(facts.wait_change(0))
            await asyncio.sleep(0)
            links.change()  # and no macvtap device with it
            async with asyncio.timeout(5):
                while devices.reads < 2:
                    await asyncio.sleep(0)
            assert not waiting.done()
            devices.held[SLOT] = Interface("macvtap0", 7)
            links.change()
            seen = await asyncio.wait_for(waiting, 5)
            assert (await facts.read_facts()).taps == devices.held
            devices.broken = True
            links.change()
            assert (await facts.read_facts()).taps == devices.held
            switch.note()
            assert await asyncio.wait_for(facts.wait_change(seen), 5) > seen
        finally:
            facts.close()

    asyncio.run(whole())


@pytest.mark.parametrize(("index", "replugged"), [(7, False), (8, True)])
def test_a_device_of_the_same_name_is_another(index: int, replugged: bool) -> None:
    """The instance was booted anew: what was set on the old device went with it."""
    before, after = (HostFacts("h1", taps={SLOT: Interface("macvtap0", number)}) for number in (7, index))
    assert is_replugged(before, after) is replugged

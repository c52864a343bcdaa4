"""Devices as facts of a host, beside its switch: what changes wake the loop, and what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from netloom.agent.link_facts import LinkFacts
from netloom.agent.view import is_replugged
from netloom.drivers.links.underlay import read_underlay_mtu
from netloom.main.hosts.underlay import describe_underlay
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
        facts = LinkFacts(switch, {"taps": devices.read}, links)
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


def test_the_underlay_is_heard_of_too() -> None:
    """Its MTU is a fact of its own, which a device that cannot be read does not hold back."""

    async def whole() -> None:
        devices, switch, links = Devices(), FakeSwitch(HostFacts("h1")), Links()
        carried = [1600]

        async def read() -> int:
            return carried[0]

        facts = LinkFacts(switch, {"taps": devices.read, "underlay_mtu": read}, links)
        assert (await facts.read_facts()).underlay_mtu == 1600
        waiting = asyncio.ensure_future(facts.wait_change(0))
        await asyncio.sleep(0)
        devices.broken, carried[0] = True, 1400
        links.change()
        assert await asyncio.wait_for(waiting, 5) == 1
        assert (await facts.read_facts()).underlay_mtu == 1400
        assert describe_underlay(facts.known) == {"tunnel_mtu": 1400}
        assert describe_underlay({"underlay_mtu": 0}) == {}

    asyncio.run(whole())


def test_what_changes_while_the_switch_changes_is_not_missed() -> None:
    """The switch wakes the loop while the kernel is being asked: what it would have said is asked for again."""

    async def whole() -> None:
        switch, links = FakeSwitch(HostFacts("h1")), Links()
        asked, answer, carried = asyncio.Event(), asyncio.Event(), [1600]

        async def read() -> int:
            asked.set()
            await answer.wait()
            return carried[0]

        facts = LinkFacts(switch, {"underlay_mtu": read}, links)
        answer.set()
        await facts.read_facts()
        answer.clear()
        asked.clear()
        waiting = asyncio.ensure_future(facts.wait_change(0))
        await asyncio.sleep(0)
        carried[0] = 1400
        links.change()
        await asyncio.wait_for(asked.wait(), 5)
        switch.note()
        await asyncio.wait_for(waiting, 5)
        answer.set()
        assert (await facts.read_facts()).underlay_mtu == 1400

    asyncio.run(whole())


@pytest.mark.parametrize(("address", "there"), [("127.0.0.1", True), ("192.0.2.77", False), ("2001:db8::77", False)])
def test_the_kernel_says_what_the_device_of_an_address_carries(address: str, there: bool) -> None:
    """By any address that this machine has; an address that it has not says nothing."""
    assert (asyncio.run(read_underlay_mtu(address)) > 0) is there


@pytest.mark.parametrize(("index", "replugged"), [(7, False), (8, True)])
def test_a_device_of_the_same_name_is_another(index: int, replugged: bool) -> None:
    """The instance was booted anew: what was set on the old device went with it."""
    before, after = (HostFacts("h1", taps={SLOT: Interface("macvtap0", number)}) for number in (7, index))
    assert is_replugged(before, after) is replugged


def test_what_could_not_be_read_is_asked_for_by_the_next_turn() -> None:
    """No device need change for it; what was read is not read again."""

    async def whole() -> None:
        devices, links = Devices(), Links()
        facts = LinkFacts(FakeSwitch(HostFacts("h1")), {"taps": devices.read}, links)
        devices.held[SLOT] = Interface("macvtap0", 7)
        devices.broken = True
        for reads in (1, 2):
            assert (await facts.read_facts()).taps == {} and devices.reads == reads
        devices.broken = False
        for _ in range(3):
            assert (await facts.read_facts()).taps == devices.held
        assert devices.reads == 3

    asyncio.run(whole())

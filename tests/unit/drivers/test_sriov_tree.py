"""SR-IOV on a NIC of files, as the lab has it: the driver's suite, what it refuses, and what is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from netloom.drivers.sriov import SYSFS, RunIp, SriovDriver, SriovError, run_ip
from netloom.drivers.sriov.tree import choose_run, find_file, load_functions, make_function, make_nic, set_function
from netloom.drivers.sriov.watch import NicWatch
from netloom.model.device import VirtualFunction
from netloom.model.driver import Driver
from netloom.model.plan import Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject

SLOTS = {"0000:03:10.0": "ens1v0", "0000:03:10.1": "ens1v1", "0000:03:10.2": "ens1v2"}


def make_thing(slot: str, last: int, vlan: int = 0, most: int = 0, least: int = 0, trusted: bool = False) -> Thing:
    mac = f"fa:16:3e:00:00:{last:02x}"
    return Thing(("vf", slot), VirtualFunction(mac, vlan, not trusted, trusted, not trusted, most, least))


THINGS = tuple(make_thing(slot, number, 100 + number) for number, slot in enumerate(SLOTS, 1))
CHANGED = (make_thing("0000:03:10.1", 9, 7, 500, 100, trusted=True),)
TOO_FAST = make_thing("0000:03:10.0", 1, most=40_000)
IMPOSSIBLE = (TOO_FAST, make_thing("0000:03:10.2", 1, most=10, least=20), make_thing("0000:09:00.0", 1))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    make_nic(tmp_path, "ens1", "0000:03:00.0", SLOTS)
    return tmp_path


def make_driver(tree: Path, excluded: frozenset[str] = frozenset()) -> SriovDriver:
    return SriovDriver(("ens1",), tree, choose_run(tree), excluded)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_driver_conforms(tree: Path, check: Check) -> None:
    """As every driver, though the NIC is one of files."""

    async def start() -> Driver:
        return make_driver(tree)

    async def stop(driver: Driver) -> None:
        pass

    async def whole() -> None:
        await check(Subject(start, stop, THINGS, CHANGED, IMPOSSIBLE, plan))

    asyncio.run(whole())


def test_a_rate_above_its_speed_is_refused_as_the_kernel_does(tree: Path) -> None:
    """And nothing of what was asked beside it is done."""
    failures = asyncio.run(make_driver(tree).apply([Put(TOO_FAST)]))
    assert [failure.reason for failure in failures] == ["RTNETLINK answers: Invalid argument"]
    assert load_functions(find_file(tree, "ens1"))[0] == make_function(0)


def test_a_function_that_is_excluded_is_left_as_it_is(tree: Path) -> None:
    """What others have set in it is neither read nor reset; a port there says why it waits."""
    asyncio.run(make_driver(tree).apply([Put(THINGS[0])]))
    driver = make_driver(tree, frozenset({"0000:03:10.0"}))
    assert asyncio.run(driver.read()) == {}
    failures = asyncio.run(driver.apply([Put(THINGS[0]), Remove(THINGS[0])]))
    reason = "the function at PCI slot 0000:03:10.0 is excluded ([sriov_nic] exclude_devices)"
    assert [failure.reason for failure in failures] == [reason]
    assert set(asyncio.run(make_driver(tree).read())) == {("vf", "0000:03:10.0")}


def test_what_is_not_of_files_is_asked_of_the_real_ip(tree: Path) -> None:
    """Other NICs, and devices on functions; in the kernel's own tree everything."""
    asked = []

    async def answer(words: Sequence[str]) -> str:
        asked.append(" ".join(words))
        return "[]"

    run = choose_run(tree, answer)
    for words in ("-json link show dev eth0", "-json -details link show type macvtap", "-json link show dev ens1"):
        asyncio.run(ask(run, words))
    assert asked == ["-json link show dev eth0", "-json -details link show type macvtap"]
    assert choose_run(SYSFS, answer) is answer
    assert choose_run(SYSFS) is run_ip


async def ask(run: RunIp, words: str) -> str:
    return await run(words.split())


def test_a_function_that_is_not_there_and_a_file_of_nonsense(tree: Path) -> None:
    """An error of the NIC's, which the agent can report; no traceback."""
    run = choose_run(tree)
    with pytest.raises(SriovError, match="Invalid argument"):
        asyncio.run(ask(run, "link set dev ens1 vf 3 mac fa:16:3e:00:00:01"))
    find_file(tree, "ens1").write_text("{")
    with pytest.raises(SriovError, match=r"functions\.json cannot be read"):
        asyncio.run(ask(run, "-json link show dev ens1"))


def test_a_function_that_somebody_else_changed_is_noticed(tree: Path) -> None:
    """By its VLAN, or by a MAC that nobody of ours gave it; what is set and reset by us is no news, nor is the first
    look."""
    told: list[str] = []
    driver = make_driver(tree)
    watch = NicWatch(driver, lambda: told.append("meddled"))

    async def look() -> int:
        await watch.look()
        return len(told)

    async def story() -> None:
        assert await look() == 0
        await driver.apply([Put(THINGS[0])])
        await driver.read()
        await driver.apply([Put(THINGS[1]), Remove(THINGS[0])])
        assert await look() == 0
        set_function(find_file(tree, "ens1"), 1, ("vlan", "7"))
        assert await look() == 1
        await driver.apply([Put(THINGS[1])])
        assert await look() == 1
        set_function(find_file(tree, "ens1"), 2, ("mac", "fa:16:3e:00:00:66"))
        assert await look() == 2
        find_file(tree, "ens1").write_text("{")
        assert await look() == 2, "the slow clock will say what is wrong"

    asyncio.run(story())


def test_what_is_being_set_is_nobodys_meddling(tree: Path) -> None:
    """Whoever looks while functions are set, some of them already, learns nothing; nor is a port that waits for a
    function that is not there in the way of a look."""
    run, seen = choose_run(tree), list[bool]()

    async def look_between(words: Sequence[str]) -> str:
        if words[0] == "link" and words[5] == "1":
            seen.append(await driver.is_meddled())
        return await run(words)

    driver = SriovDriver(("ens1",), tree, look_between)

    async def story() -> bool:
        await driver.read()
        await driver.apply([Put(thing) for thing in THINGS])
        await driver.apply([Put(make_thing("0000:09:00.0", 1))])
        assert not await driver.is_meddled()
        set_function(find_file(tree, "ens1"), 1, ("vlan", "7"))
        return await driver.is_meddled()

    assert asyncio.run(story())
    assert seen == [False]

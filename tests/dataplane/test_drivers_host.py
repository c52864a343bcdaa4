"""The nft and links drivers in a namespace of their own."""

from __future__ import annotations

import asyncio

import pytest

from netloom.drivers.links import LinksDriver, make_veth, remove_link
from netloom.drivers.nft import TABLE, NftDriver
from netloom.model.device import Guard, Link
from netloom.model.driver import Driver
from netloom.model.plan import Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.ovs import run, wait_until

pytestmark = pytest.mark.dataplane


@pytest.fixture
def inside(own_space: str) -> str:
    """The test runs in a new namespace with two pairs of devices, a0-a1 and b0-b1."""
    for pair in "ab":
        run("ip", "link", "add", f"{pair}0", "type", "veth", "peer", "name", f"{pair}1")
    return own_space


async def _stop(driver: Driver) -> None:
    assert isinstance(driver, NftDriver | LinksDriver)
    await driver.close()


def _guard(device: str) -> Thing:
    return Thing(("guard", device), Guard())


def _link(device: str, up: bool, mtu: int | None = None, mac: str | None = None) -> Thing:
    return Thing(("link", device), Link(up, mtu, mac))


async def _start_nft() -> Driver:
    return NftDriver()


async def _start_links() -> Driver:
    return LinksDriver()


def _look_nft() -> object:
    return run("nft", "list", "table", "inet", "theirs"), run("nft", "list", "chain", "netdev", "theirs", "in")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_nft_driver_conforms(inside: str, check: Check) -> None:
    """The nft driver keeps every promise of a driver, beside an operator's own tables."""
    run("nft", "add table inet theirs; add chain inet theirs c; add rule inet theirs c counter packets 0 bytes 0 drop")
    run("nft", "add table netdev theirs; add chain netdev theirs in { type filter hook ingress device a0 priority 5; }")
    things = (_guard("a0"), _guard("b0"), _guard("b1"))
    subject = Subject(_start_nft, _stop, things, (), (_guard("n" * 40),), plan, _look_nft)
    asyncio.run(_run(check, subject))


def _look_links() -> object:
    return run("ip", "-o", "link", "show", "lo"), run("ip", "-o", "link", "show", "b1").split("state")[0][-40:]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_links_driver_conforms(inside: str, check: Check) -> None:
    """The links driver keeps every promise of a driver, and finds by the alias what it set in an earlier life."""
    things = (_link("a0", True, 1400), _link("a1", True, mac="fa:16:3e:00:00:01"), _link("b0", False, 1300))
    changed = (
        _link("a0", True, 1380, "fa:16:3e:00:00:03"),
        _link("a1", True, mac="fa:16:3e:00:00:02"),
        _link("b0", True),
    )
    impossible = (_link("nowhere", True), _link("lo", True, 10**9))
    asyncio.run(_run(check, Subject(_start_links, _stop, things, changed, impossible[:1], plan, _look_links)))


async def _run(check: Check, subject: Subject) -> None:
    await check(subject)


def test_a_guard_hides_the_host_from_the_device(inside: str) -> None:
    """With a guard the host's kernel answers nobody on that device; without it, it does."""
    peer = f"{inside}-p"
    run("ip", "netns", "add", peer)
    try:
        run("ip", "link", "set", "a1", "netns", peer)
        run("ip", "addr", "add", "10.9.9.1/24", "dev", "a0")
        run("ip", "link", "set", "a0", "up")
        run("ip", "-n", peer, "addr", "add", "10.9.9.2/24", "dev", "a1")
        run("ip", "-n", peer, "link", "set", "a1", "up")
        ping = ("ip", "netns", "exec", peer, "ping", "-c1", "-W1", "10.9.9.1")
        assert "1 received" in run(*ping)
        assert not asyncio.run(_apply(NftDriver(), _guard("a0")))
        assert "0 received" in run(*ping, check=False)
    finally:
        run("ip", "netns", "del", peer)


def test_a_guarded_device_hears_nothing_of_the_host(inside: str) -> None:
    """The kernel gives itself no address there and solicits no routers; without the guard it is as the host has it."""

    def addresses() -> str:
        return run("ip", "-6", "addr", "show", "dev", "a0")

    async def use() -> None:
        driver = NftDriver()
        for device in ("a0", "a1"):
            run("ip", "link", "set", device, "up")
        wait_until(lambda: "fe80::" in addresses())
        assert not await driver.apply([Put(_guard("a0"))])
        assert "fe80::" not in addresses()
        run("sysctl", "-qw", "net.ipv6.conf.a0.disable_ipv6=0")
        assert (await driver.read())[("guard", "a0")].value is None, "a guard undone by hand wants repair"
        wanted = {_guard("a0").key: _guard("a0")}
        assert not await driver.apply(plan(wanted, await driver.read(), driver.needs))
        assert await driver.read() == wanted
        assert not await driver.apply([Remove(_guard("a0"))])
        assert run("sysctl", "-n", "net.ipv6.conf.a0.disable_ipv6").strip() == "0"

    asyncio.run(use())


async def _apply(driver: NftDriver, *things: Thing) -> object:
    return await driver.apply([Put(thing) for thing in things])


def test_guards_of_vanished_devices_are_swept(inside: str) -> None:
    """When a device is gone nothing of its guard stays once nobody wants it."""

    async def use() -> None:
        driver = NftDriver()
        assert not await driver.apply([Put(_guard("a0")), Put(_guard("b0"))])
        run("ip", "link", "del", "a0")
        kept = {_guard("b0").key: _guard("b0")}
        assert not await driver.apply(plan(kept, await driver.read(), driver.needs))
        assert await driver.read() == kept
        assert "a0" not in run("nft", "list", "table", "netdev", TABLE)

    asyncio.run(use())


def test_an_mtu_the_device_cannot_have_is_refused_in_words(inside: str) -> None:
    """A wrong MTU is reported for its device; the others are set."""

    async def use() -> None:
        driver = LinksDriver()
        failures = await driver.apply([Put(_link("a0", True, 10**8)), Put(_link("b0", True, 1200))])
        assert [failure.op.thing.key for failure in failures] == [("link", "a0")] and failures[0].reason
        assert (await driver.read())[("link", "b0")].value == Link(True, 1200)

    asyncio.run(use())


def test_a_veth_pair_is_made_across_namespaces(inside: str) -> None:
    """Whoever plugs an instance gets a pair with one end in the instance, and can take it away twice."""
    peer = f"{inside}-p"
    run("ip", "netns", "add", peer)
    try:
        for _ in range(2):
            asyncio.run(make_veth("t0", "eth0", peer))
        assert "eth0" in run("ip", "-n", peer, "-o", "link") and "t0" in run("ip", "-o", "link")
        for _ in range(2):
            asyncio.run(remove_link("t0"))
        assert "t0" not in run("ip", "-o", "link")
    finally:
        run("ip", "netns", "del", peer)

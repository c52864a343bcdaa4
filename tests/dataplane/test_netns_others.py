"""What somebody changes by hand in a namespace of ours is noticed; what we and the kernel do there is no news."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from netloom.agent.mirror import join_needs
from netloom.drivers.netns.driver import NetnsDriver
from netloom.drivers.netns.kernel import make_namespace, remove_namespace
from netloom.model.plan import Put, Remove
from netloom.reconcile.plan import plan
from netloom.render.space_nat import TABLE
from tests.dataplane.conftest import why_not
from tests.dataplane.rig import Rig
from tests.dataplane.rig_cloud import make_cloud, wait_ping
from tests.dataplane.settled import wait_planned
from tests.dataplane.test_drivers_netns import CHANGED, NETNS, THINGS, folder, inside, pytestmark

__all__ = ["folder", "pytestmark"]
PATIENCE_S = 30.0
BREAKS = {
    "an address": "ip addr del 10.0.0.1/24 dev qr-a",
    "an address of IPv6": "ip addr del 2001:db8::2/64 dev qg-b",
    "one too many": "ip addr add 203.0.113.99/32 dev qg-b",
    "a route": "ip route del 198.51.100.0/24",
    "a route of IPv6": "ip -6 route del default",
    "a rule": "ip rule del fwmark 1",
    "a device that is down": "ip link set qg-b down",
    "a device": "ip link del qr-a",
    "an element": "nft delete element inet netloom inward { 203.0.113.5 }",
    "a table": "nft delete table inet netloom",
}


async def wait(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def test_what_somebody_changes_is_noticed_and_what_we_do_is_not(folder: Path) -> None:
    """One by one, each healed before the next; the healing is no news, nor is what happens in others' namespaces."""
    path, theirs = folder / "netns" / NETNS, folder / "netns" / "qrouter-theirs"

    async def heal(driver: NetnsDriver) -> None:
        wanted = {thing.key: thing for thing in THINGS}
        assert not await driver.apply(plan(wanted, await driver.read(), join_needs([driver.needs, driver.after])))
        await wait(lambda: driver.is_quiet)

    async def story() -> None:
        driver = NetnsDriver(folder / "netns", folder / "keepers", guarded=True)
        assert not await driver.apply([*map(Put, THINGS)])
        await heal(driver)
        assert not await driver.apply([*map(Put, CHANGED)])
        await heal(driver)
        make_namespace(theirs)
        inside(theirs, "ip", "link", "set", "lo", "up")
        for number, command in enumerate(BREAKS.values()):
            await wait(lambda: driver.is_quiet)
            assert driver.meddlings == number, command
            inside(path, *command.split())
            await wait(lambda seen=number: driver.meddlings > seen)  # type: ignore[misc]
            await heal(driver)
        remove_namespace(path)
        await wait(lambda: driver.meddlings == len(BREAKS) + 1)
        await heal(driver)
        assert not await driver.apply([Remove(thing) for thing in reversed(THINGS)])
        await wait(lambda: driver.is_quiet)
        assert driver.meddlings == len(BREAKS) + 1
        await driver.close()

    asyncio.run(story())


def test_what_somebody_changes_in_a_router_comes_back_within_seconds() -> None:
    """While the slow clock goes once an hour: told in the log and by the API."""
    if reason := why_not():
        pytest.skip(reason)
    with make_cloud(1, prepare=slow_down) as cloud:
        rig, external = cloud.hosts["h1"], cloud.make_external()
        network = cloud.make_plain_network("n")
        router = cloud.make_router(cloud.make_subnet(network, "10.1.0.0/24"), external=external)
        one = cloud.boot("h1", network, "10.1.0.1")
        address = cloud.associate(external, one.id)["floating_ip_address"]
        cloud.wait_router(router)
        wait_ping(cloud.outside, address)
        wait_planned(rig)
        path = rig.host.rundir / "netns" / f"qrouter-{router}"
        device = next(word for word in inside(path, "ip", "-o", "-4", "addr").split() if word.startswith("qr-"))
        for command in (
            f"ip addr del 10.1.0.1/24 dev {device}",
            "ip route del default",
            f"nft delete element inet {TABLE} inward {{ {address} }}",
        ):
            said = len(rig.read_log())
            inside(path, *command.split())
            rig.wait_log(r"drift healed: \d+ ops, 0 refused", said)
            wait_planned(rig)
            wait_ping(cloud.outside, address)
        (agent,) = cloud.api.ask("GET", "agents?agent_type=Open%20vSwitch%20agent")["agents"]
        assert agent["configurations"]["drift_healed"] >= len(("address", "route", "element"))


def slow_down(rig: Rig, number: int) -> None:
    rig.program = (sys.executable, "-m", "tests.dataplane.slow_agent")

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import pytest

from netloom.drivers import GROUP, UnknownDriver, load_drivers, merge_needs
from netloom.drivers.links import Device, join_alias, plan_link, read_link, split_alias
from netloom.drivers.memory import MemoryDriver
from netloom.drivers.nft import read_guards, render_commands
from netloom.model.device import Bridge, Guard, Link, SwitchPort
from netloom.model.driver import Driver
from netloom.model.plan import Op, Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject
from tests.dataplane.flow_samples import make_samples

ROOT = Path(__file__).parents[3]


def _declared() -> Mapping[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    points: Mapping[str, str] = project["entry-points"][GROUP]
    return points


@pytest.mark.parametrize("name", ["links", "memory", "nft", "ovs"])
def test_our_own_drivers_are_found_as_anybodys_are(name: str) -> None:
    """Each driver of ours is an entry point that makes a driver from options alone."""
    module, _, function = _declared()[name].partition(":")
    driver: Driver = getattr(import_module(module), function)({})
    assert driver.kinds


def test_drivers_are_loaded_by_name() -> None:
    """The names in the configuration become drivers; a wrong name is answered with the right ones."""
    assert isinstance(load_drivers(["memory"], {})["memory"], MemoryDriver)
    with pytest.raises(UnknownDriver, match=r"no driver 'memroy'; there are: .*memory"):
        load_drivers(["memroy"], {})


def test_needs_of_all_drivers_are_one_order() -> None:
    """What one driver's things need may be another driver's."""
    guards = MemoryDriver(kinds=frozenset({"guard"}), needs={"flow": frozenset({"guard"})})
    assert merge_needs([MemoryDriver(), guards])["flow"] == {"bridge", "switch_port", "guard"}


async def _stop(driver: Driver) -> None:
    assert isinstance(driver, MemoryDriver)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_memory_driver_conforms(check: Check) -> None:
    """The reference driver keeps every promise that the suite asks of the real ones."""
    device: dict[tuple[object, ...], Thing] = {}
    bad = Thing(("link", "nowhere"), Link())

    def refuse(op: Op) -> str:
        return "no such device" if isinstance(op, Put) and op.thing == bad else ""

    async def start() -> Driver:
        return MemoryDriver(device, refuse=refuse)

    bridge, port = Thing(("bridge", "br-int"), Bridge()), Thing(("switch_port", "br-int", "p"), SwitchPort("patch"))
    things = (bridge, port, *make_samples("br-int"))
    changed = (Thing(port.key, SwitchPort("internal")),)
    asyncio.run(_run(check, Subject(start, _stop, things, changed, (bad,), plan)))


async def _run(check: Check, subject: Subject) -> None:
    await check(subject)


GUARDS = """table netdev netloom_guard {
	chain in-tap1 {
		type filter hook ingress device "tap1" priority filter; policy drop;
	}

	chain in-eth.5 {
		type filter hook ingress devices = { "eth.5" } priority filter; policy drop;
	}

	chain in-gone {
		type filter hook ingress priority filter; policy drop;
	}
}
"""


def test_a_guard_that_lost_its_device_guards_nothing() -> None:
    """A chain without its device is read as one to be made anew, so an instance that returns is guarded."""
    found = read_guards(GUARDS)
    assert {key[1]: thing.value for key, thing in found.items()} == {"tap1": Guard(), "eth.5": Guard(), "gone": None}
    wanted = {key: Thing(key, Guard()) for key in found}
    (op,) = plan(wanted, found, {})
    assert [next(iter(command)) for command in render_commands(op)] == ["add", "delete", "add"]
    assert [next(iter(command)) for command in render_commands(Remove(op.thing))] == ["add", "delete"]


def test_an_operators_alias_stays() -> None:
    """Our words on a device stand after the operator's own, and go without them."""
    device = Device(3, "eth1", True, 1500, join_alias("uplink to rack 4", "up,mtu"))
    assert device.alias == "uplink to rack 4 netloom:up,mtu"
    assert split_alias(device.alias) == ("uplink to rack 4", "up,mtu")
    assert read_link(device) == Link(True, 1500)
    assert plan_link(device, Link(True))["ifalias"] == "uplink to rack 4 netloom:up"
    assert read_link(Device(3, "eth1", True, 1500, "uplink")) is None

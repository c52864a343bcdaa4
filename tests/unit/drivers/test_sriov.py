"""SR-IOV on a device tree and a netlink of values: the conformance suite, and what a NIC would be told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from netloom.drivers.sriov import NO_MAC, SriovDriver, SriovError
from netloom.model.device import VirtualFunction
from netloom.model.driver import Driver
from netloom.model.facts import Interface
from netloom.model.plan import Put, Remove, Thing
from netloom.reconcile.plan import plan
from netloom.testing.conformance import CHECKS, Check, Subject

SLOTS = {"0000:03:10.0": ("ens1", 0), "0000:03:10.2": ("ens1", 1), "0000:04:10.0": ("ens2", 0)}


class Nic:
    """What `ip` says of NICs and does to them, as a kernel with an ixgbe would."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, int], dict[str, str]] = {place: self.make_reset() for place in SLOTS.values()}
        self.asked: list[str] = []
        self.taps: list[dict[str, Any]] = []

    @staticmethod
    def make_reset() -> dict[str, str]:
        return {"mac": NO_MAC, "vlan": "0", "spoofchk": "on", "trust": "off", "max_tx_rate": "0", "min_tx_rate": "0",
                "state": "auto"}  # fmt: skip

    async def run(self, words: Sequence[str]) -> str:
        self.asked.append(" ".join(words))
        if "macvtap" in words:
            return json.dumps(self.taps)
        device = words[words.index("dev") + 1]
        if words[0] == "-json":
            found = sorted(number for name, number in self.held if name == device)
            return json.dumps([{"ifname": device, "vfinfo_list": [self.show(device, number) for number in found]}])
        number, settings = int(words[5]), dict(zip(words[6::2], words[7::2], strict=True))
        if int(settings["max_tx_rate"]) > 10_000:
            raise SriovError("RTNETLINK answers: Invalid argument")
        self.held[device, number] = settings
        return ""

    def show(self, device: str, number: int) -> dict[str, Any]:
        held = self.held[device, number]
        return {
            "vf": number, "address": held["mac"], "vlan_list": [{"vlan": int(held["vlan"])}],
            "spoofchk": held["spoofchk"] == "on", "trust": held["trust"] == "on", "link_state": held["state"],
            "rate": {"max_tx": int(held["max_tx_rate"]), "min_tx": int(held["min_tx_rate"])},
        }  # fmt: skip


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """/sys with two NICs, of two functions and of one."""
    for slot, (device, number) in SLOTS.items():
        (tmp_path / "devices" / slot).mkdir(parents=True)
        folder = tmp_path / "class/net" / device / "device"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"virtfn{number}").symlink_to(tmp_path / "devices" / slot)
    return tmp_path


def thing(slot: str, last: int, **more: Any) -> Thing:
    return Thing(("vf", slot), VirtualFunction(f"fa:16:3e:00:00:{last:02x}", **more))


THINGS = tuple(thing(slot, n, vlan=100 + n) for n, slot in enumerate(SLOTS, 1))
CHANGED = (thing("0000:03:10.2", 9, vlan=7, spoof_check=False, trusted=True, up=False, most_mbps=500, least_mbps=100),)
IMPOSSIBLE = (thing("0000:09:00.0", 1),)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_driver_conforms(tree: Path, check: Check) -> None:
    """As every driver."""
    nic = Nic()

    async def start() -> Driver:
        return SriovDriver(("ens1", "ens2"), tree, nic.run)

    async def stop(driver: Driver) -> None:
        pass

    async def whole() -> None:
        await check(Subject(start, stop, THINGS, CHANGED, IMPOSSIBLE, plan))

    asyncio.run(whole())


def test_what_a_nic_is_told(tree: Path) -> None:
    """MAC, VLAN, spoof check, trust, rates, state; and as at first when the port goes."""
    nic = Nic()
    driver = SriovDriver(("ens1",), tree, nic.run)
    assert asyncio.run(driver.apply([Put(CHANGED[0])])) == []
    assert nic.asked == [
        "link set dev ens1 vf 1 mac fa:16:3e:00:00:09 vlan 7 spoofchk off trust on max_tx_rate 500 min_tx_rate 100 "
        "state disable"
    ]
    assert asyncio.run(driver.apply([Remove(CHANGED[0]), Remove(THINGS[2])])) == []
    assert nic.held["ens1", 1] == Nic.make_reset()


def test_a_refusal_is_in_the_words_of_the_nic(tree: Path) -> None:
    """A rate that the NIC cannot keep; and a slot that no NIC named in the configuration has."""
    driver = SriovDriver(("ens1",), tree, Nic().run)
    fast, other = thing("0000:03:10.0", 1, most_mbps=40_000), thing("0000:04:10.0", 1)
    reasons = [failure.reason for failure in asyncio.run(driver.apply([Put(fast), Put(other)]))]
    assert reasons == ["RTNETLINK answers: Invalid argument", "no NIC of ens1 has a function at PCI slot 0000:04:10.0"]


def test_a_macvtap_device_is_found_by_the_function_that_it_is_on(tree: Path) -> None:
    """Of several, the one on a function of a NIC of ours; one on anything else is nobody's."""
    nic = Nic()
    driver = SriovDriver(("ens1",), tree, nic.run)
    nic.taps = [
        {"ifname": "macvtap0", "ifindex": 7, "link": "ens1f0v2", "address": "fa:16:3e:00:00:07"},
        {"ifname": "macvtap1", "ifindex": 8, "link": "eth9", "address": "fa:16:3e:00:00:08"},
    ]
    assert asyncio.run(driver.read_taps()) == {}, "the functions have no devices of the host's"
    (tree / "devices/0000:03:10.2/net/ens1f0v2").mkdir(parents=True)
    assert asyncio.run(driver.read_taps()) == {"0000:03:10.2": Interface("macvtap0", 7, "fa:16:3e:00:00:07")}

"""SR-IOV: the kind "vf". A virtual function has its MAC, VLAN and limits set in its NIC, by the physical function.

Law: the functions of the NICs that configuration names, but for those that it excludes, are ours; one is there when it
has a MAC, and taking it away sets it as the NIC had it at first. Which functions a NIC has is read from the device tree
(virtfn0, virtfn1 … below /sys), what is set in them from netlink, as `ip -json link show` tells it. `RunIp` is where a
NIC that is none (tree.py) takes the kernel's place.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from netloom.model.device import VirtualFunction
from netloom.model.facts import Interface
from netloom.model.plan import Failure, Key, Op, Put, State, Thing

RunIp = Callable[[Sequence[str]], Awaitable[str]]
"""`ip` with these words; what it prints. SriovError with its complaint."""
SYSFS = Path("/sys")
NO_MAC = "00:00:00:00:00:00"
STATES = {True: "enable", False: "disable"}


class SriovError(OSError):
    """What the NIC, or `ip`, complained of."""


async def run_ip(words: Sequence[str]) -> str:
    process = await asyncio.create_subprocess_exec(
        "ip", *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, complaint = await process.communicate()
    if process.returncode:
        raise SriovError(complaint.decode(errors="replace").strip() or f"ip ended with {process.returncode}")
    return out.decode()


class SriovDriver:
    """Virtual functions of the NICs `devices`, by PCI slot, but for the slots `excluded`."""

    def __init__(
        self,
        devices: Sequence[str],
        sysfs: Path = SYSFS,
        run: RunIp = run_ip,
        excluded: frozenset[str] = frozenset(),
    ) -> None:
        self._devices, self._sysfs, self._run, self._excluded = tuple(devices), sysfs, run, excluded
        self._left: dict[Key, Thing] | None = None  # as read or set last
        self._works = 0  # grows with each reading and setting

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset({"vf"})

    @property
    def needs(self) -> Mapping[str, frozenset[str]]:
        return {}

    def find_slots(self) -> dict[str, tuple[str, int]]:
        """By PCI slot, the NIC and the number of each virtual function."""
        found = self._find_functions()
        return {slot: (device, int(path.name.removeprefix("virtfn"))) for slot, (device, path) in found.items()}

    def _find_functions(self) -> dict[str, tuple[str, Path]]:
        """By PCI slot, the NIC of each virtual function and the link to it in the device tree."""
        found = {}
        for device in self._devices:
            for link in (self._sysfs / "class/net" / device / "device").glob("virtfn*"):
                found[link.resolve().name] = device, link
        return {slot: place for slot, place in found.items() if slot not in self._excluded}

    async def read_taps(self) -> dict[str, Interface]:
        """By PCI slot, the macvtap device that whoever boots instances made on the function there."""
        functions = self._find_functions().items()
        lower = {path.name: slot for slot, (_, link) in functions for path in link.glob("net/*")}
        if not lower:
            return {}
        told = json.loads(await self._run(["-json", "-details", "link", "show", "type", "macvtap"]) or "[]")
        found = {lower[one["link"]]: read_tap(one) for one in told if one.get("link") in lower}
        return dict(sorted(found.items()))

    async def read(self) -> State:
        """The functions that have a MAC."""
        found = await self._read()
        self._works, self._left = self._works + 1, dict(found)
        return found

    async def is_meddled(self) -> bool:
        """Whether functions are other than they were read or set last; while that goes on nobody knows."""
        works = self._works
        found = await self._read()
        return self._left is not None and works == self._works and list_values(found) != list_values(self._left)

    async def _read(self) -> dict[Key, Thing]:
        slots = {place: slot for slot, place in self.find_slots().items()}
        out: dict[Key, Thing] = {}
        for device in dict.fromkeys(device for device, _ in slots):
            for told in json.loads(await self._run(["-json", "link", "show", "dev", device]))[0].get("vfinfo_list", []):
                slot = slots.get((device, told["vf"]))
                if slot and told.get("address", NO_MAC) != NO_MAC:
                    key: Key = ("vf", slot)
                    out[key] = Thing(key, parse_function(told))
        return out

    async def apply(self, ops: Sequence[Op]) -> Sequence[Failure]:
        """Each in its own call. A slot that no NIC has fails a Put and satisfies a Remove."""
        slots = self.find_slots()
        self._works += 1
        left, self._left = self._left, None  # until all are set
        failures = [failure for op in ops if (failure := await self._apply_one(op, slots.get(op.thing.key[1])))]
        self._works += 1
        set_here = {op.thing.key: op for op in ops if op.thing.key[1] in slots}
        if left is not None and set_here.keys().isdisjoint(failure.op.thing.key for failure in failures):
            self._left = note_ops(left, set_here)  # else nobody knows, until all are read again
        return failures

    async def _apply_one(self, op: Op, place: tuple[str, int] | None) -> Failure | None:
        if place is None:
            return Failure(op, self._explain_missing(op.thing.key[1])) if isinstance(op, Put) else None
        words = render_function(op.thing.value) if isinstance(op, Put) else RESET
        try:
            await self._run(["link", "set", "dev", place[0], "vf", str(place[1]), *words])
            return None
        except OSError as error:
            return Failure(op, str(error))

    def _explain_missing(self, slot: str) -> str:
        if slot in self._excluded:
            return f"the function at PCI slot {slot} is excluded ([sriov_nic] exclude_devices)"
        return f"no NIC of {', '.join(self._devices)} has a function at PCI slot {slot}"

    async def close(self) -> None:
        """Nothing is held."""


RESET = (
    *("mac", NO_MAC, "vlan", "0", "spoofchk", "on", "trust", "off"),
    *("max_tx_rate", "0", "min_tx_rate", "0", "state", "auto"),
)


def note_ops(left: Mapping[Key, Thing], ops: Mapping[Key, Op]) -> dict[Key, Thing]:
    """What functions hold after ops that all were done."""
    kept = {key: thing for key, thing in left.items() if key not in ops}
    return kept | {key: op.thing for key, op in ops.items() if isinstance(op, Put)}


def list_values(state: State) -> dict[Key, object]:
    return {key: thing.value for key, thing in state.items()}


def render_function(want: VirtualFunction) -> tuple[str, ...]:
    """The words for `ip link set … vf N`; rates in Mbit/s, as NICs have them."""
    return (
        *("mac", want.mac, "vlan", str(want.vlan)),
        *("spoofchk", "on" if want.spoof_check else "off", "trust", "on" if want.trusted else "off"),
        *("max_tx_rate", str(want.most_mbps), "min_tx_rate", str(want.least_mbps)),
        *("state", STATES[want.up]),
    )


def parse_function(told: Mapping[str, Any]) -> VirtualFunction:
    """From one of `ip -json`'s vfinfo_list."""
    vlans, rate = told.get("vlan_list") or [{}], told.get("rate") or {}
    return VirtualFunction(
        told["address"],
        int(vlans[0].get("vlan") or 0),
        bool(told.get("spoofchk")),
        bool(told.get("trust")),
        told.get("link_state") != "disable",
        int(rate.get("max_tx") or 0),
        int(rate.get("min_tx") or 0),
    )


def read_tap(told: Mapping[str, Any]) -> Interface:
    return Interface(told["ifname"], told["ifindex"], told.get("address", ""))


def make_driver(options: Mapping[str, str]) -> SriovDriver:
    """The driver from options: devices, comma-separated."""
    return SriovDriver(tuple(filter(None, options.get("devices", "").split(","))))

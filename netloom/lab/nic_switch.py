"""The switch inside a simulated NIC: it runs where the NIC's inner ends of its functions' cables are.

    python -m netloom.lab.nic_switch <functions.json> <number of functions>        until it is killed

Devices are `wire`, `pf` and `vf0`, `vf1` … of the namespace that it runs in. What a function may do is read from
functions.json (drivers/sriov/tree.py) whenever that is another file.

Law: as a NIC without a switchdev does it. A function without a MAC passes nothing; with a VLAN it knows of no tags, and
all it sends is tagged; with its spoof check on it sends from its own MAC alone. It is found by the MAC that was set,
never by one that it used.
"""

from __future__ import annotations

import json
import select
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netloom.lab.tagger import LONGEST, add_tag, find_tag, open_wire

WIRE, PF = "wire", "pf"
NO_MAC = bytes(6)
LOOK_S = 0.2
BURST_S = 0.8
"""What may go at once, as seconds of the rate: with less TCP does not reach it."""


@dataclass(frozen=True, slots=True)
class Function:
    """What was set in a virtual function. rate: bits per second that it sends at most; 0: no limit."""

    mac: bytes
    vlan: int = 0
    spoof_check: bool = True
    trusted: bool = False
    up: bool = True
    rate: int = 0

    @property
    def works(self) -> bool:
        return self.up and self.mac != NO_MAC


def parse_function(told: Mapping[str, Any]) -> Function:
    """From one of vfinfo_list, as `ip -json link show` has it."""
    return Function(
        bytes.fromhex(str(told["address"]).replace(":", "")),
        int(told["vlan_list"][0]["vlan"]),
        bool(told["spoofchk"]),
        bool(told["trust"]),
        told["link_state"] != "disable",
        int(told["rate"]["max_tx"]) * 1_000_000,
    )


def parse_functions(text: str) -> dict[str, Function]:
    """By device."""
    return {f"vf{told['vf']}": parse_function(told) for told in json.loads(text)}


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame without its tag, and the VLAN that it was in; 0: none."""

    data: bytes
    vlan: int = 0

    @property
    def target(self) -> bytes:
        return self.data[:6]

    @property
    def source(self) -> bytes:
        return self.data[6:12]

    @property
    def is_flooded(self) -> bool:
        """To all, or to a group (IEEE 802, the first bit of an address)."""
        return bool(self.data[0] & 1)


def admit(frame: Frame, device: str, functions: Mapping[str, Function]) -> Frame | None:
    """The frame as the NIC's switch knows it; None: what sent it may not."""
    if device not in functions:
        return frame
    function = functions[device]
    forged = function.spoof_check and frame.source != function.mac
    if not function.works or forged or (function.vlan and frame.vlan):
        return None
    return Frame(frame.data, function.vlan or frame.vlan)


def find_outputs(frame: Frame, came: str, functions: Mapping[str, Function], pf: bytes) -> Iterator[tuple[str, Frame]]:
    """Where an admitted frame goes, and as what. `pf`: the MAC of the physical function."""
    known = False
    for device, function in functions.items():
        hears = frame.is_flooded or frame.target == function.mac
        if device != came and function.works and hears and is_inside(frame, function):
            known = known or frame.target == function.mac
            yield device, Frame(frame.data, 0 if function.vlan else frame.vlan)
    if came != PF and (frame.is_flooded or frame.target == pf):
        known = known or frame.target == pf
        yield PF, frame
    if came != WIRE and not known:
        yield WIRE, frame


def is_inside(frame: Frame, function: Function) -> bool:
    """Whether a frame is of the function's VLAN; one that is trusted and has none sees tags."""
    return frame.vlan == function.vlan or (function.trusted and not function.vlan)


@dataclass(slots=True)
class Budget:
    """The bits that a function may send now."""

    bits: float = 0
    then: float = 0

    def take(self, bits: int, rate: int, now: float) -> bool:
        """Whether a frame of so many goes; `now` in seconds."""
        if not rate:
            return True
        self.bits = min(self.bits + (now - self.then) * rate, rate * BURST_S)
        self.then = now
        if self.bits < bits:
            return False
        self.bits -= bits
        return True


class Nic:
    """The devices, and what was last read of the functions."""

    def __init__(self, path: Path, count: int) -> None:
        self._path, self._stamp = path, (0, 0)
        self._wires = {name: open_wire(name) for name in (WIRE, PF, *(f"vf{n}" for n in range(count)))}
        self._budgets = {name: Budget() for name in self._wires}
        self._pf = bytes.fromhex(path.with_name("pf-address").read_text().strip().replace(":", ""))
        self._functions: dict[str, Function] = {}
        self.look()

    def look(self) -> None:
        """Read the functions, if they are other ones."""
        with suppress(OSError):
            found = self._path.stat()
            if (found.st_ino, found.st_mtime_ns) != self._stamp:
                self._functions = parse_functions(self._path.read_text())
                self._stamp = found.st_ino, found.st_mtime_ns

    def run(self) -> None:
        """For ever. What a device that is down, or full, does not take is lost, as on a wire."""
        names = {wire.fileno(): name for name, wire in self._wires.items()}
        looked = 0.0
        while True:
            ready, _, _ = select.select(list(names), [], [], LOOK_S)
            now = time.monotonic()
            if now - looked > LOOK_S:
                looked = now
                self.look()
            self._pass(names[one] for one in ready)

    def _pass(self, devices: Iterable[str]) -> None:
        for device in devices:
            with suppress(OSError):
                data, told, _, _ = self._wires[device].recvmsg(LONGEST, 256)
                self._switch(device, Frame(data, find_tag(told)))

    def _switch(self, device: str, came: Frame) -> None:
        frame = admit(came, device, self._functions)
        rate = self._functions[device].rate if device in self._functions else 0
        if frame is None or not self._budgets[device].take(len(frame.data) * 8, rate, time.monotonic()):
            return
        for target, out in find_outputs(frame, device, self._functions, self._pf):
            with suppress(OSError):
                self._wires[target].send(add_tag(out.data, out.vlan) if out.vlan else out.data)


if __name__ == "__main__":
    Nic(Path(sys.argv[1]), int(sys.argv[2])).run()

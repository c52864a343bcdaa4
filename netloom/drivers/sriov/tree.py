"""A NIC that is none: files in a device tree, in the place of hardware, and `ip` for them.

    <tree>/class/net/ens1 → devices/…/net/ens1        speed (Mbit/s), device → the PCI device
    <tree>/devices/pci0000:00/0000:03:00.0            virtfn0 → ../0000:03:10.0 …, functions.json
    <tree>/devices/pci0000:00/0000:03:10.0            physfn → ../0000:03:00.0, net/<the function's own device>

Law: what is simulated is the kernel's answer to `ip link set … vf` and `ip -json link show`, and nothing above it. A
NIC is of files when its device has functions.json, which the kernel's tree never has; whatever else is asked of `ip` is
asked of the real one. functions.json is replaced whole, and holds what `ip` would tell of the functions.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from netloom.drivers.sriov import NO_MAC, SYSFS, RunIp, SriovError, run_ip

FILE = "functions.json"
INVALID = "RTNETLINK answers: Invalid argument"
Function = dict[str, Any]


def choose_run(sysfs: Path, run: RunIp = run_ip) -> RunIp:
    """`ip`, or in another tree than the kernel's one that knows its NICs of files too."""
    return run if sysfs == SYSFS else TreeIp(sysfs, run).run


class TreeIp:
    """`ip` for the NICs of files in a tree; for all else it is `run`."""

    def __init__(self, sysfs: Path, run: RunIp = run_ip) -> None:
        self._sysfs, self._other = sysfs, run

    async def run(self, words: Sequence[str]) -> str:
        """As `RunIp`."""
        device = words[words.index("dev") + 1] if "dev" in words else ""
        path = find_file(self._sysfs, device)
        if not device or not path.exists():
            return await self._other(words)
        if words[0] == "-json":
            return json.dumps([{"ifname": device, "vfinfo_list": await asyncio.to_thread(load_functions, path)}])
        await asyncio.to_thread(set_function, path, int(words[words.index("vf") + 1]), words[words.index("vf") + 2 :])
        return ""


def find_file(sysfs: Path, device: str) -> Path:
    return sysfs / "class/net" / device / "device" / FILE


def make_function(number: int) -> Function:
    """One that nobody has set anything in."""
    return {
        "vf": number, "address": NO_MAC, "vlan_list": [{"vlan": 0, "qos": 0}], "spoofchk": True, "trust": False,
        "link_state": "auto", "rate": {"max_tx": 0, "min_tx": 0},
    }  # fmt: skip


def load_functions(path: Path) -> list[Function]:
    """As `ip -json link show` has them (vfinfo_list). SriovError for a file of anything else."""
    try:
        found: list[Function] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SriovError(f"{path} cannot be read: {error}") from None
    return found


def save_functions(path: Path, functions: Sequence[Mapping[str, Any]]) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(functions, indent=1))
    new.replace(path)


def set_function(path: Path, number: int, words: Sequence[str]) -> None:
    """What `ip link set dev … vf N` does with these words. SriovError in the kernel's words: it cannot be."""
    functions = load_functions(path)
    if number >= len(functions):
        raise SriovError(INVALID)
    given = dict(zip(words[::2], words[1::2], strict=True))
    changed = change_function(functions[number], given, read_speed(path))
    save_functions(path, [*functions[:number], changed, *functions[number + 1 :]])


def read_speed(path: Path) -> int:
    """Mbit/s that the NIC has; 0: it does not say."""
    found = next(iter(sorted(path.parent.glob("net/*/speed"))), None)
    return int(found.read_text()) if found else 0


def change_function(held: Function, given: Mapping[str, str], speed: int) -> Function:
    """The function with what was given, in the words of `ip`. SriovError for what a NIC of that speed cannot do."""
    old = held["rate"]
    most, least = (int(given.get(f"{end}_tx_rate", old[f"{end}_tx"])) for end in ("max", "min"))
    if (speed and max(most, least) > speed) or (most and least > most):
        raise SriovError(INVALID)
    vlan = int(given.get("vlan", held["vlan_list"][0]["vlan"]))
    return {
        **held,
        "address": given.get("mac", held["address"]),
        "vlan_list": [{"vlan": vlan, "qos": 0}],
        "spoofchk": is_on(given, "spoofchk", held["spoofchk"]),
        "trust": is_on(given, "trust", held["trust"]),
        "link_state": given.get("state", held["link_state"]),
        "rate": {"max_tx": most, "min_tx": least},
    }


def is_on(given: Mapping[str, str], word: str, held: bool) -> bool:
    return given[word] == "on" if word in given else held


def make_nic(sysfs: Path, device: str, slot: str, functions: Mapping[str, str], speed: int = 10_000) -> None:
    """A NIC of files at a PCI slot; `functions`: by PCI slot, the name of each function's own device."""
    bus = sysfs / "devices/pci0000:00"
    home = bus / slot
    (home / "net" / device).mkdir(parents=True)
    (home / "net" / device / "speed").write_text(f"{speed}\n")
    (home / "net" / device / "device").symlink_to("../..")
    for number, (place, name) in enumerate(functions.items()):
        (bus / place / "net" / name).mkdir(parents=True)
        (bus / place / "physfn").symlink_to(f"../{slot}")
        (home / f"virtfn{number}").symlink_to(f"../{place}")
    (home / "sriov_numvfs").write_text(f"{len(functions)}\n")
    save_functions(home / FILE, [make_function(number) for number in range(len(functions))])
    (sysfs / "class/net").mkdir(parents=True, exist_ok=True)
    (sysfs / "class/net" / device).symlink_to(f"../../devices/pci0000:00/{slot}/net/{device}")

"""What an agent is told of its NICs (capacities, functions, bonds), and whom the switch tells of its traffic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from netloom.main.options import checks
from netloom.main.options.checks import Given
from netloom.main.options.reading import Read
from netloom.model.device import Bond, Export

MODES = ("balance-tcp", "balance-slb", "active-backup")
LACP = ("active", "passive", "off")
EXPORTS = ("netflow", "sflow", "ipfix")
SLOT = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]")


@dataclass(frozen=True, slots=True)
class Uplinks:
    """All of it. bandwidths: kbit/s, (out, in), by bridge. excluded: PCI slots of functions that are left alone."""

    bandwidths: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    device_mappings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    bonds: Mapping[tuple[str, str], Bond] = field(default_factory=dict)
    exports: Mapping[str, Export] = field(default_factory=dict)
    socket_folder: str = "/var/run/openvswitch"
    excluded: frozenset[str] = frozenset()
    sysfs: Path = Path("/sys")


def load_uplinks(read: Read) -> Uplinks:
    """Raises OptionError."""
    sampling = str(read.value("netloom", "export_sampling"))
    targets = {name: tuple(sorted(read.value("netloom", f"{name}_targets"))) for name in EXPORTS}
    return Uplinks(
        parse_bandwidths(
            read.given("ovs", "resource_provider_bandwidths"), read.value("ovs", "resource_provider_bandwidths")
        ),
        parse_nics(
            read.given("sriov_nic", "physical_device_mappings"), read.value("sriov_nic", "physical_device_mappings")
        ),
        parse_bonds(read.given("netloom", "bonds"), read.value("netloom", "bonds")),
        {name: Export(found, make_settings(name, sampling)) for name, found in targets.items() if found},
        read.value("ovs", "vhostuser_socket_dir"),
        parse_excluded(read.given("sriov_nic", "exclude_devices"), read.value("sriov_nic", "exclude_devices")),
        Path(str(read.value("sriov_nic", "sysfs"))),
    )


def make_settings(name: str, sampling: str) -> tuple[tuple[str, str], ...]:
    """NetFlow counts every flow; the others one packet in so many."""
    return () if name == "netflow" or sampling == "0" else (("sampling", sampling),)


def parse_bandwidths(given: Given, values: Iterable[str]) -> dict[str, tuple[int, int]]:
    """bridge:egress:ingress; a number that is left out is 0: unknown."""
    found: dict[str, tuple[int, int]] = {}
    for value in values:
        bridge, *numbers = value.split(":")
        if not bridge or len(numbers) > 2 or not all(number.isdecimal() or not number for number in numbers):
            raise given.refuse(value, "allowed: bridge:egress:ingress, in kbit/s")
        out, into = ([int(number or 0) for number in numbers] + [0, 0])[:2]
        found[bridge] = out, into
    return found


def parse_nics(given: Given, values: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """physical_network:NIC; a network may have several."""
    found: dict[str, tuple[str, ...]] = {}
    for value in values:
        physical, colon, device = value.partition(":")
        if not physical or not colon:
            raise given.refuse(value, "allowed: physical_network:NIC")
        found[physical] = (*found.get(physical, ()), checks.parse_device(given, device))
    return found


def parse_excluded(given: Given, values: Iterable[str]) -> frozenset[str]:
    """NIC:slot;slot, as Neutron's SR-IOV agent has it; the slots."""
    found: set[str] = set()
    for value in values:
        device, _, slots = value.partition(":")
        wanted = [slot.strip() for slot in slots.split(";")]
        if not device or not all(SLOT.fullmatch(slot) for slot in wanted):
            raise given.refuse(value, "allowed: NIC:slot;slot, each slot as 0000:07:00.2")
        found.update(wanted)
    return frozenset(found)


def parse_bonds(given: Given, values: Iterable[str]) -> dict[tuple[str, str], Bond]:
    """bridge:name:NIC+NIC[:mode[:lacp]]."""
    found: dict[tuple[str, str], Bond] = {}
    for value in values:
        bridge, name, members, mode, lacp = (*value.split(":"), "", "", "", "", "")[:5]
        devices = tuple(sorted(filter(None, members.split("+"))))
        bond = Bond(devices, mode or MODES[0], lacp or LACP[0])
        if not bridge or not name or len(devices) < 2 or bond.mode not in MODES or bond.lacp not in LACP:
            raise given.refuse(
                value, f"allowed: bridge:name:NIC+NIC:mode:lacp, of {', '.join(MODES)}, and {', '.join(LACP)}"
            )
        found[bridge, name] = bond
    return found

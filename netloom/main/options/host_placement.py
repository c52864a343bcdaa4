"""What an agent tells of its host for guarantees: amounts, and below which providers of Nova's they are.

Law: what is told has the names and forms of Neutron's agents, for others read it; an amount that Placement would not
take stops the start.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from netloom.main.options.checks import Given
from netloom.main.options.reading import Read

BANDWIDTHS = "resource_provider_bandwidths"
HYPERVISORS = "resource_provider_hypervisors"
INVENTORY = "resource_provider_inventory_defaults"
WITHOUT = "resource_provider_packet_processing_without_direction"
WITH = "resource_provider_packet_processing_with_direction"
PACKET_INVENTORY = "resource_provider_packet_processing_inventory_defaults"
BOTH = ("egress", "ingress")
MOST = 2**31 - 1
"""The largest number that Placement takes."""
COUNTS = ("max_unit", "min_unit", "reserved", "step_size")

Amounts = Mapping[str, Mapping[str, int | None]]


@dataclass(frozen=True, slots=True)
class Providers:
    """The `configurations` of the agent of a switch, and of that of its NICs, as far as Placement reads them."""

    switch: Mapping[str, Any] = field(default_factory=dict)
    nics: Mapping[str, Any] = field(default_factory=dict)


def load_providers(read: Read, bridges: Collection[str], nics: Mapping[str, Sequence[str]]) -> Providers:
    """`bridges`: that carry physical networks; `nics`: with SR-IOV, by physical network. Raises OptionError."""
    tunnels = read.value("ml2", "tunnelled_network_rp_name")
    switch = describe_providers(read, "ovs", [*bridges, tunnels]) | describe_packets(read)
    devices = [device for found in nics.values() for device in found]
    return Providers(switch, describe_providers(read, "sriov_nic", devices) if devices else {})


def describe_providers(read: Read, group: str, devices: Collection[str]) -> dict[str, Any]:
    given = read.given(group, BANDWIDTHS)
    amounts = parse_amounts(given, read.value(group, BANDWIDTHS), BOTH, "device:egress:ingress, in kbit/s")
    for device in amounts:
        if device not in devices:
            raise given.refuse(device, f"it carries no network here; there are {', '.join(sorted(devices))}")
    homes = read.value(group, HYPERVISORS)
    default = read.value(group, "resource_provider_default_hypervisor") or find_hypervisor()
    return {
        BANDWIDTHS: amounts,
        HYPERVISORS: {device: homes.get(device) or default for device in sorted(devices)},
        INVENTORY: parse_inventory(read.given(group, INVENTORY), read.value(group, INVENTORY)),
    }


def describe_packets(read: Read) -> dict[str, Any]:
    together = parse_amounts(
        read.given("ovs", WITHOUT), read.value("ovs", WITHOUT), ("any",), "hypervisor:rate, in 1000 packets/s"
    )
    each = parse_amounts(
        read.given("ovs", WITH), read.value("ovs", WITH), BOTH, "hypervisor:egress:ingress, in 1000 packets/s"
    )
    if together and each:
        raise read.given("ovs", WITH).refuse(", ".join(read.value("ovs", WITH)), f"there is {WITHOUT} already")
    default = read.value("ovs", "resource_provider_default_hypervisor") or find_hypervisor()
    inventory = parse_inventory(read.given("ovs", PACKET_INVENTORY), read.value("ovs", PACKET_INVENTORY))
    return {
        WITHOUT: {name or default: rate for name, rate in together.items()},
        WITH: {name or default: rate for name, rate in each.items()},
        PACKET_INVENTORY: inventory,
    }


def parse_amounts(given: Given, values: Iterable[str], directions: Sequence[str], form: str) -> dict[str, Any]:
    """By name, then direction; what is left out is None, and a name alone has no amounts."""
    found: dict[str, Any] = {}
    for value in values:
        name, *texts = value.strip().split(":")
        texts += [""] * (len(directions) - len(texts))
        fit = len(texts) == len(directions) and all(not text or is_count(text) for text in texts)
        if not fit or name in found:
            raise given.refuse(value, f"allowed: {form}, each name once, and at most {MOST}")
        found[name] = {way: int(text) if text else None for way, text in zip(directions, texts, strict=True)}
    return found


def parse_inventory(given: Given, values: Mapping[str, str]) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for name, text in values.items():
        if name == "allocation_ratio" and is_ratio(text):
            found[name] = float(text)
        elif name in COUNTS and is_count(text):
            found[name] = int(text)
        else:
            allowed = f"allowed: allocation_ratio, a number; {', '.join(COUNTS)}, whole numbers; none negative"
            raise given.refuse(f"{name}:{text}", allowed)
    return found


def is_count(text: str) -> bool:
    return text.isdecimal() and int(text) <= MOST


def is_ratio(text: str) -> bool:
    try:
        return 0 <= float(text) < float("inf")
    except ValueError:
        return False


def find_hypervisor() -> str:
    """This machine's whole name, found as libvirt finds the name that Nova gives to Placement (virGetHostname)."""
    name = socket.gethostname()
    if name.startswith("localhost") or "." in name:
        return name
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_CANONNAME)
    except OSError:
        return name
    whole = found[0][3] if found else ""
    return whole if whole and not whole.startswith("localhost") else name

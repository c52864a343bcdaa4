"""Ports past the switch: what their functions, and the devices on them, are set to; and what they wait for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.model.device import Link, Mirror, VirtualFunction
from netloom.model.facts import HostFacts, Interface
from netloom.model.slices import MirrorRow, NetworkRow, PortRow, Row, Segment, Slice, Slices
from netloom.render.functions import render_functions
from netloom.render.mirrors import render_mirrors
from netloom.render.status import find_pending

SLOT, MAC = "0000:03:10.0", "fa:16:3e:00:00:05"
PORT = PortRow("p", "n", MAC, vnic_type="macvtap", pci_slot=SLOT)
NETWORK = NetworkRow("n", 5, mtu=1400, segments=(Segment("vlan", "physnet", 101),))
FACTS = HostFacts("h1", device_mappings={"physnet": ("ens1",)})
TAP = {SLOT: Interface("macvtap0", 9)}


def make_slices(*rows: Row, network: NetworkRow = NETWORK) -> Slices:
    own = {f"{type(row).__name__.removesuffix('Row').lower()}/{getattr(row, 'id')}": row for row in rows}  # noqa: B009
    parts = (Slice("host/h1", 3, own), Slice("network/n", 3, {"network/n": network}))
    return {part.name: part for part in parts}


def test_a_function_and_the_macvtap_device_on_it() -> None:
    """VLAN and MAC in the function; MAC, MTU and state on the device, once somebody made it."""
    function = VirtualFunction(MAC, 101)
    held = {thing.key: thing.value for thing in render_functions(make_slices(PORT), FACTS)}
    assert held == {("vf", SLOT): function}
    facts = replace(FACTS, taps=TAP)
    held = {thing.key: thing.value for thing in render_functions(make_slices(PORT), facts)}
    assert held == {("vf", SLOT): function, ("link", "macvtap0"): Link(True, 1400, MAC)}
    off = make_slices(replace(PORT, admin_state_up=False))
    assert {thing.key: thing.value for thing in render_functions(off, facts)}[("link", "macvtap0")].up is False
    direct = make_slices(replace(PORT, vnic_type="direct"))
    assert [thing.key for thing in render_functions(direct, facts)] == [("vf", SLOT)]


@pytest.mark.parametrize(
    ("vnic_type", "slot", "taps", "reason"),
    [
        ("macvtap", SLOT, {}, f"waiting for a macvtap device on the function at PCI slot {SLOT}"),
        ("macvtap", SLOT, TAP, ""),
        ("direct", SLOT, {}, ""),
        ("direct-physical", "", {}, ""),
    ],
)
def test_what_it_waits_for(vnic_type: str, slot: str, taps: dict[str, Interface], reason: str) -> None:
    """A device, where the instance needs one of the host's; of a whole NIC nothing is left to be done."""
    port = replace(PORT, vnic_type=vnic_type, pci_slot=slot)
    found = find_pending(make_slices(port), replace(FACTS, taps=taps))
    assert found.get("p", "") == reason


def test_a_function_is_one_ports_whoever_says_so() -> None:
    """Of two ports at one PCI slot one has it, whichever was said first; the other says whose it is."""
    ports = (replace(PORT, id="q", mac="fa:16:3e:00:00:06", vnic_type="direct"), replace(PORT, vnic_type="direct"))
    for rows in (ports, ports[::-1]):
        slices = make_slices(*rows)
        assert [thing.value for thing in render_functions(slices, FACTS)] == [VirtualFunction(MAC, 101)]
        assert find_pending(slices, FACTS) == {"q": f"the function at PCI slot {SLOT} is port p's"}


def test_a_subport_is_mirrored_by_its_tag() -> None:
    """On the device of its parent; whatever filter the tap has, which speaks of the parent's tags."""
    sub = PortRow("s", "n", "fa:16:3e:00:00:06", parent_id="p", vlan=100)
    tap = MirrorRow("t", "s", (("IN", 0), ("OUT", 0)), "port", target_id="w")
    facts = replace(FACTS, interfaces={"p": Interface("tapp", 7), "w": Interface("tapw", 8)})
    (thing,) = render_mirrors(make_slices(PORT, sub, tap), facts)
    assert thing.value == Mirror(("tapp",), ("tapp",), "tapw", (100,))
    (thing,) = render_mirrors(make_slices(PORT, sub, replace(tap, port_id="p", vlans="3,100-101")), facts)
    assert thing.value == Mirror(("tapp",), ("tapp",), "tapw", (3, 100, 101))
    assert not list(render_mirrors(make_slices(PORT, sub, tap), replace(facts, interfaces={"w": TAP[SLOT]})))

"""Law 8, of virtual functions: a port whose function holds another's settings, or none, is not said to be wired."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netloom.model.device import VirtualFunction
from netloom.model.facts import HostFacts
from netloom.model.slices import NetworkRow, PortRow, Segment, Slice
from netloom.render.functions import render_functions
from netloom.render.status import find_pending

SLOTS = ("0000:03:10.0", "0000:03:10.1", "")
NETWORKS = {"carried": "physnet", "elsewhere": "other"}
FACTS = HostFacts("h1", device_mappings={"physnet": ("ens1",)})


def make_port(number: int, slot: str, network: str) -> PortRow:
    return PortRow(f"p{number}", network, f"fa:16:3e:00:00:{number:02x}", vnic_type="direct", pci_slot=slot)


PORTS = st.lists(st.tuples(st.sampled_from(SLOTS), st.sampled_from(sorted(NETWORKS))), min_size=1, max_size=6).map(
    lambda drawn: [make_port(number, slot, network) for number, (slot, network) in enumerate(drawn)]
)


@given(PORTS, st.randoms(use_true_random=False))
def test_a_port_is_wired_when_its_function_holds_what_it_says(ports: list[PortRow], chance: object) -> None:
    """Whichever ports name one PCI slot, in whatever order they came: each function is one port's, and only that port
    waits for nothing."""
    networks = {
        f"network/{name}": Slice(f"network/{name}", 1, {f"network/{name}": NetworkRow(name, 1, segments=(
            Segment("vlan", physical, 7),))}) for name, physical in NETWORKS.items()
    }  # fmt: skip
    chance.shuffle(ports)  # type: ignore[attr-defined]
    slices = {"host/h1": Slice("host/h1", 1, {f"port/{port.id}": port for port in ports}), **networks}
    things = list(render_functions(slices, FACTS))
    held = {thing.key[1]: thing.value for thing in things}
    assert len(held) == len(things), "a function is asked to hold two ports' settings"
    pending = find_pending(slices, FACTS)
    for port in ports:
        if port.pci_slot:
            holds = held.get(port.pci_slot) == VirtualFunction(port.mac, 7)
            assert (port.id not in pending) == holds
    again = {**slices, "host/h1": Slice("host/h1", 1, {f"port/{port.id}": port for port in reversed(ports)})}
    assert {thing.key: thing.value for thing in render_functions(again, FACTS)} == {t.key: t.value for t in things}

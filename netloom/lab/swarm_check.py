"""Whether every host of a swarm holds what the stored cloud says: its slices, and the things that follow from them.

Law: what is compared is worked out anew from the store; nothing that a server or an agent remembers takes part.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netloom.intent.catalog import CATALOG
from netloom.intent.snapshot import Snapshot
from netloom.lab.swarm_fill import collector_off
from netloom.lab.swarm_host import Device, Plugs
from netloom.model.slices import Slice, Slices, find_leads, find_reached
from netloom.reconcile.desired import merge_groups
from netloom.render.host import render_host
from netloom.resolve.slices import resolve_slice
from netloom.store.engine import open_reader
from netloom.store.load import load_snapshot

Held = tuple[Slices, Plugs, Device | None]
TOLD = 20
"""How many differences are told in words."""


class Resolved:
    """Slices of one snapshot, each worked out once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._found: dict[str, Slice | None] = {}

    def slice(self, name: str) -> Slice | None:
        if name not in self._found:
            self._found[name] = resolve_slice(self._snapshot, name)
        return self._found[name]

    def leads(self, name: str) -> Iterable[str]:
        found = self.slice(name)
        return find_leads(found.rows) if found else ()

    def follow(self, host: str) -> Slices:
        """All that the host should have."""
        names = find_reached(f"host/{host}", self.leads)
        return {name: found for name in names if (found := self.slice(name)) is not None}


def find_differences(store: str, held: Mapping[str, Held]) -> list[str]:
    """What is not as it should be, in words; empty: every host holds what it should. `store`: its database URL."""
    opened = open_reader(store)
    try:
        resolved = Resolved(load_snapshot(opened, CATALOG))
    finally:
        opened.close()
    found: list[str] = []
    with collector_off():
        for host, (slices, plugs, device) in held.items():
            wanted = resolved.follow(host)
            found += compare_slices(host, slices, wanted)
            found += compare_things(host, wanted, plugs, device)
    return found[:TOLD]


def compare_slices(host: str, slices: Slices, wanted: Slices) -> Iterable[str]:
    for name in sorted(slices.keys() | wanted.keys()):
        if name not in wanted or name not in slices:
            yield f"{host}: {name} is {'missing' if name in wanted else 'too much'}"
        elif dict(slices[name].rows) != dict(wanted[name].rows):
            yield f"{host}: {name} differs"


def compare_things(host: str, wanted: Slices, plugs: Plugs, device: Device | None) -> Iterable[str]:
    if device is None:
        return
    state, _ = merge_groups(render_host(wanted, plugs.plug(wanted)))
    if state == device.held:  # by far the most often, and the hashes of the keys are not worked out again
        return
    for key in state.keys() | device.held.keys():
        if key not in state or key not in device.held:
            yield f"{host}: {key[:4]} is {'missing' if key in state else 'too much'}"
        elif state[key].value != device.held[key].value:
            yield f"{host}: {key[:4]} differs"

"""Taps on a host with Linux bridges: copies of what a port's device sends and gets, to the device of another port.

A copy is taken before any filter sees a frame, so also what the guard then drops, and goes straight to that device.
Copies leave this host by nothing: a port whose tap would need that says so (see `find_tap_reason`).
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.model.bridge import Copy
from netloom.model.facts import HostFacts
from netloom.model.plan import Thing
from netloom.model.slices import MirrorRow, SinkRow, Slices
from netloom.model.why import Why

WAYS = {"OUT": "sent", "IN": "received"}
"""By direction of a tap, as the port sees it."""


def render_mirrors(slices: Slices, facts: HostFacts) -> Iterator[Thing]:
    """Nothing for one whose ports have no device yet."""
    for row in find_taps(slices, facts):
        if not isinstance(row, MirrorRow) or find_trouble(row):
            continue
        source, target = facts.interfaces.get(row.port_id), facts.interfaces.get(row.target_id)
        if source is None or target is None:
            continue
        why = Why(row.revision, (f"tap/{row.id}", f"port/{row.port_id}"), "bridges.render_mirrors")
        for direction, _ in row.directions:
            yield Thing(("copy", source.name, WAYS[direction], target.name), Copy(), why)


def find_taps(slices: Slices, facts: HostFacts) -> list[MirrorRow | SinkRow]:
    own = slices.get(f"host/{facts.host}")
    found = own.rows.items() if own else ()
    return [row for _, row in sorted(found) if isinstance(row, MirrorRow | SinkRow)]


def find_trouble(row: MirrorRow | SinkRow) -> str:
    """Why a tap cannot be made here; empty: it can."""
    if isinstance(row, SinkRow):
        return "copies would come from another host"
    if row.kind != "port":
        return "its copies would go to another host"
    return "it is to copy some VLANs alone" if row.vlans else ""


def find_tap_reason(port_id: str, slices: Slices, facts: HostFacts) -> str:
    """What a port waits for that is tapped, or gets copies, as no host with Linux bridges has it."""
    for row in find_taps(slices, facts):
        if row.port_id == port_id and (trouble := find_trouble(row)):
            return f"tap {row.id} of the port is not made: {trouble}, which Linux bridges here do not do"
    return ""

"""What a host has left of the bandwidth that it may guarantee on a physical network, for ports that Placement does not
count.

Law: whoever Placement has placed (the binding profile names its allocation) is not refused by another count; for every
other port the binding counts, by the amounts that the host told and that Placement would go by.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.schema import Doc

CLASSES = {"egress": "NET_BW_EGR_KILOBIT_PER_SEC", "ingress": "NET_BW_IGR_KILOBIT_PER_SEC"}
"""By direction, what Placement calls it (os-resource-classes)."""


def refuse_guarantee(draft: Draft, port: Doc, segment: Doc, agent: Doc) -> str:
    """Why the host cannot keep what the port's policy guarantees; empty: it can, or nobody said how much it has."""
    wanted, physical = find_asked(port), segment["physical_network"]
    if not wanted or not physical or port["binding:profile"].get("allocation") or is_promised(draft, port, wanted):
        return ""
    for way, most in find_capacity(agent["configurations"], physical):
        asked = wanted.get(CLASSES[way], 0)
        left = most - sum(one.get(CLASSES[way], 0) for one in find_promised(draft, port, physical))
        if asked > left:
            return (
                f"host {agent['host']} has {max(left, 0)} of {most} kbit/s left to guarantee on physical network "
                f"{physical} ({way}), and the port needs {asked}"
            )
    return ""


def is_promised(draft: Draft, port: Doc, wanted: Mapping[str, int]) -> bool:
    """Whether the host has promised the port just this already: what it has is not taken away by another update."""
    old = draft.get("port", port["id"])
    if old is None or not old.get("bound_segment"):
        return False
    return bool(old["binding:host_id"] == port["binding:host_id"] and find_asked(old) == wanted)


def find_asked(port: Doc) -> dict[str, int]:
    """By resource class, what the port's policy guarantees."""
    groups = (port.get("resource_request") or {}).get("request_groups", ())
    return {name: amount for group in groups for name, amount in group["resources"].items()}


def find_capacity(told: Mapping[str, Any], physical: str) -> Iterator[tuple[str, int]]:
    """(direction, kbit/s) that the host may guarantee there, as Placement works it out of total, reserve and ratio."""
    device = (told.get("bridge_mappings") or {}).get(physical, "")
    amounts = (told.get("resource_provider_bandwidths") or {}).get(device) or {}
    defaults = told.get("resource_provider_inventory_defaults") or {}
    for way in CLASSES:
        if (total := amounts.get(way)) is not None:
            yield way, int((total - defaults.get("reserved", 0)) * defaults.get("allocation_ratio", 1.0))


def find_promised(draft: Draft, port: Doc, physical: str) -> Iterator[dict[str, int]]:
    """What the other ports are guaranteed that are bound there."""
    for other in draft.find("port", "binding:host_id", port["binding:host_id"]):
        if other["id"] != port["id"] and other.get("bound_segment") and (asked := find_asked(other)):
            segment = draft.get("segment", other["bound_segment"])
            if segment is not None and segment["physical_network"] == physical:
                yield asked

"""What a host has left of the bandwidth that it may guarantee on a physical network, for ports that Placement does not
count.

Law: whoever Placement has placed (the binding profile names its allocation) is not refused by another count; for every
other port the binding counts, by the amounts that the host told and that Placement would go by. A binding that waits
for an instance on its way counts too: the instance is not refused when it has arrived.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.l2.segments import find_segments
from netloom.intent.schema import Doc

CLASSES = {"egress": "NET_BW_EGR_KILOBIT_PER_SEC", "ingress": "NET_BW_IGR_KILOBIT_PER_SEC"}
"""By direction, what Placement calls it (os-resource-classes)."""
UNPLUGGED = ("unbound", "binding_failed")
"""The vif_types of a binding that no host has anything of."""


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
    """Whether the host has promised the port as much already: what it has is not taken away by another update, nor by
    one that needs less, nor from an instance that has arrived."""
    old, host = draft.get("port", port["id"]), port["binding:host_id"]
    if old is None:
        return False
    had, here = find_asked(old), old["binding:host_id"] == host and bool(old.get("bound_segment"))
    awaited = (binding for binding in draft.find("binding", "port_id", port["id"]) if binding["host"] == host)
    return all(amount <= had.get(name, 0) for name, amount in wanted.items()) and (
        here or any(binding["vif_type"] not in UNPLUGGED for binding in awaited)
    )


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
    """What the other ports are guaranteed that are bound there, or are to be when their instance has arrived."""
    for other in draft.find("port", "binding:host_id", port["binding:host_id"]):
        if other["id"] != port["id"] and other.get("bound_segment") and (asked := find_asked(other)):
            segment = draft.get("segment", other["bound_segment"])
            if segment is not None and segment["physical_network"] == physical:
                yield asked
    for binding in draft.find("binding", "expecting", port["binding:host_id"]):
        moving = draft.get("port", binding["port_id"])
        if moving is None or moving["id"] == port["id"]:
            continue
        asked, segments = find_asked(moving), find_segments(draft, moving["network_id"])
        if asked and any(segment["physical_network"] == physical for segment in segments):
            yield asked

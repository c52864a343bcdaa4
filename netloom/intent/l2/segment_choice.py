"""Where the numbers of new segments are taken from: a project's own ranges first, then those that all share.

Shared are the ranges of the configuration and those that an administrator added; what is set aside for one project
is left out of them for every other. Law: a cloud without network segment ranges pays one look-up for them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netloom.intent.draft import Draft
from netloom.intent.operation import Settings
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

KIND = "network_segment_range"
Range = tuple[str, int, int]
"""(physical network, or "" for tunnels; first number; last number)"""


def find_ranges(draft: Draft, network_type: str, project_id: str) -> Iterable[Range]:
    """The ranges that a new segment of the project may be taken from, in the order in which they are tried."""
    configured = list_configured(draft.context.settings, network_type)
    added = list(draft.find(KIND, "network_type", network_type))
    return order_ranges(configured, added, project_id) if added else configured


def order_ranges(configured: Iterable[Range], added: Iterable[Doc], project_id: str) -> Iterator[Range]:
    """The project's own ranges, lowest first, then what is shared and set aside for nobody else."""
    own: list[Range] = []
    shared: list[Range] = []
    others: list[Range] = []
    for doc in added:
        mine = own if doc["project_id"] == project_id else others
        (shared if doc["shared"] else mine).append(as_range(doc))
    yield from sorted(own)
    for one in (*configured, *sorted(shared)):
        yield from leave_out(one, others)


def leave_out(one: Range, others: Iterable[Range]) -> Iterator[Range]:
    """What of a range is in none of the others."""
    physical, first, last = one
    taken = sorted((low, high) for name, low, high in others if name == physical and low <= last and high >= first)
    for low, high in taken:
        if first < low:
            yield physical, first, low - 1
        first = max(first, high + 1)
    if first <= last:
        yield physical, first, last


def as_range(doc: Doc) -> Range:
    return doc["physical_network"] or "", doc["minimum"], doc["maximum"]


def list_configured(settings: Settings, network_type: str) -> Iterator[Range]:
    """The ranges of the configuration."""
    if network_type == "vlan":
        for physical, ranges in settings.network_vlan_ranges.items():
            for first, last in ranges:
                yield physical, first, last
    else:
        for first, last in settings.vni_ranges.get(network_type, ()):
            yield "", first, last


def has_vlans(source: Draft | Snapshot, physical_network: str) -> bool:
    """Whether an administrator gave the physical network a range of VLANs."""
    return any(doc["physical_network"] == physical_network for doc in source.find(KIND, "network_type", "vlan"))

"""The provider attributes: what their values may be, and filters that find a network by each of its segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.l2.segments import NETWORK_TYPE, PHYSICAL_NETWORK, SEGMENTATION_ID
from netloom.intent.part import Part
from netloom.intent.schema import Doc, Filter, Kind

# A request gives a value or leaves the attribute out; null is what a network of no or several segments shows.
TYPE = Kind("string32", kinds.text_parser(32), {"type": ["string", "null"], "maxLength": 32})
PHYSICAL = Kind("string64", kinds.text_parser(64), {"type": ["string", "null"], "maxLength": 64})
NUMBER = Kind("integer", kinds.parse_any_int, {"type": ["integer", "null"]}, kinds.filter_int)


def find_values(network: Doc, name: str) -> list[Any]:
    """The attribute of each segment that a network shows."""
    return [one.get(name) for one in network.get("segments") or [network]]


def segment_filter(name: str, parse: Callable[[str], Any]) -> Filter:
    """Members ask for their own networks by type and number, though they are not shown them: Neutron answers, and its
    tests want it."""

    def matches(doc: Doc, values: Sequence[str]) -> bool:
        wanted = [parse(value) for value in values]
        return any(value in wanted for value in find_values(doc, name))

    def check(values: Sequence[str]) -> None:
        for value in values:
            parse(value)

    return Filter(name, matches, "As one of its segments has it.", check, open=True)


NETWORK_PART = Part(
    filters=(
        segment_filter(NETWORK_TYPE, str),
        segment_filter(PHYSICAL_NETWORK, str),
        segment_filter(SEGMENTATION_ID, kinds.filter_int),
    )
)

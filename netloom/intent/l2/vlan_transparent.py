"""VLAN-transparent networks: what instances tag stays tagged from one to the other. A Part of networks.

Law: it is decided when the network is made, and holds for every host; so it is refused where the network's own tag is
on the wire, for Open vSwitch parses one tag unless it is told otherwise.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError
from netloom.intent.extension import Extension
from netloom.intent.l2.segments import find_segments
from netloom.intent.part import Part, Values
from netloom.intent.schema import Doc, Field

TRANSPARENT = "vlan_transparent"


def create_network(draft: Draft, doc: Doc) -> Values:
    """Raises VlanTransparencyDriverError where a segment of the network has a tag of its own."""
    tagged = any(segment["network_type"] == "vlan" for segment in find_segments(draft, doc["id"]))
    if doc.get(TRANSPARENT) and tagged:
        raise ApiError(400, "VlanTransparencyDriverError", "Backend does not support VLAN Transparency.")
    return {TRANSPARENT: doc.get(TRANSPARENT)}


NETWORK_PART = Part(
    (
        Field(
            TRANSPARENT, kinds.BOOL, "Whether tags of those who use it are carried; for life.", None,
            alias="vlan-transparent",
        ),
    ),
    create=create_network,
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "vlan-transparent", "Vlantransparent", "Networks that carry tags of those who use them.",
        "2015-03-23T09:00:00-00:00",
    ),
)  # fmt: skip

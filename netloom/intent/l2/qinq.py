"""QinQ networks: VLANs whose own tag is an outer one (IEEE 802.1ad), around those of instances. A Part of networks.

Law: it is decided when the network is made and holds for every host; a host whose switch reads one tag alone is not
bound to, and says which option of the switch is missing.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource
from netloom.intent.extension import Extension
from netloom.intent.l2.segments import find_segments
from netloom.intent.l2.vlan_transparent import TRANSPARENT
from netloom.intent.part import Part, Values
from netloom.intent.schema import Doc, Field

QINQ = "qinq"


def create_network(draft: Draft, doc: Doc) -> Values:
    """Raises VlanQinqDriverError where a segment of the network has no tag of its own to be the outer one."""
    if doc.get(QINQ) and doc.get(TRANSPARENT):
        words = "Attributes 'vlan_transparent' and 'qinq' can not be set to True for the same network."
        raise bad_resource("network", words)
    if doc.get(QINQ) and any(segment["network_type"] != "vlan" for segment in find_segments(draft, doc["id"])):
        raise ApiError(400, "VlanQinqDriverError", "Backend does not support VLAN QinQ.")
    return {QINQ: doc.get(QINQ)}


NETWORK_PART = Part(
    (
        Field(
            QINQ, kinds.BOOL, "Whether its VLAN is an outer one, around those of who use it; for life.", None,
            alias="qinq",
        ),
    ),
    create=create_network,
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "qinq", "QinQ networks", "VLANs around the VLANs of those who use them (802.1ad).", "2024-12-02T10:00:00-00:00"
    ),
)

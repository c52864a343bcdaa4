"""What a host knows of trunks: of each subport whose device carries it, and under which tag.

Law 6: a subport's row is of the subport alone. A trunk changes a subport's tag only by letting it go and taking it in
again, and both are changes of the subport; so nothing here is touched by a trunk, whose status changes often.
"""

from __future__ import annotations

from netloom.intent.l2.trunk_port import TRUNK_ID
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot


def find_seat(snapshot: Snapshot, port: Doc) -> tuple[str, int]:
    """(the parent, the tag) of a subport; ("", 0) for a port that is in no trunk, or whose trunk is not there."""
    trunk = snapshot.get("trunk", port[TRUNK_ID]) if TRUNK_ID in port else None
    if trunk is None:
        return "", 0
    tags = (one["segmentation_id"] for one in trunk["sub_ports"] if one["port_id"] == port["id"])
    tag = next(tags, 0)
    return (trunk["port_id"], tag) if tag else ("", 0)

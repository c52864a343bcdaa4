"""What Local IPs ask of ports: the one that has the address, and those that it leads to.

Law: a port that a Local IP needs is not deleted; one that it leads to takes the association with it.
"""

from __future__ import annotations

from netloom.intent.draft import Draft
from netloom.intent.l2.binding import HOST
from netloom.intent.l3.floatingip_parts import protected
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import Doc

LOCAL_IP_OWNER = "network:local_ip"


def delete_port(draft: Draft, old: Doc) -> None:
    if draft.count_in("local_ip", "local_port_id", old["id"]):
        raise protected(old, "still referenced by Local IPs")
    for id in list(draft.find_ids("port_association", "fixed_port_id", old["id"])):
        draft.remove("port_association", id)


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """An association goes with the address that it leads to."""
    if new["fixed_ips"] != old["fixed_ips"]:
        left = {fixed["ip_address"] for fixed in new["fixed_ips"]}
        for association in list(draft.find("port_association", "fixed_port_id", old["id"])):
            if association["fixed_ip"] not in left:
                draft.remove("port_association", association["id"])
    return NOTHING


def follow_port(draft: Draft, old: Doc, new: Doc) -> None:
    """An association says which host its port is on."""
    if new[HOST] != old[HOST]:
        for association in list(draft.find("port_association", "fixed_port_id", new["id"])):
            draft.put("port_association", {**association, "host": new[HOST]})


PORT_PART = Part(update=update_port, delete=delete_port, follow=follow_port)

"""What a trunk does to its ports: the parent shows it, the subports follow the parent's host, and none can be deleted.

Law: a port's trunk_details and the hidden trunk_id are copies of what the trunk says, made in the same write; a port
that has neither costs its operations two look-ups in its own document. A trunk's status is that of its ports.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing import addresses
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.l2 import binding
from netloom.intent.l2.binding import HOST, VIF_TYPE, is_bound
from netloom.intent.part import Part
from netloom.intent.schema import GENERATED, Doc, Field
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SUBPORT_OWNER = "trunk:subport"
"""The device_owner of a subport on a host."""
DOWN, BUILD, ACTIVE, ERROR = "DOWN", "BUILD", "ACTIVE", "ERROR"
DETAILS, TRUNK_ID = "trunk_details", "trunk_id"


# -- what the trunk's own operations do to its ports -------------------------------------------------------------------


def put_trunk(draft: Draft, trunk: Doc) -> Doc:
    """Store the trunk with the status that its ports give it, and what they show of it."""
    parent = draft.get("port", trunk["port_id"])
    for port in find_subports(draft, trunk):
        draft.put("port", follow_parent(draft, {**port, TRUNK_ID: trunk["id"]}, parent))
    show_details(draft, trunk)
    return draft.put("trunk", {**trunk, "status": find_status(draft, trunk)})


def show_details(draft: Draft, trunk: Doc) -> None:
    """The parent's copy of the trunk: its subports, with the MACs that a guest gives its VLAN interfaces."""
    parent = draft.get("port", trunk["port_id"])
    if parent is None:
        return
    details = make_details(draft, trunk)
    if parent.get(DETAILS) != details:
        draft.put("port", {**parent, DETAILS: details})


def make_details(source: Snapshot | Draft, trunk: Doc) -> dict[str, Any]:
    macs = {port["id"]: port["mac_address"] for port in find_subports(source, trunk)}
    shown = [{**one, "mac_address": macs.get(one["port_id"], "")} for one in trunk["sub_ports"]]
    return {"trunk_id": trunk["id"], "sub_ports": shown}


def hide_details(draft: Draft, trunk: Doc) -> None:
    """The trunk is gone: its parent is a port like others."""
    parent = draft.get("port", trunk["port_id"])
    if parent is not None and DETAILS in parent:
        draft.put("port", {name: value for name, value in parent.items() if name != DETAILS})


def release_subports(draft: Draft, sub_ports: Sequence[Mapping[str, Any]]) -> None:
    """The ports are in no trunk any more; one that followed its parent to a host is on none."""
    for one in sub_ports:
        port = draft.get("port", one["port_id"])
        if port is not None and TRUNK_ID in port:
            left = {name: value for name, value in port.items() if name != TRUNK_ID}
            draft.put("port", follow_parent(draft, left, None))


def find_subports(source: Snapshot | Draft, trunk: Doc) -> Iterator[Doc]:
    found = (source.get("port", one["port_id"]) for one in trunk["sub_ports"])
    return (port for port in found if port is not None)


def follow_parent(draft: Draft, port: Doc, parent: Doc | None) -> Doc:
    """The subport on the host that its parent is bound to, or on none."""
    wanted: dict[str, Any]
    if parent is not None and is_bound(parent):
        wanted = {HOST: parent[HOST], "device_owner": SUBPORT_OWNER}
    elif port["device_owner"] == SUBPORT_OWNER:
        wanted = {HOST: "", "device_owner": ""}
    else:
        return port
    if all(port[name] == value for name, value in wanted.items()):
        return port
    moved = {**port, **wanted}
    if wanted[HOST] and (found := addresses.resolve_host(draft, port, moved)):
        moved |= addresses.show_addresses(moved, found["fixed_ips"], draft.context.settings)
    return make_updated(port, {**moved, **binding.bind_port(draft, moved)}, draft.context)


def find_status(source: Snapshot | Draft, trunk: Doc) -> str:
    """ERROR where a subport cannot be on the parent's host; ACTIVE once the host has acknowledged all that is on."""
    parent = source.get("port", trunk["port_id"])
    if parent is None or not is_bound(parent):
        return DOWN
    subports = list(find_subports(source, trunk))
    if any(port[VIF_TYPE] == binding.FAILED for port in subports):
        return ERROR
    if parent["status"] != ACTIVE:
        return DOWN
    return ACTIVE if all(p["status"] == ACTIVE for p in subports if p["admin_state_up"]) else BUILD


# -- what happens to a port of a trunk ---------------------------------------------------------------------------------


def follow_port(draft: Draft, old: Doc, new: Doc) -> None:
    """Bring the trunk of a port that changed, and the trunk's other ports, in step with it."""
    if DETAILS not in new and TRUNK_ID not in new:
        return
    trunk = draft.get("trunk", new[DETAILS]["trunk_id"] if DETAILS in new else new[TRUNK_ID])
    if trunk is None:
        return
    if DETAILS in new:
        for port in list(find_subports(draft, trunk)):
            draft.put("port", follow_parent(draft, port, new))
    else:
        draft.put("port", follow_parent(draft, new, draft.get("port", trunk["port_id"])))
        if new["mac_address"] != old["mac_address"]:
            show_details(draft, trunk)
    draft.put("trunk", make_updated(trunk, {"status": find_status(draft, trunk)}, draft.context))


def keep_port(draft: Draft, old: Doc) -> None:
    """A port of a trunk is not deleted under it."""
    if TRUNK_ID in old:
        raise conflict("PortInUseAsSubPort", f"Port {old['id']} is currently a subport for trunk {old[TRUNK_ID]}.")
    if DETAILS in old:
        raise conflict(
            "PortInUseAsTrunkParent",
            f"Port {old['id']} is currently a parent port for trunk {old[DETAILS]['trunk_id']}.",
        )


PORT_PART = Part(
    fields=(
        Field(
            DETAILS,
            kinds.OBJECT,
            "The trunk that it is the parent of, where it is one: its id and subports.",
            GENERATED,
            post=False,
            filter=False,
            alias="trunk-details",
        ),
        Field(TRUNK_ID, kinds.UUID, "The trunk that it is a subport of.", GENERATED, post=False, visible=False),
    ),
    delete=keep_port,
    follow=follow_port,
)

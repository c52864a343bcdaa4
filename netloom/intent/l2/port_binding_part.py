"""The binding that a port has, as a document of its own: what port and bindings have to agree on. A Part of the port.

Law: a port's ACTIVE binding says what the port's own attributes say. It is made when somebody first asks for the
bindings of a port, and from then on follows the port; few ports are ever asked.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource
from netloom.intent.l2.binding import FAILED, HOST, PROFILE, UNBOUND, VIF_DETAILS, VIF_TYPE, VNIC_TYPE
from netloom.intent.part import Part
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot

ACTIVE, INACTIVE = "ACTIVE", "INACTIVE"
OWNERS = ("compute:", "manila:")
"""Whose ports may have several bindings."""
MAX_HOST = 200


def make_id(port_id: str, host: str) -> str:
    """Port and host, or a digest of the host where ids have no room for its name (255 characters)."""
    return f"{port_id}/{host if len(host) <= MAX_HOST else blake2b(host.encode(), digest_size=32).hexdigest()}"


def supports_bindings(port: Doc) -> bool:
    return str(port["device_owner"]).startswith(OWNERS)


def check_supports(port: Doc) -> None:
    if not supports_bindings(port):
        raise bad_resource(
            "port", f"Invalid port {port['id']}. Operation only valid on compute and shared filesystem ports."
        )


def make_binding(port: Doc, status: str) -> dict[str, Any]:
    """The binding that a port's attributes describe."""
    return {
        "id": make_id(port["id"], port[HOST]), "port_id": port["id"], "project_id": port["project_id"],
        "host": port[HOST], "vif_type": port[VIF_TYPE], "vif_details": port[VIF_DETAILS],
        "vnic_type": port[VNIC_TYPE], "profile": port[PROFILE], "status": status,
    }  # fmt: skip


def unbind(binding: Doc) -> dict[str, Any]:
    """The binding as it is left when another host has taken over."""
    return {**binding, "status": INACTIVE, "vif_type": UNBOUND, "vif_details": {}}


def expects(binding: Doc) -> bool:
    """Whether the binding's host is to be ready for the port: it could be plugged there, and is not yet."""
    return binding["status"] == INACTIVE and binding["vif_type"] not in (UNBOUND, FAILED)


def find_active(source: Draft | Snapshot, port_id: str) -> Doc | None:
    for binding in source.find("binding", "port_id", port_id):
        if binding["status"] == ACTIVE:
            return binding
    return None


def follow_port(draft: Draft, old: Doc, new: Doc) -> None:
    """Bring the ACTIVE binding, where it was made, in step with its port. A port on another host takes it along."""
    active = find_active(draft, new["id"])
    if active is None:
        return
    wanted = make_binding(new, ACTIVE)
    if wanted != active:
        if wanted["id"] != active["id"]:
            draft.remove("binding", active["id"])
        draft.put("binding", wanted)


def drop_bindings(draft: Draft, old: Doc) -> None:
    for id in list(draft.find_ids("binding", "port_id", old["id"])):
        draft.remove("binding", id)


def find_port(source: Draft | Snapshot, port_id: str) -> Doc:
    port = source.get("port", port_id)
    if port is None:
        raise ApiError(404, "PortNotFound", f"Port {port_id} could not be found.")
    return port


PORT_PART = Part(delete=drop_bindings, follow=follow_port)

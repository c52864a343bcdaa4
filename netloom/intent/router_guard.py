"""What may not be done to a router's ports as ports, and what a router makes of what is done.

Law: a port that a router has goes with the router's own operations, and only so; its IPv4 addresses stay.
"""

from __future__ import annotations

from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource, conflict
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.router_find import GATEWAY, INTERFACE_OWNERS, ROUTER_OWNERS
from netloom.intent.router_show import follow_port
from netloom.intent.schema import Doc
from netloom.model.address import ip_version

ADDRESSES_STAY = tuple(owner for owner in ROUTER_OWNERS if owner != GATEWAY)


def check_new_port(draft: Draft, doc: Doc) -> Values:
    check_device(draft, doc)
    return NOTHING


def check_device(draft: Draft, port: Doc) -> None:
    """Raises DeviceIDNotOwnedByTenant where a port would pass for one of another project's router."""
    if port["device_owner"] not in INTERFACE_OWNERS or draft.context.requester.is_admin:
        return
    router = draft.get("router", port["device_id"]) if port["device_id"] else None
    if router is not None and router["project_id"] != port["project_id"]:
        raise conflict(
            "DeviceIDNotOwnedByTenant",
            f"The following device_id {port['device_id']} is not owned by your project or matches another project "
            "router.",
        )


def check_update(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if "device_id" in changes or "device_owner" in changes:
        check_device(draft, new)
    held = old["device_owner"] in ADDRESSES_STAY and draft.get("router", old["device_id"]) is not None
    if held and "fixed_ips" in changes and find_v4(old) != find_v4(new):
        raise bad_resource("ports", f"IP updates for port {old['id']} is not allowed")
    return NOTHING


def find_v4(port: Doc) -> set[str]:
    return {f["ip_address"] for f in port["fixed_ips"] if ip_version(f["ip_address"]) == 4}


def check_delete(draft: Draft, old: Doc) -> None:
    """Raises ServicePortInUse for a port of a router that is there."""
    owner = old["device_owner"]
    if owner in ROUTER_OWNERS and draft.get("router", old["device_id"]) is not None:
        raise conflict(
            "ServicePortInUse",
            f"Port {old['id']} cannot be deleted directly via the port API: has device owner {owner}.",
        )


def follow(draft: Draft, old: Doc, new: Doc) -> None:
    follow_port(draft, new)


PORT_PART = Part(create=check_new_port, update=check_update, delete=check_delete, follow=follow)

"""What may not be done to a router's ports as ports, and what a router makes of what is done.

Law: a router's ports come and go with the router's own operations, and only so; their IPv4 addresses stay.
"""

from __future__ import annotations

from collections.abc import Iterable

from netloom.intent.draft import Draft
from netloom.intent.errors import bad_resource, conflict
from netloom.intent.l3.router_find import GATEWAY, ROUTER_OWNERS, find_subnet_ids
from netloom.intent.l3.router_show import follow_port
from netloom.intent.l3.router_subnets import check_overlap
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import Doc
from netloom.model.address import ip_version

ADDRESSES_STAY = tuple(owner for owner in ROUTER_OWNERS if owner != GATEWAY)


def check_new_port(draft: Draft, doc: Doc) -> Values:
    check_device(draft, doc)
    return NOTHING


def check_device(draft: Draft, port: Doc) -> None:
    """Raises DeviceIDNotOwnedByTenant where a port would pass for one of a router: those the router makes itself."""
    if port["device_owner"] in ROUTER_OWNERS and draft.get("router", port["device_id"]) is not None:
        raise conflict(
            "DeviceIDNotOwnedByTenant",
            f"The following device_id {port['device_id']} is not owned by your project or matches another project "
            "router.",
        )


def check_update(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if (new["device_id"], new["device_owner"]) != (old["device_id"], old["device_owner"]):
        check_device(draft, new)
    if "fixed_ips" in changes and old["device_owner"] in ADDRESSES_STAY:
        check_addresses(draft, old, new)
    return NOTHING


def check_addresses(draft: Draft, old: Doc, new: Doc) -> None:
    """Raises BadRequest where a router's port would lose or gain an IPv4 address, or come to a subnet that overlaps."""
    router = draft.get("router", old["device_id"])
    if router is None:
        return
    if find_v4(old) != find_v4(new):
        raise bad_resource("ports", f"IP updates for port {old['id']} is not allowed")
    check_overlap(draft, router["id"], find_subnets(draft, find_subnet_ids(new) - find_subnet_ids(old)))


def find_subnets(draft: Draft, ids: Iterable[str]) -> list[Doc]:
    return [subnet for id in ids if (subnet := draft.get("subnet", id)) is not None]


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

"""Router interfaces: what ties a subnet to a router, as a port on the subnet's network that is the router's.

Law: an IPv4 subnet has an interface of its own; the IPv6 subnets of one network share one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing.pools import pool_range
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.l3.floatingip_parts import check_interface_unused
from netloom.intent.l3.ndp_proxy_parts import check_interface_free
from netloom.intent.l3.router_access import find_port, find_subnet, is_granted
from netloom.intent.l3.router_binding import sync_binding
from netloom.intent.l3.router_find import find_interface_ports, find_ports, find_subnet_ids, interface_owner
from netloom.intent.l3.router_form import check_hosts
from netloom.intent.l3.router_ports import (
    change_addresses,
    change_port,
    drop_port,
    give,
    make_port,
    put_addresses,
    touch,
)
from netloom.intent.l3.router_routes import check_not_routed
from netloom.intent.l3.router_schedule import schedule
from netloom.intent.l3.router_snat import sync_snat
from netloom.intent.l3.router_subnets import bad_router, check_overlap
from netloom.intent.operation import Context, Outcome
from netloom.intent.schema import Action, Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.address import ip_int, ip_version

Given = Mapping[str, str]


# -- add ---------------------------------------------------------------------------------------------------------------


def add_interface(snapshot: Snapshot, router: Doc, given: Given, context: Context) -> Outcome:
    """PUT /routers/{id}/add_router_interface: by subnet_id, a new port with the subnet's gateway address; by port_id,
    the port as it is. Answers what the router then has."""
    if len(given) > 1:
        raise bad_router("Cannot specify both subnet-id and port-id")
    draft = Draft(snapshot, context)
    add = add_by_port if "port_id" in given else add_by_subnet
    port, subnets = add(draft, router, next(iter(given.values())))
    check_hosts(draft, router, port["network_id"])
    return finish(draft, router, port, subnets)


def finish(draft: Draft, router: Doc, port: Doc, subnets: Sequence[Doc], last: bool = True) -> Outcome:
    router = schedule(draft, touch(draft, "router", router))
    sync_snat(draft, router)
    sync_binding(draft, router)
    outcome = draft.finish()
    return Outcome(outcome.changes, (describe(router, port, subnets, last),))


def describe(router: Doc, port: Doc, subnets: Sequence[Doc], last: bool) -> dict[str, Any]:
    ids = [subnet["id"] for subnet in subnets]
    return {
        "id": router["id"], "project_id": port["project_id"], "tenant_id": port["project_id"], "port_id": port["id"],
        "network_id": port["network_id"], "subnet_id": (ids[-1] if last else ids[0]) if ids else None,
        "subnet_ids": ids,
    }  # fmt: skip


def add_by_subnet(draft: Draft, router: Doc, subnet_id: str) -> tuple[Doc, list[Doc]]:
    subnet = find_subnet(draft, subnet_id)
    if not subnet["gateway_ip"]:
        raise bad_router("Subnet for router interface must have a gateway IP")
    check_owner(draft, subnet)
    check_ra(subnet)
    check_overlap(draft, router["id"], [subnet])
    fixed = {"subnet_id": subnet_id, "ip_address": subnet["gateway_ip"]}
    shared = find_v6_port(draft, router, subnet["network_id"]) if subnet["ip_version"] == 6 else None
    if shared is not None:
        return change_addresses(draft, shared, [*shared["fixed_ips"], fixed]), [subnet]
    network, owner = subnet["network_id"], interface_owner(router)
    return make_port(draft, router["id"], owner, network, [fixed], router["project_id"]), [subnet]


def add_by_port(draft: Draft, router: Doc, port_id: str) -> tuple[Doc, list[Doc]]:
    port = find_port(draft, port_id)
    if port["device_id"]:
        raise conflict(
            "PortInUse",
            f"Unable to complete operation on port {port_id} for network {port['network_id']}. Port already has an "
            f"attached device {port['device_id']}.",
        )
    if not port["fixed_ips"]:
        raise bad_router("Router port must have at least one fixed IP")
    found = (draft.get("subnet", fixed["subnet_id"]) for fixed in port["fixed_ips"])
    subnets = [subnet for subnet in found if subnet is not None]
    for subnet in subnets:
        check_ra(subnet)
    check_one_v6_port(draft, router, port)
    check_overlap(draft, router["id"], subnets)
    if sum(subnet["ip_version"] == 4 for subnet in subnets) > 1:
        raise bad_router("Cannot have multiple IPv4 subnets on router port")
    check_in_pools(draft, port, subnets)
    return give(draft, change_port(draft, port, device_owner=interface_owner(router)), router["id"]), subnets


def check_owner(draft: Draft, subnet: Doc) -> None:
    """A subnet of a network that is shared with everyone stays its owner's to give a router to."""
    requester = draft.context.requester
    network = draft.get("network", subnet["network_id"])
    mine = requester.is_admin or subnet["project_id"] == requester.project_id
    if not mine and not (network is not None and is_granted(draft, network)):
        raise bad_router(
            f"Cannot add interface to router because subnet {subnet['id']} is not owned by project making the request"
        )


def check_ra(subnet: Doc) -> None:
    if subnet["ip_version"] == 6 and subnet["ipv6_ra_mode"] is None and subnet["ipv6_address_mode"] is not None:
        raise bad_router(
            f"IPv6 subnet {subnet['id']} configured to receive RAs from an external router cannot be added to Neutron "
            "Router."
        )


def check_one_v6_port(draft: Draft, router: Doc, port: Doc) -> None:
    other = find_v6_port(draft, router, port["network_id"]) if has_v6(port) else None
    if other is not None:
        raise bad_router(
            f"Router already contains IPv6 port {other['id']} belonging to network id {other['network_id']}. Only one "
            "IPv6 port from the same network subnet can be connected to a router."
        )


def check_in_pools(draft: Draft, port: Doc, subnets: Sequence[Doc]) -> None:
    """Another project's subnet is joined with the addresses that it hands out, and no other."""
    requester = draft.context.requester
    by_id = {subnet["id"]: subnet for subnet in subnets}
    for fixed in port["fixed_ips"]:
        subnet = by_id[fixed["subnet_id"]]
        ranges = [pool_range(pool) for pool in subnet["allocation_pools"]]
        handed_out = any(low <= ip_int(fixed["ip_address"]) <= high for low, high in ranges)
        if not (requester.is_admin or handed_out or subnet["project_id"] == requester.project_id):
            raise bad_router(
                f"Cannot add interface to router because specified port {port['id']} has an IP address out of the "
                f"allocation pool of subnet {subnet['id']}, which is not owned by the project making the request"
            )


def has_v6(port: Doc) -> bool:
    return any(ip_version(fixed["ip_address"]) == 6 for fixed in port["fixed_ips"])


def find_v6_port(draft: Draft, router: Doc, network_id: str) -> Doc | None:
    """The interface that the router's IPv6 subnets of a network share."""
    ports = find_ports(draft, router["id"], interface_owner(router))
    return next((port for port in ports if port["network_id"] == network_id and has_v6(port)), None)


# -- remove ------------------------------------------------------------------------------------------------------------


def remove_interface(snapshot: Snapshot, router: Doc, given: Given, context: Context) -> Outcome:
    """PUT /routers/{id}/remove_router_interface: by port_id the port, by subnet_id what there is on the subnet."""
    draft = Draft(snapshot, context)
    if "port_id" in given:
        port, subnets = remove_by_port(draft, router, given["port_id"], given.get("subnet_id"))
    else:
        port, subnets = remove_by_subnet(draft, router, given["subnet_id"])
    return finish(draft, router, port, subnets, last=False)


def remove_by_port(draft: Draft, router: Doc, port_id: str, subnet_id: str | None) -> tuple[Doc, list[Doc]]:
    port = next((one for one in find_interface_ports(draft, router["id"]) if one["id"] == port_id), None)
    if port is None:
        raise ApiError(
            404, "RouterInterfaceNotFound", f"Router {router['id']} does not have an interface with id {port_id}"
        )
    ids = find_subnet_ids(port)
    if subnet_id and subnet_id not in ids:
        raise ApiError(
            400, "SubnetMismatchForPort", f"Subnet on port {port_id} does not match the requested subnet {subnet_id}."
        )
    named = [subnet_id] if subnet_id else []
    ordered = [*named, *(fixed["subnet_id"] for fixed in port["fixed_ips"])]
    subnets = [subnet for id in dict.fromkeys(ordered) if (subnet := draft.get("subnet", id)) is not None]
    for subnet in subnets:
        check_not_in_use(draft, router, port, subnet)
    drop_port(draft, port)
    return port, subnets


def remove_by_subnet(draft: Draft, router: Doc, subnet_id: str) -> tuple[Doc, list[Doc]]:
    subnet = find_subnet(draft, subnet_id)
    port = next((one for one in find_interface_ports(draft, router["id"]) if subnet_id in find_subnet_ids(one)), None)
    if port is None:
        raise ApiError(
            404, "RouterInterfaceNotFoundForSubnet", f"Router {router['id']} has no interface on subnet {subnet_id}"
        )
    check_not_in_use(draft, router, port, subnet)
    left = [fixed for fixed in port["fixed_ips"] if fixed["subnet_id"] != subnet_id]
    if left:
        put_addresses(draft, port, left)
    else:
        drop_port(draft, port)
    return port, [subnet]


def check_not_in_use(draft: Draft, router: Doc, port: Doc, subnet: Doc) -> None:
    """Raises where a floating IP, a port forwarding or a route of the router needs its interface on the subnet."""
    check_interface_unused(draft, port, subnet["id"])
    check_interface_free(draft, router["id"], subnet["id"])
    check_not_routed(router, subnet)


# -- declaration -------------------------------------------------------------------------------------------------------


def parse_interface(body: Mapping[str, Any]) -> Given:
    """subnet_id or port_id. Other keys are passed over, as in Neutron."""
    given = {name: body[name] for name in ("port_id", "subnet_id") if name in (body or {})}
    if not given:
        raise bad_router("Either subnet_id or port_id must be specified")
    try:
        return {name: kinds.parse_uuid(value) for name, value in given.items()}
    except ValueError as error:
        raise bad_router(str(error)) from None


_ID = {"type": "string", "format": "uuid"}
_BODY = {"type": "object", "properties": {"subnet_id": _ID, "port_id": _ID}}
_ANSWER = {
    "type": "object",
    "properties": {
        "id": _ID,
        "project_id": {"type": "string"},
        "tenant_id": {"type": "string"},
        "port_id": _ID,
        "network_id": _ID,
        "subnet_id": {"type": ["string", "null"], "format": "uuid"},
        "subnet_ids": {"type": "array", "items": _ID},
    },
}


def make_actions(rule: str) -> tuple[Action, ...]:
    return (
        Action(
            "add_router_interface", "Tie a subnet, or a port that is there, to the router.", add_interface, rule,
            parse_interface, shows=False, schema=_BODY, answer_schema=_ANSWER, alias="router",
        ),
        Action(
            "remove_router_interface", "Untie a subnet or a port from the router.", remove_interface, rule,
            parse_interface, shows=False, schema=_BODY, answer_schema=_ANSWER, alias="router",
        ),
    )  # fmt: skip

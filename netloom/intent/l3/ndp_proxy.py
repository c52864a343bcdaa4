"""NDP proxies: a router answers on its external network for the IPv6 address of a port inside.

Law: a router has a proxy for an address only while it is enabled for it, reaches it, and both sides are in one
address scope; an address has one proxy on a router.
"""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.l3.router_access import find_port, owns
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.schema import REQUIRED, Doc, Field, Resource, Rules, index_by
from netloom.intent.snapshot import Snapshot


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("ndp_proxy", create_proxy(draft, body)["id"]) for body in bodies])


def create_proxy(draft: Draft, body: Doc) -> Doc:
    port, router_id = find_port(draft, body["port_id"]), body["router_id"]
    ends = find_ends(draft, router_id, port)
    router = find_enabled(draft, router_id)
    address = pick_address(port, router_id, body["ip_address"], ends)
    check_scopes(draft, router, port)
    check_new(draft, router_id, address)
    proxy = stamp.make_created(draft.context.new_id(), body, draft.context, tags=False)
    return draft.put("ndp_proxy", {**proxy, "ip_address": address})


def find_ends(draft: Draft, router_id: str, port: Doc) -> set[str]:
    """The IPv6 subnets that the router has an address in on the port's network. Raises PortUnreachableRouter."""
    on_network = [p for p in draft.find("port", "device_id", router_id) if p["network_id"] == port["network_id"]]
    if not on_network:
        raise unreachable(port["id"], router_id)
    return {fixed["subnet_id"] for one in on_network for fixed in one["fixed_ips"] if ":" in fixed["ip_address"]}


def unreachable(port_id: str, router_id: str) -> ApiError:
    return conflict("PortUnreachableRouter", f"The port {port_id} cannot reach the router {router_id} by IPv6 subnet.")


def find_enabled(draft: Draft, router_id: str) -> Doc:
    router = draft.get("router", router_id)
    if router is None or not owns(draft, router):
        raise not_found("router", router_id)
    if not router["enable_ndp_proxy"]:
        raise conflict(
            "RouterNDPProxyNotEnable",
            f"The enable_ndp_proxy parameter of router {router_id} must be set as True while create ndp proxy entry "
            "on it.",
        )
    return router


def pick_address(port: Doc, router_id: str, wanted: str | None, ends: set[str]) -> str:
    """The port's address that is meant: the one named, or its first one that the router reaches."""
    own: dict[str, str] = {
        fixed["ip_address"]: fixed["subnet_id"] for fixed in port["fixed_ips"] if ":" in fixed["ip_address"]
    }
    if not own:
        raise bad_resource("ndp_proxy", f"Requested port {port['id']} must allocate one IPv6 address at least")
    if wanted is None:
        for address, subnet_id in own.items():
            if subnet_id in ends:
                return address
        raise unreachable(port["id"], router_id)
    if wanted not in own:
        raise invalid_address(wanted, f"This address not belong to the port {port['id']}")
    if own[wanted] not in ends:
        raise invalid_address(wanted, f"This address cannot reach the router {router_id}")
    return wanted


def invalid_address(address: str, reason: str) -> ApiError:
    return ApiError(400, "InvalidAddress", f"The address {address} is invalid, reason: {reason}.")


def check_scopes(draft: Draft, router: Doc, port: Doc) -> None:
    """Both networks are in one IPv6 address scope, else the address would not be routed."""
    outer = draft.get("network", router["external_gateway_info"]["network_id"])
    inner = draft.get("network", port["network_id"])
    scopes = [network["ipv6_address_scope"] if network else None for network in (outer, inner)]
    if scopes[0] != scopes[1]:
        raise conflict(
            "AddressScopeConflict",
            f"The IPv6 address scope {scopes[0]} of external network conflict with internal network's IPv6 address "
            f"scope {scopes[1]}.",
        )


def check_new(draft: Draft, router_id: str, address: str) -> None:
    if any(other["ip_address"] == address for other in draft.find("ndp_proxy", "router_id", router_id)):
        raise conflict(
            "NeutronDbObjectDuplicateEntry",
            f"Failed to create a duplicate NDPProxy: router {router_id} has one for {address} already.",
        )


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put("ndp_proxy", stamp.make_updated(old, changes, context))
    return draft.finish([("ndp_proxy", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.remove("ndp_proxy", old["id"])
    return draft.finish()


NDP_PROXY = Resource(
    "ndp_proxy",
    "ndp_proxies",
    "An IPv6 address inside that a router answers for outside.",
    stamp.standard_fields(
        Field("router_id", kinds.UUID, "The router that answers.", REQUIRED, sort=True),
        Field("port_id", kinds.UUID, "The port that has the address.", REQUIRED, sort=True),
        Field(
            "ip_address", kinds.IP_OR_NONE, "The address; the first that the router reaches where none is given.",
            None, sort=True,
        ),
        tags=False,
        description=Field("description", kinds.LONG_TEXT, "Words for people.", "", put=True, filter=False),
    ),
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_by("router_id"),
        index_by("port_id"),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="l3-ndp-proxy",
    url="ndp_proxies",
)  # fmt: skip

EXTENSIONS = (
    Extension(
        "l3-ndp-proxy", "name", "Routers answer for IPv6 addresses inside.", "2021-06-29T10:00:00-00:00"
    ),
    Extension(
        "l3-ext-ndp-proxy", "Router support to enable NDP proxy", "Routers may be enabled to answer for others.",
        "2020-08-25T00:00:00-00:00",
    ),
)  # fmt: skip

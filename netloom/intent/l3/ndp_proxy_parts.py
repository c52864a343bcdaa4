"""What NDP proxies ask of routers and ports: enable_ndp_proxy of routers, and that what they need stays.

Law: a router is enabled only while its gateway has an IPv6 address on a network in an IPv6 address scope.
"""

from __future__ import annotations

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.policy_rules import ADMIN_OR_MEMBER
from netloom.intent.schema import GENERATED, Doc, Field, Kind

ENABLED = "enable_ndp_proxy"


# -- routers -----------------------------------------------------------------------------------------------------------


def create_router(draft: Draft, doc: Doc) -> Values:
    wanted = doc.get(ENABLED)
    if wanted and not doc["external_gateway_info"]:
        raise gateway_not_valid(doc, "The request body not contain external gateway information")
    return {ENABLED: decide_enabled(draft, doc, wanted)}


def update_router(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """A gateway that proxies use keeps an IPv6 address; one that goes, or loses it, leaves the router not enabled."""
    moved = new["external_gateway_info"] != old["external_gateway_info"]
    if moved and old[ENABLED] and new["gw_port_id"] and not supports(draft, new):
        raise conflict(
            "RouterIPv6GatewayInUse",
            f"Can't remove the IPv6 subnet from external gateway of router {old['id']}, the IPv6 subnet in use by the "
            "router's ndp proxy.",
        )
    wanted = changes.get(ENABLED)
    if wanted is None and new["gw_port_id"] == old["gw_port_id"]:
        return {ENABLED: old[ENABLED]}
    return {ENABLED: decide_enabled(draft, new, wanted)}


def decide_enabled(draft: Draft, router: Doc, wanted: bool | None) -> bool:
    """Raises RouterGatewayNotValid where it is asked for and the gateway does not allow it."""
    fits = supports(draft, router)
    if wanted and not fits:
        raise gateway_not_valid(
            router,
            "The router has no external gateway or the external gateway port has no IPv6 address or IPv6 address scope",
        )
    return fits and (draft.context.settings.enable_ndp_proxy_by_default if wanted is None else wanted)


def supports(draft: Draft, router: Doc) -> bool:
    """Whether the router's gateway has an IPv6 address, on a network in an IPv6 address scope."""
    port = draft.get("port", router["gw_port_id"]) if router["gw_port_id"] else None
    if port is None or not any(":" in fixed["ip_address"] for fixed in port["fixed_ips"]):
        return False
    network = draft.get("network", port["network_id"])
    return network is not None and network["ipv6_address_scope"] is not None


def gateway_not_valid(router: Doc, reason: str) -> ApiError:
    return conflict("RouterGatewayNotValid", f"Can not enable ndp proxy on router {router['id']}, {reason}.")


def check_gateway_free(draft: Draft, router_id: str) -> None:
    """Raises RouterGatewayInUseByNDPProxy where the router has proxies."""
    if draft.count_in("ndp_proxy", "router_id", router_id):
        raise conflict(
            "RouterGatewayInUseByNDPProxy",
            f"Unable to unset external gateway of router {router_id}, There are one or more ndp proxies still in use "
            "on the router.",
        )


def check_interface_free(draft: Draft, router_id: str, subnet_id: str) -> None:
    """Raises RouterInterfaceInUseByNDPProxy where the router has a proxy for an address of the subnet."""
    for proxy in draft.find("ndp_proxy", "router_id", router_id):
        port = draft.get("port", proxy["port_id"])
        end = {"subnet_id": subnet_id, "ip_address": proxy["ip_address"]}
        if port is not None and end in port["fixed_ips"]:
            raise conflict(
                "RouterInterfaceInUseByNDPProxy",
                f"Unable to remove subnet {subnet_id} from router {router_id}, There are one or more ndp proxies still "
                "in use on the subnet.",
            )


_FLAG = Kind("boolean", kinds.or_none(kinds.parse_bool), {"type": ["boolean", "null"]}, kinds.filter_bool)

ROUTER_PART = Part(
    fields=(
        Field(
            ENABLED, _FLAG, "Whether it may answer for IPv6 addresses inside.", GENERATED, put=True,
            set=ADMIN_OR_MEMBER, change=ADMIN_OR_MEMBER, alias="l3-ext-ndp-proxy",
        ),
    ),
    create=create_router,
    update=update_router,
)  # fmt: skip


# -- ports -------------------------------------------------------------------------------------------------------------


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    """A port that loses an address loses the proxies for it."""
    if new["fixed_ips"] != old["fixed_ips"]:
        drop_proxies(draft, old, {fixed["ip_address"] for fixed in new["fixed_ips"]})
    return NOTHING


def delete_port(draft: Draft, old: Doc) -> None:
    drop_proxies(draft, old, set())


def drop_proxies(draft: Draft, port: Doc, kept: set[str]) -> None:
    for proxy in list(draft.find("ndp_proxy", "port_id", port["id"])):
        if proxy["ip_address"] not in kept:
            draft.remove("ndp_proxy", proxy["id"])


PORT_PART = Part(update=update_port, delete=delete_port)

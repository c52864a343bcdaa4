"""What a router shows of its gateways, read from their ports.

Law: external_gateway_info says what the gateway port says.
"""

from __future__ import annotations

from typing import Any

from netloom.intent.draft import Draft
from netloom.intent.l3.router_find import GATEWAY, find_gateway_ports
from netloom.intent.schema import Doc
from netloom.intent.stamp import make_updated

POLICY = "qos_policy_id"


def show_gateways(draft: Draft, router: Doc) -> dict[str, Any]:
    """The attributes of a router that its gateway ports give."""
    ports = find_gateway_ports(draft, router["id"])
    first = router["gw_port_id"]
    if first not in [port["id"] for port in ports]:
        first = ports[0]["id"] if ports else None
    old = router["external_gateway_info"] or {}
    more = {"enable_snat": router["enable_snat"], POLICY: old.get(POLICY)}
    info = next(({**show_gateway(port), **more} for port in ports if port["id"] == first), None)
    ranked = sorted(ports, key=lambda port: bool(port["id"] != first))
    gateways = [{**show_gateway(port), **more} for port in ranked]
    return {"gw_port_id": first, "external_gateway_info": info, "external_gateways": gateways}


def show_gateway(port: Doc) -> dict[str, Any]:
    fixed_ips = [{"subnet_id": f["subnet_id"], "ip_address": f["ip_address"]} for f in port["fixed_ips"]]
    return {"network_id": port["network_id"], "external_fixed_ips": fixed_ips}


def refresh(draft: Draft, router: Doc, **changes: Any) -> Doc:
    """The router as its gateway ports now are, with `changes` besides."""
    router = draft.get("router", router["id"]) or router
    shown = {**changes, **show_gateways(draft, {**router, **changes})}
    return draft.put("router", make_updated(router, shown, draft.context))


def follow_port(draft: Draft, port: Doc) -> None:
    """The router of a gateway port shows it as it is."""
    router = draft.get("router", port["device_id"]) if port["device_owner"] == GATEWAY else None
    if router is not None:
        refresh(draft, router)

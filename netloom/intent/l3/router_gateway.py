"""A router's gateways: ports on external networks, owned by no project, of which the first is the one that counts.

Law: a gateway and what its router shows of it change in one write, and only where all that is asked can be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.addressing import addresses
from netloom.intent.draft import Draft
from netloom.intent.l3.floatingip_parts import check_gateway_unused
from netloom.intent.l3.ndp_proxy_parts import check_gateway_free
from netloom.intent.l3.router_access import find_network
from netloom.intent.l3.router_find import GATEWAY
from netloom.intent.l3.router_ports import change_addresses, drop_port, make_port
from netloom.intent.l3.router_routes import check_gateway_routes
from netloom.intent.l3.router_show import POLICY, follow_port, refresh
from netloom.intent.l3.router_subnets import bad_router, check_overlap
from netloom.intent.schema import Doc, Kind

Info = Mapping[str, Any]

KEYS: Mapping[str, Any] = {
    "network_id": kinds.parse_uuid,
    "external_fixed_ips": kinds.parse_fixed_ips,
    "enable_snat": kinds.parse_bool,
    POLICY: kinds.or_none(kinds.parse_uuid),
}


def parse_gateway(value: Any) -> dict[str, Any] | None:
    """external_gateway_info; an empty one is none."""
    if not value:
        return None
    if not isinstance(value, dict):
        raise ValueError(f"'{kinds.show(value)}' is not a dictionary")
    if "network_id" not in value:
        raise ValueError(
            "Validation of dictionary's keys failed. Expected keys: {'network_id'} "
            f"Provided keys: {sorted(kinds.show(key) for key in value)}"
        )
    unknown = sorted(kinds.show(key) for key in value if key not in KEYS)
    if unknown:
        raise ValueError(f"Unexpected keys supplied: {', '.join(unknown)}")
    return {key: KEYS[key](one) for key, one in value.items()}


# -- the one gateway of external_gateway_info --------------------------------------------------------------------------


def set_gateway(draft: Draft, router: Doc, info: Info | None) -> Doc:
    """Make the router's (first) gateway what `info` says; None: take it away. The router is in the draft.

    Raises NetworkNotFound, BadRequest for a network that is not external or an address that is the subnet's gateway,
    InvalidRoutes, RouterExternalGatewayInUseByFloatingIp.
    """
    snat = draft.context.settings.enable_snat_by_default if not info else info.get("enable_snat")
    enable_snat = draft.context.settings.enable_snat_by_default if snat is None else snat
    port = draft.get("port", router["gw_port_id"]) if router["gw_port_id"] else None
    wanted = check_info(draft, router, info, port)
    if info is None or port is None or port["network_id"] != info["network_id"]:
        if port is not None:
            drop_gateway(draft, port)
        if info is not None:
            port = add_gateway(draft, router, info["network_id"], wanted)
            router = draft.put("router", {**router, "gw_port_id": port["id"]})
    elif is_changed(port, wanted):
        change_addresses(draft, port, wanted)
    router = refresh(draft, router, enable_snat=enable_snat)
    return keep_policy(draft, router, info)


def keep_policy(draft: Draft, router: Doc, info: Info | None) -> Doc:
    """The QoS policy of the gateway, where the request names one."""
    shown = router["external_gateway_info"]
    if not shown or not info or POLICY not in info or shown.get(POLICY, "") == info[POLICY]:
        return router
    return draft.put("router", {**router, "external_gateway_info": {**shown, POLICY: info[POLICY]}})


def check_info(draft: Draft, router: Doc, info: Info | None, port: Doc | None) -> Sequence[Mapping[str, str]]:
    """The addresses that are asked for, once all that `info` says is found to be possible."""
    wanted: Sequence[Mapping[str, str]] = (info or {}).get("external_fixed_ips") or ()
    subnets: list[Doc] = []
    if info is not None:
        network = find_network(draft, info["network_id"])
        if not network["router:external"]:
            raise bad_router(f"Network {network['id']} is not an external network")
        subnets = addresses.find_subnets(draft, network)
        check_addresses(wanted, subnets)
    check_gateway_routes(draft, router, subnets, port["id"] if port else "")
    return wanted


def check_addresses(wanted: Sequence[Mapping[str, str]], subnets: Sequence[Doc]) -> None:
    taken = {subnet["gateway_ip"] for subnet in subnets if subnet["gateway_ip"]}
    for fixed in wanted:
        if fixed.get("ip_address") in taken:
            raise bad_router(f"External IP {fixed['ip_address']} is the same as the gateway IP")


def is_changed(port: Doc, wanted: Sequence[Mapping[str, str]]) -> bool:
    """Whether addresses were asked for that are not those of the port."""
    if not wanted:
        return False
    for name in ("subnet_id", "ip_address"):
        asked = {fixed[name] for fixed in wanted if name in fixed}
        if asked != {fixed[name] for fixed in port["fixed_ips"]}:
            return True
    return False


def add_gateway(draft: Draft, router: Doc, network_id: str, wanted: Sequence[Mapping[str, str]]) -> Doc:
    network = find_network(draft, network_id)
    check_overlap(draft, router["id"], addresses.find_subnets(draft, network), for_gateway=True)
    return make_port(draft, router["id"], GATEWAY, network_id, wanted or None)


def drop_gateway(draft: Draft, port: Doc) -> None:
    """Raises RouterExternalGatewayInUseByFloatingIp where no other gateway would serve the router's floating IPs."""
    check_gateway_unused(draft, port)
    check_gateway_free(draft, port["device_id"])
    drop_port(draft, port)


# -- subnets of external networks --------------------------------------------------------------------------------------


def follow_ports(draft: Draft, ports: Sequence[Doc]) -> None:
    """Some ports have other addresses now."""
    for port in ports:
        follow_port(draft, port)


def follow_new_subnet(draft: Draft, subnet: Doc) -> None:
    """Gateways on an external network get an address in its new subnet, where they have none of that IP version."""
    if not subnet["router:external"]:
        return
    for port in list(draft.find("port", "network_id", subnet["network_id"])):
        if port["device_owner"] != GATEWAY:
            continue
        if not addresses.is_auto(subnet) and not has_version(draft, port, subnet["ip_version"]):
            change_addresses(draft, port, [*port["fixed_ips"], {"subnet_id": subnet["id"]}])
        follow_port(draft, port)


def has_version(draft: Draft, port: Doc, version: int) -> bool:
    """Whether the port has an address of the version that it did not make of itself, or one of each."""
    subnets = [draft.get("subnet", fixed["subnet_id"]) for fixed in port["fixed_ips"]]
    own = [one["ip_version"] for one in subnets if one is not None and not addresses.is_auto(one)]
    return len(own) > 1 or version in own


_FIXED_IPS = kinds.FIXED_IPS.schema
GATEWAY_INFO = Kind(
    "external_gateway_info",
    parse_gateway,
    {
        "type": ["object", "null"],
        "properties": {
            "network_id": {"type": "string", "format": "uuid"},
            "enable_snat": {"type": "boolean"},
            "external_fixed_ips": _FIXED_IPS,
            POLICY: {"type": ["string", "null"], "format": "uuid"},
        },
        "additionalProperties": False,
    },
)

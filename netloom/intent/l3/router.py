"""Routers: what ties subnets to each other and to an external network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.agents import availability_zone
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict
from netloom.intent.l3.auto_topology import ROUTER_PART as TOPOLOGY_PART
from netloom.intent.l3.conntrack_helper import ROUTER_PART as CONNTRACK_PART
from netloom.intent.l3.ndp_proxy_parts import ROUTER_PART as NDP_PROXY_PART
from netloom.intent.l3.router_binding import sync_binding
from netloom.intent.l3.router_default_route import ROUTER_PART as DEFAULT_ROUTE_PART
from netloom.intent.l3.router_extensions import EXTENSIONS
from netloom.intent.l3.router_find import find_gateway_ports, find_interface_ports, find_ports
from netloom.intent.l3.router_form import FORM, check_change, decide_form, is_no_number, rename_interfaces
from netloom.intent.l3.router_gateway import GATEWAY_INFO, drop_gateway, set_gateway
from netloom.intent.l3.router_gateways import add_gateways, parse_gateways, remove_gateways, update_gateways
from netloom.intent.l3.router_ha import drop_unused_network
from netloom.intent.l3.router_interface import make_actions
from netloom.intent.l3.router_ports import drop_ports
from netloom.intent.l3.router_routes import add_routes, check_routes, parse_atomic, remove_routes
from netloom.intent.l3.router_schedule import L3_AGENT, L3_AGENTS, host_on, hosting_agents, schedule
from netloom.intent.l3.router_snat import sync_snat
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import Part, find_fields, find_filters, find_indexes, resolve_update
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_READER
from netloom.intent.qos.qos_use import ROUTER_PART as QOS_PART
from netloom.intent.quota import DEFAULTS, check_quota
from netloom.intent.schema import GENERATED, Action, Doc, Field, Index, Kind, Resource, Rules, index_by, index_where_set
from netloom.intent.snapshot import Snapshot

PARTS: tuple[Part, ...] = (TOPOLOGY_PART, QOS_PART, CONNTRACK_PART, NDP_PROXY_PART, DEFAULT_ROUTE_PART)
"""What other features add to a router, in the order in which they decide."""
GATEWAY_KEY = "external_gateway_info"


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "router", bodies)
    return draft.finish([("router", create_router(draft, body)["id"]) for body in bodies])


def create_router(draft: Draft, body: Doc) -> Doc:
    """Raises ApiError where the gateway cannot be, or the flavor or a zone is not there."""
    settings = draft.context.settings
    plain = {name: value for name, value in body.items() if name not in (GATEWAY_KEY, *FORM)}
    router = stamp.make_created(draft.context.new_id(), plain, draft.context)
    router |= decide_form(draft, body, router["flavor_id"])
    hints = router["availability_zone_hints"] = availability_zone.find_hints(body["availability_zone_hints"], settings)
    availability_zone.find_serving(draft, hints, L3_AGENT)
    router |= {
        "status": "ACTIVE", "gw_port_id": None, GATEWAY_KEY: None, "routes": [],
        "enable_snat": settings.enable_snat_by_default, "ha_vr_id": 0, "l3_agents": [], "availability_zones": [],
    }  # fmt: skip
    made = draft.put("router", router)
    if body[GATEWAY_KEY] is not None:
        made = set_gateway(draft, made, body[GATEWAY_KEY])
    for part in PARTS:
        made = draft.put("router", {**made, **part.create(draft, made)})
    made = host_new(draft, made)
    sync_snat(draft, made)
    sync_binding(draft, made)
    return draft.put("router", {**made, "revision_number": 1})


def host_new(draft: Draft, router: Doc) -> Doc:
    """Hosts for a new router that has work to do. An HA router that cannot be told from others is in error."""
    if not router["ha"]:
        return schedule(draft, router) if router["gw_port_id"] else router
    try:
        return schedule(draft, host_on(draft, router, []))
    except ApiError as error:
        if not is_no_number(error):
            raise
        return draft.put("router", {**(draft.get("router", router["id"]) or router), "status": "ERROR"})


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    update_router(draft, old, changes)
    return draft.finish([("router", old["id"])])


def update_router(draft: Draft, old: Doc, changes: Doc) -> Doc:
    """The router with what a request changes, and its ports in step with it."""
    given = {name: value for name, value in changes.items() if value is not None or name not in FORM}
    plain = {name: value for name, value in given.items() if name != GATEWAY_KEY}
    if "routes" in plain:
        check_routes(draft, old, plain["routes"])
    router = draft.put("router", {**old, "routes": plain.get("routes", old["routes"])})
    if GATEWAY_KEY in given:
        router = set_gateway(draft, router, given[GATEWAY_KEY])
    reformed = check_change(old, {**old, **plain})
    router = {**router, **plain}
    router |= resolve_update(PARTS, draft, old, {**plain, **find_changed(old, router)})
    router = draft.put("router", {**router, **find_stamps(draft, old, router)})
    if reformed:
        router = reform(draft, router)
    router = schedule(draft, router)
    sync_snat(draft, router)
    sync_binding(draft, router)
    return router


def find_changed(old: Doc, new: Doc) -> dict[str, Any]:
    return {name: value for name, value in new.items() if name not in old or old[name] != value}


def find_stamps(draft: Draft, old: Doc, new: Doc) -> dict[str, Any]:
    """One new revision for all that a request changed, however many steps it took."""
    stamps = {"revision_number": old["revision_number"], "updated_at": old["updated_at"]}
    stamped = stamp.make_updated(old, {**new, **stamps}, draft.context)
    return {name: stamped[name] for name in stamps}


def reform(draft: Draft, router: Doc) -> Doc:
    """After a change of form: the interfaces are called anew, and agents are found anew."""
    rename_interfaces(draft, router)
    keep = [] if not router["ha"] else hosting_agents(router)
    return host_on(draft, router, keep)


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    """Raises RouterInUse while it has interfaces, RouterExternalGatewayInUseByFloatingIp while its gateway is used."""
    draft = Draft(snapshot, context)
    attached = [port["id"] for port in find_interface_ports(draft, old["id"])]
    if attached:
        raise conflict("RouterInUse", f"Router {old['id']} has ports still attached: {', '.join(attached)}")
    for part in PARTS:
        part.delete(draft, old)
    for port in reversed(find_gateway_ports(draft, old["id"])):
        drop_gateway(draft, port)
    drop_ports(draft, find_ports(draft, old["id"]))
    draft.remove("router", old["id"])
    if old["ha"]:
        drop_unused_network(draft, old["project_id"])
    return draft.finish()


# -- actions -----------------------------------------------------------------------------------------------------------


def add_extraroutes(snapshot: Snapshot, old: Doc, given: Any, context: Context) -> Outcome:
    return update(snapshot, old, {"routes": add_routes(old["routes"], given)}, context)


def remove_extraroutes(snapshot: Snapshot, old: Doc, given: Any, context: Context) -> Outcome:
    return update(snapshot, old, {"routes": remove_routes(old["routes"], given)}, context)


# -- declaration -------------------------------------------------------------------------------------------------------


def parse_hints(value: Any) -> list[str]:
    hints: list[str] = kinds.parse_short_list(value)
    if sum(len(hint) + 4 for hint in hints) > 255:
        raise ValueError("Too many availability_zone_hints specified")
    return hints


def index_form(doc: Doc) -> tuple[tuple[bool, int], ...]:
    return ((doc["ha"], len(doc["l3_agents"])),)


HINTS = Kind("availability_zone_hints", parse_hints, kinds.TEXTS.schema)
_FORM = Kind("boolean", kinds.or_none(kinds.parse_bool), {"type": ["boolean", "null"]}, kinds.filter_bool)
_LIST = Kind("list", lambda value: value, {"type": "array"})
_GATEWAYS = {
    "type": "object", "properties": {"external_gateways": {"type": "array", "items": GATEWAY_INFO.schema}},
    "required": ["external_gateways"],
}  # fmt: skip
_ROUTES = {"type": "object", "properties": {"routes": kinds.HOST_ROUTES.schema}, "required": ["routes"]}

FIELDS = stamp.standard_fields(
    Field("admin_state_up", kinds.BOOL, "Whether it forwards.", True, put=True, sort=True),
    Field(
        "status", kinds.NAME, "ACTIVE, or ERROR where it can have no host.", GENERATED, post=False, filter=False,
        sort=True,
    ),
    Field(
        GATEWAY_KEY, GATEWAY_INFO,
        "Its gateway: network_id, external_fixed_ips, enable_snat; null or {} for none.", None, put=True, filter=False,
        set=ADMIN_OR_MEMBER, change=ADMIN_OR_MEMBER,
    ),
    Field(
        "external_gateways", _LIST, "All its gateways, the first one first.", [], post=False, filter=False,
        alias="external-gateway-multihoming",
    ),
    Field("gw_port_id", kinds.UUID_OR_NONE, "The gateway's port.", None, post=False, visible=False, filter=False),
    Field("enable_snat", kinds.BOOL, "Whether it hides addresses.", True, post=False, visible=False, filter=False),
    Field(
        "distributed", _FORM, "Whether each host forwards for its own instances.", GENERATED, put=True, filter=False,
        set=ADMIN, change=ADMIN, see=ADMIN, alias="dvr",
    ),
    Field(
        "ha", _FORM, "Whether it has copies on several hosts.", GENERATED, put=True, filter=False, set=ADMIN,
        change=ADMIN, see=ADMIN, alias="l3-ha",
    ),
    Field(
        "availability_zone_hints", HINTS, "Zones to host it in.", [], filter=False, alias="router_availability_zone"
    ),
    Field(
        "availability_zones", kinds.TEXTS, "Zones that host it.", [], post=False, filter=False,
        alias="router_availability_zone",
    ),
    Field(
        "flavor_id", kinds.text_kind(255, nullable=True), "What it is like.", None, filter=False, sort=True,
        alias="l3-flavors",
    ),
    Field(
        "routes", kinds.HOST_ROUTES, "Extra routes: destination and nexthop.", [], post=False, put=True, filter=False,
        alias="extraroute",
    ),
    Field("ha_vr_id", kinds.COUNT, "What tells it from other HA routers.", 0, post=False, visible=False, filter=False),
    Field("l3_agents", _LIST, "Which agents host it.", [], post=False, visible=False, filter=False),
    *find_fields(PARTS),
)  # fmt: skip

ROUTER = Resource(
    "router",
    "routers",
    "What ties subnets to each other and to an external network.",
    FIELDS,
    Rules(ADMIN_OR_MEMBER, ADMIN_OR_READER, ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        index_where_set("flavor_id"),
        Index("l3_agents", lambda doc: tuple(one["agent_id"] for one in doc["l3_agents"])),
        Index("hosted", index_form),
        Index("ha_project_id", lambda doc: (doc["project_id"],) if doc["ha"] else ()),
        Index(
            "ha_vr_id", lambda doc: ((doc["project_id"], doc["ha_vr_id"]),) if doc["ha_vr_id"] else (), "bits"
        ),
        *find_indexes(PARTS),
    ),
    filters=(*stamp.STANDARD_FILTERS, *find_filters(PARTS)),
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["router"],
    alias="router",
    actions=(
        *make_actions(ADMIN_OR_MEMBER),
        *(
            Action(
                f"{verb}_external_gateways", words, run, ADMIN_OR_MEMBER, parse_gateways, wrapped=True,
                schema=_GATEWAYS, alias="external-gateway-multihoming",
            )
            for verb, words, run in (
                ("add", "Add gateways to those that there are.", add_gateways),
                ("update", "Change addresses of gateways.", update_gateways),
                ("remove", "Take gateways away.", remove_gateways),
            )
        ),
        Action(
            "add_extraroutes", "Add routes to those that there are.", add_extraroutes, ADMIN_OR_MEMBER, parse_atomic,
            wrapped=True, schema=_ROUTES, alias="extraroute-atomic",
        ),
        Action(
            "remove_extraroutes", "Take routes away.", remove_extraroutes, ADMIN_OR_MEMBER, parse_atomic, wrapped=True,
            schema=_ROUTES, alias="extraroute-atomic",
        ),
    ),
    linked=(L3_AGENTS,),
)  # fmt: skip

__all__ = ["EXTENSIONS", "FIELDS", "PARTS", "ROUTER", "create_router", "update_router"]

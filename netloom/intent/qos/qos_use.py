"""Who uses QoS policies, and what follows for ports: the Parts of networks, ports, floating IPs and routers.

Law: the policy in force on a port is its own, else its network's. A port's document says both, and what its policy
asks of Placement; those who change a policy, its rules or a network's policy keep these in step, and nobody else.
"""

from __future__ import annotations

from typing import Any

from netloom.intent import kinds, rbac
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.l2.binding import FAILED, HOST, UNBOUND, VIF_TYPE, VNIC_TYPE, is_bound
from netloom.intent.part import Part, Values
from netloom.intent.policy_rules import ADMIN
from netloom.intent.qos.qos_placement import is_compute, make_request, move_allocation
from netloom.intent.schema import GENERATED, Doc, Field, Index, Kind

OWN, INHERITED, REQUEST = "qos_policy_id", "qos_network_policy_id", "resource_request"
VIF_TYPES, VNIC_TYPES = ("ovs", "vhostuser", "bridge"), ("normal", "direct")
FUNCTION = "hw_veb"
FUNCTION_RULES = frozenset({("bandwidth_limit", "egress"), ("minimum_bandwidth", "egress")})
"""What a NIC enforces of a function of its own: the least and the most that it sends."""
"""Ports that Open vSwitch enforces QoS on: how they are plugged, or want to be."""
USERS = (("port", "port"), ("network", "network"), ("fip", "floatingip"), ("router", "router"))
"""What an error calls those who use a policy, and their kind, in the order in which they are looked for."""


def is_accessible(draft: Draft, policy: Doc) -> bool:
    requester = draft.context.requester
    if requester.is_admin or policy["shared"] or policy["project_id"] == requester.project_id:
        return True
    return rbac.is_granted(draft, "policy", policy["id"], rbac.SHARED, requester.project_id)


def find_policy(draft: Draft, id: str) -> Doc:
    """The policy, for a requester who may use it. Raises QosPolicyNotFound."""
    policy = draft.get("policy", id)
    if policy is None or not is_accessible(draft, policy):
        raise not_found("policy", id)
    return policy


def check_replaceable(draft: Draft, id: str | None) -> None:
    """A policy that the requester may not use was put there by somebody who may: only they take it away."""
    policy = draft.get("policy", id) if id else None
    if policy is not None and not is_accessible(draft, policy):
        raise ApiError(
            403, "PolicyRemoveAuthorizationError",
            f"Failed to remove provided policy {id} because you are not authorized.",
        )  # fmt: skip


def find_users(draft: Draft, policy: Doc) -> set[str]:
    """The projects that use a policy."""
    return {user["project_id"] for _, kind in USERS for user in draft.find(kind, OWN, policy["id"])}


def check_unused(draft: Draft, policy: Doc) -> None:
    for name, kind in USERS:
        for id in draft.find_ids(kind, OWN, policy["id"]):
            raise conflict("QosPolicyInUse", f"QoS Policy {policy['id']} is used by {name} {id}.")


# -- ports -------------------------------------------------------------------------------------------------------------


def in_force(port: Doc) -> str | None:
    found: str | None = port.get(OWN) or port.get(INHERITED)
    return found


def in_force_on_host(port: Doc) -> str | None:
    """The policy that the port's host enforces: a network's own ports are not under the network's policy."""
    if str(port["device_owner"]).startswith("network:"):
        own: str | None = port.get(OWN)
        return own
    return in_force(port)


def supports_rules(port: Doc) -> bool:
    """Whether the port's host would enforce all rules on it: by how it is plugged; before that, by its vnic_type."""
    vif_type = port.get(VIF_TYPE, UNBOUND)
    return vif_type in VIF_TYPES if vif_type not in (UNBOUND, FAILED) else port[VNIC_TYPE] in VNIC_TYPES


def check_supported(policy: Doc | None, port: Doc) -> None:
    if policy is None or supports_rules(port):
        return
    for rule in policy["rules"]:
        if port.get(VIF_TYPE) != FUNCTION or (rule["type"], rule.get("direction")) not in FUNCTION_RULES:
            raise not_supported(rule["type"], port["id"])


def not_supported(type: str, port_id: str) -> ApiError:
    return conflict("QosRuleNotSupported", f"Rule {type} is not supported by port {port_id}")


def find_in_force(draft: Draft, port: Doc) -> Doc | None:
    id = in_force(port)
    return draft.get("policy", id) if id else None


def create_port(draft: Draft, doc: Doc) -> Values:
    own = doc.get(OWN)
    if own:
        find_policy(draft, own)
    network = draft.get("network", doc["network_id"])
    values: dict[str, Any] = {OWN: own, INHERITED: network.get(OWN) if network else None}
    policy = find_in_force(draft, {**doc, **values})
    check_supported(policy, doc)
    return {**values, REQUEST: make_request(draft, doc, policy)}


def update_port(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    values: dict[str, Any] = {}
    if OWN in changes and changes[OWN] != old.get(OWN):
        check_replaceable(draft, old.get(OWN))
        if changes[OWN]:
            check_supported(find_policy(draft, changes[OWN]), old)
        values = move_allocation(new, find_in_force(draft, old), find_in_force(draft, new))
    elif new[VNIC_TYPE] == old[VNIC_TYPE]:
        return values
    return {**values, REQUEST: make_request(draft, new, find_in_force(draft, new))}


def refresh_ports(draft: Draft, policy: Doc, placed: bool) -> None:
    """After a change of a policy's rules: every port that it is in force on can carry it, and asks for what it says.

    `placed`: the rules that changed are those that Placement keeps count of; then no port of an instance may be under
    the policy. Raises QosRuleNotSupported or 501.
    """
    for port in draft.find("port", "qos_unsupported", policy["id"]):
        check_supported(policy, port)
    if not placed:
        return
    for _ in draft.find_ids("port", "qos_compute", policy["id"]):
        raise ApiError(
            501, "NotImplementedError", "Cannot update QoS policies/rules backed by resources tracked in Placement"
        )
    for port in list(draft.find("port", "qos_in_force", policy["id"])):
        mirror_port(draft, {**port, REQUEST: make_request(draft, port, policy)}, port)


def refresh_network(draft: Draft, network_id: str) -> None:
    """After a change of a network's segments: its ports ask for what they need of the first one."""
    for port in list(draft.find("port", "qos_network", network_id)):
        mirror_port(draft, {**port, REQUEST: make_request(draft, port, find_in_force(draft, port))}, port)


def mirror_port(draft: Draft, new: Doc, old: Doc) -> None:
    """Keep what a port shows of others in step. No revision of the port's."""
    if new != old:
        draft.put("port", new)


def port_keys(applies: bool, port: Doc) -> tuple[str, ...]:
    id = in_force(port)
    return (id,) if id and applies else ()


# -- networks ----------------------------------------------------------------------------------------------------------


def create_network(draft: Draft, doc: Doc) -> Values:
    """A network that says no policy has its project's default one."""
    id = doc.get(OWN) or next(iter(draft.find_ids("policy", "default", doc["project_id"])), None)
    return {OWN: find_policy(draft, id)["id"] if id else None}


def update_network(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if OWN not in changes or changes[OWN] == old.get(OWN):
        return {}
    check_replaceable(draft, old.get(OWN))
    policy = find_policy(draft, changes[OWN]) if changes[OWN] else None
    before = draft.get("policy", old[OWN]) if old.get(OWN) else None
    for port in list(draft.find("port", "network_id", old["id"])):
        inherits = not port.get(OWN)
        values: dict[str, Any] = {INHERITED: changes[OWN]}
        if inherits:
            check_supported(policy, port)
            values |= {REQUEST: make_request(draft, port, policy), **move_allocation(port, before, policy)}
        mirror_port(draft, {**port, **values}, port)
    return {}


# -- floating IPs and routers ------------------------------------------------------------------------------------------


def create_floatingip(draft: Draft, doc: Doc) -> Values:
    if doc.get(OWN):
        find_policy(draft, doc[OWN])
    return {}


def update_floatingip(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    if OWN in changes and changes[OWN] != old.get(OWN):
        for id in (old.get(OWN), changes[OWN]):
            if id:
                find_policy(draft, id)
    return {}


def find_gateway_policy(router: Doc) -> str | None:
    gateway = router.get("external_gateway_info") or {}
    found: str | None = gateway.get(OWN)
    return found


def create_router(draft: Draft, doc: Doc) -> Values:
    id = find_gateway_policy(doc)
    if id:
        find_policy(draft, id)
    return {}


def update_router(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    before, after = find_gateway_policy(old), find_gateway_policy(new)
    if before != after:
        for id in (before, after):
            if id:
                find_policy(draft, id)
    return {}


# -- declarations ------------------------------------------------------------------------------------------------------

_REQUEST = Kind("resource_request", lambda value: value, {"type": ["object", "null"], "additionalProperties": True})


def own_keys(doc: Doc) -> tuple[str, ...]:
    return (doc[OWN],) if doc.get(OWN) else ()


def own_field(alias: str = "qos") -> Field:
    return Field(OWN, kinds.UUID_OR_NONE, "Its own QoS policy.", None, put=True, filter=False, alias=alias)


PORT_PART = Part(
    fields=(
        own_field(),
        Field(
            INHERITED, kinds.UUID_OR_NONE, "The QoS policy of its network.", None, post=False, filter=False,
            alias="qos-port-network-policy",
        ),
        Field(
            REQUEST, _REQUEST, "What its policy guarantees, as Placement is asked for it.", GENERATED, post=False,
            filter=False, see=ADMIN, alias="port-resource-request",
        ),
    ),
    indexes=(
        Index(OWN, own_keys),
        Index("qos_in_force", lambda doc: port_keys(True, doc)),
        Index("qos_unsupported", lambda doc: port_keys(not supports_rules(doc), doc)),
        Index("qos_network", lambda doc: (doc["network_id"],) if in_force(doc) else ()),
        Index("qos_host", lambda doc: ((id, doc[HOST]),) if (id := in_force_on_host(doc)) and is_bound(doc) else ()),
        Index("qos_compute", lambda doc: port_keys(is_compute(doc), doc)),
    ),
    create=create_port,
    update=update_port,
)  # fmt: skip
NETWORK_PART = Part((own_field(),), (Index(OWN, own_keys),), create=create_network, update=update_network)
FLOATINGIP_PART = Part(
    (own_field("qos-fip"),), (Index(OWN, own_keys),), create=create_floatingip, update=update_floatingip
)
ROUTER_PART = Part(
    indexes=(Index(OWN, lambda doc: (id,) if (id := find_gateway_policy(doc)) else ()),),
    create=create_router,
    update=update_router,
)

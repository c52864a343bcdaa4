"""What a port asks of Placement for the guarantees of its QoS policy: resource_request, and allocations that move.

Law: a request is a function of the port's id, its vnic_type, the first segment of its network and the policy's rules.
Names of resource classes and traits are those of Placement (os-resource-classes, os-traits); ids of groups are made
as neutron-lib makes them, for Nova and Cyborg look for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from netloom.intent.draft import Draft
from netloom.intent.errors import conflict
from netloom.intent.l2.binding import PROFILE, VNIC_TYPE
from netloom.intent.l2.segments import find_segments
from netloom.intent.qos.qos_rules import PLACED, find_rules
from netloom.intent.schema import Doc

COMPUTE = "compute:"
TUNNEL_TRAIT = "CUSTOM_NETWORK_TUNNEL_PROVIDER"
CLASSES: Mapping[tuple[str, str], str] = {
    ("minimum_bandwidth", "egress"): "NET_BW_EGR_KILOBIT_PER_SEC",
    ("minimum_bandwidth", "ingress"): "NET_BW_IGR_KILOBIT_PER_SEC",
    ("minimum_packet_rate", "egress"): "NET_PACKET_RATE_EGR_KILOPACKET_PER_SEC",
    ("minimum_packet_rate", "ingress"): "NET_PACKET_RATE_IGR_KILOPACKET_PER_SEC",
    ("minimum_packet_rate", "any"): "NET_PACKET_RATE_KILOPACKET_PER_SEC",
}
AMOUNTS = {"minimum_bandwidth": "min_kbps", "minimum_packet_rate": "min_kpps"}
_NO_TRAIT = re.compile(r"[^0-9A-Z]+")


def make_trait(text: str) -> str:
    """A custom trait: capitals, digits and underscores."""
    return "CUSTOM_" + _NO_TRAIT.sub("_", text.upper())


def make_group_id(port_id: str, rules: Sequence[Doc]) -> str:
    return str(uuid5(UUID(port_id), ":".join(rule["id"] for rule in rules)))


def make_resources(rules: Sequence[Doc]) -> dict[str, int]:
    return {CLASSES[rule["type"], rule["direction"]]: rule[AMOUNTS[rule["type"]]] for rule in rules}


def make_request(draft: Draft, port: Doc, policy: Doc | None) -> dict[str, Any] | None:
    """The resource_request of a port under a policy; None where nothing is guaranteed."""
    if policy is None or not find_rules(policy, *PLACED):
        return None
    vnic = make_trait(f"VNIC_TYPE_{port[VNIC_TYPE]}")
    segments = find_segments(draft, port["network_id"])
    groups = []
    for type in PLACED:
        rules = find_rules(policy, type)
        if rules and (segments or type != "minimum_bandwidth"):
            traits = [find_network_trait(segments[0]), vnic] if type == "minimum_bandwidth" else [vnic]
            groups.append(
                {"id": make_group_id(port["id"], rules), "required": traits, "resources": make_resources(rules)}
            )
    return {"request_groups": groups, "same_subtree": [group["id"] for group in groups]} if groups else None


def find_network_trait(segment: Doc) -> str:
    """Bandwidth is that of a physical network, or of all tunnels together."""
    physical = segment["physical_network"]
    return make_trait(f"PHYSNET_{physical}") if physical else TUNNEL_TRAIT


# -- allocations of ports in use ---------------------------------------------------------------------------------------


def is_compute(port: Doc) -> bool:
    return str(port["device_owner"]).startswith(COMPUTE)


def move_allocation(port: Doc, old: Doc | None, new: Doc | None) -> dict[str, Any]:
    """The binding profile of an instance's port whose policy changes: its allocations under their new groups.

    Nothing where Placement keeps no account of the port. A type of guarantee that the port had not before is enforced
    on its host and not accounted, as in Neutron. Raises QosPlacementAllocationUpdateConflict where what is accounted
    would change: only a new placement of the instance can say whether there is room.
    """
    allocation = port[PROFILE].get("allocation")
    if not is_compute(port) or not isinstance(allocation, dict) or not allocation or old is None:
        return {}
    had = find_rules(old, *PLACED)
    if not had:
        return {}
    types = {rule["type"] for rule in had}
    wanted = [rule for rule in find_rules(new, *PLACED) if rule["type"] in types] if new else []
    before, after = make_resources(had), make_resources(wanted)
    if before != after:
        names = sorted(before.keys() | after.keys())
        diff = {n: after.get(n, 0) - before.get(n, 0) for n in names if after.get(n, 0) != before.get(n, 0)}
        raise conflict(
            "QosPlacementAllocationUpdateConflict",
            f"Updating placement allocation with {diff} for consumer {port['device_id']} failed. The instance has to "
            "be placed anew for other guarantees.",
        )
    groups = {make_group_id(port["id"], find_rules(old, t)): t for t in types}
    moved = {
        make_group_id(port["id"], find_rules(new, groups[group])): provider
        for group, provider in allocation.items()
        if group in groups and new is not None
    }
    return {PROFILE: {**port[PROFILE], "allocation": moved}}

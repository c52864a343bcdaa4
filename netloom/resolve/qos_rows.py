"""Rows of QoS policies: a policy's rules, and who follows it.

Law: a policy is a slice of its own, so that a rule that changes is one row, however many ports are under it. A host
follows the policies of its ports, a router's slice leads to those of its gateway and of its floating IPs, and an
external network's to its own, which addresses there are under that have none.
"""

from __future__ import annotations

from collections.abc import Iterator

from netloom.intent.qos.qos_use import OWN, find_gateway_policy
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import FollowRow, QosRow, Row

RowKey = tuple[str, str]
RATES = {"bandwidth_limit": ("max_kbps", 1), "minimum_bandwidth": ("min_kbps", 1),
         "packet_rate_limit": ("max_kpps", 1000), "minimum_packet_rate": ("min_kpps", 1000)}  # fmt: skip
"""By type: the attribute that says how much, and how many kbit/s or packets/s one of it is."""
BURSTS = {"bandwidth_limit": "max_burst_kbps", "packet_rate_limit": "max_burst_kpps"}


def touch_policy(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    for id in ("", *(rule["id"] for rule in doc["rules"])):  # no row: a policy comes and goes without rules too
        yield f"policy/{doc['id']}", f"qos/{id}"


def find_outer_policy(network: Doc) -> str:
    """The policy of gateways and floating IPs on a network that have none of their own."""
    return (network.get(OWN) or "") if network["router:external"] else ""


def touch_network(network: Doc) -> Iterator[RowKey]:
    if policy := find_outer_policy(network):
        yield f"network/{network['id']}", f"follow/policy/{policy}"


def find_network_policies(snapshot: Snapshot, network: str) -> Iterator[str]:
    doc = snapshot.get("network", network)
    return iter((f"follow/policy/{policy}",) if doc and (policy := find_outer_policy(doc)) else ())


def resolve_network_policy(snapshot: Snapshot, network: str, policy: str) -> Row | None:
    found = snapshot.record("network", network)
    if found is None or find_outer_policy(found.doc) != policy:
        return None
    return FollowRow(f"policy/{policy}", found.revision)


def touch_router(router: Doc) -> Iterator[RowKey]:
    if policy := find_gateway_policy(router):
        yield f"router/{router['id']}", f"follow/policy/{policy}"


def touch_floating(fip: Doc) -> Iterator[RowKey]:
    if fip["router_id"] and fip.get(OWN):
        yield f"router/{fip['router_id']}", f"follow/policy/{fip[OWN]}"


def find_policy_keys(snapshot: Snapshot, policy: str) -> Iterator[str]:
    doc = snapshot.get("policy", policy)
    return (f"qos/{rule['id']}" for rule in doc["rules"]) if doc else iter(())


def find_router_policies(snapshot: Snapshot, router: str) -> Iterator[str]:
    """The policies of a router's gateway and of its floating IPs, each with the revision of who has it."""
    doc = snapshot.get("router", router)
    if doc is not None and (policy := find_gateway_policy(doc)):
        yield policy
    for fip in snapshot.find("floatingip", "router_id", router):
        if fip.get(OWN):
            yield fip[OWN]


def resolve_rule(snapshot: Snapshot, policy: str, id: str) -> Row | None:
    found = snapshot.record("policy", policy)
    rule = next((one for one in found.doc["rules"] if one["id"] == id), None) if found else None
    if found is None or rule is None:
        return None
    name, unit = RATES.get(rule["type"], ("", 0))
    return QosRow(
        id=id,
        kind=rule["type"],
        direction=rule.get("direction") or "",
        rate=rule[name] * unit if name else 0,
        burst=rule.get(BURSTS.get(rule["type"], ""), 0) * unit,
        mark=rule.get("dscp_mark", 0),
        revision=found.revision,
    )


def resolve_router_policy(snapshot: Snapshot, router: str, policy: str) -> Row | None:
    found = snapshot.record("router", router)
    if found is None or policy not in find_router_policies(snapshot, router):
        return None
    return FollowRow(f"policy/{policy}", found.revision)

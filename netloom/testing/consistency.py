"""What must hold of every snapshot, whatever led to it: for property tests, and for a look at a store in doubt.

Each check gives the faults it finds, in words; none is an empty list.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from itertools import combinations
from typing import Any

from netloom.intent.addressing.address_scope import SCOPES
from netloom.intent.addressing.addresses import is_auto
from netloom.intent.addressing.pools import is_host_address
from netloom.intent.blocks import hold, overlap
from netloom.intent.l2.segments import TYPES
from netloom.intent.schema import Doc
from netloom.intent.security.security_group_make import show_rule
from netloom.intent.snapshot import Snapshot
from netloom.testing.consistency_segments import check_routed, check_trunks

GROUP_ID = "security_group_id"


def check_snapshot(snapshot: Snapshot) -> list[str]:
    """Every fault that the checks of this module find."""
    checks = (
        check_indexes,
        check_ports,
        check_subnets,
        check_pools,
        check_segments,
        check_networks,
        check_security_groups,
        check_trunks,
        check_routed,
    )
    return [fault for check in checks for fault in check(snapshot)]


def check_indexes(snapshot: Snapshot) -> list[str]:
    """The indexes, which grew change by change, against indexes made at once from all documents."""
    entries = [(kind, id, record) for kind in snapshot.catalog for id, record in snapshot.records(kind).items()]
    fresh = Snapshot(snapshot.catalog, snapshot.encode).apply_records(entries, snapshot.revision)
    faults = []
    for kind, resource in snapshot.catalog.items():
        for index in resource.indexes:
            kept, made = (list_index(one, index.style, kind, index.name) for one in (snapshot, fresh))
            if kept != made:
                faults.append(f"index {index.name} of {kind}: {kept} is kept, {made} is right")
    return faults


def list_index(snapshot: Snapshot, style: str, kind: str, name: str) -> dict[Hashable, Any]:
    """An index as plain dicts: without what is empty, so that two that answer alike are equal."""
    found = dict(snapshot.indexes(style).get((kind, name), {}).items())
    if style == "unique":
        return found
    return {key: dict(members.items()) for key, members in found.items() if members}


def check_ports(snapshot: Snapshot) -> Iterator[str]:
    """Addresses are held once, lie in subnets of the port's network, and each port has those of automatic subnets."""
    yield from find_repeats("MAC", ((p["network_id"], p["mac_address"]) for p in snapshot.docs("port")))
    held = ((f["subnet_id"], f["ip_address"]) for p in snapshot.docs("port") for f in p["fixed_ips"])
    yield from find_repeats("address", held)
    for port in snapshot.docs("port"):
        for fixed in port["fixed_ips"]:
            subnet = snapshot.get("subnet", fixed["subnet_id"])
            if subnet is None or subnet["network_id"] != port["network_id"]:
                yield f"port {port['id']} has an address of a subnet that is not on its network"
            elif not (is_host_address(subnet["cidr"], fixed["ip_address"], True) or is_auto(subnet)):
                yield f"port {port['id']} has {fixed['ip_address']}, which is no address of {subnet['cidr']}"
        if snapshot.get("network", port["network_id"]) is None:
            yield f"port {port['id']} is on a network that is not there"


def check_subnets(snapshot: Snapshot) -> Iterator[str]:
    for subnet in snapshot.docs("subnet"):
        network = snapshot.get("network", subnet["network_id"])
        if network is None or subnet["id"] not in network["subnets"]:
            yield f"network {subnet['network_id']} does not know subnet {subnet['id']}"
        elif any(subnet[name] != network[name] for name in ("shared", "router:external")):
            yield f"subnet {subnet['id']} mirrors another network than its own"


def check_pools(snapshot: Snapshot) -> Iterator[str]:
    """A pool's subnets lie in it and share no address, and networks are in the scopes of their subnets' pools."""
    for pool in snapshot.docs("subnetpool"):
        cidrs = [subnet["cidr"] for subnet in snapshot.find("subnet", "subnetpool_id", pool["id"])]
        if not hold(pool["prefixes"], cidrs):
            yield f"pool {pool['id']} has {pool['prefixes']}, which does not hold all of {cidrs}"
        if any(overlap([one], [two]) for one, two in combinations(cidrs, 2)):
            yield f"pool {pool['id']} has given an address to two subnets of {cidrs}"
    for network in snapshot.docs("network"):
        scopes: dict[str, Any] = dict.fromkeys(SCOPES.values())
        for subnet in snapshot.find("subnet", "network_id", network["id"]):
            pool = snapshot.get("subnetpool", subnet["subnetpool_id"] or "") or {}
            scopes[SCOPES[subnet["ip_version"]]] = pool.get("address_scope_id")
        if any(network[name] != value for name, value in scopes.items()):
            yield f"network {network['id']} is not in the scopes of its subnets' pools, {scopes}"


def check_segments(snapshot: Snapshot) -> Iterator[str]:
    """No two networks share a segment, and none outlives its network."""
    used = (
        (s["network_type"], s["physical_network"], s["segmentation_id"])
        for s in snapshot.docs("segment")
        if TYPES[s["network_type"]].last or TYPES[s["network_type"]].physical
    )
    yield from find_repeats("segment", used)
    for segment in snapshot.docs("segment"):
        if snapshot.get("network", segment["network_id"]) is None:
            yield f"segment {segment['id']} is of a network that is not there"


def check_networks(snapshot: Snapshot) -> Iterator[str]:
    yield from find_repeats("number", (network["number"] for network in snapshot.docs("network")))
    for network in snapshot.docs("network"):
        for id in network["subnets"]:
            if snapshot.get("subnet", id) is None:
                yield f"network {network['id']} names subnet {id}, which is not there"


def check_security_groups(snapshot: Snapshot) -> Iterator[str]:
    """A group shows just its rules, as they are; a port's groups are there; a rule's remote group is there."""
    for group in snapshot.docs("security_group"):
        rules = {rule["id"]: show_rule(rule) for rule in snapshot.find("security_group_rule", GROUP_ID, group["id"])}
        if {rule["id"]: rule for rule in group["security_group_rules"]} != rules:
            yield f"security group {group['id']} does not show the rules that it has"
    for rule in snapshot.docs("security_group_rule"):
        for name in (GROUP_ID, "remote_group_id"):
            if rule[name] and snapshot.get("security_group", rule[name]) is None:
                yield f"security group rule {rule['id']} names a {name} that is not there"
    for port in snapshot.docs("port"):
        groups = port.get("security_groups", ())
        if any(snapshot.get("security_group", id) is None for id in groups):
            yield f"port {port['id']} is in a security group that is not there"
        if groups and not port["port_security_enabled"]:
            yield f"port {port['id']} is in security groups without port security"


def find_repeats(name: str, keys: Iterable[Hashable]) -> Iterator[str]:
    for key, count in Counter(keys).items():
        if count > 1:
            yield f"{name} {key} is held {count} times"


def strip_times(doc: Doc) -> dict[str, Any]:
    """A document without what the clock alone decides, to compare two ways to the same state."""
    return {name: value for name, value in doc.items() if name not in ("created_at", "updated_at")}

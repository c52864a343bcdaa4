"""Rows of security groups: a group's rules, and the sets of addresses that rules name.

Law: a set is a slice of its own with a row for each member, so that a member that comes or goes is one row, however
many rules and hosts there are. Who has a port of a group follows the group, and the group leads to its sets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from netloom.intent.l2.binding import HOST, is_bound
from netloom.intent.schema import Doc
from netloom.intent.security.security_group_values import INGRESS, PROTOCOLS
from netloom.intent.snapshot import Snapshot
from netloom.model.slices import FollowRow, GroupRow, MemberRow, PrefixRow, Row, RuleRow

RowKey = tuple[str, str]
ANY = -1


# -- which rows an object touches --------------------------------------------------------------------------------------


def touch_group(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    yield f"group/{doc['id']}", f"group/{doc['id']}"
    yield f"members/{doc['id']}", "member/"  # no row: the set itself comes and goes with the group


def touch_rule(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    group, remote = f"group/{doc['security_group_id']}", find_remote(doc)
    yield group, f"rule/{doc['id']}"
    if remote:
        yield group, f"follow/{remote}"


def touch_member(snapshot: Snapshot, port: Doc) -> Iterator[RowKey]:
    """Of a port: its place in the sets of its groups, and what its host follows for it."""
    for group in find_groups(port):
        yield f"members/{group}", f"member/{port['id']}"
        if is_bound(port):
            yield f"host/{port[HOST]}", f"follow/group/{group}"


def find_groups(port: Doc) -> Sequence[str]:
    """The groups of a port; one that was stored before there were any has none."""
    found: Sequence[str] = port.get("security_groups") or ()
    return found


def touch_addresses(snapshot: Snapshot, doc: Doc) -> Iterator[RowKey]:
    for prefix in ("", *doc["addresses"]):
        yield f"addresses/{doc['id']}", f"prefix/{prefix}"


def differ_addresses(before: Doc, after: Doc) -> Iterator[RowKey]:
    """Of a set that changed: what came and what went. Of the others nothing is another."""
    for prefix in {*before["addresses"]} ^ {*after["addresses"]}:
        yield f"addresses/{after['id']}", f"prefix/{prefix}"


# -- what a slice is made of -------------------------------------------------------------------------------------------


def find_group_keys(snapshot: Snapshot, group: str) -> Iterator[str]:
    yield f"group/{group}"
    for rule in snapshot.find("security_group_rule", "security_group_id", group):
        yield f"rule/{rule['id']}"
        if remote := find_remote(rule):
            yield f"follow/{remote}"


def find_member_keys(snapshot: Snapshot, group: str) -> Iterator[str]:
    return (f"member/{id}" for id in snapshot.find_ids("port", "security_groups", group))


def find_address_keys(snapshot: Snapshot, id: str) -> Iterator[str]:
    doc = snapshot.get("address_group", id)
    return (f"prefix/{prefix}" for prefix in doc["addresses"]) if doc else iter(())


def find_remote(rule: Doc) -> str:
    """The slice of the set that the rule names; empty: it names none."""
    if rule["remote_group_id"]:
        return f"members/{rule['remote_group_id']}"
    return f"addresses/{rule['remote_address_group_id']}" if rule["remote_address_group_id"] else ""


# -- what a row holds --------------------------------------------------------------------------------------------------


def resolve_group(snapshot: Snapshot, group: str, id: str) -> Row | None:
    found = snapshot.record("security_group", group)
    return None if found is None else GroupRow(group, found.doc["stateful"], found.revision)


def resolve_rule(snapshot: Snapshot, group: str, id: str) -> Row | None:
    found = snapshot.record("security_group_rule", id)
    if found is None or found.doc["security_group_id"] != group:
        return None
    doc = found.doc
    first, last = doc["port_range_min"], doc["port_range_max"]
    return RuleRow(
        id=id,
        direction=INGRESS if doc["direction"] == INGRESS else "egress",
        ip_version=4 if doc["ethertype"] == "IPv4" else 6,
        protocol=find_protocol(doc["protocol"]),
        first=ANY if first is None else first,
        last=ANY if last is None else last,
        prefix=doc["normalized_cidr"] or "",
        remote=find_remote(doc),
        revision=found.revision,
    )


def find_protocol(name: str | None) -> int:
    """The number of a protocol as rules have it. "ip" and 0 are any protocol, as in Neutron's firewalls."""
    if name is None:
        return ANY
    number = PROTOCOLS[name] if name in PROTOCOLS else int(name)
    return number or ANY


def resolve_remote(snapshot: Snapshot, group: str, name: str) -> Row | None:
    """The group leads to a set while one of its rules names it."""
    rules = snapshot.find("security_group_rule", "security_group_id", group)
    revisions = [find_revision(snapshot, rule) for rule in rules if find_remote(rule) == name]
    return FollowRow(name, max(revisions)) if revisions else None


def find_revision(snapshot: Snapshot, rule: Doc) -> int:
    found = snapshot.record("security_group_rule", rule["id"])
    return found.revision if found else 0


def resolve_member(snapshot: Snapshot, group: str, id: str) -> Row | None:
    found = snapshot.record("port", id)
    if found is None or group not in find_groups(found.doc):
        return None
    doc = found.doc
    addresses = [fixed["ip_address"] for fixed in doc["fixed_ips"]]
    addresses += [pair["ip_address"] for pair in doc["allowed_address_pairs"]]
    return MemberRow(id, tuple(dict.fromkeys(addresses)), found.revision)


def resolve_prefix(snapshot: Snapshot, address_group: str, prefix: str) -> Row | None:
    found = snapshot.record("address_group", address_group)
    if found is None or prefix not in found.doc["addresses"]:
        return None
    return PrefixRow(prefix, found.revision)

"""The rows of security groups as a host is told of them: a group with its rules, and the sets that rules name."""

from __future__ import annotations

from collections.abc import Iterable

from netloom.model.slices import FollowRow, GroupRow, MemberRow, PortRow, PrefixRow, Row, RuleRow


def make_group(name: str, rules: Iterable[RuleRow] = (), stateful: bool = True) -> dict[str, Row]:
    """The group, its rules, and what a host follows for them."""
    found: dict[str, Row] = {f"group/{name}": GroupRow(name, stateful)}
    for rule in rules:
        found[f"rule/{rule.id}"] = rule
        if rule.remote:
            found[f"follow/{rule.remote}"] = FollowRow(rule.remote)
    return found


def make_members(name: str, ports: Iterable[PortRow]) -> dict[str, Row]:
    """Those of the ports that are in the group, with all addresses that they may have."""
    return {
        f"member/{port.id}": MemberRow(port.id, (*(a.ip for a in port.addresses), *(pair.ip for pair in port.pairs)))
        for port in ports
        if name in port.groups
    }


def make_prefixes(*prefixes: str) -> dict[str, Row]:
    return {f"prefix/{one}": PrefixRow(one) for one in prefixes}

"""The security groups of a port, and the default group that comes with a project's first network or port.

Law: a port without port security is in no group. With it, one that says nothing is in its project's default group,
unless it is one of the network's own services.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netloom.intent import kinds
from netloom.intent.draft import Draft
from netloom.intent.errors import conflict, invalid_operation, not_found
from netloom.intent.part import NOTHING, Part, Values
from netloom.intent.schema import GENERATED, Doc, Field, Filter, Index, Kind
from netloom.intent.security.security_group_make import GROUP, ensure_default_group, is_usable

NAME = "security_groups"
TRUSTED = "network:"
"""Owners of the network's own ports start so: nothing stands between them and the network."""


def is_trusted(port: Doc) -> bool:
    return str(port["device_owner"]).startswith(TRUSTED)


def create_port_groups(draft: Draft, doc: Doc) -> Values:
    """The groups of a new port."""
    default = ensure_default_group(draft, doc["project_id"])
    given = doc.get(NAME)
    if not doc["port_security_enabled"]:
        refuse_groups(given)
        return {NAME: []}
    if is_trusted(doc):
        return {NAME: []}
    if given is None:
        return {NAME: [default["id"]] if default else []}
    check_groups(draft, given, doc["project_id"])
    return {NAME: given}


def update_port_groups(draft: Draft, old: Doc, new: Doc, changes: Doc) -> Values:
    ensure_default_group(draft, old["project_id"])
    before, given = old.get(NAME, []), changes.get(NAME)
    if not new["port_security_enabled"]:
        refuse_groups(given)
        if given is None and before:
            raise conflict(
                "PortSecurityPortHasSecurityGroup",
                "Port has security group associated. Cannot disable port security or IP address until security group "
                "is removed.",
            )
    if given is None:
        return NOTHING
    if set(given) == set(before):
        return {NAME: before}
    check_groups(draft, given, old["project_id"])
    return {NAME: given}


def refuse_groups(given: Sequence[str] | None) -> None:
    if given:
        raise invalid_operation(
            "Port security must be enabled and port must have an IP address in order to use security groups",
            type="PortSecurityAndIPRequiredForSecurityGroups",
        )


def check_groups(draft: Draft, ids: Sequence[str], project_id: str) -> None:
    """Raises where a group is not there for the project, or where stateful and stateless ones are mixed."""
    groups = [draft.get(GROUP, id) for id in ids]
    usable = [group for group in groups if group is not None and is_usable(draft, GROUP, group, project_id)]
    if len(usable) < len(ids):
        there = {group["id"] for group in usable}
        raise not_found(GROUP, ", ".join(id for id in ids if id not in there))
    if len({group["stateful"] for group in usable}) > 1:
        raise conflict(
            "SecurityGroupConflict",
            "Error Cannot apply both stateful and stateless security groups on the same port at the same time while "
            "attempting the operation.",
        )


def create_network_groups(draft: Draft, doc: Doc) -> Values:
    ensure_default_group(draft, doc["project_id"])
    return NOTHING


def parse_groups(value: Any) -> list[str]:
    """Ids of groups; null is none."""
    ids: list[str] = [] if value is None else _parse_ids(value)
    return ids


_parse_ids = kinds.list_parser(kinds.parse_uuid, unique=True)
_GROUPS = Kind(
    "security_groups",
    parse_groups,
    {"type": ["array", "null"], "uniqueItems": True, "items": {"type": "string", "format": "uuid"}},
)


def group_keys(doc: Doc) -> tuple[str, ...]:
    return tuple(doc.get(NAME, ()))


def group_host_keys(doc: Doc) -> tuple[tuple[str, str], ...]:
    """By group and host: whose ports of a group are where."""
    host = doc["binding:host_id"]
    return tuple((group, host) for group in group_keys(doc)) if host else ()


PORT_PART = Part(
    fields=(
        Field(
            NAME,
            _GROUPS,
            "The security groups it is in; its project's default group where nothing is said.",
            GENERATED,
            put=True,
            filter=False,
            alias="security-group",
        ),
    ),
    indexes=(Index(NAME, group_keys), Index("group_host", group_host_keys)),
    filters=(
        Filter(
            NAME,
            lambda doc, values: not set(values).isdisjoint(group_keys(doc)),
            "Is in one of these groups.",
            lambda values: (NAME, values),
        ),
    ),
    create=create_port_groups,
    update=update_port_groups,
)
NETWORK_PART = Part(create=create_network_groups)

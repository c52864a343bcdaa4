"""Subnet pools: prefixes that subnets are cut from, so that whoever makes a subnet need not choose its addresses."""

from __future__ import annotations

from typing import Any

from netloom.intent import kinds, stamp
from netloom.intent.addressing.subnetpool_make import (
    add_prefixes,
    check_grant,
    create,
    delete,
    find_users,
    onboard,
    parse_network,
    parse_prefix,
    parse_prefixes,
    remove_prefixes,
    update,
)
from netloom.intent.extension import Extension
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_READER, any_of
from netloom.intent.quota import DEFAULTS
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Action,
    Field,
    Index,
    Kind,
    Resource,
    Rules,
    Sharing,
    index_by,
    index_where_set,
)


def parse_pool_name(value: Any) -> str:
    """A name that is there: a pool is chosen by it."""
    name: str = kinds.parse_name(value)
    if not name:
        raise ValueError(f"'{name}' Blank strings are not permitted")
    return name


def parse_length(value: Any) -> str:
    """A prefix length, as the API shows it."""
    return str(_NUMBER.parse(value))


_PREFIX = {"type": "string", "format": "cidr"}
_NUMBER = kinds.int_kind(0, 2**31 - 1)
_NAME = Kind("pool_name", parse_pool_name, {"type": "string", "minLength": 1, "maxLength": 255})
_LENGTH = Kind("prefix_length", parse_length, {"type": ["string", "integer"]}, rank=int)
_PREFIXES = Kind("prefixes", kinds.list_parser(parse_prefix, unique=True), {"type": "array", "items": _PREFIX})
_BODY = {"type": "object", "properties": {"prefixes": {"type": "array", "items": _PREFIX}}, "required": ["prefixes"]}
_ONBOARD_BODY = {
    "type": "object",
    "properties": {"network_id": {"type": "string", "format": "uuid"}},
    "required": ["network_id"],
}
_ONBOARDED = {
    "type": "array",
    "items": {"type": "object", "properties": {"id": {"type": "string", "format": "uuid"}, "cidr": _PREFIX}},
}


def length_field(name: str, doc: str) -> Field:
    return Field(f"{name}_prefixlen", _LENGTH, doc, GENERATED, put=True, sort=True)


FIELDS = stamp.standard_fields(
    Field("name", _NAME, "A name for people.", REQUIRED, put=True, sort=True),
    Field("prefixes", _PREFIXES, "What subnets are cut from; later only more.", REQUIRED, put=True, filter=False),
    Field("ip_version", kinds.IP_VERSION, "That of its prefixes, for life.", GENERATED, post=False, sort=True),
    length_field("min", "The length of the largest prefix that a subnet may have."),
    length_field("max", "The length of the smallest prefix that a subnet may have."),
    length_field("default", "The length that a subnet has where nothing is said; min_prefixlen."),
    Field(
        "default_quota",
        _NUMBER,
        "How much of it a project may have, in addresses (IPv4) or /64 prefixes (IPv6); null: all.",
        None,
        put=True,
        sort=True,
    ),
    Field(
        "is_default",
        kinds.BOOL,
        "Whether it is the pool that use_default_subnetpool means; one of each IP version.",
        False,
        put=True,
        sort=True,
        set=ADMIN,
        change=ADMIN,
    ),
    Field("shared", kinds.BOOL, "Whether every project may use it.", False, sort=True, set=ADMIN),
    Field(
        "address_scope_id",
        kinds.UUID_OR_NONE,
        "The scope in which its addresses mean one thing.",
        None,
        put=True,
        sort=True,
        alias="address-scope",
    ),
    name=False,
    tag_rules=(ADMIN_OR_MEMBER, any_of(ADMIN_OR_READER, "rule:shared_subnetpools"), None),
)

ACTIONS = (
    Action(
        "add_prefixes",
        "Let the pool grow.",
        add_prefixes,
        ADMIN_OR_MEMBER,
        parse_prefixes,
        shows=False,
        schema=_BODY,
        answer_schema=_BODY,
        alias="subnetpool-prefix-ops",
    ),
    Action(
        "remove_prefixes",
        "Take away prefixes that no subnet has.",
        remove_prefixes,
        ADMIN_OR_MEMBER,
        parse_prefixes,
        shows=False,
        schema=_BODY,
        answer_schema=_BODY,
        alias="subnetpool-prefix-ops",
    ),
    Action(
        "onboard_network_subnets",
        "Let the subnets of a network be the pool's.",
        onboard,
        ADMIN_OR_MEMBER,
        parse_network,
        shows=False,
        lists=True,
        schema=_ONBOARD_BODY,
        answer_schema=_ONBOARDED,
        alias="subnet_onboard",
    ),
)

SUBNETPOOL = Resource(
    "subnetpool",
    "subnetpools",
    "Prefixes that subnets are cut from.",
    FIELDS,
    Rules(
        ADMIN_OR_MEMBER,
        any_of(ADMIN_OR_READER, "rule:shared_subnetpools"),
        ADMIN_OR_MEMBER,
        ADMIN_OR_MEMBER,
    ),
    indexes=(
        index_by("project_id"),
        index_by("name"),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
        index_where_set("address_scope_id"),
        Index("default", lambda doc: (doc["ip_version"],) if doc["is_default"] else (), "unique"),
    ),
    filters=stamp.STANDARD_FILTERS,
    create=create,
    update=update,
    delete=delete,
    quota=DEFAULTS["subnetpool"],
    actions=ACTIONS,
    sharing=(Sharing(users=find_users, check=check_grant),),
)

EXTENSIONS = (
    Extension(
        "default-subnetpools",
        "Default Subnetpools",
        "A pool that is meant where none is named.",
        "2016-02-18T18:00:00-00:00",
    ),
    Extension(
        "rbac-subnetpool",
        "Add subnetpool type to RBAC",
        "Subnet pools may be opened to single projects.",
        "2020-02-05T00:00:00-00:00",
    ),
    Extension("subnet_allocation", "Subnet Allocation", "Subnets cut from pools.", "2015-03-30T10:00:00-00:00"),
    Extension(
        "subnet_onboard",
        "Subnet Onboard",
        "Subnets that are there may join a pool.",
        "2018-12-18T09:00:00-00:00",
    ),
    Extension(
        "subnetpool-prefix-ops",
        "Subnet Pool Prefix Operations",
        "Prefixes of a pool, added and taken away.",
        "2019-02-08T10:00:00-00:00",
    ),
)

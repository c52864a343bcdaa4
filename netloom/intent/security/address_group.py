"""Address groups: prefixes under one name, for the rules of security groups to refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from ipaddress import ip_interface, ip_network
from typing import Any

from netloom.intent import kinds, rbac, stamp
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_request, conflict
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome
from netloom.intent.policy_rules import ADMIN_OR_MEMBER, ADMIN_OR_READER, any_of
from netloom.intent.schema import Action, Doc, Field, Index, Kind, Resource, Rules, Sharing, index_by, index_where_set
from netloom.intent.security.security_group_make import ADDRESS_GROUP, RULE
from netloom.intent.snapshot import Snapshot


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([(ADDRESS_GROUP, create_address_group(draft, body)["id"]) for body in bodies])


def create_address_group(draft: Draft, body: Doc) -> Doc:
    group = stamp.make_created(draft.context.new_id(), body, draft.context, tags=False)
    group["addresses"] = list(dict.fromkeys(body["addresses"]))
    return draft.put(ADDRESS_GROUP, group)


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put(ADDRESS_GROUP, stamp.make_updated(old, changes, context))
    return draft.finish([(ADDRESS_GROUP, old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if draft.count_in(RULE, "remote_address_group_id", old["id"]):
        raise conflict("AddressGroupInUse", f"Address group {old['id']} is in use on one or more security group rules.")
    rbac.drop_grants(draft, ADDRESS_GROUP, old["id"])
    draft.remove(ADDRESS_GROUP, old["id"])
    return draft.finish()


def add_addresses(snapshot: Snapshot, old: Doc, given: Sequence[str], context: Context) -> Outcome:
    """All of the addresses, or none where one of them is there already."""
    there = [address for address in given if address in old["addresses"]]
    if there:
        raise ApiError(
            400, "AddressesAlreadyExist", f"Addresses {there} already exist in the address group {old['id']}."
        )
    return change_addresses(snapshot, old, [*old["addresses"], *given], context)


def remove_addresses(snapshot: Snapshot, old: Doc, given: Sequence[str], context: Context) -> Outcome:
    """All of the addresses, or none where one of them is not there."""
    missing = [address for address in given if address not in old["addresses"]]
    if missing:
        raise ApiError(404, "AddressesNotFound", f"Addresses {missing} not found in the address group {old['id']}.")
    return change_addresses(snapshot, old, [one for one in old["addresses"] if one not in given], context)


def change_addresses(snapshot: Snapshot, old: Doc, addresses: Sequence[str], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    draft.put(ADDRESS_GROUP, stamp.make_updated(old, {"addresses": addresses}, context))
    return draft.finish([(ADDRESS_GROUP, old["id"])])


def find_users(draft: Draft, group: Doc) -> set[str]:
    """The projects whose rules refer to the group."""
    return {rule["project_id"] for rule in draft.find(RULE, "remote_address_group_id", group["id"])}


# -- values ------------------------------------------------------------------------------------------------------------


def parse_addresses(value: Any) -> list[str]:
    """Prefixes without host bits; null is none. One that comes twice is refused, as Neutron does before it masks."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise ValueError(f"'{kinds.show(value)}' is not a list")
    kinds.refuse_repeats(value, "Duplicate items in the list: '{}'")
    return [parse_prefix(one) for one in value]


def parse_prefix(value: Any) -> str:
    """A prefix that says how long it is."""
    try:
        if not isinstance(value, str) or "/" not in value or "%" in value or len(value.split()) != 1:
            raise ValueError
        given = ip_interface(value)
        if given.version == 4 and given.with_prefixlen != value:
            raise ValueError
    except ValueError:
        raise ValueError(f"'{kinds.show(value)}' is not a valid IP subnet") from None
    return str(given.network)


def parse_action(body: Mapping[str, Any]) -> list[str]:
    """The addresses of an action's body. A plain address is a prefix of full length here."""
    unknown = sorted(str(name) for name in body if name != "addresses")
    if unknown:
        raise bad_request(f"Unrecognized attribute(s) '{kinds.show(', '.join(unknown))}'")
    given = body.get("addresses")
    if not isinstance(given, list):
        raise bad_request(f"Invalid input for addresses. Reason: '{kinds.show(given)}' is not a list.")
    return list(dict.fromkeys(parse_loose_prefix(one) for one in given))


def parse_loose_prefix(value: Any) -> str:
    try:
        if not isinstance(value, str) or "%" in value:
            raise ValueError
        return str(ip_network(value, strict=False))
    except ValueError:
        raise ApiError(400, "AddrFormatError", f"invalid IPNetwork {kinds.show(value)}") from None


_SCHEMA: dict[str, Any] = {"type": ["array", "null"], "items": {"type": "string", "format": "cidr"}}
_ADDRESSES = Kind("addresses", parse_addresses, _SCHEMA)
_DESCRIPTION = kinds.text_kind(1024)
_BODY = {
    "type": "object", "properties": {"addresses": {**_SCHEMA, "type": "array"}}, "required": ["addresses"],
    "additionalProperties": False,
}  # fmt: skip

ADDRESS_GROUP_RESOURCE = Resource(
    ADDRESS_GROUP,
    "address_groups",
    "Prefixes under one name, for the rules of security groups.",
    tuple(
        replace(f, kind=_DESCRIPTION, sort=True, alias="") if f.name == "description" else f
        for f in stamp.standard_fields(
            Field("addresses", _ADDRESSES, "Its prefixes, without host bits.", [], filter=False),
            Field("shared", kinds.BOOL, "Whether every project may refer to it.", False, post=False, visible=False),
            tags=False,
        )
    ),
    Rules(ADMIN_OR_MEMBER, any_of(ADMIN_OR_READER, "rule:shared_address_groups"), ADMIN_OR_MEMBER, ADMIN_OR_MEMBER),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
    ),
    filters=(stamp.CHANGED_SINCE,),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="address-group",
    actions=(
        Action(
            "add_addresses",
            "Add prefixes.",
            add_addresses,
            ADMIN_OR_MEMBER,
            parse_action,
            answer_wrapped=True,
            schema=_BODY,
        ),
        Action(
            "remove_addresses",
            "Take prefixes away.",
            remove_addresses,
            ADMIN_OR_MEMBER,
            parse_action,
            answer_wrapped=True,
            schema=_BODY,
        ),
    ),
    sharing=(Sharing(users=find_users),),
)

EXTENSIONS = (
    Extension("address-group", "Address group", "Prefixes under one name.", "2020-07-15T10:00:00-00:00"),
    Extension(
        "rbac-address-group",
        "Add address_group type to RBAC",
        "Address groups may be opened to other projects.",
        "2021-01-20T00:00:00-00:00",
    ),
)

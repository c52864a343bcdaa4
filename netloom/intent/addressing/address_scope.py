"""Address scopes: within one, an address means one thing, so its subnet pools share no prefix and routes need no NAT.

Law: which scope a network is in follows from the pools of its subnets, and is kept in step with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from netloom.intent import kinds
from netloom.intent.blocks import overlap
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, conflict, not_found
from netloom.intent.extension import Extension
from netloom.intent.operation import Context, Outcome
from netloom.intent.part import Part
from netloom.intent.policy_rules import ADMIN, ADMIN_OR_MEMBER, ADMIN_OR_READER, any_of
from netloom.intent.rbac import drop_grants, may_use, share_with_all
from netloom.intent.schema import (
    GENERATED,
    REQUIRED,
    Doc,
    Field,
    Index,
    Resource,
    Rules,
    Sharing,
    index_by,
    index_where_set,
)
from netloom.intent.snapshot import Snapshot
from netloom.intent.stamp import make_updated

SCOPES = {4: "ipv4_address_scope", 6: "ipv6_address_scope"}
"""The attribute of a network that names its scope, by IP version."""


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    return draft.finish([("address_scope", create_scope(draft, body)["id"]) for body in bodies])


def create_scope(draft: Draft, body: Doc) -> Doc:
    project = body.get("project_id") or draft.context.requester.project_id
    scope = draft.put("address_scope", {"id": draft.context.new_id(), **body, "project_id": project})
    if scope["shared"]:
        share_with_all(draft, "address_scope", scope)
    return scope


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    if old["shared"] and not changes.get("shared", True):
        raise ApiError(
            400,
            "AddressScopeUpdateError",
            f"Unable to update address scope {old['id']} : Shared address scope can't be unshared.",
        )
    new = make_updated(old, changes, context)
    if new["shared"] and not old["shared"]:
        share_with_all(draft, "address_scope", old)
    draft.put("address_scope", new)
    return draft.finish([("address_scope", old["id"])])


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    pools = sorted(pool["id"] for pool in find_pools(draft, old))
    if pools:
        raise conflict(
            "AddressScopeInUse",
            f"Unable to complete operation on address scope {old['id']}. There are one or more subnet pools in use on "
            f"the address scope: {', '.join(pools[:5])}.",
        )
    drop_grants(draft, "address_scope", old["id"])
    draft.remove("address_scope", old["id"])
    return draft.finish()


def find_pools(source: Snapshot | Draft, scope: Doc) -> list[Doc]:
    """The subnet pools of a scope."""
    return list(source.find("subnetpool", "address_scope_id", scope["id"]))


def find_users(draft: Draft, scope: Doc) -> set[str]:
    """The projects that have subnet pools in a scope."""
    return {pool["project_id"] for pool in find_pools(draft, scope)}


# -- for subnet pools --------------------------------------------------------------------------------------------------


def check_pool(draft: Draft, pool: Doc) -> None:
    """Raises ApiError 400, 404 or 409 where a pool may not be in the scope that it names, or not with its prefixes."""
    id = pool["address_scope_id"]
    scope = draft.get("address_scope", id)
    if scope is None or not may_use(draft, "address_scope", scope, draft.context.requester):
        raise not_found("address_scope", id)
    if scope["ip_version"] != pool["ip_version"]:
        raise ApiError(
            400,
            "IllegalSubnetPoolIpVersionAssociationToAddressScope",
            f"Illegal subnetpool association: subnetpool {pool['id']} cannot associate with address scope {id} "
            f"because subnetpool ip_version is not {scope['ip_version']}.",
        )
    for other in find_pools(draft, scope):
        if other["id"] != pool["id"] and overlap(other["prefixes"], pool["prefixes"]):
            raise conflict(
                "AddressScopePrefixConflict",
                "Failed to associate address scope: subnetpools within an address scope must have unique prefixes.",
            )


def check_owner(draft: Draft, pool: Doc) -> None:
    """A pool in another project's scope is changed by administrators alone."""
    scope = draft.get("address_scope", pool["address_scope_id"] or "")
    requester = draft.context.requester
    if scope is not None and not requester.is_admin and scope["project_id"] != requester.project_id:
        raise ApiError(
            400,
            "IllegalSubnetPoolUpdate",
            f"Illegal subnetpool update : subnetpool {pool['id']} cannot be updated when associated with shared "
            f"address scope {scope['id']}.",
        )


# -- for networks ------------------------------------------------------------------------------------------------------


def find_scopes(draft: Draft, subnet_ids: Sequence[str]) -> dict[str, str | None]:
    """What a network with these subnets shows of the scopes that it is in."""
    found: dict[str, str | None] = dict.fromkeys(SCOPES.values())
    for id in subnet_ids:
        subnet = draft.get("subnet", id)
        pool = draft.get("subnetpool", subnet["subnetpool_id"] or "") if subnet else None
        if pool is not None:
            found[SCOPES[pool["ip_version"]]] = pool["address_scope_id"]
    return found


def mirror_scopes(draft: Draft, network_id: str) -> None:
    """Keep what a network shows of its scopes in step with its subnets' pools. No revision of the network's."""
    network = draft.get("network", network_id)
    if network is not None:
        found = find_scopes(draft, network["subnets"])
        if any(network[name] != value for name, value in found.items()):
            draft.put("network", {**network, **found})


def affinity_error() -> ApiError:
    return ApiError(
        400,
        "NetworkAddressScopeAffinityError",
        "Subnets of the same address family hosted on the same network must all participate in the same address scope.",
    )


NETWORK_PART = Part(
    fields=tuple(
        Field(
            name,
            kinds.UUID_OR_NONE,
            f"The IPv{version} address scope of its subnets.",
            None,
            post=False,
            filter=False,
            alias="address-scope",
        )
        for version, name in SCOPES.items()
    )
)

ADDRESS_SCOPE = Resource(
    "address_scope",
    "address_scopes",
    "Where an address means one thing: subnet pools that share no prefix.",
    (
        Field("id", kinds.UUID, "The scope's id.", GENERATED, post=False, sort=True),
        Field("name", kinds.NAME, "A name for people; it need not be unique.", "", put=True, sort=True),
        Field("project_id", kinds.PROJECT, "The project that owns it.", GENERATED, sort=True),
        Field(
            "shared",
            kinds.BOOL,
            "Whether every project may use it; once so, for good.",
            False,
            put=True,
            sort=True,
            set=ADMIN,
            change=ADMIN,
        ),
        Field("ip_version", kinds.IP_VERSION, "4 or 6, for life.", REQUIRED, sort=True),
    ),
    Rules(
        ADMIN_OR_MEMBER,
        any_of(ADMIN_OR_READER, "rule:shared_address_scopes"),
        ADMIN_OR_MEMBER,
        ADMIN_OR_MEMBER,
    ),
    indexes=(
        index_by("project_id"),
        index_where_set("name"),
        Index("public", lambda doc: (True,) if doc["shared"] else ()),
    ),
    create=create,
    update=update,
    delete=delete,
    tags=False,
    alias="address-scope",
    sharing=(Sharing(users=find_users),),
)

EXTENSIONS = (
    Extension(
        "address-scope", "Address scope", "Subnet pools whose addresses mean one thing.", "2015-07-26T10:00:00-00:00"
    ),
    Extension(
        "rbac-address-scope",
        "Add address_scope type to RBAC",
        "Address scopes may be opened to single projects.",
        "2020-02-12T00:00:00-00:00",
    ),
)

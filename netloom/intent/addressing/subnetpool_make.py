"""What is done to subnet pools: made, changed, opened to others, grown, cut back, and given the subnets of a network.

Law: a prefix of a pool is that of one subnet at most; what is free follows from the subnets (index "prefix" of
subnets), so a pool keeps no books.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from netloom.intent import kinds, rbac, stamp
from netloom.intent.addressing import address_scope
from netloom.intent.addressing.subnet_prefix import find_default
from netloom.intent.blocks import compact, hold, is_free, make_block, overlap, subtract
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, invalid_operation, not_found
from netloom.intent.operation import Context, Outcome
from netloom.intent.quota import check_quota
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Snapshot
from netloom.model.address import ip_version, ip_width

SMALLEST = {4: 8, 6: 64}
"""What min_prefixlen is where nothing is said."""
MAX_NAMED = 5


# -- operations --------------------------------------------------------------------------------------------------------


def create(snapshot: Snapshot, bodies: Sequence[Doc], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    check_quota(draft, "subnetpool", bodies)
    return draft.finish([("subnetpool", create_pool(draft, body)["id"]) for body in bodies])


def create_pool(draft: Draft, body: Doc) -> Doc:
    pool = stamp.make_created(draft.context.new_id(), body, draft.context)
    pool |= decide_pool(pool)
    if pool["is_default"]:
        check_only_default(draft, pool)
    if pool["address_scope_id"]:
        address_scope.check_pool(draft, pool)
    draft.put("subnetpool", pool)
    if pool["shared"]:
        rbac.share_with_all(draft, "subnetpool", pool)
    return pool


def decide_pool(given: Doc) -> dict[str, Any]:
    """What a pool is, by what was asked: its prefixes as few as can be, and the lengths that subnets may have."""
    prefixes = given["prefixes"]
    if not prefixes:
        raise ApiError(400, "EmptySubnetPoolPrefixList", "Empty subnet pool prefix list.")
    versions = {ip_version(prefix) for prefix in prefixes}
    if len(versions) > 1:
        raise ApiError(400, "PrefixVersionMismatch", "Cannot mix IPv4 and IPv6 prefixes in a subnet pool.")
    version = versions.pop()
    lengths = {
        "min_prefixlen": int(given.get("min_prefixlen", SMALLEST[version])),
        "max_prefixlen": int(given.get("max_prefixlen", ip_width(version))),
    }
    lengths["default_prefixlen"] = int(given.get("default_prefixlen", lengths["min_prefixlen"]))
    check_bounds(lengths, version)
    # The API shows lengths as text, and so does Neutron.
    shown = {name: str(length) for name, length in lengths.items()}
    return {"ip_version": version, "prefixes": compact(prefixes), **shown}


def check_bounds(lengths: Mapping[str, int], version: int) -> None:
    least, most, usual = (lengths[f"{name}_prefixlen"] for name in ("min", "max", "default"))
    for wrong, name, length, base, bound in (
        (least > most, "min_prefixlen", least, "max_prefixlen", most),
        (most > ip_width(version), "max_prefixlen", most, "ip_version_max", ip_width(version)),
        (usual < least, "default_prefixlen", usual, "min_prefixlen", least),
        (usual > most, "default_prefixlen", usual, "max_prefixlen", most),
    ):
        if wrong:
            raise ApiError(
                400, "IllegalSubnetPoolPrefixBounds", f"Illegal prefix bounds: {name}={length}, {base}={bound}."
            )


def check_only_default(draft: Draft, pool: Doc) -> None:
    other = find_default(draft, pool["ip_version"])
    if other is not None and other["id"] != pool["id"]:
        raise invalid_operation(
            "A default subnetpool for this IP family has already been set. Only one default may exist per IP family"
        )


def update(snapshot: Snapshot, old: Doc, changes: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    change_pool(draft, old, changes)
    return draft.finish([("subnetpool", old["id"])])


def change_pool(draft: Draft, old: Doc, changes: Doc) -> Doc:
    """The pool with the changes. Prefixes only grow here; `remove_prefixes` is another verb."""
    new = {**old, **changes}
    if "prefixes" in changes and not hold(changes["prefixes"], old["prefixes"]):
        raise refuse_prefixes("Existing prefixes must be a subset of the new prefixes")
    decided = decide_pool(new)
    new |= decided
    if new["is_default"] and not old["is_default"]:
        check_only_default(draft, new)
    address_scope.check_owner(draft, old)
    if new["address_scope_id"]:
        address_scope.check_pool(draft, new)
    moved = new["address_scope_id"] != old["address_scope_id"]
    if moved and new["address_scope_id"]:
        check_alone(draft, new)
    draft.put("subnetpool", stamp.make_updated(old, {**changes, **decided}, draft.context))
    if moved:
        mirror_scopes(draft, old["id"])
    return new


def refuse_prefixes(reason: str) -> ApiError:
    return ApiError(400, "IllegalSubnetPoolPrefixUpdate", f"Illegal update to prefixes: {reason}.")


def find_subnets(source: Draft, pool_id: str) -> Iterable[Doc]:
    return source.find("subnet", "subnetpool_id", pool_id)


def check_alone(draft: Draft, pool: Doc) -> None:
    """A pool that changes its scope takes whole networks along: none of them has a subnet from elsewhere."""
    for id in {subnet["network_id"] for subnet in find_subnets(draft, pool["id"])}:
        for subnet in draft.find("subnet", "network_id", id):
            if subnet["ip_version"] == pool["ip_version"] and subnet["subnetpool_id"] != pool["id"]:
                raise address_scope.affinity_error()


def mirror_scopes(draft: Draft, pool_id: str) -> None:
    for id in sorted({subnet["network_id"] for subnet in find_subnets(draft, pool_id)}):
        address_scope.mirror_scopes(draft, id)


def delete(snapshot: Snapshot, old: Doc, context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    subnets = sorted(snapshot.find_ids("subnet", "subnetpool_id", old["id"]))
    if subnets:
        raise ApiError(
            400,
            "SubnetPoolDeleteError",
            f"Unable to delete subnet pool: Subnet pool has existing allocations: {', '.join(subnets[:MAX_NAMED])}.",
        )
    rbac.drop_grants(draft, "subnetpool", old["id"])
    draft.remove("subnetpool", old["id"])
    return draft.finish()


def find_users(draft: Draft, pool: Doc) -> set[str]:
    """The projects that have subnets from a pool."""
    return {subnet["project_id"] for subnet in find_subnets(draft, pool["id"])}


def check_grant(draft: Draft, pool: Doc, target: str) -> None:
    """A pool is opened only to those who may use its address scope too."""
    scope = draft.get("address_scope", pool["address_scope_id"] or "")
    if scope is None or scope["shared"]:
        return
    if not rbac.is_granted(draft, "address_scope", scope["id"], rbac.SHARED, target):
        raise invalid_operation(
            f"Failed to create RBAC policy on object {pool['id']} because target project doesn't have access to "
            "associated address scope"
        )


# -- further verbs -----------------------------------------------------------------------------------------------------


def parse_prefix(value: Any) -> str:
    """A prefix of a pool: with its length, so that a single address is not meant by mistake."""
    try:
        cidr: str = kinds.parse_cidr(value)
    except ValueError:
        raise ValueError(f"'{kinds.show(value)}' is not a valid IP subnet") from None
    if "/" not in value:
        raise ValueError(f"'{kinds.show(value)}' isn't a recognized IP subnet cidr, '{cidr}' is recommended")
    return cidr


def parse_prefixes(body: Mapping[str, Any]) -> list[str]:
    """{"prefixes": […]} of add_prefixes and remove_prefixes."""
    given = body.get("prefixes")
    if not given or not isinstance(given, list):
        raise ApiError(400, "HTTPBadRequest", "Request body contains invalid data: prefixes must be a list of them")
    try:
        return [parse_prefix(one) for one in given]
    except ValueError as error:
        raise invalid_operation(f"prefixes: {error}") from None


def add_prefixes(snapshot: Snapshot, old: Doc, given: list[str], context: Context) -> Outcome:
    draft = Draft(snapshot, context)
    new = change_pool(draft, old, {"prefixes": [*old["prefixes"], *given]})
    return Outcome(draft.finish().changes, ({"prefixes": new["prefixes"]},))


def remove_prefixes(snapshot: Snapshot, old: Doc, given: list[str], context: Context) -> Outcome:
    """Take away what no subnet has. What the pool does not hold is no fault."""
    draft = Draft(snapshot, context)
    if not overlap(old["prefixes"], given):
        return Outcome((), ({"prefixes": old["prefixes"]},))
    nodes = snapshot.blocks("subnet", "prefix", old["id"])
    if not all(is_free(nodes, make_block(prefix)) for prefix in given):
        raise refuse_prefixes("One or more the prefixes to be removed is in use by a subnet")
    left = subtract(old["prefixes"], given)
    draft.put("subnetpool", stamp.make_updated(old, {"prefixes": left}, context))
    return Outcome(draft.finish().changes, ({"prefixes": left},))


def parse_network(body: Mapping[str, Any]) -> str:
    """The network_id of onboard_network_subnets."""
    inner = body.get("subnetpool", body)
    id = inner.get("network_id") if isinstance(inner, dict) else None
    if id is None:
        raise invalid_operation("network_id must be specified")
    try:
        return str(kinds.parse_uuid(id))
    except ValueError:
        raise not_found("network", kinds.show(id)) from None


def onboard(snapshot: Snapshot, old: Doc, given: str, context: Context) -> Outcome:
    """Let the subnets of a network be the pool's, as if they had been cut from it; the pool grows by their prefixes."""
    draft = Draft(snapshot, context)
    network = find_own_network(draft, given)
    all_subnets = (draft.get("subnet", id) for id in network["subnets"])
    subnets = [subnet for subnet in all_subnets if subnet and subnet["ip_version"] == old["ip_version"]]
    nodes = snapshot.blocks("subnet", "prefix", old["id"])
    for subnet in subnets:
        if not is_free(nodes, make_block(subnet["cidr"])):
            raise ApiError(
                400,
                "IllegalSubnetPoolUpdate",
                f"Illegal subnetpool update : Onboarding subnet {subnet['id']}: {subnet['cidr']} conflicts with "
                f"allocated prefixes in subnet pool {old['id']}.",
            )
    for subnet in subnets:
        draft.put("subnet", stamp.make_updated(subnet, {"subnetpool_id": old["id"]}, context))
    if subnets:
        change_pool(draft, old, {"prefixes": [*old["prefixes"], *(s["cidr"] for s in subnets)]})
    address_scope.mirror_scopes(draft, network["id"])
    return Outcome(draft.finish().changes, tuple({"id": s["id"], "cidr": s["cidr"]} for s in subnets))


def find_own_network(draft: Draft, id: str) -> Doc:
    """The network, which is the requester's. Raises its 404, or 403 where it is another's that is shared."""
    network, requester = draft.get("network", id), draft.context.requester
    if network is None or not rbac.may_use(draft, "network", network, requester):
        raise not_found("network", id)
    if not requester.is_admin and network["project_id"] != requester.project_id:
        raise ApiError(403, "NotAuthorized", "Not authorized: the network is another project's.")
    return network

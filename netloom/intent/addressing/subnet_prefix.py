"""The prefix of a new subnet: named by the request, cut from a pool, or left to be delegated from upstream.

Law: the subnets of a network and IP version come from one pool, or from pools of one address scope, or from none.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from netloom.intent import rbac
from netloom.intent.addressing.address_scope import SCOPES, affinity_error
from netloom.intent.addressing.pools import net_range
from netloom.intent.blocks import find_free, hold, is_free, make_block, show_block
from netloom.intent.draft import Draft
from netloom.intent.errors import ApiError, bad_resource, conflict, invalid_operation, not_found
from netloom.intent.schema import Doc
from netloom.model.address import ip_text, ip_version, ip_width, parse_net

DELEGATED = "prefix_delegation"
"""The id of the pool that is not here: a router asks upstream for the prefix (RFC 8415, section 6.3)."""
PROVISIONAL = "::/64"
"""The prefix of a subnet whose prefix is not delegated yet."""
QUOTA_UNIT = {4: 32, 6: 64}
"""default_quota counts prefixes of this length."""
PD_MODES = ("slaac", "dhcpv6-stateless")


# -- which pool, which prefix ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """What a request names: a pool's id (or none), a prefix (or none), and the length that is wanted of a pool."""

    pool_id: str | None
    cidr: str | None
    length: int | None

    @property
    def is_cut(self) -> bool:
        """Whether a pool says which prefix it is to be."""
        return self.cidr is None and self.pool_id != DELEGATED

    @property
    def is_delegated(self) -> bool:
        return self.pool_id == DELEGATED and self.cidr is None


def choose(draft: Draft, body: Doc) -> Choice:
    """What a new subnet's request comes to. Raises ApiError 400 where its parts do not go together."""
    cidr, length = body["cidr"], body.get("prefixlen")
    if length is not None and cidr:
        raise bad_resource("subnets", "cidr and prefixlen must not be supplied together")
    pool_id = choose_pool(draft, body)
    if not cidr and not pool_id:
        raise bad_resource("subnets", "a subnetpool must be specified in the absence of a cidr")
    if pool_id and not cidr and body.get("allocation_pools") is not None:
        raise bad_resource("subnets", "allocation_pools allowed only for specific subnet requests")
    if pool_id == DELEGATED and cidr:
        pool_id = None  # a prefix that is named is not asked of anybody
    choice = Choice(pool_id, cidr, length)
    if choice.is_delegated:
        check_delegated(body)
    return choice


def choose_pool(draft: Draft, body: Doc) -> str | None:
    named: str | None = body["subnetpool_id"]
    if not body["use_default_subnetpool"]:
        return named
    if named:
        raise bad_resource("subnets", "subnetpool_id and use_default_subnetpool cannot both be specified")
    version = body["ip_version"]
    if version == 6 and draft.context.settings.ipv6_pd_enabled:
        return DELEGATED
    pool = find_default(draft, version)
    if pool is None or not rbac.may_use(draft, "subnetpool", pool, draft.context.requester):
        raise bad_resource("subnets", f"No default subnetpool found for IPv{version}")
    return str(pool["id"])


def find_default(draft: Draft, version: int) -> Doc | None:
    return draft.lookup("subnetpool", "default", version)


def check_delegated(body: Doc) -> None:
    if body["ip_version"] != 6:
        raise bad_resource("subnets", "Prefix Delegation can only be used with IPv6 subnets")
    for name, word in (("ipv6_ra_mode", "RA"), ("ipv6_address_mode", "Address")):
        if body[name] not in PD_MODES:
            raise bad_resource("subnets", f"IPv6 {word} Mode must be SLAAC or Stateless for Prefix Delegation")


def find_prefix(draft: Draft, network: Doc, body: Doc, choice: Choice) -> str:
    """The prefix of the new subnet, which overlaps no other of its network."""
    pool = None
    if choice.is_delegated:
        cidr = PROVISIONAL
    elif choice.pool_id:
        pool = find_pool(draft, choice.pool_id)
        if body["ip_version"] != pool["ip_version"]:
            raise bad_resource(
                "subnets",
                f"Cannot allocate IPv{body['ip_version']} subnet from IPv{pool['ip_version']} subnet pool",
            )
        cidr = cut_prefix(draft, pool, body, choice)
    else:
        cidr = str(choice.cidr)
    check_overlap(draft, network, cidr)
    check_affinity(draft, network, body["ip_version"], choice.pool_id, pool)
    return cidr


def cut_prefix(draft: Draft, pool: Doc, body: Doc, choice: Choice) -> str:
    """A prefix of the pool: the one that is named, the one that the gateway named is in, or any."""
    project_id = body.get("project_id") or draft.context.requester.project_id
    if choice.cidr:
        return allocate_named(draft, pool, project_id, choice.cidr)
    length = int(pool["default_prefixlen"]) if choice.length is None else choice.length
    if body.get("gateway_ip"):
        return allocate_named(draft, pool, project_id, surround(body["gateway_ip"], length))
    return allocate(draft, pool, project_id, length)


def surround(ip: str, length: int) -> str:
    """The prefix of this length that the address is in."""
    if length > ip_width(ip_version(ip)):
        raise invalid_operation(f"prefixlen: '{length}' is no length of an IPv{ip_version(ip)} prefix")
    return str(parse_net(f"{ip}/{length}"))


def first_router(cidr: str) -> str:
    """The gateway of a subnet whose prefix a pool chose: its second address, in IPv6 too."""
    first, last = net_range(cidr)
    return ip_text(min(first + 1, last), ip_version(cidr))


def check_overlap(draft: Draft, network: Doc, cidr: str) -> None:
    """Two subnets of one network have no address in common."""
    first, last = net_range(cidr)
    for id in network["subnets"]:
        other = draft.get("subnet", id)
        if other is None or other["ip_version"] != ip_version(cidr):
            continue
        low, high = net_range(other["cidr"])
        if first <= high and low <= last:
            raise invalid_operation(
                f"Requested subnet with cidr: {cidr} for network: {network['id']} overlaps with another subnet"
            )


def check_affinity(draft: Draft, network: Doc, version: int, pool_id: str | None, pool: Doc | None) -> None:
    """Where a network's subnets of one IP version come from. In an address scope, that is enough in common."""
    scope = network[SCOPES[version]]
    if scope and pool_id and (pool is None or pool["address_scope_id"] != scope):
        raise affinity_error()
    if scope and pool_id:
        return
    for id in network["subnets"]:
        other = draft.get("subnet", id)
        if other is not None and other["ip_version"] == version and other["subnetpool_id"] != pool_id:
            raise ApiError(
                400,
                "NetworkSubnetPoolAffinityError",
                "Subnets hosted on the same network must be allocated from the same subnet pool.",
            )


# -- what is free of a pool --------------------------------------------------------------------------------------------


def prefix_keys(subnet: Doc) -> tuple[Hashable, ...]:
    """What the index "prefix" of subnets says of one: which block of which pool it has taken."""
    id = subnet["subnetpool_id"]
    return ((id, make_block(subnet["cidr"])),) if id and id != DELEGATED else ()


def share_keys(subnet: Doc) -> tuple[Hashable, ...]:
    """What the index "pool_share" says: how long a prefix of which pool whose subnet has."""
    id = subnet["subnetpool_id"]
    if not id or id == DELEGATED:
        return ()
    return ((id, subnet["project_id"], parse_net(subnet["cidr"]).prefixlen),)


def find_pool(draft: Draft, id: str) -> Doc:
    """The pool, for a subnet of the requester's. Raises its 404 where the requester may not use it."""
    pool = draft.get("subnetpool", id)
    if pool is None or not rbac.may_use(draft, "subnetpool", pool, draft.context.requester):
        raise not_found("subnetpool", id)
    return pool


def allocate(draft: Draft, pool: Doc, project_id: str, length: int) -> str:
    """A prefix of `length` that is free in the pool."""
    check_length(pool, length)
    check_share(draft, pool, project_id, length)
    nodes = draft.blocks("subnet", "prefix", pool["id"])
    block = find_free(nodes, map(make_block, pool["prefixes"]), length)
    if block is None:
        raise refuse_subnet(f"Insufficient prefix space to allocate subnet size /{length}")
    return show_block(block, pool["ip_version"])


def allocate_named(draft: Draft, pool: Doc, project_id: str, cidr: str) -> str:
    """The prefix itself, where it is the pool's and free."""
    length = parse_net(cidr).prefixlen
    check_length(pool, length)
    check_share(draft, pool, project_id, length)
    nodes = draft.blocks("subnet", "prefix", pool["id"])
    if not (hold(pool["prefixes"], [cidr]) and is_free(nodes, make_block(cidr))):
        raise refuse_subnet("Cannot allocate requested subnet from the available set of prefixes")
    return cidr


def refuse_subnet(reason: str) -> ApiError:
    return conflict("SubnetAllocationError", f"Failed to allocate subnet: {reason}.")


def check_length(pool: Doc, length: int) -> None:
    for wrong, name, word in (
        (length > int(pool["max_prefixlen"]), "max", "maximum"),
        (length < int(pool["min_prefixlen"]), "min", "minimum"),
    ):
        if wrong:
            raise ApiError(
                400,
                f"{name.capitalize()}PrefixSubnetAllocationError",
                f"Unable to allocate subnet with prefix length {length}, {word} allowed prefix is "
                f"{pool[f'{name}_prefixlen']}.",
            )


def check_share(draft: Draft, pool: Doc, project_id: str, length: int) -> None:
    """Raises SubnetPoolQuotaExceeded where a project would have more of the pool than default_quota units of it."""
    quota = pool["default_quota"]
    if not quota:
        return
    width = ip_width(pool["ip_version"])
    used = sum(
        draft.count_in("subnet", "pool_share", (pool["id"], project_id, size)) << (width - size)
        for size in range(width + 1)
    )
    if used + (1 << (width - length)) > quota << (width - QUOTA_UNIT[pool["ip_version"]]):
        raise conflict("SubnetPoolQuotaExceeded", "Per-project subnet pool prefix quota exceeded.")

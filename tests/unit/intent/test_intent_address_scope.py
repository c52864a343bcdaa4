"""Address scopes: which pools may be in one, and what networks show of them."""

from __future__ import annotations

from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import MISSING, refused
from tests.unit.intent.test_intent_subnetpool import OTHER, PoolWorld


def scopes(world: PoolWorld, network: Doc) -> tuple[str | None, str | None]:
    found = world.get("network", network)
    return found["ipv4_address_scope"], found["ipv6_address_scope"]


def test_scope_of_its_own() -> None:
    """A scope has a name, an IP version for life and an owner, and nothing of what other objects carry."""
    world = PoolWorld()
    scope = world.scope(6, name="inside")
    assert scope == {"id": scope["id"], "name": "inside", "project_id": "p1", "ip_version": 6, "shared": False}
    assert world.update("address_scope", scope, name="outside")["name"] == "outside"
    with refused(400, "HTTPBadRequest", "Cannot update read-only attribute ip_version"):
        world.update("address_scope", scope, ip_version=4)
    for version in (5, "six"):
        with refused(400, "HTTPBadRequest" if version == 5 else "InvalidInput"):
            world.create("address_scope", {"ip_version": version})


def test_shared_for_good() -> None:
    """A scope that is shared with everyone stays so; its grant goes with it."""
    world = PoolWorld()
    scope = world.scope()
    world.update("address_scope", scope, shared=True)
    assert world.snapshot.count("rbac_policy") == 1
    with refused(400, "AddressScopeUpdateError", "Shared address scope can't be unshared"):
        world.update("address_scope", scope, shared=False)
    world.update("address_scope", scope, shared=True, name="still")
    world.delete("address_scope", scope)
    assert world.snapshot.count("rbac_policy") == 0
    assert world.scope(shared=True)["shared"] is True


def test_prefixes_are_one_pools() -> None:
    """Pools of one scope share no prefix, at creation, when they join, and when they grow."""
    world = PoolWorld()
    scope = world.scope()
    first = world.pool("20.0.0.0/18", "30.0.0.0/18", address_scope_id=scope["id"])
    world.pool("20.10.0.0/24", address_scope_id=scope["id"])
    words = "subnetpools within an address scope must have unique prefixes"
    with refused(409, "AddressScopePrefixConflict", words):
        world.pool("40.0.0.0/18", "30.0.0.0/12", address_scope_id=scope["id"])
    apart = world.pool("30.0.0.0/12")
    with refused(409, "AddressScopePrefixConflict", words):
        world.update("subnetpool", apart, address_scope_id=scope["id"])
    with refused(409, "AddressScopePrefixConflict", words):
        world.update("subnetpool", first, prefixes=["20.0.0.0/12", "30.0.0.0/18"])
    with refused(400, "IllegalSubnetPoolIpVersionAssociationToAddressScope", "ip_version is not 4"):
        world.pool("fd00::/8", address_scope_id=scope["id"])
    world.update("subnetpool", first, prefixes=["20.0.0.0/18", "30.0.0.0/16"])


def test_in_use() -> None:
    """A scope goes when its pools have left it, and says which are in it until then."""
    world = PoolWorld()
    scope = world.scope()
    pool = world.pool("10.0.0.0/8", address_scope_id=scope["id"])
    with refused(409, "AddressScopeInUse", scope["id"], pool["id"]):
        world.delete("address_scope", scope)
    world.update("subnetpool", pool, address_scope_id=None)
    world.delete("address_scope", scope)


def test_networks_show_theirs() -> None:
    """A network is in the scope of its subnets' pools, whichever way it came to be so, and leaves it with them."""
    world = PoolWorld()
    four, six, later = world.scope(), world.scope(6), world.scope()
    pool = world.pool("10.0.0.0/8", default_prefixlen=24, address_scope_id=four["id"])
    pool6 = world.pool("fd00::/48", default_prefixlen=64)
    network = world.network()
    assert scopes(world, network) == (None, None)
    subnet = world.cut(pool, network)
    world.cut(pool6, network)
    assert scopes(world, network) == (four["id"], None)
    before = world.get("network", network)["revision_number"]
    world.update("subnetpool", pool6, address_scope_id=six["id"])
    world.update("subnetpool", pool, address_scope_id=later["id"])
    assert scopes(world, network) == (later["id"], six["id"])
    assert world.get("network", network)["revision_number"] == before
    world.delete("subnet", subnet)
    assert scopes(world, network) == (None, six["id"])
    world.update("subnetpool", pool6, address_scope_id=None)
    assert scopes(world, network) == (None, None)


def test_networks_stay_whole() -> None:
    """In one scope a network may have subnets of several pools; then none of the pools changes its scope alone."""
    world = PoolWorld()
    scope, other = world.scope(), world.scope()
    one, two = (
        world.pool(prefix, default_prefixlen=24, address_scope_id=scope["id"])
        for prefix in ("10.0.0.0/16", "10.1.0.0/16")
    )
    network = world.network()
    world.cut(one, network)
    world.cut(two, network)
    outside = world.pool("10.2.0.0/16", default_prefixlen=24)
    words = "must all participate in the same address scope"
    with refused(400, "NetworkAddressScopeAffinityError", words):
        world.cut(outside, network)
    with refused(400, "NetworkAddressScopeAffinityError", words):
        world.update("subnetpool", one, address_scope_id=other["id"])
    world.update("subnetpool", one, name="but this is no harm")
    with refused(400, "NetworkSubnetPoolAffinityError"):
        world.subnet(network, "192.168.0.0/24")


def test_whose_scope() -> None:
    """Another project's scope is not there until it is shared, and a pool in it is then not the project's to change."""
    world = PoolWorld()
    scope = world.scope()
    with refused(404, "AddressScopeNotFound", MISSING):
        world.pool("10.0.0.0/8", address_scope_id=MISSING)
    world.project = OTHER
    with refused(404, "AddressScopeNotFound", scope["id"]):
        world.pool("10.0.0.0/8", address_scope_id=scope["id"])
    world.project = "p1"
    grant = world.share("address_scope", scope)
    world.project = OTHER
    pool = world.pool("10.0.0.0/8", address_scope_id=scope["id"])
    with refused(400, "IllegalSubnetPoolUpdate", "cannot be updated when associated with shared address scope"):
        world.update("subnetpool", pool, prefixes=["10.0.0.0/8", "172.16.0.0/12"])
    world.project = "p1"
    with refused(409, "RbacPolicyInUse", scope["id"]):
        world.delete("rbac_policy", grant)
    world.admin = True
    world.update("subnetpool", pool, prefixes=["10.0.0.0/8", "172.16.0.0/12"])


def test_grants_of_a_pool_follow_its_scope() -> None:
    """A pool is shared only with projects that may use its scope too."""
    world = PoolWorld()
    scope = world.scope()
    pool = world.pool("10.0.0.0/8", address_scope_id=scope["id"])
    with refused(400, "InvalidInput", "doesn't have access to associated address scope"):
        world.share("subnetpool", pool)
    world.share("address_scope", scope)
    world.share("subnetpool", pool)
    with refused(400, "InvalidInput"):
        world.share("subnetpool", pool, "*")
    world.update("address_scope", scope, shared=True)
    world.share("subnetpool", pool, "*")
    assert world.get("subnetpool", pool)["shared"] is True

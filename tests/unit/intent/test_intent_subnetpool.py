"""Subnet pools: what they may be, the prefixes that subnets get of them, and the verbs that change them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.operation import Context, Requester
from netloom.intent.operations import make_action, make_create
from netloom.intent.schema import Doc, parse_create
from netloom.resolve.rows import resolve_subnet
from netloom.testing.consistency import check_indexes
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, refused

OTHER = "0" * 32


class PoolWorld(World):
    """A world with the calls that pools have."""

    admin = False

    def context(self) -> Context:
        made = super().context()
        return replace(made, requester=Requester(project_id=self.project, is_admin=self.admin))

    def pool(self, *prefixes: str, **body: Any) -> Doc:
        return self.create("subnetpool", {"name": "pool", "prefixes": list(prefixes), **body})[0]

    def cut(self, pool: Doc, network: Doc | None = None, **body: Any) -> Doc:
        body = {"ip_version": pool["ip_version"], "subnetpool_id": pool["id"], **body}
        return self.create("subnet", {"network_id": (network or self.network())["id"], **body})[0]

    def act(self, pool: Doc, name: str, body: dict[str, Any]) -> tuple[Doc, ...]:
        action = next(action for action in CATALOG["subnetpool"].actions if action.name == name)
        return self.run(make_action(CATALOG["subnetpool"], action, pool["id"], action.parse(body)))

    def scope(self, version: int = 4, **body: Any) -> Doc:
        return self.create("address_scope", {"ip_version": version, **body})[0]

    def share(self, type: str, doc: Doc, target: str = OTHER) -> Doc:
        body = {"object_type": type, "object_id": doc["id"], "action": "access_as_shared", "target_tenant": target}
        return self.create("rbac_policy", body)[0]


# -- what a pool is ----------------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """Prefixes alone make a pool: joined to as few as can be, with the lengths that the IP version has."""
    world = PoolWorld()
    four = world.pool("10.1.0.0/16", "10.0.0.0/16", "192.0.2.7/24")
    assert four["prefixes"] == ["10.0.0.0/15", "192.0.2.0/24"]
    assert [four[f"{name}_prefixlen"] for name in ("min", "max", "default")] == ["8", "32", "8"]
    assert (four["ip_version"], four["shared"], four["is_default"], four["default_quota"]) == (4, False, False, None)
    six = world.pool("2001:db8::/32", default_prefixlen="64")
    assert [six[f"{name}_prefixlen"] for name in ("min", "max", "default")] == ["64", "128", "64"]
    assert six["ip_version"] == 6


POOL_FAULTS: list[tuple[dict[str, Any], int, str]] = [
    ({"prefixes": []}, 400, "EmptySubnetPoolPrefixList"),
    ({"prefixes": ["10.0.0.0/8", "fd00::/8"]}, 400, "PrefixVersionMismatch"),
    ({"prefixes": ["10.0.0.0/8", "10.0.0.0/8"]}, 400, "HTTPBadRequest"),
    ({"prefixes": ["ten"]}, 400, "HTTPBadRequest"),
    ({"prefixes": "10.0.0.0/8"}, 400, "HTTPBadRequest"),
    ({"min_prefixlen": 25, "max_prefixlen": 24}, 400, "IllegalSubnetPoolPrefixBounds"),
    ({"max_prefixlen": 33}, 400, "IllegalSubnetPoolPrefixBounds"),
    ({"min_prefixlen": 24, "default_prefixlen": 23}, 400, "IllegalSubnetPoolPrefixBounds"),
    ({"max_prefixlen": 24, "default_prefixlen": 25}, 400, "IllegalSubnetPoolPrefixBounds"),
    ({"min_prefixlen": -1}, 400, "HTTPBadRequest"),
    ({"default_quota": -1}, 400, "HTTPBadRequest"),
    ({"name": ""}, 400, "HTTPBadRequest"),
    ({"ip_version": 4}, 400, "HTTPBadRequest"),
    ({"address_scope_id": MISSING}, 404, "AddressScopeNotFound"),
]


@pytest.mark.parametrize(("body", "status", "type"), POOL_FAULTS)
def test_pools_that_cannot_be(body: dict[str, Any], status: int, type: str) -> None:
    """A pool that makes no sense is refused with the error that clients know."""
    with refused(status, type):
        PoolWorld().create("subnetpool", {"name": "pool", "prefixes": ["10.0.0.0/8"], **body})


def test_one_default() -> None:
    """Each IP version has one default pool at a time."""
    world = PoolWorld()
    first = world.pool("10.0.0.0/8", is_default=True)
    world.pool("fd00::/8", is_default=True)
    with refused(400, "InvalidInput", "A default subnetpool for this IP family has already been set"):
        world.pool("172.16.0.0/12", is_default=True)
    second = world.pool("172.16.0.0/12")
    with refused(400, "InvalidInput", "Only one default"):
        world.update("subnetpool", second, is_default=True)
    world.update("subnetpool", first, is_default=False, description="was the default")
    world.update("subnetpool", second, is_default=True)


def test_update_only_grows() -> None:
    """Prefixes of a pool are joined by others or by larger ones; what is shared at creation stays so."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/24", min_prefixlen=28)
    assert world.update("subnetpool", pool, prefixes=["10.0.0.0/24", "10.9.0.0/24"])["prefixes"] == [
        "10.0.0.0/24", "10.9.0.0/24",
    ]  # fmt: skip
    grown = world.update("subnetpool", pool, prefixes=["10.0.0.0/8"], name="large")
    assert (grown["prefixes"], grown["name"], grown["min_prefixlen"]) == (["10.0.0.0/8"], "large", "28")
    with refused(400, "IllegalSubnetPoolPrefixUpdate", "Existing prefixes must be a subset of the new prefixes"):
        world.update("subnetpool", pool, prefixes=["10.0.0.0/9"])
    with refused(400, "PrefixVersionMismatch"):
        world.update("subnetpool", pool, prefixes=["10.0.0.0/8", "fd00::/8"])
    with refused(400, "IllegalSubnetPoolPrefixBounds", "min_prefixlen=33"):
        world.update("subnetpool", pool, min_prefixlen=33)
    for name, value in (("shared", True), ("ip_version", 6), ("project_id", "p2")):
        with refused(400, "HTTPBadRequest", f"Cannot update read-only attribute {name}"):
            world.update("subnetpool", pool, **{name: value})


def test_delete() -> None:
    """A pool goes with its grants, and not while it has subnets, which are named."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8", shared=True)
    assert world.snapshot.count("rbac_policy") == 1
    subnet = world.cut(pool, prefixlen=24)
    with refused(400, "SubnetPoolDeleteError", "existing allocations", subnet["id"]):
        world.delete("subnetpool", pool)
    world.delete("subnet", subnet)
    world.delete("subnetpool", pool)
    assert world.snapshot.count("rbac_policy") == 0


# -- what subnets get --------------------------------------------------------------------------------------------------


def test_cut() -> None:
    """A subnet gets the length that it asks for, the pool's usual one, or the prefix that it names."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8", default_prefixlen=24, min_prefixlen=16, max_prefixlen=28)
    first = world.cut(pool)
    assert (first["cidr"], first["gateway_ip"], first["subnetpool_id"]) == ("10.0.0.0/24", "10.0.0.1", pool["id"])
    assert first["allocation_pools"] == [{"start": "10.0.0.2", "end": "10.0.0.254"}]
    assert world.cut(pool, prefixlen=28)["cidr"] == "10.0.1.0/28"
    assert world.cut(pool, prefixlen=16)["cidr"] == "10.1.0.0/16"
    assert world.cut(pool, cidr="10.200.3.0/24")["cidr"] == "10.200.3.0/24"
    near = world.cut(pool, gateway_ip="10.7.7.9")
    assert (near["cidr"], near["gateway_ip"]) == ("10.7.7.0/24", "10.7.7.9")
    assert world.cut(pool, gateway_ip=None)["gateway_ip"] is None
    six = world.cut(world.pool("2001:db8::/32", default_prefixlen=64))
    assert (six["cidr"], six["gateway_ip"]) == ("2001:db8::/64", "2001:db8::1")


CUT_FAULTS: list[tuple[dict[str, Any], int, str, str]] = [
    ({"prefixlen": 15}, 400, "MinPrefixSubnetAllocationError", "minimum allowed prefix is 16"),
    ({"prefixlen": 29}, 400, "MaxPrefixSubnetAllocationError", "maximum allowed prefix is 28"),
    ({"cidr": "10.0.0.0/29"}, 400, "MaxPrefixSubnetAllocationError", "/29"[1:]),
    ({"cidr": "192.168.0.0/24"}, 409, "SubnetAllocationError", "Cannot allocate requested subnet"),
    ({"cidr": "10.1.2.0/24"}, 409, "SubnetAllocationError", "Cannot allocate requested subnet"),
    ({"cidr": "10.1.0.0/16"}, 409, "SubnetAllocationError", "Cannot allocate requested subnet"),
    ({"cidr": "10.1.2.0/25"}, 409, "SubnetAllocationError", "Cannot allocate requested subnet"),
    ({"gateway_ip": "10.1.2.3"}, 409, "SubnetAllocationError", "Cannot allocate requested subnet"),
    ({"gateway_ip": "10.4.0.1", "prefixlen": 99}, 400, "InvalidInput", "prefixlen"),
    ({"ip_version": 6}, 400, "BadRequest", "Cannot allocate IPv6 subnet from IPv4 subnet pool"),
    (
        {"allocation_pools": [{"start": "10.0.0.5", "end": "10.0.0.9"}]},
        400,
        "BadRequest",
        "allocation_pools allowed only for specific subnet requests",
    ),
    ({"use_default_subnetpool": True}, 400, "BadRequest", "cannot both be specified"),
]


@pytest.mark.parametrize(("body", "status", "type", "words"), CUT_FAULTS)
def test_cuts_that_cannot_be(body: dict[str, Any], status: int, type: str, words: str) -> None:
    """What a pool does not hold, has given away or does not cut is refused, and nothing is taken."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8", default_prefixlen=24, min_prefixlen=16, max_prefixlen=28)
    world.cut(pool, cidr="10.1.2.0/24")
    network = world.network()
    with refused(status, type, words):
        world.cut(pool, network, **body)
    assert world.snapshot.count_in("subnet", "subnetpool_id", pool["id"]) == 1


def test_full_and_given_back() -> None:
    """A pool that is full says so, and a prefix is free again when its subnet is gone."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/30", "10.0.1.0/30", default_prefixlen=30)
    one, two = world.cut(pool), world.cut(pool)
    assert [one["cidr"], two["cidr"]] == ["10.0.0.0/30", "10.0.1.0/30"]
    with refused(409, "SubnetAllocationError", "Insufficient prefix space to allocate subnet size /30"):
        world.cut(pool)
    world.delete("subnet", one)
    assert world.cut(pool)["cidr"] == "10.0.0.0/30"
    world.delete("network", world.get("network", {"id": two["network_id"]}))
    assert world.cut(pool)["cidr"] == "10.0.1.0/30"
    assert check_indexes(world.snapshot) == []


def test_bulk_is_one() -> None:
    """Subnets of one request get a prefix each, and none of them where one gets none."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/23", default_prefixlen=24)
    network = world.network()
    body = {"network_id": network["id"], "ip_version": 4, "subnetpool_id": pool["id"]}
    with refused(409, "SubnetAllocationError"):
        world.create("subnet", body, body, body)
    assert world.snapshot.count("subnet") == 0
    assert [subnet["cidr"] for subnet in world.create("subnet", body, body)] == ["10.0.0.0/24", "10.0.1.0/24"]


def test_default_pool() -> None:
    """use_default_subnetpool takes from the default pool of the IP version, and says where there is none."""
    world = PoolWorld()
    network = world.network()
    body = {"network_id": network["id"], "use_default_subnetpool": True, "ip_version": 4}
    with refused(400, "BadRequest", "No default subnetpool found for IPv4"):
        world.create("subnet", body)
    pool = world.pool("10.0.0.0/8", is_default=True, default_prefixlen=24)
    subnet = world.create("subnet", body)[0]
    assert (subnet["cidr"], subnet["subnetpool_id"]) == ("10.0.0.0/24", pool["id"])
    assert "use_default_subnetpool" not in subnet


def test_quota_of_a_pool() -> None:
    """default_quota bounds what one project has of a pool, in addresses or /64 prefixes, whatever others have."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8", default_prefixlen=26, default_quota=128, shared=True)
    world.cut(pool, prefixlen=26)
    with refused(409, "SubnetPoolQuotaExceeded", "Per-project subnet pool prefix quota exceeded"):
        world.cut(pool, prefixlen=24)
    world.cut(pool, prefixlen=26)
    with refused(409, "SubnetPoolQuotaExceeded"):
        world.cut(pool, cidr="10.9.0.0/30")
    world.project = "p2"
    world.cut(pool, prefixlen=25)
    six = world.pool("fd00::/48", default_prefixlen=64, default_quota=1)
    world.cut(six, prefixlen=65)
    world.cut(six, prefixlen=65)
    with refused(409, "SubnetPoolQuotaExceeded"):
        world.cut(six, prefixlen=128)


def test_one_pool_a_network() -> None:
    """The subnets of a network and IP version come from one pool, or from none."""
    world = PoolWorld()
    pool, other = (world.pool(prefix, default_prefixlen=24) for prefix in ("10.0.0.0/8", "172.16.0.0/12"))
    six = world.pool("fd00::/48", default_prefixlen=64)
    network = world.network()
    world.cut(pool, network)
    world.cut(pool, network)
    world.cut(six, network)
    words = "must be allocated from the same subnet pool"
    with refused(400, "NetworkSubnetPoolAffinityError", words):
        world.cut(other, network)
    with refused(400, "NetworkSubnetPoolAffinityError", words):
        world.subnet(network, "192.168.0.0/24")
    plain = world.network()
    world.subnet(plain, "192.168.0.0/24")
    with refused(400, "NetworkSubnetPoolAffinityError", words):
        world.cut(pool, plain)
    world.cut(six, plain)


def test_whose_pool() -> None:
    """Another project's pool is not there, until it is shared with everyone or with the project."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8", default_prefixlen=24)
    world.project = OTHER
    with refused(404, "SubnetPoolNotFound", pool["id"]):
        world.cut(pool)
    world.project = "p1"
    grant = world.share("subnetpool", pool)
    world.project = OTHER
    world.cut(pool)
    world.project = "p1"
    with refused(409, "RbacPolicyInUse", pool["id"]):
        world.delete("rbac_policy", grant)


# -- prefix delegation -------------------------------------------------------------------------------------------------


def test_delegated() -> None:
    """A subnet may wait for its prefix from upstream; one that names a prefix waits for nothing."""
    world = PoolWorld()
    network = world.network()
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    body = {"network_id": network["id"], "ip_version": 6, "subnetpool_id": "prefix_delegation"}
    with refused(400, "BadRequest", "RA Mode must be SLAAC or Stateless"):
        world.create("subnet", body)
    with refused(400, "BadRequest", "Address Mode must be SLAAC or Stateless"):
        world.create("subnet", {**body, "ipv6_ra_mode": "slaac"})
    with refused(400, "BadRequest", "only be used with IPv6"):
        world.create("subnet", {**body, "ip_version": 4})
    subnet = world.create("subnet", {**body, **modes})[0]
    assert (subnet["cidr"], subnet["subnetpool_id"]) == ("::/64", "prefix_delegation")
    assert resolve_subnet(world.snapshot, network["id"], subnet["id"]) is None, "hosts advertise a prefix that is none"
    named = world.create("subnet", {**body, "network_id": world.network()["id"], "cidr": "fd00::/64"})[0]
    assert resolve_subnet(world.snapshot, named["network_id"], named["id"]) is not None
    assert (named["cidr"], named["subnetpool_id"]) == ("fd00::/64", None)
    with refused(400, "NetworkSubnetPoolAffinityError"):
        world.subnet(network, "fd01::/64")


def test_delegation_as_default() -> None:
    """With ipv6_pd_enabled, the default pool of IPv6 is upstream's; of IPv4 it is the site's."""
    world = PoolWorld(replace(SETTINGS, ipv6_pd_enabled=True))
    world.pool("fd00::/48", is_default=True)
    modes = {"ipv6_ra_mode": "slaac", "ipv6_address_mode": "slaac"}
    body = {"network_id": world.network()["id"], "use_default_subnetpool": True}
    assert world.create("subnet", {**body, "ip_version": 6, **modes})[0]["subnetpool_id"] == "prefix_delegation"
    with refused(400, "BadRequest", "No default subnetpool found for IPv4"):
        world.create("subnet", {**body, "ip_version": 4})


# -- verbs -------------------------------------------------------------------------------------------------------------


def test_add_and_remove_prefixes() -> None:
    """Prefixes come and go, overlapping ones included; one that a subnet has stays."""
    world = PoolWorld()
    pool = world.pool("10.10.10.0/24", "192.168.1.0/24", default_prefixlen=26)
    assert world.act(pool, "add_prefixes", {"prefixes": ["10.10.0.0/16"]}) == (
        {"prefixes": ["10.10.0.0/16", "192.168.1.0/24"]},
    )
    assert world.act(pool, "remove_prefixes", {"prefixes": ["10.10.128.0/17"]}) == (
        {"prefixes": ["10.10.0.0/17", "192.168.1.0/24"]},
    )
    subnet = world.cut(pool, cidr="192.168.1.64/26")
    for taken in ("192.168.1.0/24", "192.168.1.64/26", "192.168.1.65/32"):
        with refused(400, "IllegalSubnetPoolPrefixUpdate", "in use by a subnet"):
            world.act(pool, "remove_prefixes", {"prefixes": ["10.10.0.0/24", taken]})
    before = world.get("subnetpool", pool)
    assert world.act(pool, "remove_prefixes", {"prefixes": ["172.16.0.0/12"]}) == ({"prefixes": before["prefixes"]},)
    assert world.get("subnetpool", pool) is before
    world.delete("subnet", subnet)
    world.act(pool, "remove_prefixes", {"prefixes": ["192.168.1.64/26"]})
    assert world.get("subnetpool", pool)["prefixes"] == ["10.10.0.0/17", "192.168.1.0/26", "192.168.1.128/25"]
    with refused(409, "SubnetAllocationError"):
        world.cut(pool, cidr="192.168.1.64/26")


@pytest.mark.parametrize("body", [{}, {"prefixes": []}, {"prefixes": "10.0.0.0/8"}, {"prefixes": ["x"]}])
def test_prefixes_that_are_none(body: dict[str, Any]) -> None:
    """Both verbs want a list of prefixes."""
    world = PoolWorld()
    pool = world.pool("10.0.0.0/8")
    for name in ("add_prefixes", "remove_prefixes"):
        with pytest.raises(Exception) as caught:
            world.act(pool, name, body)
        assert getattr(caught.value, "status", 0) == 400


def test_onboard() -> None:
    """Subnets that are there join a pool: it grows by their prefixes, and they are its from then on."""
    world = PoolWorld()
    network = world.network()
    four, six = world.subnet(network, "10.0.0.0/24"), world.subnet(network, "fd00::/64")
    scope = world.scope()
    pool = world.pool("172.16.0.0/12", default_prefixlen=24, address_scope_id=scope["id"])
    assert world.act(pool, "onboard_network_subnets", {"network_id": network["id"]}) == (
        {"id": four["id"], "cidr": "10.0.0.0/24"},
    )
    assert world.get("subnet", four)["subnetpool_id"] == pool["id"]
    assert world.get("subnet", six)["subnetpool_id"] is None
    assert world.get("subnetpool", pool)["prefixes"] == ["10.0.0.0/24", "172.16.0.0/12"]
    assert world.get("network", network)["ipv4_address_scope"] == scope["id"]
    with refused(400, "IllegalSubnetPoolUpdate", four["id"], "conflicts with allocated prefixes"):
        world.act(pool, "onboard_network_subnets", {"network_id": network["id"]})
    with refused(404, "NetworkNotFound", MISSING):
        world.act(pool, "onboard_network_subnets", {"network_id": MISSING})
    with refused(400, "InvalidInput", "network_id must be specified"):
        world.act(pool, "onboard_network_subnets", {})
    assert check_indexes(world.snapshot) == []


def test_onboard_another_projects() -> None:
    """A shared network's subnets are for its owner to bring into a pool."""
    world = PoolWorld()
    network = world.network(shared=True)
    world.subnet(network, "10.0.0.0/24")
    hidden = world.network()
    world.project = "p2"
    pool = world.pool("10.0.0.0/8")
    with refused(403, "NotAuthorized"):
        world.act(pool, "onboard_network_subnets", {"network_id": network["id"]})
    with refused(404, "NetworkNotFound"):
        world.act(pool, "onboard_network_subnets", {"network_id": hidden["id"]})
    world.admin = True
    assert len(world.act(pool, "onboard_network_subnets", {"network_id": network["id"]})) == 1


def test_quota() -> None:
    """Pools are counted like anything else, and not bounded where nothing is said."""
    world = PoolWorld(replace(SETTINGS, quotas={"subnetpool": 1}))
    world.pool("10.0.0.0/8")
    with refused(409, "OverQuota", "subnetpool"):
        world.pool("10.0.0.0/8")
    bodies = [parse_create(CATALOG["subnetpool"], {"name": "x", "prefixes": ["10.0.0.0/8"]})] * 2
    world.project = "p2"
    with refused(409, "OverQuota"):
        world.run(make_create(CATALOG["subnetpool"], bodies))
    assert world.snapshot.count("subnetpool") == 1

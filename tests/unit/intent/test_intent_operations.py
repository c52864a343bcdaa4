"""What all resources share: parsing, 404, If-Match, tags, quotas, filters, the catalog."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG, EXTENSIONS
from netloom.intent.kinds import show
from netloom.intent.operations import find_tag, make_create, make_tags, parse_if_match
from netloom.intent.policy_rules import POLICY_RULES
from netloom.intent.quota import (
    list_quotas,
    make_quota_delete,
    make_quota_update,
    read_default_quota,
    read_quota,
    read_quota_details,
)
from netloom.intent.schema import parse_create, parse_update
from tests.unit.intent.intent_kit import MISSING, SETTINGS, World, refused

NET = "00000000-0000-4000-8000-00000000000f"

BAD_PORTS: list[tuple[dict[str, Any], str, str]] = [
    ({}, "HTTPBadRequest", "Required attribute 'network_id' not specified"),
    ({"network_id": "x"}, "HTTPBadRequest", "Invalid input for network_id. Reason: 'x' is not a valid UUID."),
    ({"network_id": None}, "HTTPBadRequest", "network_id"),
    ({"moon": 1, "network_id": NET}, "HTTPBadRequest", "Unrecognized attribute(s) 'moon'"),
    ({"status": "ACTIVE", "network_id": NET}, "HTTPBadRequest", "'status'"),
    ({"waits_for": "x", "network_id": NET}, "HTTPBadRequest", "'waits_for'"),
    ({"admin_state_up": "maybe", "network_id": NET}, "InvalidInput", "admin_state_up: 'maybe' cannot be converted"),
    ({"name": "x" * 256, "network_id": NET}, "HTTPBadRequest", "name. Reason: '"),
    ({"name": " x", "network_id": NET}, "HTTPBadRequest", "' x' is not a valid string"),
    ({"name": "a\nb", "network_id": NET}, "HTTPBadRequest", "name"),
    ({"name": None, "network_id": NET}, "HTTPBadRequest", "name"),
    ({"description": "\x00", "network_id": NET}, "HTTPBadRequest", "description"),
    ({"description": "\ud800", "network_id": NET}, "HTTPBadRequest", "description"),
    ({"mac_address": "zz", "network_id": NET}, "HTTPBadRequest", "'zz' is not a valid MAC address"),
    ({"mac_address": "01:00:5e:00:00:01", "network_id": NET}, "HTTPBadRequest", "mac_address"),
    ({"mac_address": 7, "network_id": NET}, "HTTPBadRequest", "mac_address"),
    ({"fixed_ips": None, "network_id": NET}, "HTTPBadRequest", "fixed_ips. Reason: Invalid data format for fixed IP"),
    ({"fixed_ips": [1], "network_id": NET}, "HTTPBadRequest", "fixed_ips"),
    ({"fixed_ips": [{"moon": 1}], "network_id": NET}, "HTTPBadRequest", "Unexpected keys supplied: moon"),
    (
        {"fixed_ips": [{"ip_address": "1.2.3"}], "network_id": NET},
        "HTTPBadRequest",
        "'1.2.3' is not a valid IP address",
    ),
    ({"fixed_ips": [{"ip_address": "10.0.0.01"}], "network_id": NET}, "HTTPBadRequest", "'10.0.0.1' is recommended"),
    (
        {"fixed_ips": [{"ip_address": "1.2.3.4"}] * 2, "network_id": NET},
        "HTTPBadRequest",
        "Duplicate IP address '1.2.3.4'",
    ),
    ({"binding:profile": [], "network_id": NET}, "HTTPBadRequest", "binding:profile"),
    ({"binding:vnic_type": "moon", "network_id": NET}, "HTTPBadRequest", "'moon' is not in"),
    ({"binding:vnic_type": True, "network_id": NET}, "HTTPBadRequest", "binding:vnic_type"),
    ({"allowed_address_pairs": 1, "network_id": NET}, "HTTPBadRequest", "Allowed address pairs must be a list"),
    ({"allowed_address_pairs": [{"ip_address": "224.0.0.1"}], "network_id": NET}, "HTTPBadRequest", "multicast"),
    ({"dns_name": "-x", "network_id": NET}, "HTTPBadRequest", "must not start or end with a hyphen"),
    ({"dns_name": 5, "network_id": NET}, "InvalidInput", "dns_name"),
    ({"tags": ["a", "a"], "network_id": NET}, "HTTPBadRequest", "Duplicate items in the list: 'a'"),
    ({"tenant_id": "a", "project_id": "b", "network_id": NET}, "HTTPBadRequest", "do not match"),
]


@pytest.mark.parametrize(("body", "type", "words"), BAD_PORTS)
def test_bad_ports(body: dict[str, Any], type: str, words: str) -> None:
    """A malformed port is refused with 400 and a message that names the attribute and can be sent."""
    with refused(400, type, words):
        try:
            parse_create(CATALOG["port"], body)
        except Exception as error:
            str(error).encode()
            raise


def test_what_others_say_of_an_address_is_left_out() -> None:
    """Octavia's driver sends what it knows of the subnet along with each address."""
    given = {"subnet_id": NET, "ip_address": "10.0.0.9", "subnet": None, "moon": 1}
    assert parse_create(CATALOG["port"], {"network_id": NET, "fixed_ips": [given]})["fixed_ips"] == [
        {"subnet_id": NET, "ip_address": "10.0.0.9"}
    ]


BAD_SUBNETS: list[tuple[dict[str, Any], str, str]] = [
    ({"cidr": "moon"}, "InvalidInput", "cidr: moon is not in a CIDR format"),
    ({"cidr": 5}, "InvalidInput", "cidr"),
    ({"ip_version": 5}, "HTTPBadRequest", "ip_version. Reason: 5 is not in [4, 6]"),
    ({"ip_version": "x"}, "InvalidInput", "ip_version"),
    ({"gateway_ip": "moon"}, "HTTPBadRequest", "gateway_ip"),
    ({"allocation_pools": {}}, "HTTPBadRequest", "Invalid data format for IP pool"),
    ({"allocation_pools": [{"start": "10.0.0.1"}]}, "HTTPBadRequest", "Validation of dictionary's keys failed"),
    ({"dns_nameservers": ["x"]}, "HTTPBadRequest", "'x' is not a valid nameserver"),
    ({"dns_nameservers": ["9.9.9.9"] * 2}, "HTTPBadRequest", "Duplicate nameserver '9.9.9.9'"),
    ({"host_routes": [{"destination": "10.0.0.1/8", "nexthop": "10.0.0.1"}]}, "HTTPBadRequest", "not a valid CIDR"),
    ({"host_routes": [{"destination": "127.0.0.0/8", "nexthop": "10.0.0.1"}]}, "HTTPBadRequest", "not a routable CIDR"),
    ({"ipv6_ra_mode": "moon"}, "HTTPBadRequest", "ipv6_ra_mode"),
    ({"prefixlen": -1}, "HTTPBadRequest", "'-1' should be non-negative"),
    ({"subnetpool_id": "x"}, "HTTPBadRequest", "subnetpool_id"),
    ({"shared": True}, "HTTPBadRequest", "'shared'"),
]


@pytest.mark.parametrize(("body", "type", "words"), BAD_SUBNETS)
def test_bad_subnets(body: dict[str, Any], type: str, words: str) -> None:
    """A malformed subnet is refused with 400 and a message that names the attribute."""
    with refused(400, type, words):
        parse_create(CATALOG["subnet"], {"network_id": NET, "ip_version": 4, "cidr": "10.0.0.0/24", **body})


@pytest.mark.parametrize(
    ("body", "type", "words"),
    [
        ({"segments": 5}, "HTTPBadRequest", "segments"),
        ({"segments": [{"moon": 1}]}, "HTTPBadRequest", "Unrecognized attribute(s) 'moon'"),
        ({"segments": [{"provider:segmentation_id": "x"}]}, "InvalidInput", "segments"),
        ({"provider:segmentation_id": "x"}, "InvalidInput", "provider:segmentation_id: 'x' is not an integer"),
        ({"provider:network_type": "x" * 33}, "HTTPBadRequest", "exceeds maximum length of 32"),
        ({"mtu": -1}, "HTTPBadRequest", "mtu. Reason: '-1' should be non-negative"),
        ({"mtu": "x"}, "InvalidInput", "mtu"),
        ({"number": 5}, "HTTPBadRequest", "'number'"),
        ({"tags": ["x"] * 51}, "HTTPBadRequest", "tags"),
        ({"dns_domain": "a..b."}, "HTTPBadRequest", "Encountered an empty component"),
    ],
)
def test_bad_networks(body: dict[str, Any], type: str, words: str) -> None:
    with refused(400, type, words):
        parse_create(CATALOG["network"], body)


def test_read_only_attributes() -> None:
    """What cannot change says so; what is hidden is not known to exist."""
    for name in ("id", "network_id", "status", "project_id", "tenant_id", "revision_number"):
        with refused(
            400, "HTTPBadRequest", "Cannot update read-only attribute", name.replace("tenant_id", "project_id")
        ):
            parse_update(CATALOG["port"], {name: "x"})
    with refused(400, "HTTPBadRequest", "Unrecognized attribute(s) 'described_at'"):
        parse_update(CATALOG["port"], {"described_at": 1})


def test_missing_objects_and_old_revisions() -> None:
    """What is not there is 404 by its own type, and what changed since is 412."""
    world = World()
    for name in ("network", "subnet", "port", "agent"):
        with refused(404, f"{name.capitalize()}NotFound", f"{name.capitalize()} {MISSING} could not be found."):
            world.delete(name, {"id": MISSING})
    network = world.network()
    with refused(412, "RevisionNumberConstraintFailed", "Constrained to 7, but current revision is 1"):
        world.update("network", network, 7, name="x")
    with refused(412, "RevisionNumberConstraintFailed"):
        world.delete("network", network, 7)
    assert world.update("network", network, 1, name="x")["revision_number"] == 2
    world.delete("network", network, 2)


def test_if_match() -> None:
    """If-Match names a revision number, or is refused."""
    assert parse_if_match(None) is None
    assert parse_if_match("revision_number=7") == 7
    for bad in ("7", "revision_number=x", "revision_number=", "revision_number=-1", "etag=7", "revision_number=²"):
        with refused(400, "BadRequest", "If-Match"):
            parse_if_match(bad)


def test_updates_that_change_nothing() -> None:
    """An update with the values that are there already is fine, and makes no revision."""
    world = World()
    network = world.network(name="x")
    before = world.snapshot.revision
    assert world.update("network", network, name="x", mtu=1450) == network
    assert world.snapshot.revision == before


def test_tags() -> None:
    """Tags are set, added and removed; one that is not there is 404; too many or too long are 400."""
    world = World()
    port = CATALOG["port"]
    id = world.port(world.network(), tags=["red"])["id"]
    assert world.run(make_tags(port, id, add="blue"))[0]["tags"] == ["blue", "red"]
    assert world.run(make_tags(port, id, add=["blue", "green"]))[0]["tags"] == ["blue", "green", "red"]
    assert world.run(make_tags(port, id, remove="red"))[0]["tags"] == ["blue", "green"]
    doc = world.run(make_tags(port, id, replace=["blue"]))[0]
    assert (doc["tags"], doc["revision_number"]) == (["blue"], 5)
    before = world.snapshot.revision
    world.run(make_tags(port, id, add="blue"))
    assert world.snapshot.revision == before
    with refused(404, "TagNotFound", "Tag red could not be found."):
        world.run(make_tags(port, id, remove="red"))
    with refused(404, "TagNotFound"):
        find_tag(doc, "red")
    with refused(404, "PortNotFound"):
        world.run(make_tags(port, MISSING, add="x"))
    with refused(400, "InvalidInput", "Duplicate items"):
        make_tags(port, id, replace=["x", "x"])
    with refused(400, "InvalidInput", "tags"):
        make_tags(port, id, add="x" * 256)
    world.run(make_tags(port, id, replace=[f"t{n}" for n in range(50)]))
    with refused(400, "BadRequest", "per-resource limit of 50"):
        world.run(make_tags(port, id, add="one more"))
    assert world.run(make_tags(port, id, replace=[]))[0]["tags"] == []


def test_quotas_hold() -> None:
    """A project gets as many as its quota says, in one request or in many, and not one more."""
    world = World(replace(SETTINGS, quotas={"network": 2, "port": 3}))
    network = world.network()
    world.create("port", *[{"network_id": network["id"]}] * 2)
    with refused(409, "OverQuota", "Quota exceeded for resources: ['port']."):
        world.create("port", *[{"network_id": network["id"]}] * 2)
    world.port(network)
    with refused(409, "OverQuota"):
        world.port(network)
    world.port(network, project_id="p2")
    world.run(make_quota_update("p1", {"port": -1}))
    world.create("port", *[{"network_id": network["id"]}] * 10)
    world.run(make_quota_update("p1", {"network": 0, "force": True}))
    with refused(409, "OverQuota", "network"):
        world.network()


def test_quotas_are_shown_and_changed() -> None:
    """Limits are the defaults until changed, and again when deleted; use is counted."""
    world = World(replace(SETTINGS, quotas={"port": 7}))
    core = {"network": 100, "subnet": 100, "port": 7}
    assert core.items() <= read_default_quota(world.settings).items()
    network = world.network()
    world.port(network)
    assert (core | {"port": 5}).items() <= world.run(make_quota_update("p1", {"port": "5"}))[0].items()
    assert read_quota(world.snapshot, world.settings, "p1")["port"] == 5
    assert read_quota(world.snapshot, world.settings, "p2")["port"] == 7
    assert read_quota_details(world.snapshot, world.settings, "p1")["port"] == {"limit": 5, "used": 1, "reserved": 0}
    assert [q["project_id"] for q in list_quotas(world.snapshot, world.settings)] == ["p1"]
    with refused(400, "HTTPBadRequest", "Quota limit 0 for port must be greater than or equal to already used 1"):
        world.run(make_quota_update("p1", {"port": 0}))
    world.run(make_quota_update("p1", {"port": 0, "force": True}))
    world.run(make_quota_delete("p1"))
    assert read_quota(world.snapshot, world.settings, "p1")["port"] == 7
    with refused(404, "TenantQuotaNotFound", "p1"):
        world.run(make_quota_delete("p1"))
    for bad in ({"moon": 1}, {"port": -2}, {"port": 2**31}):
        with refused(400, "HTTPBadRequest"):
            make_quota_update("p1", bad)


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (["ip_address=10.0.0.2"], ["a"]),
        (["ip_address=10.0.0.2", "ip_address=10.0.0.3"], ["a", "b"]),
        (["ip_address_substr=0.0."], ["a", "b"]),
        (["ip_address=10.0.0.2", "ip_address_substr=.3"], []),
        (["ip_address=FD00:0::1"], ["a"]),
        (["subnet_id=" + MISSING], []),
    ],
)
def test_fixed_ips_filter(values: list[str], found: list[str]) -> None:
    """Ports are found by address, by subnet and by a part of an address, and the index knows the same ports."""
    world = World()
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    world.subnet(network, "fd00::/64")
    world.port(network, name="a")
    world.port(network, name="b")
    (fixed,) = (f for f in CATALOG["port"].filters if f.name == "fixed_ips")
    assert sorted(p["name"] for p in world.snapshot.docs("port") if fixed.matches(p, values)) == found
    assert fixed.index is not None
    narrowed = fixed.index(values)
    if narrowed:
        ids = {id for key in narrowed[1] for id in world.snapshot.find_ids("port", narrowed[0], key)}
        assert {p["id"] for p in world.snapshot.docs("port") if fixed.matches(p, values)} <= ids


def test_tag_filters() -> None:
    """tags= wants all, tags-any= one; not-tags= and not-tags-any= are their opposites."""
    world = World()
    doc = world.network(tags=["red", "blue"])
    filters = {f.name: f for f in CATALOG["network"].filters}
    for name, values, expected in (
        ("tags", ["red,blue"], True), ("tags", ["red", "green"], False), ("tags-any", ["green,red"], True),
        ("tags-any", ["green"], False), ("not-tags", ["red,blue"], False), ("not-tags", ["red,green"], True),
        ("not-tags-any", ["green,red"], False), ("not-tags-any", ["green"], True),
    ):  # fmt: skip
        assert filters[name].matches(doc, values) is expected, (name, values)


def test_catalog_is_whole() -> None:
    """Every field's extension is listed, every document has just the declared attributes, and is JSON."""
    world = World()
    world.host()
    network = world.network()
    world.subnet(network, "10.0.0.0/24")
    world.port(network, binding__host_id="h1")
    for name, resource in CATALOG.items():
        assert {f.alias for f in resource.fields} - {""} <= set(EXTENSIONS)
        for doc in world.snapshot.docs(name):
            assert set(doc) <= set(resource.by_name), name
            assert json.loads(json.dumps(doc)) == doc
    port = next(world.snapshot.docs("port"))
    assert set(CATALOG["port"].by_name) - {"trunk_details", "trunk_id"} == set(port)


def test_rules_that_are_named_exist() -> None:
    """No check string of a declaration refers to a rule that is not there."""
    checks = [rule.check for rule in POLICY_RULES.values()]
    for resource in CATALOG.values():
        rules = resource.rules
        checks += [c for c in (rules.create, rules.get, rules.update, rules.delete) if c]
        checks += [c for f in resource.fields for c in (f.set, f.change, f.see) if c]
    for check in checks:
        assert check.count("(") == check.count(")")
        for word in check.replace("(", " ").replace(")", " ").split():
            if word.startswith("rule:"):
                assert word.removeprefix("rule:") in POLICY_RULES, check


def test_verbs_that_do_not_exist() -> None:
    with refused(404, "HTTPNotFound"):
        make_create(CATALOG["availability_zone"], [{}])


def test_long_values_are_cut_in_errors() -> None:
    assert len(show("x" * 5000)) < 300


def test_changed_since() -> None:
    """Objects are found by when they last changed, and a time that is none is refused."""
    world = World()
    network = world.network()
    later = world.network()
    (since,) = (f for f in CATALOG["network"].filters if f.name == "changed_since")
    assert since.index is not None
    for value in (later["updated_at"], later["updated_at"].rstrip("Z")):
        since.index([value])
        assert [since.matches(doc, [value]) for doc in (network, later)] == [False, True]
    for bad in ("yesterday", "2026-11-21", "2026-11-21T00:00:00+01:00"):
        with pytest.raises(ValueError, match="YYYY-MM-DD"):
            since.index([bad])


def test_subnets_by_their_network() -> None:
    """Subnets are found by whether their network is shared or external, also after the network changed."""
    world = World()
    network = world.network(router__external=True)
    subnet = world.subnet(network, "10.0.0.0/24")
    filters = {f.name: f for f in CATALOG["subnet"].filters}
    assert subnet["router:external"] is True
    assert not filters["shared"].matches(subnet, ["true"])
    world.update("network", network, shared=True)
    assert filters["shared"].matches(world.get("subnet", subnet), ["1"])
    index = filters["shared"].index
    assert index is not None
    with pytest.raises(ValueError, match="boolean"):
        index(["moon"])

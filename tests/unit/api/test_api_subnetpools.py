"""Subnet pools, address scopes and counts of addresses as clients see them: who may do what, and the verbs' answers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, make_client

MANAGER = {**MEMBER, "X-Roles": "manager,member,reader"}
SERVICE = {"X-Project-Id": "service", "X-User-Id": "nova", "X-Roles": "service"}
OTHER_ID = "0" * 32
GUEST = {"X-Project-Id": OTHER_ID, "X-User-Id": "u9", "X-Roles": "member,reader"}
ROLES = {"manager": MANAGER, "member": MEMBER, "reader": READER, "other": OTHER, "service": SERVICE, "admin": ADMIN}
WRITERS, READERS = {"manager", "member", "admin"}, {"manager", "member", "reader", "admin"}

POOL = {"name": "pool", "prefixes": ["10.0.0.0/8"], "default_prefixlen": 24}
BODIES: dict[str, dict[str, Any]] = {"subnetpool": POOL, "address_scope": {"name": "scope", "ip_version": 4}}
PATHS = {"subnetpool": "/v2.0/subnetpools", "address_scope": "/v2.0/address-scopes"}


def make(client: Client, kind: str, **more: Any) -> dict[str, Any]:
    reply = client.post(PATHS[kind], {kind: {**BODIES[kind], **more}})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json[kind]
    return made


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("kind", BODIES)
def test_who_may(kind: str, role: str) -> None:
    """A project's members do as they like with its own; others see nothing of it, and nobody but admin shares."""
    admin = make_client(ADMIN)
    client, path = admin.as_user(ROLES[role]), PATHS[kind]
    assert (client.post(path, {kind: BODIES[kind]}).status == 201) == (role in WRITERS | {"other"})
    assert (client.post(path, {kind: {**BODIES[kind], "shared": True}}).status == 201) == (role == "admin")
    mine = make(admin, kind, project_id="demo")
    one = f"{path}/{mine['id']}"
    seen = role in READERS
    assert client.get(one).status == (200 if seen else 404)
    assert (mine["id"] in [found["id"] for found in client.get(path).json[f"{kind}s"]]) == seen
    wanted = 200 if role in WRITERS else 403 if seen else 404
    assert client.put(one, {kind: {"name": "new"}}).status == wanted
    assert client.delete(one).status == {200: 204}.get(wanted, wanted)


@pytest.mark.parametrize("role", ROLES)
def test_who_may_what_matters_to_all(role: str) -> None:
    """The default pool, and whether a scope is shared, are for administrators to say."""
    admin = make_client(ADMIN)
    client = admin.as_user(ROLES[role])
    pool, scope = (make(admin, kind, project_id="demo") for kind in BODIES)
    good = 200 if role == "admin" else 403 if role in READERS else 404
    assert client.put(f"/v2.0/address-scopes/{scope['id']}", {"address_scope": {"shared": True}}).status == good
    assert client.put(f"/v2.0/subnetpools/{pool['id']}", {"subnetpool": {"is_default": True}}).status == good
    made = client.post("/v2.0/subnetpools", {"subnetpool": {**POOL, "prefixes": ["fd00::/8"], "is_default": True}})
    assert made.status != 201 or role == "admin"


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("verb", ["add_prefixes", "remove_prefixes", "onboard_network_subnets"])
def test_who_may_use_the_verbs(verb: str, role: str) -> None:
    """They are an update of the pool: for members of its project, and administrators."""
    admin = make_client(ADMIN)
    pool = make(admin, "subnetpool", project_id="demo")
    network = admin.make("network", project_id="demo")
    body = {"network_id": network["id"]} if verb.startswith("onboard") else {"prefixes": ["172.16.0.0/16"]}
    reply = admin.as_user(ROLES[role]).put(f"/v2.0/subnetpools/{pool['id']}/{verb}", body)
    assert reply.status == (200 if role in WRITERS else 403 if role in READERS else 404)


@pytest.mark.parametrize("kind", BODIES)
def test_shared(kind: str) -> None:
    """What is shared with everyone or one project is seen and used there, shown as shared, and not changed."""
    admin = make_client(ADMIN)
    guest, path = admin.as_user(GUEST), PATHS[kind]
    everyones, granted, hidden = make(admin, kind, shared=True), make(admin, kind), make(admin, kind)
    grant = {"object_type": kind, "object_id": granted["id"], "action": "access_as_shared", "target_tenant": OTHER_ID}
    assert admin.post("/v2.0/rbac-policies", {"rbac_policy": grant}).status == 201
    for one in (everyones, granted):
        assert guest.get(f"{path}/{one['id']}").json[kind]["shared"] is True
        assert guest.put(f"{path}/{one['id']}", {kind: {"name": "mine"}}).status == 403
        assert guest.delete(f"{path}/{one['id']}").status == 403
    assert guest.get(f"{path}/{hidden['id']}").error[:2] == (
        404, "SubnetPoolNotFound" if kind == "subnetpool" else "AddressScopeNotFound",
    )  # fmt: skip
    found = guest.get(f"{path}?shared=True").json[f"{kind}s"]
    assert {one["id"] for one in found} == {everyones["id"], granted["id"]}
    assert admin.get(f"{path}/{granted['id']}").json[kind]["shared"] is False


def test_subnets_from_a_shared_pool() -> None:
    """A guest cuts subnets from a pool that is shared with the project, and not from one that is not."""
    admin = make_client(ADMIN)
    guest = admin.as_user(GUEST)
    shared, hidden = make(admin, "subnetpool", shared=True), make(admin, "subnetpool")
    body = {"network_id": guest.make("network")["id"], "ip_version": 4}
    reply = guest.post("/v2.0/subnets", {"subnet": {**body, "subnetpool_id": hidden["id"]}})
    assert reply.error[:2] == (404, "SubnetPoolNotFound")
    reply = guest.post("/v2.0/subnets", {"subnet": {**body, "subnetpool_id": shared["id"], "prefixlen": 26}})
    assert reply.json["subnet"]["cidr"] == "10.0.0.0/26"
    assert not reply.json["subnet"].keys() & {"prefixlen", "use_default_subnetpool"}
    found = guest.get(f"/v2.0/subnets?subnetpool_id={shared['id']}").json["subnets"]
    assert [subnet["id"] for subnet in found] == [reply.json["subnet"]["id"]]


def test_answers_of_the_verbs() -> None:
    """The prefix verbs answer the prefixes; onboarding answers a list of what came in."""
    member = make_client(MEMBER)
    pool = make(member, "subnetpool")
    path = f"/v2.0/subnetpools/{pool['id']}"
    added = member.put(f"{path}/add_prefixes", {"prefixes": ["192.168.0.0/24"]})
    assert added.json == {"prefixes": ["10.0.0.0/8", "192.168.0.0/24"]}
    removed = member.put(f"{path}/remove_prefixes", {"prefixes": ["192.168.0.0/24"]})
    assert removed.json == {"prefixes": ["10.0.0.0/8"]}
    assert member.put(f"{path}/remove_prefixes", {}).status == 400
    assert member.get(f"{path}/add_prefixes").status == 405
    network = member.make("network")
    subnet = member.make("subnet", network_id=network["id"], ip_version=4, cidr="172.16.0.0/24")
    onboarded = member.put(f"{path}/onboard_network_subnets", {"network_id": network["id"]})
    assert onboarded.json == [{"id": subnet["id"], "cidr": "172.16.0.0/24"}]
    assert member.get(path).json["subnetpool"]["prefixes"] == ["10.0.0.0/8", "172.16.0.0/24"]
    assert member.get(path).json["subnetpool"]["revision_number"] == 4


def test_lists() -> None:
    """Pools are found by what they are, and lengths are text, as in Neutron."""
    admin = make_client(ADMIN)
    four = make(admin, "subnetpool", is_default=True, min_prefixlen="16")
    six = make(admin, "subnetpool", prefixes=["fd00::/8"], default_prefixlen=64, default_quota=5)
    assert (four["min_prefixlen"], four["default_prefixlen"], four["max_prefixlen"]) == ("16", "24", "32")
    for query, wanted in (
        ("ip_version=6", six), ("is_default=True", four), ("default_quota=5", six), ("min_prefixlen=16", four),
        ("max_prefixlen=128", six),
    ):  # fmt: skip
        found = admin.get(f"/v2.0/subnetpools?{query}").json["subnetpools"]
        assert [pool["id"] for pool in found] == [wanted["id"]], query
    assert admin.get("/v2.0/subnetpools?prefixes=10.0.0.0/8").status == 400
    ordered = admin.get("/v2.0/subnetpools?sort_key=max_prefixlen&sort_dir=asc").json["subnetpools"]
    assert [pool["max_prefixlen"] for pool in ordered] == ["32", "128"]
    tagged = admin.put(f"/v2.0/subnetpools/{four['id']}/tags", {"tags": ["red"]})
    assert tagged.json["tags"] == ["red"]
    assert len(admin.get("/v2.0/subnetpools?tags=red").json["subnetpools"]) == 1


def test_availability() -> None:
    """Administrators and services see how full networks are; ip_version shows just that half."""
    admin = make_client(ADMIN)
    network = admin.make("network", name="net", project_id="demo")
    empty = admin.make("network")
    four = admin.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/28", name="four")
    admin.make("subnet", network_id=network["id"], ip_version=6, cidr="fd00::/64")
    admin.make("port", network_id=network["id"])
    admin.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.1"}])
    path = "/v2.0/network-ip-availabilities"
    shown = admin.get(f"{path}/{network['id']}").json["network_ip_availability"]
    assert (shown["network_name"], shown["project_id"], shown["tenant_id"]) == ("net", "demo", "demo")
    assert (shown["total_ips"], shown["used_ips"]) == (13 + 2**64 - 1, 3)
    assert shown["subnet_ip_availability"][0] == {
        "subnet_id": four["id"], "subnet_name": "four", "cidr": "10.0.0.0/28", "ip_version": 4,
        "total_ips": 13, "used_ips": 2,
        "ip_availability_details": {
            "total_ips_in_subnet": 14, "total_ips_in_allocation_pool": 13,
            "used_ips_in_subnet": 2, "used_ips_in_allocation_pool": 1,
        },
    }  # fmt: skip
    assert shown["ip_availability_details"]["used_ips_in_allocation_pool"] == 2
    listed = admin.get(f"{path}?ip_version=4").json["network_ip_availabilities"]
    assert [(one["network_id"], one["total_ips"], one["used_ips"]) for one in listed] == [(network["id"], 13, 2)]
    assert len(listed[0]["subnet_ip_availability"]) == 1
    both = admin.get(f"{path}?ip_version=4&ip_version=6&fields=total_ips").json["network_ip_availabilities"]
    assert both == [{"total_ips": shown["total_ips"]}]
    assert {one["network_id"] for one in admin.get(path).json["network_ip_availabilities"]} == {
        network["id"], empty["id"],
    }  # fmt: skip
    assert len(admin.get(f"{path}?network_name=net&project_id=demo").json["network_ip_availabilities"]) == 1
    assert admin.get(f"{path}?ip_version=four").status == 400
    assert admin.get(f"{path}/{OTHER_ID}").error[:2] == (404, "NetworkNotFound")
    assert admin.post(path, {"network_ip_availability": {}}).status == 405
    for role, headers in ROLES.items():
        status = 200 if role in ("admin", "service") else 404
        assert admin.as_user(headers).get(f"{path}/{network['id']}").status == status


def test_availability_without_pools() -> None:
    """Where nothing is given out by itself, the whole prefix counts."""
    admin = make_client(ADMIN)
    network = admin.make("network")
    admin.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/32", enable_dhcp=False, gateway_ip=None,
               allocation_pools=[])  # fmt: skip
    shown = admin.get(f"/v2.0/network-ip-availabilities/{network['id']}").json["network_ip_availability"]
    assert (shown["total_ips"], shown["ip_availability_details"]["total_ips_in_subnet"]) == (1, 0)

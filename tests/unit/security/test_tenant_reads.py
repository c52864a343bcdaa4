"""What one tenant can learn of another: by names, ids, filters, orders, pages, counts, and the words of refusals."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.schema import Resource
from tests.unit.api.api_client import MEMBER, OTHER, Client, Reply
from tests.unit.api.full_cloud import FullCloud

NOBODY = "ffffffff-ffff-4fff-8fff-ffffffffffff"
"""An id that nothing has."""


@cache
def find_cloud() -> FullCloud:
    return FullCloud()


@pytest.fixture
def cloud() -> FullCloud:
    made = find_cloud()
    made.renew()
    return made


@pytest.fixture
def stranger(cloud: FullCloud) -> Client:
    return cloud.member.as_user(OTHER)


def hide(reply: Reply, *ids: str) -> tuple[int, bytes]:
    """The answer, with every id that was asked about written alike."""
    body = reply.body
    for id in ids:
        body = body.replace(id.encode(), b"ID")
    return reply.status, body


def find_url(resource: Resource, doc: dict[str, Any], cloud: FullCloud) -> str:
    above = ""
    if resource.parent:
        above = f"/{CATALOG[resource.parent].path}/{cloud.made[resource.parent]['id']}"
    return f"/v2.0{above}/{resource.path}/{doc[resource.key]}"


def find_own() -> list[str]:
    """Resources whose object in the cloud a stranger may not see: those of the project demo, and administrators'."""
    stranger, cloud = find_cloud().member.as_user(OTHER), find_cloud()
    return [
        kind
        for kind, doc in cloud.made.items()
        if CATALOG[kind].rules.get is not None
        and CATALOG[kind].key == "id"
        and stranger.get(find_url(CATALOG[kind], doc, cloud)).status == 404
    ]


@pytest.mark.parametrize("kind", find_own())
def test_an_object_of_others_is_no_other_than_one_that_is_not_there(
    kind: str, cloud: FullCloud, stranger: Client
) -> None:
    """To read, change and delete it, and by id, fields, marker and tags: word for word the same answers."""
    resource, id = CATALOG[kind], str(cloud.made[kind]["id"])
    url, none = find_url(resource, cloud.made[kind], cloud), find_url(resource, {"id": NOBODY}, cloud)
    first = next((f.name for f in resource.fields if f.put), "name")
    lists = url.removesuffix(f"/{id}")
    before = cloud.memory.snapshot.get(resource.kind, id)
    for method, there, gone, body in (
        ("GET", url, none, b""),
        ("GET", f"{url}?fields=id", f"{none}?fields=id", b""),
        ("PUT", url, none, b'{"%s":{"%s":"x"}}' % (kind.encode(), first.encode())),
        ("DELETE", url, none, b""),
        ("GET", f"{url}/tags", f"{none}/tags", b""),
        ("PUT", f"{url}/tags/red", f"{none}/tags/red", b""),
        ("GET", f"{lists}?id={id}", f"{lists}?id={NOBODY}", b""),
        ("GET", f"{lists}?limit=1&marker={id}", f"{lists}?limit=1&marker={NOBODY}", b""),
    ):
        answers = [stranger.send(method, one, body) for one in (there, gone)]
        assert hide(answers[0], id) == hide(answers[1], NOBODY), (method, there)
        assert answers[0].status in (200, 400, 403, 404, 405), (method, there)
    assert cloud.memory.snapshot.get(resource.kind, id) is before


@pytest.mark.parametrize("kind", find_own())
def test_lists_show_and_count_nothing_of_others(kind: str, cloud: FullCloud, stranger: Client) -> None:
    """Neither the objects nor how many there are."""
    resource, id = CATALOG[kind], str(cloud.made[kind]["id"])
    lists = find_url(resource, cloud.made[kind], cloud).removesuffix(f"/{id}")
    reply = stranger.get(lists)
    assert id.encode() not in reply.body
    if reply.status == 200:
        assert all(doc["id"] != id for doc in reply.json[resource.collection])


PARENTS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("port", "ports", "network", {"network_id": "ID"}),
    ("subnet", "subnets", "network", {"network_id": "ID", "ip_version": 4, "cidr": "10.0.0.0/24"}),
    ("security_group_rule", "security-group-rules", "security_group",
     {"security_group_id": "ID", "direction": "ingress"}),
)  # fmt: skip
REFERENCES: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("port", "ports", "subnet", {"network_id": "OWN", "fixed_ips": [{"subnet_id": "ID"}]}),
    ("port", "ports", "security_group", {"network_id": "OWN", "security_groups": ["ID"]}),
    ("port", "ports", "policy", {"network_id": "OWN", "qos_policy_id": "ID"}),
    ("network", "networks", "policy", {"qos_policy_id": "ID"}),
    ("subnet", "subnets", "subnetpool", {"network_id": "OWN", "ip_version": 4, "subnetpool_id": "ID"}),
    ("subnetpool", "subnetpools", "address_scope", {"prefixes": ["10.9.0.0/16"], "address_scope_id": "ID"}),
    ("router", "routers", "network", {"external_gateway_info": {"network_id": "ID"}}),
    ("floatingip", "floatingips", "network", {"floating_network_id": "ID"}),
    ("floatingip", "floatingips", "port", {"floating_network_id": "OUTER", "port_id": "ID"}),
    ("security_group_rule", "security-group-rules", "security_group",
     {"security_group_id": "GROUP", "direction": "ingress", "remote_group_id": "ID"}),
    ("security_group_rule", "security-group-rules", "address_group",
     {"security_group_id": "GROUP", "direction": "ingress", "remote_address_group_id": "ID"}),
    ("trunk", "trunks", "port", {"port_id": "ID"}),
    ("rbac_policy", "rbac-policies", "network",
     {"object_type": "network", "object_id": "ID", "action": "access_as_shared", "target_tenant": "other"}),
    ("local_ip", "local_ips", "network", {"network_id": "ID"}),
    ("local_ip", "local_ips", "port", {"network_id": "OWN", "local_port_id": "ID"}),
    ("ndp_proxy", "ndp_proxies", "router", {"router_id": "ID", "port_id": "PORT"}),
    ("ndp_proxy", "ndp_proxies", "port", {"router_id": "ROUTER", "port_id": "ID"}),
    ("tap_service", "taas/tap_services", "port", {"port_id": "ID"}),
    ("tap_mirror", "taas/tap_mirrors", "port",
     {"port_id": "ID", "directions": {"IN": 12}, "remote_ip": "192.0.2.8", "mirror_type": "gre"}),
)  # fmt: skip


@pytest.mark.parametrize(("kind", "path", "named", "body"), PARENTS)
def test_what_belongs_to_an_object_of_others_is_not_made(
    kind: str, path: str, named: str, body: dict[str, Any], cloud: FullCloud, stranger: Client
) -> None:
    """The policy refuses by the owner of what is named, as Neutron does: 403 tells that the id is taken, no more."""
    before, id = cloud.memory.snapshot, str(cloud.made[named]["id"])
    reply = stranger.post(f"/v2.0/{path}", {kind: fill(body, {"ID": id})})
    assert (reply.status, reply.error[1]) == (403, "PolicyNotAuthorized")
    assert cloud.memory.snapshot is before


@pytest.mark.parametrize(("kind", "path", "named", "body"), REFERENCES)
def test_naming_an_object_of_others_is_naming_none(
    kind: str, path: str, named: str, body: dict[str, Any], cloud: FullCloud, stranger: Client
) -> None:
    """A request that refers to it is refused in the words for an id that nothing has, and makes nothing."""
    own = stranger.make("network")
    known = {
        "OWN": own["id"], "OUTER": cloud.outer["id"], "PORT": stranger.make("port", network_id=own["id"])["id"],
        "ROUTER": stranger.make("router")["id"], "GROUP": stranger.post(
            "/v2.0/security-groups", {"security_group": {"name": "own"}}).json["security_group"]["id"],
    }  # fmt: skip
    before = cloud.memory.snapshot
    answers = []
    for id in (str(cloud.made[named]["id"]), NOBODY):
        reply = stranger.post(f"/v2.0/{path}", {kind: fill(body, {**known, "ID": id})})
        assert 400 <= reply.status < 500, reply.body
        answers.append(hide(reply, id))
    assert answers[0] == answers[1]
    assert cloud.memory.snapshot is before


def fill(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: fill(one, known) for key, one in value.items()}
    if isinstance(value, list):
        return [fill(one, known) for one in value]
    return known.get(value, value) if isinstance(value, str) else value


def test_a_router_of_others_takes_no_interface_and_none_of_others_is_taken(cloud: FullCloud, stranger: Client) -> None:
    """Both ends of an interface are looked at: the router, and the subnet or port."""
    router = stranger.make("router")
    for key, kind in (("subnet_id", "subnet"), ("port_id", "port")):
        answers = [
            hide(stranger.put(f"/v2.0/routers/{router['id']}/{action}_router_interface", {key: id}), id, router["id"])
            for action in ("add", "remove")
            for id in (str(cloud.made[kind]["id"]), NOBODY)
        ]
        assert answers[0] == answers[1] and answers[2] == answers[3]
        assert all(400 <= status < 500 for status, _ in answers)
    theirs = cloud.made["router"]["id"]
    answers = [
        hide(stranger.put(f"/v2.0/routers/{id}/add_router_interface", {"subnet_id": NOBODY}), id)
        for id in (theirs, NOBODY)
    ]
    assert answers[0] == answers[1]


def test_what_is_hidden_is_not_found_by_asking_for_it(cloud: FullCloud) -> None:
    """A tenant cannot try values of attributes that it is not shown: where its ports run, which VLAN or VNI those
    networks have that are not its own."""
    provider = "provider:segmentation_id"
    inner = next(one for one in cloud.admin.get("/v2.0/networks").json["networks"] if one["name"] == "outer")
    port = next(one for one in cloud.admin.get("/v2.0/ports").json["ports"] if one["binding:host_id"] == "h1")
    same = f"id={inner['id']}"
    lists = {
        "networks": (f"{provider}={inner[provider]}", f"{same}&provider:network_type=vxlan", same),
        "ports": ("binding:host_id=h1", "binding:host_id=h1&binding:host_id=h2", f"id={port['id']}"),
    }
    for path, (*hidden, shown) in lists.items():
        for query in (*hidden, shown):
            seen, all_of_it = (by.get(f"/v2.0/{path}?{query}").json[path] for by in (cloud.member, cloud.admin))
            assert all_of_it and bool(seen) == (query == shown), query


def test_no_order_tells_what_is_hidden(cloud: FullCloud) -> None:
    """Subnets in the order of their segments are in that of their ids for who may not see the segments."""
    segments = cloud.admin.get("/v2.0/segments").json["segments"]
    network = cloud.made["network"]["id"]
    assert [one for one in segments if one["network_id"] == network]
    for way in ("asc", "desc"):
        found = cloud.member.get(f"/v2.0/subnets?sort_key=segment_id&sort_dir={way}").json["subnets"]
        ids = [one["id"] for one in found]
        assert len(ids) > 1 and ids == sorted(ids)


@pytest.mark.parametrize("path", ["quotas/demo", "quotas/demo/details.json", "auto-allocated-topology/demo"])
def test_figures_of_another_project_are_not_shown(path: str, cloud: FullCloud, stranger: Client) -> None:
    """What others may use, and how much of it they do, is theirs to know."""
    answers = [stranger.get(f"/v2.0/{name}") for name in (path, path.replace("demo", "nobody"))]
    assert hide(answers[0], "demo") == hide(answers[1], "nobody")
    assert answers[0].status in (400, 403, 404)


WAYS: dict[str, dict[str, Any]] = {
    "network": {}, "router": {}, "security_group": {}, "port": {"network_id": "OWN"},
    "subnet": {"network_id": "OWN", "ip_version": 4, "cidr": "10.0.0.0/24"},
    "address_scope": {"ip_version": 4, "name": "x"}, "subnetpool": {"prefixes": ["10.1.0.0/16"], "name": "x"},
}  # fmt: skip
VALUES: tuple[Any, ...] = (True, "h1", 5, {"a": "b"}, NOBODY, [NOBODY], "ACTIVE")


def is_guarded(rule: str | None) -> bool:
    return rule == "rule:admin_only"


@pytest.mark.parametrize("kind", WAYS)
def test_a_tenant_sets_no_attribute_that_is_not_its_to_set(kind: str, cloud: FullCloud, stranger: Client) -> None:
    """Mass assignment: an attribute that clients never set, or administrators alone, is refused and not left out."""
    resource, network = CATALOG[kind], stranger.make("network")
    start = fill(WAYS[kind], {"OWN": network["id"]})
    url = f"/v2.0/{resource.path}"
    made = stranger.post(url, {kind: start}).json[kind]
    before, tried = cloud.memory.snapshot, 0
    for f in resource.fields:
        if f.name == "project_id":
            continue
        for value in (one for one in VALUES if one != f.default and one != made.get(f.name)):
            if not f.post or is_guarded(f.set):
                reply = stranger.post(url, {kind: {**start, f.name: value}})
                assert reply.status in (400, 403), (f.name, value, reply.body)
                tried += 1
            if not f.put or is_guarded(f.change):
                reply = stranger.put(f"{url}/{made['id']}", {kind: {f.name: value}})
                assert reply.status in (400, 403), (f.name, value, reply.body)
                tried += 1
    assert tried > 20 and cloud.memory.snapshot is before


def test_a_tenant_may_not_speak_for_another(cloud: FullCloud) -> None:
    """Neither by project_id nor by its old name."""
    for key in ("project_id", "tenant_id"):
        reply = cloud.member.as_user({**MEMBER, "X-Project-Id": "third"}).post(
            "/v2.0/networks", {"network": {key: "demo"}}
        )
        assert reply.status == 400

"""Security groups, their rules and address groups as each role meets them over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, Headers, Memory, make_client

MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u4", "X-Roles": "manager,member,reader"}
OTHER_READER = {"X-Project-Id": "other", "X-User-Id": "u5", "X-Roles": "reader"}
SERVICE = {"X-Project-Id": "service", "X-User-Id": "u6", "X-Roles": "service"}
ROLES: dict[str, Headers] = {
    "admin": ADMIN, "manager": MANAGER, "member": MEMBER, "reader": READER, "other": OTHER,
    "other_reader": OTHER_READER, "service": SERVICE,
}  # fmt: skip
MISSING = "99999999-9999-4999-8999-999999999999"


def make(client: Client, kind: str, **body: Any) -> dict[str, Any]:
    path = kind.replace("_", "-") + ("" if kind.endswith("ness") else "s")
    reply = client.post(f"/v2.0/{path}", {kind: body})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json[kind]
    return made


def make_rule(client: Client, group: dict[str, Any], **body: Any) -> dict[str, Any]:
    return make(client, "security_group_rule", security_group_id=group["id"], direction="ingress", **body)


def statuses(method: str, path: str, body: Any = None) -> dict[str, int]:
    """What each role is answered, each starting from the same state, in which project demo has one of everything."""
    memory = Memory()
    client = make_client(MEMBER, memory=memory)
    group = make(client, "security_group", name="web")
    names = {
        "group": group["id"],
        "rule": make_rule(client, group)["id"],
        "addresses": make(client, "address_group", addresses=["10.0.0.0/8"])["id"],
        "setting": make(client.as_user(MANAGER), "security_groups_default_statefulness")["id"],
        "template": client.get("/v2.0/default-security-group-rules").json["default_security_group_rules"][0]["id"],
    }
    content = json.dumps(fill(body, names)).encode() if body is not None else b""
    found, start = {}, memory.snapshot
    for role, headers in ROLES.items():
        memory.snapshot = start
        found[role] = client.as_user(headers).send(method, path.format(**names), content).status
    return found


def fill(body: Any, names: dict[str, str]) -> Any:
    if isinstance(body, dict):
        return {key: fill(value, names) for key, value in body.items()}
    return body.format(**names) if isinstance(body, str) else body


def expected(good: int, *roles: str, refused: int = 404, also: dict[str, int] | None = None) -> dict[str, int]:
    """`good` for these roles, `refused` for all others but those of `also`."""
    return {role: good if role in roles else refused for role in ROLES} | (also or {})


OWNERS = ("admin", "manager", "member")
SEERS = (*OWNERS, "reader")
RULE = {"security_group_rule": {"security_group_id": "{group}", "direction": "egress", "protocol": "tcp"}}
TEMPLATE = {
    "default_security_group_rule": {
        "direction": "ingress", "protocol": "tcp", "used_in_default_sg": True, "used_in_non_default_sg": True,
    }
}  # fmt: skip
SETTING = "security_groups_default_statefulness"
VERBS: list[tuple[str, str, Any, dict[str, int]]] = [
    ("POST", "security-groups", {"security_group": {}}, expected(201, *OWNERS, "other", refused=403)),
    ("GET", "security-groups/{group}", None, expected(200, *SEERS)),
    ("PUT", "security-groups/{group}", {"security_group": {"name": "x"}},
     expected(200, *OWNERS, also={"reader": 403})),
    ("DELETE", "security-groups/{group}", None, expected(204, *OWNERS, also={"reader": 403})),
    ("PUT", "security-groups/{group}/tags/red", {}, expected(201, *OWNERS, also={"reader": 403})),
    ("GET", "security-groups/{group}/tags", None, expected(200, *SEERS)),
    ("POST", "security-group-rules", RULE, expected(201, *OWNERS, refused=403)),
    ("GET", "security-group-rules/{rule}", None, expected(200, *SEERS)),
    ("DELETE", "security-group-rules/{rule}", None, expected(204, *OWNERS, also={"reader": 403})),
    ("POST", "default-security-group-rules", TEMPLATE, expected(201, "admin", refused=403)),
    ("GET", "default-security-group-rules/{template}", None, expected(200, *SEERS, "other", "other_reader")),
    ("DELETE", "default-security-group-rules/{template}", None, expected(204, "admin", refused=403,
                                                                          also={"service": 404})),
    ("POST", "security-groups-default-statefulness", {SETTING: {"stateful": False}},
     expected(201, "admin", refused=403, also={"manager": 409})),
    ("POST", "security-groups-default-statefulness", {SETTING: {"project_id": None}},
     expected(201, "admin", refused=403)),
    ("GET", "security-groups-default-statefulness/{setting}", None, expected(200, *SEERS)),
    ("PUT", "security-groups-default-statefulness/{setting}", {SETTING: {"stateful": False}},
     expected(200, "admin", "manager", also={"member": 403, "reader": 403})),
    ("DELETE", "security-groups-default-statefulness/{setting}", None,
     expected(204, "admin", "manager", also={"member": 403, "reader": 403})),
    ("POST", "address-groups", {"address_group": {}}, expected(201, *OWNERS, "other", refused=403)),
    ("GET", "address-groups/{addresses}", None, expected(200, *SEERS)),
    ("PUT", "address-groups/{addresses}", {"address_group": {"name": "x"}},
     expected(200, *OWNERS, also={"reader": 403})),
    ("PUT", "address-groups/{addresses}/add_addresses", {"addresses": []},
     expected(200, *OWNERS, also={"reader": 403})),
    ("PUT", "address-groups/{addresses}/remove_addresses", {"addresses": []},
     expected(200, *OWNERS, also={"reader": 403})),
    ("DELETE", "address-groups/{addresses}", None, expected(204, *OWNERS, also={"reader": 403})),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "body", "answers"), VERBS)
def test_roles(method: str, path: str, body: Any, answers: dict[str, int]) -> None:
    """Each role may do what Neutron lets it do; what it may not see is not there."""
    assert statuses(method, f"/v2.0/{path}", body) == answers


@pytest.mark.parametrize(
    ("collection", "counts"),
    [
        ("security-groups", {"member": 2, "reader": 2, "other": 1, "other_reader": 1, "admin": 3, "service": 0}),
        ("security-group-rules", {"member": 7, "reader": 7, "other": 4, "admin": 11, "service": 0}),
        ("default-security-group-rules", {"member": 4, "other_reader": 4, "admin": 4, "service": 0}),
    ],
)
def test_lists(collection: str, counts: dict[str, int]) -> None:
    """A list brings the requester's default group, and shows what is the project's own."""
    for role, count in counts.items():
        client = make_client(MEMBER)
        make_rule(client, make(client, "security_group"))
        reply = client.as_user(ROLES[role]).get(f"/v2.0/{collection}")
        assert (reply.status, len(reply.json[collection.replace("-", "_")])) == (200, count), role


def test_an_administrator_looks_at_a_projects_groups() -> None:
    """Listing another project's groups brings that project's default group, for administrators only."""
    client = make_client(ADMIN)
    shown = client.get("/v2.0/security-groups?project_id=new&name=default").json["security_groups"]
    assert [(one["project_id"], one["name"]) for one in shown] == [("new", "default")]
    assert client.as_user(MEMBER).get("/v2.0/security-groups?project_id=third").json["security_groups"] == []
    assert client.get("/v2.0/security-groups?name=default&fields=project_id").json["security_groups"] == [
        {"project_id": name} for name in ("new", "demo", "admin")
    ]


def test_what_is_not_there() -> None:
    """A rule for a group that is not there is 404, for another project's group 403."""
    client = make_client(MEMBER)
    group = make(client, "security_group")
    body = {"security_group_rule": {"security_group_id": MISSING, "direction": "ingress"}}
    assert client.post("/v2.0/security-group-rules", body).error[:2] == (404, "SecurityGroupNotFound")
    body["security_group_rule"]["security_group_id"] = group["id"]
    assert client.as_user(OTHER).post("/v2.0/security-group-rules", body).status == 403
    for kind in ("security-groups", "security-group-rules", "address-groups", "default-security-group-rules"):
        assert client.get(f"/v2.0/{kind}/{MISSING}").status == 404
        assert client.delete(f"/v2.0/{kind}/{MISSING}").status == 404
    assert client.put(f"/v2.0/security-group-rules/{MISSING}", {"security_group_rule": {}}).status in (404, 405)


def test_an_administrators_rule_in_anothers_group() -> None:
    """The owner of a group sees the rules that others made in it, among its rules and in lists."""
    client = make_client(MEMBER)
    group = make(client, "security_group")
    rule = make_rule(client.as_user(ADMIN), group, protocol="tcp")
    assert rule["project_id"] == "admin"
    shown = client.get(f"/v2.0/security-groups/{group['id']}").json["security_group"]
    assert rule["id"] in [one["id"] for one in shown["security_group_rules"]]
    listed = client.get(f"/v2.0/security-group-rules?security_group_id={group['id']}").json["security_group_rules"]
    assert rule["id"] in [one["id"] for one in listed]
    assert client.delete(f"/v2.0/security-group-rules/{rule['id']}").status == 204


def test_sharing() -> None:
    """A grant opens a group to a project: it is seen, marked shared, usable, and not withdrawn while it is used."""
    admin = make_client(ADMIN)
    group = make(admin, "security_group", name="theirs")
    member = admin.as_user(MEMBER)
    path = f"/v2.0/security-groups/{group['id']}"
    assert member.get(path).status == 404
    target = "a" * 32
    user = admin.as_user({**MEMBER, "X-Project-Id": target})
    grant = make_grant(admin, "security_group", group, target)
    assert user.get(path).json["security_group"]["shared"] is True
    assert admin.get(path).json["security_group"]["shared"] is False
    assert group["id"] in [g["id"] for g in user.get("/v2.0/security-groups?shared=True").json["security_groups"]]
    assert user.put(path, {"security_group": {"name": "mine"}}).status == 403
    network = make(user, "network")
    port = make(user, "port", network_id=network["id"], security_groups=[group["id"]])
    assert admin.delete(f"/v2.0/rbac-policies/{grant}").error[:2] == (409, "RbacPolicyInUse")
    user.delete(f"/v2.0/ports/{port['id']}")
    assert admin.delete(f"/v2.0/rbac-policies/{grant}").status == 204
    assert user.get(path).status == 404


def make_grant(client: Client, kind: str, doc: dict[str, Any], target: str) -> str:
    body = {"object_type": kind, "object_id": doc["id"], "action": "access_as_shared", "target_tenant": target}
    reply = client.post("/v2.0/rbac-policies", {"rbac_policy": body})
    assert reply.status == 201, reply.body
    return str(reply.json["rbac_policy"]["id"])


def test_sharing_address_groups() -> None:
    """A grant opens an address group to a project's rules, and stays while one of them refers to it."""
    admin = make_client(ADMIN)
    addresses = make(admin, "address_group", addresses=["10.0.0.0/8"])
    assert "shared" not in addresses
    target = "b" * 32
    user = admin.as_user({**MEMBER, "X-Project-Id": target})
    group = make(user, "security_group")
    body = {"security_group_id": group["id"], "direction": "egress", "remote_address_group_id": addresses["id"]}
    refused = user.post("/v2.0/security-group-rules", {"security_group_rule": body})
    assert refused.error[:2] == (404, "AddressGroupNotFound")
    grant = make_grant(admin, "address_group", addresses, target)
    path = f"/v2.0/address-groups/{addresses['id']}"
    assert user.get(path).status == 200
    for reply in (
        user.put(path, {"address_group": {"name": "mine"}}), user.delete(path),
        user.put(f"{path}/add_addresses", {"addresses": []}),
    ):  # fmt: skip
        assert reply.error[:2] == (404, "AddressGroupNotFound")
    rule = make(user, "security_group_rule", **body)
    assert admin.delete(f"/v2.0/rbac-policies/{grant}").error[:2] == (409, "RbacPolicyInUse")
    user.delete(f"/v2.0/security-group-rules/{rule['id']}")
    assert admin.delete(f"/v2.0/rbac-policies/{grant}").status == 204


def test_ports_by_their_groups() -> None:
    """Ports are listed by the groups that they are in."""
    client = make_client(MEMBER)
    web, db = (make(client, "security_group") for _ in range(2))
    network = make(client, "network")
    one, two = (make(client, "port", network_id=network["id"], security_groups=[g["id"]]) for g in (web, db))
    for query, ports in (
        (f"security_groups={web['id']}", {one["id"]}),
        (f"security_groups={web['id']}&security_groups={db['id']}", {one["id"], two["id"]}),
        (f"security_groups={MISSING}", set()),
    ):
        assert {p["id"] for p in client.get(f"/v2.0/ports?{query}").json["ports"]} == ports


def test_lists_are_filtered_and_sorted() -> None:
    """Rules are found by each of their attributes, groups by name, statefulness and whether they are shared."""
    client = make_client(MEMBER)
    group = make(client, "security_group", name="web", stateful=False)
    rule = make_rule(client, group, protocol="tcp", port_range_min=80, port_range_max=80, remote_ip_prefix="10.0.0.1/8")
    for query in ("protocol=tcp", "port_range_min=80", "normalized_cidr=10.0.0.0/8", "remote_ip_prefix=10.0.0.1/8"):
        found = client.get(f"/v2.0/security-group-rules?{query}").json["security_group_rules"]
        assert [one["id"] for one in found] == [rule["id"]], query
    own = client.get("/v2.0/security-group-rules?belongs_to_default_sg=True").json["security_group_rules"]
    assert len(own) == 4
    for query in ("stateful=False", "name=web"):
        found = client.get(f"/v2.0/security-groups?{query}").json["security_groups"]
        assert [one["id"] for one in found] == [group["id"]], query
    names = [g["name"] for g in client.get("/v2.0/security-groups?sort_key=name&sort_dir=desc").json["security_groups"]]
    assert names == ["web", "default"]
    assert client.get("/v2.0/security-groups?is_default=True").status == 400

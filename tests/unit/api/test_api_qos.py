"""QoS over HTTP: paths, who may do what, and what each role sees of it on networks and ports."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, make_client

MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u4", "X-Roles": "manager,member,reader"}
STRANGER = {"X-Project-Id": "other", "X-User-Id": "u5", "X-Roles": "manager,member,reader"}
ROLES = {
    "admin": ADMIN, "manager": MANAGER, "member": MEMBER, "reader": READER, "stranger": STRANGER, "other": OTHER,
}  # fmt: skip
POLICIES = "/v2.0/qos/policies"


def make_policy(client: Client, **body: Any) -> dict[str, Any]:
    reply = client.post(POLICIES, {"policy": {"name": "gold", **body}})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json["policy"]
    return made


def make_rule(client: Client, policy: dict[str, Any], type: str, **body: Any) -> dict[str, Any]:
    reply = client.post(f"{POLICIES}/{policy['id']}/{type}_rules", {f"{type}_rule": body})
    assert reply.status == 201, reply.body
    made: dict[str, Any] = reply.json[f"{type}_rule"]
    return made


@pytest.mark.parametrize(
    ("role", "created", "read", "changed", "deleted"),
    [
        ("admin", 201, 200, 200, 204),
        ("manager", 201, 200, 200, 204),
        ("member", 403, 200, 403, 403),
        ("reader", 403, 200, 403, 403),
        ("stranger", 201, 404, 404, 404),
        ("other", 403, 404, 404, 404),
    ],
)
def test_who_may_do_what_with_policies(role: str, created: int, read: int, changed: int, deleted: int) -> None:
    """Policies are the owner's managers' to make and change; its readers see them, and nobody else does."""
    client = make_client(MANAGER)
    policy = make_policy(client)
    user, path = client.as_user(ROLES[role]), f"{POLICIES}/{policy['id']}"
    assert user.post(POLICIES, {"policy": {"name": "x"}}).status == created
    assert user.get(path).status == read
    assert (policy["id"] in user.get(POLICIES).body.decode()) is (read == 200)
    assert user.put(path, {"policy": {"name": "y"}}).status == changed
    assert user.delete(path).status == deleted


@pytest.mark.parametrize(
    ("role", "created", "read", "changed", "deleted"),
    [
        ("admin", 201, 200, 200, 204),
        ("manager", 201, 200, 200, 204),
        ("member", 403, 200, 403, 403),
        ("reader", 403, 200, 403, 403),
        ("stranger", 403, 404, 404, 404),
    ],
)
@pytest.mark.parametrize("alias", [False, True])
def test_who_may_do_what_with_rules(
    role: str, created: int, read: int, changed: int, deleted: int, alias: bool
) -> None:
    """Rules are as their policy's owner's roles say, by either path."""
    client = make_client(MANAGER)
    policy = make_policy(client)
    rule = make_rule(client, policy, "dscp_marking", dscp_mark=8)
    user, below = client.as_user(ROLES[role]), f"{POLICIES}/{policy['id']}"
    found = user.post(f"{below}/bandwidth_limit_rules", {"bandwidth_limit_rule": {"max_kbps": 1}})
    assert found.status == created
    name = "alias_dscp_marking_rule" if alias else "dscp_marking_rule"
    path = f"/v2.0/qos/alias-dscp-marking-rules/{rule['id']}" if alias else f"{below}/dscp_marking_rules/{rule['id']}"
    shown = user.get(path)
    assert shown.status == read
    if read == 200:
        assert shown.json[name] == {"id": rule["id"], "dscp_mark": 8}
    assert user.put(path, {name: {"dscp_mark": 10}}).status == changed
    assert user.delete(path).status == deleted


def test_rules_are_below_their_policy() -> None:
    """A rule is found below its own policy only, and in its list."""
    client = make_client(MANAGER)
    one, two = make_policy(client), make_policy(client)
    rule = make_rule(client, one, "bandwidth_limit", max_kbps=5, direction="ingress")
    assert rule == {"id": rule["id"], "max_kbps": 5, "max_burst_kbps": 0, "direction": "ingress"}
    listed = client.get(f"{POLICIES}/{one['id']}/bandwidth_limit_rules?direction=ingress&fields=id").json
    assert listed == {"bandwidth_limit_rules": [{"id": rule["id"]}]}
    assert client.get(f"{POLICIES}/{two['id']}/bandwidth_limit_rules").json == {"bandwidth_limit_rules": []}
    missing = client.get(f"{POLICIES}/{two['id']}/bandwidth_limit_rules/{rule['id']}")
    assert missing.error[:2] == (404, "QosRuleNotFound")
    nowhere = client.as_user(ADMIN).post(
        f"{POLICIES}/{rule['id']}/dscp_marking_rules", {"dscp_marking_rule": {"dscp_mark": 8}}
    )
    assert nowhere.error[:2] == (404, "QosPolicyNotFound")
    assert client.get(f"{POLICIES}/{one['id']}").json["policy"]["rules"] == [
        {**rule, "qos_policy_id": one["id"], "type": "bandwidth_limit"}
    ]


def test_shared_policies_are_seen_and_used() -> None:
    """A policy shared with a project, or with all, is seen as shared and may be used; its rules are shown in it."""
    client = make_client(ADMIN)
    private, granted = make_policy(client), make_policy(client)
    everyone = make_policy(client, shared=True)
    project = "0" * 32
    user = client.as_user({**OTHER, "X-Project-Id": project})
    body = {"object_type": "qos_policy", "object_id": granted["id"], "action": "access_as_shared"}
    assert client.post("/v2.0/rbac-policies", {"rbac_policy": {**body, "target_tenant": project}}).status == 201
    seen = {p["id"]: p["shared"] for p in user.get(POLICIES).json["policies"]}
    assert seen == {granted["id"]: True, everyone["id"]: True}
    network = user.make("network", qos_policy_id=granted["id"])
    refused = user.put(f"/v2.0/networks/{network['id']}", {"network": {"qos_policy_id": private["id"]}})
    assert refused.error[:2] == (404, "QosPolicyNotFound")


def test_rule_types() -> None:
    """Everyone may list the types; what hosts make of one is for administrators."""
    client = make_client(READER)
    names = ["bandwidth_limit", "dscp_marking", "minimum_bandwidth", "minimum_packet_rate", "packet_rate_limit"]
    for query in ("", "?all_supported=true", "?all_rules=True"):
        listed = client.get(f"/v2.0/qos/rule-types{query}").json["rule_types"]
        assert sorted(listed, key=lambda one: str(one["type"])) == [{"type": name} for name in names]
    assert client.get("/v2.0/qos/rule-types?all_rules=maybe").status == 400
    assert client.get("/v2.0/qos/rule-types?type=dscp_marking").status == 400
    assert client.get("/v2.0/qos/rule-types/dscp_marking").error[:2] == (403, "NotAuthorized")
    admin = client.as_user(ADMIN)
    shown = admin.get("/v2.0/qos/rule-types/packet_rate_limit").json["rule_type"]
    parameters = [
        {
            "parameter_name": "max_kpps",
            "parameter_values": {"start": 0, "end": 2147483647},
            "parameter_type": "range",
        },
        {
            "parameter_name": "max_burst_kpps",
            "parameter_values": {"start": 0, "end": 2147483647},
            "parameter_type": "range",
        },
        {
            "parameter_name": "direction",
            "parameter_values": ["ingress", "egress"],
            "parameter_type": "choices",
        },
    ]
    assert shown["drivers"] == [
        {"name": name, "supported_parameters": parameters} for name in ("openvswitch", "linuxbridge")
    ]
    assert admin.get("/v2.0/qos/rule-types/fastest").status == 404


def test_what_placement_is_asked_is_for_administrators() -> None:
    """A port's resource_request is shown to administrators alone."""
    client = make_client(ADMIN)
    policy = make_policy(client, shared=True)
    make_rule(client, policy, "minimum_bandwidth", min_kbps=5)
    user = client.as_user(MEMBER)
    port = user.make("port", network_id=user.make("network")["id"], qos_policy_id=policy["id"])
    assert "resource_request" not in port
    shown = client.get(f"/v2.0/ports/{port['id']}").json["port"]
    assert shown["resource_request"]["request_groups"][0]["resources"] == {"NET_BW_EGR_KILOBIT_PER_SEC": 5}


def test_lists_of_policies() -> None:
    """Policies are filtered, sorted and paged like everything else, and have tags."""
    client = make_client(MANAGER)
    for name in ("b", "c", "a"):
        make_policy(client, name=name, is_default=name == "c")
    assert [p["name"] for p in client.get(f"{POLICIES}?sort_key=name&sort_dir=desc").json["policies"]] == [
        "c",
        "b",
        "a",
    ]
    assert [p["name"] for p in client.get(f"{POLICIES}?is_default=true").json["policies"]] == ["c"]
    page = client.get(f"{POLICIES}?sort_key=name&sort_dir=asc&limit=2").json
    assert ([p["name"] for p in page["policies"]], page["policies_links"][0]["rel"]) == (["a", "b"], "next")
    after = client.as_user(STRANGER).get(f"{POLICIES}?limit=1&marker={page['policies'][0]['id']}")
    assert (after.status, after.json["policies"]) == (200, [])
    id = page["policies"][0]["id"]
    assert client.put(f"{POLICIES}/{id}/tags", {"tags": ["x"]}).status == 200
    assert [p["id"] for p in client.get(f"{POLICIES}?tags=x").json["policies"]] == [id]


def test_tags_where_neutron_serves_them() -> None:
    """The tags of a policy are found without /qos too, and the policy itself is not."""
    client = make_client(MANAGER)
    id = make_policy(client)["id"]
    assert client.put(f"/v2.0/policies/{id}/tags/red", {}).status == 201
    assert client.get(f"/v2.0/policies/{id}/tags").json == {"tags": ["red"]}
    assert client.get(f"{POLICIES}/{id}/tags").json == {"tags": ["red"]}
    assert client.delete(f"/v2.0/policies/{id}/tags/red").status == 204
    for path in ("", f"/{id}", f"/{id}/rules", f"/{id}/tags/red/x"):
        assert client.get(f"/v2.0/policies{path}").status == 404

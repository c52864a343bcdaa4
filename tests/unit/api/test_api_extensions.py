"""What small extensions promise, each asked for over HTTP as its clients do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, Client, Reply, make_client
from tests.unit.api.full_cloud import FRIEND, FullCloud


@pytest.fixture
def cloud() -> FullCloud:
    return FullCloud()


def ask(client: Client, path: str) -> Any:
    reply = client.get(f"/v2.0/{path}")
    assert reply.status == 200, reply.body
    return reply.json


def change(client: Client, path: str, name: str, **body: Any) -> Reply:
    return client.put(f"/v2.0/{path}", {name: body})


# -- agents and zones --------------------------------------------------------------------------------------------------


def test_agents_are_sorted(cloud: FullCloud) -> None:
    """agent_sort_key: by any of their attributes, up or down."""
    for key in ("agent_type", "host", "binary", "id", "topic", "created_at", "started_at", "heartbeat_timestamp"):
        found = [one[key] for one in ask(cloud.admin, f"agents?sort_key={key}&sort_dir=asc")["agents"]]
        assert found == sorted(found)
        down = ask(cloud.admin, f"agents?sort_key={key}&sort_dir=desc&sort_key=id&sort_dir=desc")["agents"]
        assert [one[key] for one in down] == sorted(found, reverse=True)
    assert cloud.admin.get("/v2.0/agents?sort_key=configurations&sort_dir=asc").status == 400


def test_zones_are_filtered(cloud: FullCloud) -> None:
    """availability_zone_filter: by state, resource and name."""
    zones = ask(cloud.member, "availability_zones")["availability_zones"]
    assert {one["resource"] for one in zones} == {"network", "router"}
    for zone in zones:
        asked = f"availability_zones?resource={zone['resource']}&state={zone['state']}&name={zone['name']}"
        assert ask(cloud.member, asked)["availability_zones"] == [zone]
    assert ask(cloud.member, "availability_zones?state=unavailable")["availability_zones"] == []
    assert cloud.member.get("/v2.0/availability_zones?moon=1").status == 400


def test_agents_say_whether_they_have_told_placement(cloud: FullCloud) -> None:
    """agent-resources-synced: null where nothing was to tell; administrators see it, nobody gives it."""
    agents = ask(cloud.admin, "agents")["agents"]
    assert {one["resources_synced"] for one in agents} == {None}
    refused = change(cloud.admin, f"agents/{agents[0]['id']}", "agent", resources_synced=True)
    assert refused.status == 400


# -- networks and ports ------------------------------------------------------------------------------------------------


def test_a_network_says_whether_it_is_one_ethernet(cloud: FullCloud) -> None:
    """l2_adjacency: read-only, true until subnets are on segments."""
    network = ask(cloud.member, f"networks/{cloud.id('network')}")["network"]
    assert network["l2_adjacency"] is True
    assert change(cloud.member, f"networks/{network['id']}", "network", l2_adjacency=False).status == 400


def test_networks_of_ha_routers_are_made_by_administrators_alone(cloud: FullCloud) -> None:
    """network_ha: the flag is given at creation, and is not a member's to give."""
    assert cloud.member.post("/v2.0/networks", {"network": {"ha": True}}).status == 403
    made = cloud.admin.post("/v2.0/networks", {"network": {"ha": True}})
    assert made.status == 201
    assert change(cloud.admin, f"networks/{made.json['network']['id']}", "network", ha=False).status == 400


def test_a_null_mac_makes_another(cloud: FullCloud) -> None:
    """port-mac-address-regenerate."""
    port = cloud.made["port"]
    changed = change(cloud.admin, f"ports/{port['id']}", "port", mac_address=None)
    assert changed.status == 200
    mac = changed.json["port"]["mac_address"]
    assert mac != port["mac_address"]
    assert mac.startswith("fa:16:3e:")


def test_the_socket_policy_is_one_of_numa(cloud: FullCloud) -> None:
    """port-numa-affinity-policy-socket: socket beside required, preferred and legacy."""
    url = f"ports/{cloud.id('port')}"
    for policy in ("socket", "required", "preferred", "legacy", None):
        changed = change(cloud.admin, url, "port", numa_affinity_policy=policy)
        assert changed.json["port"]["numa_affinity_policy"] == policy
    assert change(cloud.admin, url, "port", numa_affinity_policy="moon").status == 400


def test_hints_steer_what_a_port_sends(cloud: FullCloud) -> None:
    """port-hint-ovs-tx-steering: thread or hash, and nothing else."""
    url = f"ports/{cloud.id('port')}"
    for way in ("thread", "hash"):
        hints = {"openvswitch": {"other_config": {"tx-steering": way}}}
        assert change(cloud.admin, url, "port", hints=hints).json["port"]["hints"] == hints
    assert change(cloud.admin, url, "port", hints={"openvswitch": {"other_config": {"tx-steering": "x"}}}).status == 400


def test_propagation_of_the_uplink_may_change(cloud: FullCloud) -> None:
    """uplink-status-propagation and -updatable: true unless the port says otherwise, at creation or later."""
    url = f"ports/{cloud.id('port')}"
    assert ask(cloud.member, url)["port"]["propagate_uplink_status"] is True
    for wanted in (False, True):
        changed = change(cloud.member, url, "port", propagate_uplink_status=wanted)
        assert changed.json["port"]["propagate_uplink_status"] is wanted


def test_ports_of_a_bulk_request_have_their_tags(cloud: FullCloud) -> None:
    """tag-ports-during-bulk-creation: each its own."""
    network = cloud.id("network")
    bodies = [{"network_id": network, "tags": tags} for tags in (["a", "b"], [], ["c"])]
    made = cloud.member.post("/v2.0/ports", {"ports": bodies})
    assert made.status == 201
    assert [sorted(one["tags"]) for one in made.json["ports"]] == [["a", "b"], [], ["c"]]
    assert [one["id"] for one in ask(cloud.member, "ports?tags=c")["ports"]] == [made.json["ports"][2]["id"]]


@pytest.mark.parametrize("kind, path", [("network", "networks"), ("security_group", "security-groups")])
def test_tags_are_added_several_at_once(cloud: FullCloud, kind: str, path: str) -> None:
    """tag-creation: POST adds to the tags that are there."""
    url = f"/v2.0/{path}/{cloud.id(kind)}/tags"
    assert cloud.member.put(url, {"tags": ["old"]}).status == 200
    assert cloud.member.post(url, {"tags": ["new", "old", "other"]}).status == 201
    assert sorted(cloud.member.get(url).json["tags"]) == ["new", "old", "other"]


def test_frames_are_copied_as_asked(cloud: FullCloud) -> None:
    """taas, taas-vlan-filter and tap-mirror: services, their flows and mirrors; what cannot be is refused."""
    flow = ask(cloud.member, f"taas/tap_flows/{cloud.id('tap_flow')}")["tap_flow"]
    assert (flow["tap_service_id"], flow["direction"], flow["vlan_filter"]) == (cloud.id("tap_service"), "BOTH", None)
    body = {"tap_service_id": cloud.id("tap_service"), "source_port": cloud.id("port"), "direction": "IN"}
    made = cloud.member.post("/v2.0/taas/tap_flows", {"tap_flow": {**body, "vlan_filter": "1-3,9"}})
    assert (made.status, made.json["tap_flow"]["vlan_filter"]) == (201, "1-3,9")
    assert cloud.member.post("/v2.0/taas/tap_flows", {"tap_flow": {**body, "vlan_filter": "x"}}).status == 400
    mirror = ask(cloud.member, "taas/tap_mirrors")["tap_mirrors"][0]
    again = {name: mirror[name] for name in ("port_id", "directions", "remote_ip", "mirror_type")}
    for remote_ip in (mirror["remote_ip"], "192.0.2.77"):
        refused = cloud.member.post("/v2.0/taas/tap_mirrors", {"tap_mirror": {**again, "remote_ip": remote_ip}})
        assert refused.error[:2] == (409, "TapMirrorTunnelConflict")
    assert cloud.member.delete(f"/v2.0/taas/tap_services/{cloud.id('tap_service')}").status == 204
    assert ask(cloud.member, "taas/tap_flows")["tap_flows"] == []


# -- what many resources have ------------------------------------------------------------------------------------------


def test_descriptions_times_and_revisions(cloud: FullCloud) -> None:
    """standard-attr-description, -timestamp, -revisions: given, kept, and a change counts."""
    for kind, path in (("network", "networks"), ("router", "routers"), ("trunk", "trunks"), ("policy", "qos/policies")):
        before = ask(cloud.admin, f"{path}/{cloud.id(kind)}")[kind]
        assert before["created_at"].endswith("Z")
        after = change(cloud.admin, f"{path}/{cloud.id(kind)}", kind, description="words").json[kind]
        assert after["description"] == "words"
        assert after["revision_number"] > before["revision_number"]
        assert after["created_at"] == before["created_at"]
        assert after["updated_at"] >= before["updated_at"]


def test_segments_have_what_other_resources_have(cloud: FullCloud) -> None:
    """standard-attr-segment: description, times and a revision."""
    segment = ask(cloud.admin, f"segments/{cloud.id('segment')}")["segment"]
    assert {"description", "created_at", "updated_at", "revision_number"} <= segment.keys()
    changed = change(cloud.admin, f"segments/{segment['id']}", "segment", description="words").json["segment"]
    assert (changed["description"], changed["revision_number"]) == ("words", segment["revision_number"] + 1)


def test_the_gateway_may_be_without_translation(cloud: FullCloud) -> None:
    """ext-gw-mode: enable_snat is an administrator's to switch, and true where nothing is said."""
    url = f"routers/{cloud.id('router')}"
    gateway = ask(cloud.admin, url)["router"]["external_gateway_info"]
    assert gateway["enable_snat"] is True
    off = {"network_id": gateway["network_id"], "enable_snat": False}
    assert change(cloud.member, url, "router", external_gateway_info=off).status == 403
    changed = change(cloud.admin, url, "router", external_gateway_info=off)
    assert changed.json["router"]["external_gateway_info"]["enable_snat"] is False


def grant(cloud: FullCloud, kind: str, type: str) -> str:
    """Open the cloud's object to the friend; the grant's id."""
    body = {"object_type": type, "object_id": cloud.id(kind), "action": "access_as_shared", "target_tenant": FRIEND}
    made = cloud.admin.post("/v2.0/rbac-policies", {"rbac_policy": body})
    assert made.status == 201, made.body
    return str(made.json["rbac_policy"]["id"])


@pytest.mark.parametrize(
    "kind, type",
    [
        ("network", "network"), ("policy", "qos_policy"), ("security_group", "security_group"),
        ("address_group", "address_group"), ("address_scope", "address_scope"), ("subnetpool", "subnetpool"),
    ],
)  # fmt: skip
def test_whatever_can_be_shared_is_shared_with_a_project(cloud: FullCloud, kind: str, type: str) -> None:
    """rbac-policies and rbac-*: a grant opens an object to a project, which sees it as shared until the grant goes."""
    friend = cloud.member.as_user({**MEMBER, "X-Project-Id": FRIEND})
    path = {"policy": "qos/policies"}.get(kind, f"{kind.replace('_', '-')}s")
    if kind == "subnetpool":  # a pool goes with its scope
        grant(cloud, "address_scope", "address_scope")
    url = f"/v2.0/{path}/{cloud.id(kind)}"
    if kind == "network":
        rbac_id = cloud.id("rbac_policy")
    else:
        assert friend.get(url).status == 404
        rbac_id = grant(cloud, kind, type)
    assert friend.get(url).json[kind].get("shared", kind == "address_group") is True  # address groups do not say
    assert cloud.admin.delete(f"/v2.0/rbac-policies/{rbac_id}").status == 204
    assert friend.get(url).status == 404


# -- quotas ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", [{}, {"check_limit": True}])
def test_a_limit_below_what_is_used_is_refused(flag: dict[str, bool]) -> None:
    """quota-check-limit and -default: with the flag or without; force sets it all the same."""
    member = make_client(MEMBER)
    admin = member.as_user(ADMIN)
    for _ in range(2):
        member.make("network")
    refused = admin.put("/v2.0/quotas/demo", {"quota": {"network": 1, **flag}})
    assert refused.error[:2] == (400, "HTTPBadRequest")
    assert ask(admin, "quotas/demo/details")["quota"]["network"] == {"limit": 100, "used": 2, "reserved": 0}
    forced = admin.put("/v2.0/quotas/demo", {"quota": {"network": 1, "force": True}})
    assert forced.json["quota"]["network"] == 1

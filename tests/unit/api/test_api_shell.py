"""The shell as clients meet it: statuses, bodies, errors, visibility, whatever the resource."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from netloom.api.parts import Unauthorized
from netloom.intent.agents.agent import report_host
from netloom.intent.operation import Requester
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Memory, make_client


def test_versions_and_resources_are_discovered() -> None:
    """Clients begin at / and find v2.0."""
    client = make_client()
    (version,) = client.get("/").json["versions"]
    assert (version["id"], version["links"][0]["href"]) == ("v2.0", "http://api:9696/v2.0/")
    found = {r["name"]: r["links"][0]["href"] for r in client.get("/v2.0/").json["resources"]}
    assert found["port"] == "http://api:9696/v2.0/ports"
    assert client.get("/v2.0").json == client.get("/v2.0/").json


def test_extensions_are_listed_and_shown() -> None:
    """What the catalog brings and nothing else."""
    client = make_client()
    aliases = {e["alias"] for e in client.get("/v2.0/extensions").json["extensions"]}
    assert {"provider", "binding", "standard-attr-revisions", "quotas", "agent", "pagination"} <= aliases
    assert client.get("/v2.0/extensions/provider.json").json["extension"]["alias"] == "provider"
    assert client.get("/v2.0/extensions/no-such").status == 404


def test_an_object_is_made_shown_changed_and_deleted() -> None:
    """201, 200, 200, 204, then 404 with the resource's own error type."""
    client = make_client()
    made = client.make("network", name="blue")
    path = f"/v2.0/networks/{made['id']}"
    assert made["tenant_id"] == made["project_id"] == "demo"
    assert "number" not in made
    for form in (path, path + ".json", path + "/"):
        assert client.get(form).json == {"network": made}
    changed = client.put(path, {"network": {"name": "red"}})
    assert (changed.status, changed.json["network"]["name"]) == (200, "red")
    assert changed.json["network"]["revision_number"] == made["revision_number"] + 1
    gone = client.delete(path)
    assert (gone.status, gone.body) == (204, b"")
    assert "content-length" not in gone.headers
    assert client.get(path).error == (404, "NetworkNotFound", f"Network {made['id']} could not be found.")


def test_several_are_made_at_once_or_none() -> None:
    """Bulk create is one operation."""
    client = make_client()
    reply = client.post("/v2.0/networks", {"networks": [{"name": "a"}, {"name": "b"}]})
    assert (reply.status, [n["name"] for n in reply.json["networks"]]) == (201, ["a", "b"])
    bad = client.post("/v2.0/networks", {"networks": [{"name": "c"}, {"name": 3}]})
    assert bad.status == 400
    assert len(client.get("/v2.0/networks").json["networks"]) == 2


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "Unable to find 'network' in request body"),
        (b"{", "Body contains invalid data"),
        (b"[]", "Body contains invalid data"),
        (b"\xff", "Body contains invalid data"),
        (b'{"network": {"name": "\\ud800"}}', "Body contains invalid data"),
        (b"[" * 100_000, "Body contains invalid data"),
        (b"{}", "Unable to find 'network' in request body"),
        (b'{"port": {}}', "Unable to find 'network' in request body"),
        (b'{"network": 3}', "Object 'network' contains invalid data"),
        (b'{"networks": []}', "Resources required"),
        (b'{"networks": {"a": 1}}', "Body contains invalid data"),
        (b'{"networks": [3]}', "Object 'network' contains invalid data"),
        (b'{"network": {"foo": 1}}', "Unrecognized attribute(s) 'foo'"),
    ],
)
def test_a_body_that_is_no_request_is_refused_in_neutrons_words(body: bytes, message: str) -> None:
    """400, and what is missing."""
    assert make_client().send("POST", "/v2.0/networks", body).error == (400, "HTTPBadRequest", message)


def test_paths_and_methods_that_do_not_exist() -> None:
    """404 for a path, 405 for a method."""
    client = make_client()
    assert client.get("/v2.0/nothing").error[:2] == (404, "HTTPNotFound")
    assert client.get("/nothing").error[:2] == (404, "HTTPNotFound")
    assert client.get("/v2.0/networks/a/b").error[:2] == (404, "HTTPNotFound")
    assert client.send("PATCH", "/v2.0/networks").error[:2] == (405, "HTTPMethodNotAllowed")
    assert client.send("POST", "/v2.0/networks/x").error[:2] == (405, "HTTPMethodNotAllowed")
    assert client.send("DELETE", "/v2.0/").error[:2] == (405, "HTTPMethodNotAllowed")


def test_a_body_that_is_too_long_is_refused() -> None:
    """413 instead of memory."""
    client = make_client(settings={"max_request_body_size": 100})
    assert client.send("POST", "/v2.0/networks", b"x" * 101).error[:2] == (413, "HTTPRequestEntityTooLarge")


def test_every_answer_has_a_request_id_of_its_own() -> None:
    """The id that the logs have."""
    client = make_client()
    ids = {client.get("/v2.0/networks").headers["x-openstack-request-id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(id.startswith("req-") and len(id) == 40 for id in ids)


def test_others_do_not_learn_that_it_is_there() -> None:
    """A network of another project is not found, not forbidden."""
    client = make_client()
    network = client.make("network", name="secret")
    path, other = f"/v2.0/networks/{network['id']}", client.as_user(OTHER)
    assert other.get("/v2.0/networks").json == {"networks": []}
    for reply in (other.get(path), other.put(path, {"network": {"name": "x"}}), other.delete(path)):
        assert reply.error[:2] == (404, "NetworkNotFound")
    assert client.as_user(ADMIN).get(path).status == 200


def test_a_shared_network_is_seen_by_all_and_changed_by_its_owner() -> None:
    """Others see it and may not touch it: 403."""
    admin = make_client(ADMIN)
    network = admin.make("network", shared=True)
    path, other = f"/v2.0/networks/{network['id']}", admin.as_user(OTHER)
    assert [n["id"] for n in other.get("/v2.0/networks").json["networks"]] == [network["id"]]
    assert other.put(path, {"network": {"name": "x"}}).error == (
        403, "PolicyNotAuthorized", "rule:update_network is disallowed by policy",
    )  # fmt: skip
    assert other.delete(path).status == 403


def test_a_reader_reads() -> None:
    """The reader role changes nothing."""
    client = make_client()
    network = client.make("network")
    reader = client.as_user(READER)
    assert reader.get(f"/v2.0/networks/{network['id']}").status == 200
    assert reader.post("/v2.0/networks", {"network": {}}).error[0] == 403
    assert reader.delete(f"/v2.0/networks/{network['id']}").error[0] == 403


def test_attributes_of_administrators_are_neither_seen_nor_set_by_others() -> None:
    """provider:* is the administrator's."""
    admin = make_client(ADMIN)
    member = admin.as_user(MEMBER)
    network = member.make("network")
    assert "provider:network_type" not in network
    assert admin.get(f"/v2.0/networks/{network['id']}").json["network"]["provider:network_type"] == "vxlan"
    listed = member.get("/v2.0/networks?fields=id&fields=provider:network_type").json["networks"]
    assert listed == [{"id": network["id"]}]
    refused = member.post("/v2.0/networks", {"network": {"provider:network_type": "vxlan"}})
    assert refused.error == (
        403, "PolicyNotAuthorized",
        "(rule:create_network and rule:create_network:provider:network_type) is disallowed by policy",
    )  # fmt: skip
    assert member.post("/v2.0/networks", {"network": {"shared": False}}).status == 201
    assert member.post("/v2.0/networks", {"network": {"shared": True}}).status == 403


def test_only_an_administrator_makes_things_for_another_project() -> None:
    """Neutron's 400 for everybody else."""
    client = make_client()
    refused = client.post("/v2.0/networks", {"network": {"tenant_id": "other"}})
    assert refused.error == (
        400, "HTTPBadRequest",
        "Specifying 'project_id' or 'tenant_id' other than the authenticated project in request requires admin "
        "privileges",
    )  # fmt: skip
    made = client.as_user(ADMIN).make("network", tenant_id="other")
    assert made["project_id"] == "other"
    twice = client.post("/v2.0/networks", {"network": {"tenant_id": "demo", "project_id": "x"}})
    assert twice.error[2] == "'project_id' and 'tenant_id' do not match"


def test_if_match_changes_just_the_revision_that_was_seen() -> None:
    """412 when somebody was faster."""
    client = make_client()
    path = f"/v2.0/networks/{client.make('network')['id']}"
    assert client.put(path, {"network": {"name": "a"}}, if_match="revision_number=1").status == 200
    late = client.put(path, {"network": {"name": "b"}}, if_match="revision_number=1")
    assert late.error == (412, "RevisionNumberConstraintFailed", "Constrained to 1, but current revision is 2")
    assert client.delete(path, if_match="revision_number=1").status == 412
    assert client.delete(path, if_match="rev=1").error[:2] == (400, "BadRequest")
    assert client.delete(path, if_match="revision_number=2").status == 204


def test_tags_are_put_asked_for_and_taken_away() -> None:
    """Every status as Neutron's."""
    client = make_client()
    path = f"/v2.0/networks/{client.make('network')['id']}/tags"
    assert client.put(path, {"tags": ["b", "a"]}).json == {"tags": ["a", "b"]}
    assert client.send("PUT", path + "/x%2Fy").status == 201
    assert client.get(path).json == {"tags": ["a", "b", "x/y"]}
    assert client.get(path + "/x%2Fy").status == 204
    assert client.get(path + "/no").error == (404, "TagNotFound", "Tag no could not be found.")
    assert client.delete(path + "/no").error[:2] == (404, "TagNotFound")
    assert client.delete(path + "/a").status == 204
    assert client.post(path, {"tags": ["b", "c"]}).json == {"tags": ["b", "c", "x/y"]}
    assert [n["tags"] for n in client.get("/v2.0/networks?tags=b,c").json["networks"]] == [["b", "c", "x/y"]]
    assert client.get("/v2.0/networks?not-tags=b").json == {"networks": []}
    assert client.delete(path).status == 204
    assert client.get(path).json == {"tags": []}
    for bad in ({}, {"tags": 3}, {"tags": [3]}, {"tags": ["a", "a"]}, {"tags": ["x" * 256]}):
        assert client.put(path, bad).error[:2] == (400, "InvalidInput")
    assert client.as_user(OTHER).get(path).status == 404
    assert client.as_user(READER).send("PUT", path + "/x").status == 403


def test_a_port_is_seen_by_the_owner_of_its_network() -> None:
    """Whoever made it."""
    admin = make_client(ADMIN)
    member, other = admin.as_user(MEMBER), admin.as_user(OTHER)
    network = member.make("network")
    port = admin.make("port", network_id=network["id"], project_id="third")
    assert member.get(f"/v2.0/ports/{port['id']}").status == 200
    assert [p["id"] for p in member.get("/v2.0/ports").json["ports"]] == [port["id"]]
    assert other.get(f"/v2.0/ports/{port['id']}").error[:2] == (404, "PortNotFound")
    assert "binding:host_id" not in member.get(f"/v2.0/ports/{port['id']}").json["port"]


def test_ports_are_found_by_their_addresses() -> None:
    """fixed_ips=ip_address=… and fixed_ips=subnet_id=…, as the openstack command asks."""
    client = make_client()
    network = client.make("network")
    subnet = client.make("subnet", network_id=network["id"], ip_version=4, cidr="10.0.0.0/24")
    first = client.make("port", network_id=network["id"], fixed_ips=[{"ip_address": "10.0.0.5"}])
    client.make("port", network_id=network["id"])

    def ids(query: str) -> list[str]:
        return [p["id"] for p in client.get(f"/v2.0/ports?{query}").json["ports"]]

    assert ids("fixed_ips=ip_address%3D10.0.0.5") == [first["id"]]
    assert len(ids(f"fixed_ips=subnet_id%3D{subnet['id']}")) == 2
    assert len(ids(f"network_id={network['id']}&admin_state_up=True")) == 2
    assert ids(f"id={first['id']}&id=nothing") == [first["id"]]
    assert ids("name=&device_id=no") == []


def test_pages_have_links() -> None:
    """limit and marker lead through the list; a marker that is not there is a 404."""
    client = make_client()
    for name in "abc":
        client.make("network", name=name)
    page = client.get("/v2.0/networks?limit=2&sort_key=name&sort_dir=desc").json
    assert [n["name"] for n in page["networks"]] == ["c", "b"]
    following = page["networks_links"][0]
    assert following["rel"] == "next"
    last = client.get(following["href"].removeprefix("http://api:9696")).json
    assert [n["name"] for n in last["networks"]] == ["a"]
    assert [link["rel"] for link in last["networks_links"]] == ["previous"]
    assert client.get("/v2.0/networks?limit=2&marker=gone").error[:2] == (404, "NetworkNotFound")


def test_a_long_list_is_sent_in_pieces() -> None:
    """Memory stays flat however long the list is."""
    admin = make_client(ADMIN)
    for _ in range(2):
        admin.post("/v2.0/networks", {"networks": [{"name": f"n{i}", "tenant_id": f"p{i % 20}"} for i in range(600)]})
    reply = admin.get("/v2.0/networks")
    assert len(reply.json["networks"]) == 1200
    assert reply.chunks > 3
    assert "content-length" not in reply.headers


def test_quotas_are_shown_set_enforced_and_reset() -> None:
    """For any project, by administrators."""
    admin = make_client(ADMIN)
    member = admin.as_user(MEMBER)
    manager = admin.as_user({**MEMBER, "X-Roles": "manager,member,reader"})
    assert manager.get("/v2.0/quotas/demo").json["quota"]["port"] == 500
    assert member.get("/v2.0/quotas/demo").json["quota"]["network"] == 100
    assert member.get("/v2.0/quotas/other").status == 403
    assert manager.put("/v2.0/quotas/demo", {"quota": {"port": 1}}).status == 403
    assert manager.get("/v2.0/quotas/other").status == 403
    assert admin.put("/v2.0/quotas/demo", {"quota": {"network": 1}}).json["quota"]["network"] == 1
    member.make("network")
    assert member.post("/v2.0/networks", {"network": {}}).error == (
        409, "OverQuota", "Quota exceeded for resources: ['network'].",
    )  # fmt: skip
    details = manager.get("/v2.0/quotas/demo/details.json").json["quota"]["network"]
    assert details == {"limit": 1, "used": 1, "reserved": 0}
    assert [q["project_id"] for q in admin.get("/v2.0/quotas").json["quotas"]] == ["demo"]
    assert manager.get("/v2.0/quotas/demo/default").json["quota"]["network"] == 100
    assert admin.put("/v2.0/quotas/demo", {"quota": {"nothing": 1}}).error[0] == 400
    assert admin.put("/v2.0/quotas/demo", {"quota": {"port": "x"}}).error[0] == 400
    assert admin.delete("/v2.0/quotas/demo").status == 204
    assert admin.delete("/v2.0/quotas/demo").status == 404
    assert member.get("/v2.0/quotas/tenant").json == {"tenant": {"tenant_id": "demo"}}


def test_zones_are_what_agents_say() -> None:
    """openstack availability zone list --network; and agents are the administrator's."""
    memory = Memory()
    admin = make_client(ADMIN, memory=memory)
    member = admin.as_user(MEMBER)
    asyncio.run(memory(lambda s, c: report_host(s, c, "h1", {"tunnel_ip": "192.0.2.1"}, "east"), Requester()))
    asyncio.run(memory(lambda s, c: report_host(s, c, "h2", {"tunnel_ip": "192.0.2.2"}, "west"), Requester()))
    zones = member.get("/v2.0/availability_zones").json["availability_zones"]
    assert [(z["name"], z["resource"], z["state"]) for z in zones] == [
        ("east", "network", "available"), ("east", "router", "available"),
        ("west", "network", "available"), ("west", "router", "available"),
    ]  # fmt: skip
    east = member.get("/v2.0/availability_zones?name=east&resource=network&fields=name").json
    assert east == {"availability_zones": [{"name": "east"}]}
    assert member.get("/v2.0/agents").json == {"agents": []}
    agents = admin.get("/v2.0/agents?host=h1").json["agents"]
    assert {a["agent_type"] for a in agents} == {"Open vSwitch agent", "DHCP agent", "L3 agent", "Metadata agent"}
    path = f"/v2.0/agents/{agents[0]['id']}"
    assert admin.put(path, {"agent": {"admin_state_up": False}}).json["agent"]["admin_state_up"] is False
    assert member.get(path).status == 404
    assert admin.delete(path).status == 204


def test_what_the_server_knows_of_the_moment_is_shown_and_filtered_by() -> None:
    """An agent's heartbeat is not stored, and shown all the same."""
    memory = Memory()

    def live(kind: str, doc: Any) -> Any:
        return {**doc, "alive": doc["host"] == "h2", "heartbeat_timestamp": "2026-11-21 02:00:00"}

    admin = make_client(ADMIN, memory=memory, live=live)
    for host in ("h1", "h2"):
        asyncio.run(memory(lambda s, c, host=host: report_host(s, c, host, {}, None), Requester()))  # type: ignore[misc]
    assert {a["host"] for a in admin.get("/v2.0/agents?alive=true").json["agents"]} == {"h2"}
    dead = admin.get("/v2.0/agents?host=h1").json["agents"][0]
    assert admin.get(f"/v2.0/agents/{dead['id']}").json["agent"] == dead
    assert dead["heartbeat_timestamp"] == "2026-11-21 02:00:00"


def test_health_and_figures_need_no_token() -> None:
    """For load balancers and Prometheus."""
    client = make_client()
    client.make("network")
    health = client.get("/healthcheck")
    assert (health.status, health.json["revision"]) == (200, 1)
    figures = client.get("/metrics").body.decode()
    assert 'netloom_api_requests_total{method="POST",route="networks",status="201"} 1.0' in figures
    assert "netloom_commit_revision 1.0" in figures
    assert make_client(ready=lambda: {"ready": False}).get("/healthcheck").status == 503


def test_without_a_token_there_is_a_401_that_says_where_to_get_one() -> None:
    """As keystonemiddleware answers."""

    class Nobody:
        async def authenticate(self, headers: Any, method: str = "", path: str = "") -> Requester:
            raise Unauthorized('Keystone uri="http://k"')

    client = make_client(identity=Nobody())
    reply = client.get("/v2.0/networks")
    assert (reply.status, reply.headers["www-authenticate"]) == (401, 'Keystone uri="http://k"')
    assert reply.json["error"]["title"] == "Unauthorized"
    assert client.get("/").status == 200


def test_a_fault_of_ours_is_logged_and_hides_itself(caplog: pytest.LogCaptureFixture) -> None:
    """500 with no detail; the log has the request id."""

    class Broken(Memory):
        async def __call__(self, *given: Any, **named: Any) -> Any:
            raise RuntimeError("secret detail")

    theirs = "req-00000000-0000-4000-8000-000000000000"
    reply = make_client({**MEMBER, "X-Openstack-Request-Id": theirs}, memory=Broken()).post(
        "/v2.0/networks", {"network": {}}
    )
    assert reply.error[:2] == (500, "HTTPInternalServerError")
    assert b"secret" not in reply.body
    assert f"{reply.headers['x-openstack-request-id']} for {theirs}" in caplog.text

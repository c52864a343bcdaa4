"""Extra attributes of ports, bindings and logs over HTTP: who may say them, who sees them, and their paths."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.agents.agent import report_host
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, Memory, make_client
from tests.unit.intent.intent_kit import HOST, World

MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u4", "X-Roles": "manager,member,reader"}
SERVICE = {"X-Project-Id": "service", "X-User-Id": "u6", "X-Roles": "service"}
INTEGRATOR = {"X-Project-Id": "demo", "X-User-Id": "u7", "X-Roles": "data_plane_integrator,member,reader"}
STEER = {"openvswitch": {"other_config": {"tx-steering": "thread"}}}


def make_cloud(headers: Any = MEMBER) -> Client:
    """An API with two hosts."""
    memory, world = Memory(), World()
    for host in ("h1", "h2"):
        outcome = report_host(memory.snapshot, world.context(), host, HOST, "nova")
        memory.snapshot = memory.snapshot.apply(outcome.changes, memory.snapshot.revision + 1)
    return make_client(headers, memory=memory)


def make_port(client: Client, **body: Any) -> dict[str, Any]:
    return client.make("port", network_id=client.make("network")["id"], **body)


@pytest.mark.parametrize(("name", "value"), [("hints", STEER), ("trusted", True)])
def test_for_administrators(name: str, value: Any) -> None:
    """Hints and trust are administrators' to give, change and see."""
    client = make_cloud()
    port = make_port(client)
    network, path = port["network_id"], f"/v2.0/ports/{port['id']}"
    assert client.post("/v2.0/ports", {"port": {"network_id": network, name: value}}).status == 403
    assert client.put(path, {"port": {name: value}}).status == 403
    assert name not in client.get(path).json["port"]
    admin = client.as_user(ADMIN)
    assert admin.put(path, {"port": {name: value}}).json["port"][name] == value
    assert name not in client.get(path).json["port"]


@pytest.mark.parametrize(
    ("user", "status"), [(ADMIN, 200), (INTEGRATOR, 200), (MEMBER, 403), (READER, 403), (OTHER, 404)]
)
def test_who_knows_of_the_wire(user: Any, status: int) -> None:
    """data_plane_status is set by administrators and by those who watch the data plane; its owner sees it."""
    client = make_cloud()
    path = f"/v2.0/ports/{make_port(client)['id']}"
    assert client.as_user(user).put(path, {"port": {"data_plane_status": "DOWN"}}).status == status
    assert client.get(path).json["port"]["data_plane_status"] == ("DOWN" if status == 200 else None)


def test_private_vlans_are_filtered_by() -> None:
    """Ports of a type and networks that are private VLANs can be listed; members may make them."""
    client = make_cloud()
    network = client.make("network", pvlan=True)
    client.make("network")
    port = client.make("port", network_id=network["id"], pvlan_type="community", pvlan_community="blue")
    client.make("port", network_id=network["id"])
    assert [n["id"] for n in client.get("/v2.0/networks?pvlan=true").json["networks"]] == [network["id"]]
    for query in ("pvlan_type=community", "pvlan_community=blue"):
        assert [p["id"] for p in client.get(f"/v2.0/ports?{query}").json["ports"]] == [port["id"]]
    assert client.put(f"/v2.0/ports/{port['id']}", {"port": {"pvlan_type": "no"}}).status == 400
    assert client.as_user(READER).put(f"/v2.0/ports/{port['id']}", {"port": {"pvlan_type": None}}).status == 403


# -- bindings ----------------------------------------------------------------------------------------------------------


def test_a_live_migration() -> None:
    """What Nova asks, in its order: bind the new host, list, activate with an empty body, delete the old binding."""
    nova = make_cloud(SERVICE)
    admin = nova.as_user(ADMIN)
    port = make_port(admin, device_owner="compute:nova", device_id="vm", **{"binding:host_id": "h1"})
    path = f"/v2.0/ports/{port['id']}/bindings"
    made = nova.post(path, {"binding": {"host": "h2", "vnic_type": "normal", "profile": {}}})
    assert made.status == 201
    assert made.json["binding"].keys() == {"host", "vif_type", "vif_details", "vnic_type", "profile", "status"}
    assert (made.json["binding"]["status"], made.json["binding"]["vif_type"]) == ("INACTIVE", "ovs")
    listed = {b["host"]: b["status"] for b in nova.get(path).json["bindings"]}
    assert listed == {"h1": "ACTIVE", "h2": "INACTIVE"}
    assert [b["host"] for b in nova.get(f"{path}?status=INACTIVE").json["bindings"]] == ["h2"]
    activated = nova.send("PUT", f"{path}/h2/activate")
    assert (activated.status, activated.json["status"]) == (200, "ACTIVE")
    assert nova.send("PUT", f"{path}/h2/activate").error[:2] == (409, "PortBindingAlreadyActive")
    assert admin.get(f"/v2.0/ports/{port['id']}").json["port"]["binding:host_id"] == "h2"
    assert nova.get(f"{path}/h1").json["binding"]["vif_type"] == "unbound"
    assert nova.delete(f"{path}/h1").status == 204
    assert nova.get(f"{path}/h1").error[:2] == (404, "PortBindingNotFound")
    assert nova.delete(f"{path}/h1").error[:2] == (404, "PortBindingNotFound")


def test_who_may_see_and_make_bindings() -> None:
    """Services and administrators make, see, activate and delete bindings; a port's owner does neither."""
    nova = make_cloud(SERVICE)
    admin, owner = nova.as_user(ADMIN), nova.as_user(MEMBER)
    port = make_port(owner, device_owner="compute:nova")
    path = f"/v2.0/ports/{port['id']}/bindings"
    body = {"binding": {"host": "h2"}}
    assert owner.post(path, body).error[:2] == (403, "PolicyNotAuthorized")
    assert nova.post(path, body).status == 201
    assert [len(user.get(path).json["bindings"]) for user in (admin, nova, owner)] == [2, 2, 0]
    for method, where in (("GET", ""), ("PUT", "/activate"), ("DELETE", "")):
        assert owner.send(method, f"{path}/h2{where}").error[:2] == (404, "PortBindingNotFound")
    assert nova.put(f"{path}/h2", {"binding": {"profile": {"a": 1}}}).json["binding"]["profile"] == {"a": 1}
    assert admin.send("PUT", f"{path}/h2/activate").json["status"] == "ACTIVE"
    assert admin.delete(f"{path}/h2").status == 204


def test_ports_without_bindings() -> None:
    """Ports that are no instance's, and ports that are not there, have no bindings to ask for."""
    nova = make_cloud(SERVICE)
    port = make_port(nova.as_user(MEMBER))
    path = f"/v2.0/ports/{port['id']}/bindings"
    for refused in (nova.get(path), nova.get(f"{path}/h1"), nova.post(path, {"binding": {"host": "h1"}})):
        assert refused.error[:2] == (400, "BadRequest")
    missing = "99999999-9999-4999-8999-999999999999"
    assert nova.get(f"/v2.0/ports/{missing}/bindings").error[:2] == (404, "PortNotFound")


# -- logs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "created", "read", "changed"),
    [(ADMIN, 201, 200, 200), (MANAGER, 201, 200, 200), (MEMBER, 403, 404, 404), (OTHER, 403, 404, 404)],
)
def test_who_may_log(user: Any, created: int, read: int, changed: int) -> None:
    """Logs are made, seen and changed by administrators and the project's managers."""
    client = make_client(MANAGER)
    log = client.post("/v2.0/log/logs", {"log": {"resource_type": "security_group", "name": "all"}}).json["log"]
    someone, path = client.as_user(user), f"/v2.0/log/logs/{log['id']}"
    assert someone.post("/v2.0/log/logs", {"log": {"resource_type": "security_group"}}).status == created
    assert someone.get(path).status == read
    assert someone.put(path, {"log": {"enabled": False}}).status == changed
    assert (log["id"] in someone.get("/v2.0/log/logs?name=all").body.decode()) is (read == 200)
    assert someone.delete(path).status == (204 if changed == 200 else changed)


def test_what_can_be_logged() -> None:
    """Administrators may ask what hosts can log."""
    client = make_client(ADMIN)
    assert client.get("/v2.0/log/loggable-resources").json == {"loggable_resources": [{"type": "security_group"}]}
    assert client.get("/v2.0/log/logs").json == {"logs": []}
    refused = client.post("/v2.0/log/logs", {"log": {"resource_type": "snat"}})
    assert refused.error[:2] == (400, "InvalidLogResourceType")

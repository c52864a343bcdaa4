"""Segments, segment ranges and trunks over HTTP: who may do what, what each sees, and the verbs beside the four."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from netloom.intent.operation import Settings
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, Memory, Reply, make_client

OPTIONS = Settings(network_vlan_ranges={"physnet1": ((100, 199),)}, vni_ranges={"vxlan": ((1, 20),)})
VLAN = {"provider:network_type": "vlan", "provider:physical_network": "physnet1"}
MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u8", "X-Roles": "manager,member,reader"}
SERVICE = {"X-Project-Id": "x", "X-User-Id": "u9", "X-Roles": "service"}


def make_api() -> Client:
    return make_client(ADMIN, memory=Memory(options=OPTIONS), options=OPTIONS)


def make_trunk(api: Client, **body: Any) -> tuple[Client, dict[str, Any]]:
    """(the member's client, a trunk of the member's)"""
    member = api.as_user(MEMBER)
    port = member.make("port", network_id=member.make("network")["id"])
    return member, member.make("trunk", port_id=port["id"], **body)


def as_subport(port: dict[str, Any], tag: int) -> dict[str, Any]:
    return {"port_id": port["id"], "segmentation_type": "vlan", "segmentation_id": tag}


# -- trunks ------------------------------------------------------------------------------------------------------------


def test_trunks_of_members() -> None:
    """A member makes trunks and changes their subports by the actions, whose answer is the trunk itself."""
    member, trunk = make_trunk(make_api(), name="t", description="d", tags=["x"])
    assert (trunk["project_id"], trunk["tenant_id"], trunk["status"], trunk["tags"]) == ("demo", "demo", "DOWN", ["x"])
    network = member.make("network")
    one, two = (as_subport(member.make("port", network_id=network["id"]), tag) for tag in (5, 6))
    reply = member.put(f"/v2.0/trunks/{trunk['id']}/add_subports", {"sub_ports": [one, two]})
    assert (reply.status, reply.json["id"], reply.json["sub_ports"]) == (200, trunk["id"], [one, two])
    assert member.get(f"/v2.0/trunks/{trunk['id']}/get_subports").json == {"sub_ports": [one, two]}
    shown = member.get(f"/v2.0/ports/{trunk['port_id']}").json["port"]["trunk_details"]
    assert (shown["trunk_id"], [s["segmentation_id"] for s in shown["sub_ports"]]) == (trunk["id"], [5, 6])
    assert "trunk_details" not in member.get(f"/v2.0/ports/{one['port_id']}").json["port"]
    assert "trunk_id" not in member.get(f"/v2.0/ports/{one['port_id']}").json["port"]
    reply = member.put(f"/v2.0/trunks/{trunk['id']}/remove_subports", {"sub_ports": [{"port_id": one["port_id"]}]})
    assert reply.json["sub_ports"] == [two]
    listed = member.get(f"/v2.0/trunks?port_id={trunk['port_id']}&status=DOWN&tags=x").json["trunks"]
    assert [found["id"] for found in listed] == [trunk["id"]]
    assert member.delete(f"/v2.0/ports/{two['port_id']}").error[:2] == (409, "PortInUseAsSubPort")
    assert member.delete(f"/v2.0/trunks/{trunk['id']}").status == 204


def test_trunks_of_others() -> None:
    """A reader looks and changes nothing; another project sees no trunk at all; an administrator may do all."""
    api = make_api()
    _, trunk = make_trunk(api)
    url = f"/v2.0/trunks/{trunk['id']}"
    calls: dict[str, Callable[[Client], Reply]] = {
        "update": lambda user: user.put(url, {"trunk": {"name": "x"}}),
        "add_subports": lambda user: user.put(f"{url}/add_subports", {"sub_ports": []}),
        "remove_subports": lambda user: user.put(f"{url}/remove_subports", {"sub_ports": []}),
        "delete": lambda user: user.delete(url),
    }
    reader, other, manager, service = (api.as_user(user) for user in (READER, OTHER, MANAGER, SERVICE))
    assert reader.get(url).status == reader.get(f"{url}/get_subports").status == 200
    assert other.get(url).status == other.get(f"{url}/get_subports").status == 404
    assert other.get("/v2.0/trunks").json["trunks"] == []
    assert reader.post("/v2.0/trunks", {"trunk": {"port_id": trunk["port_id"]}}).status == 403
    for name, call in calls.items():
        assert (name, call(reader).status, call(other).status, call(service).status) == (name, 403, 404, 404)
        assert name == "delete" or call(manager).status == 200
        assert call(api).status == (204 if name == "delete" else 200)
    assert other.post("/v2.0/trunks", {"trunk": {"port_id": trunk["port_id"]}}).error[:2] == (404, "PortNotFound")


def test_bad_subports() -> None:
    """A body without subports, or with some that cannot be, is refused with the reason."""
    member, trunk = make_trunk(make_api())
    url = f"/v2.0/trunks/{trunk['id']}/add_subports"
    bodies: list[dict[str, Any]] = [{}, {"sub_ports": None}, {"sub_ports": [{}]}]
    for body in bodies:
        assert member.put(url, body).error[:2] == (400, "InvalidInput")
    assert member.get(url).status == 405
    assert member.put(url.replace(trunk["id"], "x"), {"sub_ports": []}).error[:2] == (404, "TrunkNotFound")


def test_quota_of_trunks() -> None:
    """Trunks have no limit until an administrator sets one."""
    api = make_api()
    assert api.get("/v2.0/quotas/demo").json["quota"]["trunk"] == -1
    assert api.put("/v2.0/quotas/demo", {"quota": {"trunk": 1}}).status == 200
    member, _ = make_trunk(api)
    port = member.make("port", network_id=member.make("network")["id"])
    reply = member.post("/v2.0/trunks", {"trunk": {"port_id": port["id"]}})
    assert reply.error[:2] == (409, "OverQuota")


# -- segments ----------------------------------------------------------------------------------------------------------


def test_segments_are_the_administrators() -> None:
    """An administrator makes, names and deletes segments; nobody else knows of them."""
    api = make_api()
    network = api.make("network", **VLAN)
    body = {"network_id": network["id"], "network_type": "vlan", "physical_network": "physnet1"}
    segment = api.make("segment", **body, name="rack", description="d")
    assert segment["segmentation_id"] == 101
    assert not segment.keys() & {"project_id", "tenant_id", "position", "tags"}
    assert {"revision_number", "created_at", "updated_at"} <= segment.keys()
    url = f"/v2.0/segments/{segment['id']}"
    assert api.put(url, {"segment": {"name": None, "description": "e"}}).json["segment"]["description"] == "e"
    listed = api.get(f"/v2.0/segments?network_id={network['id']}&sort_key=segmentation_id&sort_dir=desc").json
    assert [one["segmentation_id"] for one in listed["segments"]] == [101, 100]
    assert api.get("/v2.0/segments?physical_network=physnet1&network_type=vlan&name=rack").json["segments"] == []
    for user in (MANAGER, MEMBER, READER, OTHER, SERVICE):
        client = api.as_user(user)
        assert client.get("/v2.0/segments").json["segments"] == []
        assert client.get(url).status == client.delete(url).status == 404
        assert client.put(url, {"segment": {"name": "x"}}).status == 404
        assert client.post("/v2.0/segments", {"segment": body}).status == 403
    assert api.delete(url).status == 204


def test_networks_by_each_of_their_segments() -> None:
    """A network of two segments is found by either; a number that is none is refused."""
    api = make_api()
    network = api.make("network", segments=[VLAN, {"provider:network_type": "vxlan"}])
    api.make("network")

    def find(query: str) -> list[str]:
        return [one["id"] for one in api.get(f"/v2.0/networks?{query}").json["networks"]]

    assert find("provider:network_type=vlan") == find("provider:physical_network=physnet1") == [network["id"]]
    assert find("provider:segmentation_id=100") == [network["id"]]
    assert len(find("provider:network_type=vxlan")) == 2
    assert find("provider:segmentation_id=100&provider:physical_network=moon") == []
    assert api.get("/v2.0/networks?provider:segmentation_id=x").status == 400


def test_members_ask_for_their_own_networks_by_what_they_are_not_shown() -> None:
    """As in Neutron; not for networks of others that they see."""
    api = make_api()
    member = api.as_user(MEMBER)
    own = api.make("network", **VLAN, project_id="demo")["id"]
    api.make("network", **{"provider:network_type": "vxlan", "shared": True})

    def find(query: str) -> list[str]:
        return [one["id"] for one in member.get(f"/v2.0/networks?{query}").json["networks"]]

    assert len(find("")) == 2 and "provider:network_type" not in member.get(f"/v2.0/networks/{own}").json["network"]
    assert find("provider:network_type=vlan") == find("provider:segmentation_id=100&limit=1") == [own]
    assert find("provider:network_type=vxlan") == find("provider:segmentation_id=1") == []


def test_the_segment_of_a_subnet_is_the_administrators() -> None:
    """Only an administrator puts a subnet on a segment, or sees that it is on one."""
    api = make_api()
    network = api.make("network", project_id="demo", **VLAN)
    segment = api.get(f"/v2.0/segments?network_id={network['id']}").json["segments"][0]
    member = api.as_user(MEMBER)
    body = {"network_id": network["id"], "ip_version": 4, "cidr": "10.0.0.0/24"}
    assert member.post("/v2.0/subnets", {"subnet": {**body, "segment_id": segment["id"]}}).status == 403
    subnet = member.make("subnet", **body)
    url = f"/v2.0/subnets/{subnet['id']}"
    assert member.put(url, {"subnet": {"segment_id": segment["id"]}}).status == 403
    assert api.put(url, {"subnet": {"segment_id": segment["id"]}}).json["subnet"]["segment_id"] == segment["id"]
    assert "segment_id" not in member.get(url).json["subnet"]
    assert member.get(f"/v2.0/networks/{network['id']}").json["network"]["l2_adjacency"] is False
    assert [s["id"] for s in api.get(f"/v2.0/subnets?segment_id={segment['id']}").json["subnets"]] == [subnet["id"]]
    assert api.delete(f"/v2.0/segments/{segment['id']}").error[:2] == (409, "SegmentInUse")


# -- network segment ranges --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["network-segment-ranges", "network_segment_ranges"])
def test_ranges_are_the_administrators(path: str) -> None:
    """An administrator sets numbers aside and sees what of them is used, by either spelling of the collection."""
    api = make_api()
    body = {
        "name": "r", "network_type": "vxlan", "minimum": 10, "maximum": 12, "shared": False, "project_id": "demo",
        "physical_network": "",
    }  # fmt: skip
    shared = {"network_type": "vxlan", "minimum": 15, "maximum": 16}
    reply = api.post(f"/v2.0/{path}", {"network_segment_range": body})
    made = reply.json["network_segment_range"]
    assert (reply.status, made["available"], made["used"]) == (201, [10, 11, 12], {})
    member = api.as_user(MEMBER)
    network = member.make("network")
    url = f"/v2.0/{path}/{made['id']}"
    shown = api.get(url).json["network_segment_range"]
    assert (shown["used"], shown["available"]) == ({"10": "demo"}, [11, 12])
    assert api.put(url, {"network_segment_range": {"minimum": 11}}).error[:2] == (
        409,
        "NetworkSegmentRangeReferencedByProject",
    )
    changed = api.put(url, {"network_segment_range": {"maximum": 11, "name": "s"}}).json["network_segment_range"]
    assert (changed["available"], changed["name"], changed["used"]) == ([11], "s", {"10": "demo"})
    assert api.put(f"{url}/tags", {"tags": ["a"]}).json == {"tags": ["a"]}
    listed = api.get(f"/v2.0/{path}").json["network_segment_ranges"]
    assert sorted(one["network_type"] for one in listed if one["default"] and one["shared"]) == ["vlan", "vxlan"]
    assert [one["id"] for one in listed if not one["default"]] == [made["id"]]
    assert len(api.get(f"/v2.0/{path}?network_type=vxlan&project_id=demo").json["network_segment_ranges"]) == 1
    for user in (MANAGER, MEMBER, READER, OTHER, SERVICE):
        client = api.as_user(user)
        assert client.get(f"/v2.0/{path}").json["network_segment_ranges"] == []
        assert client.get(url).status == client.delete(url).status == 404
        assert client.post(f"/v2.0/{path}", {"network_segment_range": shared}).status == 403
    assert api.delete(url).error[:2] == (409, "NetworkSegmentRangeReferencedByProject")
    assert member.delete(f"/v2.0/networks/{network['id']}").status == 204
    assert api.delete(url).status == 204
    assert api.get(url).error[:2] == (404, "NetworkSegmentRangeNotFound")


def test_default_ranges_do_not_change() -> None:
    """The ranges of the configuration are shown by an id that stays, and refuse every change."""
    api = make_api()
    defaults = api.get("/v2.0/network-segment-ranges").json["network_segment_ranges"]
    assert len(defaults) == 2
    for one in defaults:
        url = f"/v2.0/network-segment-ranges/{one['id']}"
        assert api.get(url).json["network_segment_range"] == one
        assert one["default"] is True and one["project_id"] is None
        assert api.put(url, {"network_segment_range": {"name": "x"}}).error[1] == "NetworkSegmentRangeDefaultReadOnly"
        assert api.delete(url).error[:2] == (400, "NetworkSegmentRangeDefaultReadOnly")
        assert api.as_user(MEMBER).delete(url).status == 404


def test_the_extensions_are_announced() -> None:
    found = {one["alias"] for one in make_api().get("/v2.0/extensions").json["extensions"]}
    assert {
        "trunk", "trunk-details", "segment", "standard-attr-segment", "subnet-segmentid-writable",
        "segments-peer-subnet-host-routes", "network-segment-range", "multi-provider", "provider", "l2_adjacency",
        "ip_allocation",
    } <= found  # fmt: skip

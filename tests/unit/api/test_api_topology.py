"""The topology for the asking: made by reading, whole or not at all, and taken away again."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, make_client

PATH = "/v2.0/auto-allocated-topology"
KINDS = ("network", "subnet", "router", "port")


def make_cloud(pools: tuple[tuple[int, str], ...] = ((4, "10.0.0.0/8"), (6, "fd00::/48"))) -> Client:
    """An administrator of a cloud with an external network and default pools."""
    admin = make_client(ADMIN)
    outside = admin.make("network", **{"router:external": True, "is_default": True})
    admin.make("subnet", network_id=outside["id"], ip_version=4, cidr="203.0.113.0/24", enable_dhcp=False)
    for version, prefix in pools:
        admin.make(
            "subnetpool", name=f"pool{version}", prefixes=[prefix], default_prefixlen=24 if version == 4 else 64,
            is_default=True, shared=True,
        )  # fmt: skip
    return admin


def count(client: Client) -> dict[str, int]:
    """What a project has of its own."""
    listed = {kind: client.get(f"/v2.0/{kind}s?project_id=demo").json[f"{kind}s"] for kind in KINDS}
    return {kind: len(found) for kind, found in listed.items()}


def test_made_once_and_taken_away() -> None:
    """The first reading makes it, each later one finds it, and after a delete nothing is left of it."""
    admin = make_cloud()
    member = admin.as_user(MEMBER)
    before = count(member)
    dry = member.get(f"{PATH}/demo?fields=dry-run").json["auto_allocated_topology"]
    assert dry == {"id": "dry-run=pass", "project_id": "demo", "tenant_id": "demo"}
    assert count(member) == before
    made = member.get(f"{PATH}/None").json["auto_allocated_topology"]
    network = member.get(f"/v2.0/networks/{made['id']}").json["network"]
    assert made == {"id": network["id"], "project_id": "demo", "tenant_id": "demo"}
    assert (network["name"], network["admin_state_up"], len(network["subnets"])) == ("auto_allocated_network", True, 2)
    subnets = {s["name"]: s["cidr"] for s in member.get("/v2.0/subnets?project_id=demo").json["subnets"]}
    assert subnets == {"auto_allocated_subnet_v4": "10.0.0.0/24", "auto_allocated_subnet_v6": "fd00::/64"}
    routers = member.get("/v2.0/routers").json["routers"]
    assert [(r["name"], bool(r["external_gateway_info"])) for r in routers] == [("auto_allocated_router", True)]
    after = count(member)
    assert (after["network"], after["subnet"], after["router"]) == (1, 2, 1)
    assert admin.get(f"{PATH}/demo").json["auto_allocated_topology"] == made
    assert count(member) == after
    assert [t["id"] for t in member.get(PATH).json["auto_allocated_topologies"]] == [made["id"]]
    assert member.delete(f"{PATH}/demo").status == 204
    assert count(member) == before
    assert member.delete(f"{PATH}/demo").status == 204


def test_what_it_needs() -> None:
    """Without an outside or a default pool there is none, nor a trace of a try."""
    member = make_client(MEMBER)
    admin = member.as_user(ADMIN)
    words = "Deployment error: No default router:external network."
    for query in ("", "?fields=dry-run"):
        assert member.get(f"{PATH}/demo{query}").error == (409, "AutoAllocationFailure", words)
    admin.make("network", **{"router:external": True, "is_default": True})
    assert member.get(f"{PATH}/demo?fields=dry-run").error[2] == "Deployment error: No default subnetpools defined."
    words = "Deployment error: Unable to provide project private network."
    assert member.get(f"{PATH}/demo").error == (409, "AutoAllocationFailure", words)
    admin.make("subnetpool", name="hidden", prefixes=["10.0.0.0/8"], is_default=True)
    assert member.get(f"{PATH}/demo").status == 409
    assert count(member)["network"] == 0
    assert member.get(f"{PATH}/demo?fields=id").error == (
        400, "BadRequest", "Bad auto_allocate request: Unrecognized field.",
    )  # fmt: skip


def test_full_pool_and_quota() -> None:
    """Where a part of it cannot be made, no part of it is."""
    admin = make_cloud(((4, "10.0.0.0/24"),))
    member = admin.as_user(MEMBER)
    admin.make("subnet", network_id=admin.make("network")["id"], ip_version=4, use_default_subnetpool=True)
    assert member.get(f"{PATH}/demo").error[:2] == (409, "AutoAllocationFailure")
    assert count(member)["network"] == 0
    other = make_cloud()
    assert other.put("/v2.0/quotas/demo", {"quota": {"router": 0}}).status == 200
    assert other.as_user(MEMBER).get(f"{PATH}/demo").error[:2] == (409, "OverQuota")
    assert count(other.as_user(MEMBER))["network"] == 0


def test_parts_that_went_before() -> None:
    """A network that is gone takes the topology along; a router that is gone is not missed."""
    admin = make_cloud(((4, "10.0.0.0/8"),))
    member = admin.as_user(MEMBER)
    id = member.get(f"{PATH}/demo").json["auto_allocated_topology"]["id"]
    router = member.get("/v2.0/routers").json["routers"][0]
    subnet = member.get("/v2.0/subnets?project_id=demo").json["subnets"][0]
    assert member.delete(f"/v2.0/networks/{id}").status == 409
    detach = member.put(f"/v2.0/routers/{router['id']}/remove_router_interface", {"subnet_id": subnet["id"]})
    assert detach.status == 200
    assert member.delete(f"/v2.0/routers/{router['id']}").status == 204
    assert member.get(f"{PATH}/demo").json["auto_allocated_topology"]["id"] == id
    assert member.delete(f"/v2.0/networks/{id}").status == 204
    assert member.get(PATH).json["auto_allocated_topologies"] == []
    again = member.get(f"{PATH}/demo").json["auto_allocated_topology"]["id"]
    assert again != id
    port = member.make("port", network_id=again, device_id="vm", device_owner="compute:nova")
    assert member.delete(f"{PATH}/demo").error[0] == 409
    assert member.get(PATH).json["auto_allocated_topologies"][0]["id"] == again
    assert count(member)["router"] == 1
    assert admin.delete(f"/v2.0/ports/{port['id']}").status == 204
    assert member.delete(f"{PATH}/demo").status == 204


@pytest.mark.parametrize(
    ("headers", "get", "delete"),
    [
        (MEMBER, 200, 204),
        (READER, 200, 403),
        (OTHER, 403, 403),
        (ADMIN, 200, 204),
        ({**MEMBER, "X-Roles": "auditor"}, 403, 403),
    ],
)
def test_who_may(headers: dict[str, Any], get: int, delete: int) -> None:
    """Readers of a project may have it, members may take it away, others may neither."""
    client = make_cloud().as_user(headers)
    assert client.get(f"{PATH}/demo").status == get
    assert client.delete(f"{PATH}/demo").status == delete
    assert client.post(PATH, {}).status == 405
    assert client.put(f"{PATH}/demo", {}).status == 405
    assert client.get(f"{PATH}/demo/more").status == 404

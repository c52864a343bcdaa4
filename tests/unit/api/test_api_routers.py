"""Routers, flavors, agents and their ties over HTTP: paths, what each role may do, and what it sees."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest

from netloom.intent.agents.agent import report_host
from netloom.intent.operation import Requester
from tests.unit.api.api_client import ADMIN, MEMBER, OTHER, READER, Client, Memory, Reply, make_client

MANAGER = {"X-Project-Id": "demo", "X-User-Id": "u4", "X-Roles": "manager,member,reader"}
OTHER_READER = {"X-Project-Id": "other", "X-User-Id": "u5", "X-Roles": "reader"}
SERVICE = {"X-Project-Id": "services", "X-User-Id": "u6", "X-Roles": "service"}
ROLES = {
    "admin": ADMIN, "manager": MANAGER, "member": MEMBER, "reader": READER, "other": OTHER,
    "other_reader": OTHER_READER, "service": SERVICE,
}  # fmt: skip
WRITERS, SEERS = ("admin", "manager", "member"), ("admin", "manager", "member", "reader")
EVERY_READER = (*SEERS, "other", "other_reader")
SINGLE = "neutron.services.l3_router.service_providers.single_node.SingleNodeDriver"


class Cloud:
    """An API with a host and an external network; the project demo has a router, two networks and a port."""

    def __init__(self) -> None:
        memory = self.memory = Memory()
        self.member = make_client(MEMBER, memory=memory)
        self.admin = self.member.as_user(ADMIN)
        asyncio.run(memory(lambda s, c: report_host(s, c, "h1", {"tunnel_types": ["vxlan"]}, "nova"), Requester()))
        self.outer = self.admin.make("network", **{"router:external": True})
        self.admin.make("subnet", network_id=self.outer["id"], cidr="203.0.113.0/24", ip_version=4)
        self.inner, self.subnet = self.network("10.0.0.0/24")
        self.tied, self.tied_subnet = self.network("10.1.0.0/24")
        self.router = self.member.make("router", external_gateway_info={"network_id": self.outer["id"]})
        self.url = f"/v2.0/routers/{self.router['id']}"
        added = self.member.put(f"{self.url}/add_router_interface", {"subnet_id": self.tied_subnet["id"]})
        assert added.status == 200, added.body
        self.flavor = self.admin.make("flavor", service_type="L3_ROUTER_NAT")
        self.profile = self.admin.make("service_profile", driver=SINGLE)
        self.agents = {one["agent_type"]: one["id"] for one in self.admin.get("/v2.0/agents").json["agents"]}
        self.start = memory.snapshot

    def renewed(self) -> Cloud:
        """The same cloud as it was made, whatever was done to it since: a snapshot is a value."""
        self.memory.snapshot = self.start.apply((), self.memory.snapshot.revision + 1)
        return self

    def network(self, cidr: str) -> tuple[dict[str, Any], dict[str, Any]]:
        network = self.member.make("network")
        return network, self.member.make("subnet", network_id=network["id"], cidr=cidr, ip_version=4)

    def agent_url(self, agent_type: str) -> str:
        return f"/v2.0/agents/{self.agents[agent_type]}"


@cache
def find_cloud() -> Cloud:
    return Cloud()


@dataclass(frozen=True)
class Case:
    """A request, the roles that may make it, and what the owner's reader and other projects are answered."""

    name: str
    ask: Callable[[Cloud, Client], Reply]
    allowed: tuple[str, ...]
    reader: int = 403
    others: int = 404
    service: int = 404


ROUTE = {"destination": "10.9.0.0/16", "nexthop": "10.1.0.9"}


def create_with(**body: Any) -> Callable[[Cloud, Client], Reply]:
    return lambda cloud, client: client.post("/v2.0/routers", {"router": {"project_id": "demo", **body}})


def update_with(**body: Any) -> Callable[[Cloud, Client], Reply]:
    return lambda cloud, client: client.put(cloud.url, {"router": body})


def gateway_with(**more: Any) -> Callable[[Cloud, Client], Reply]:
    return lambda cloud, client: client.put(
        cloud.url, {"router": {"external_gateway_info": {"network_id": cloud.outer["id"], **more}}}
    )


def create_gateway_with(**more: Any) -> Callable[[Cloud, Client], Reply]:
    return lambda cloud, client: create_with(external_gateway_info={"network_id": cloud.outer["id"], **more})(
        cloud, client
    )


def gateways(verb: str) -> Callable[[Cloud, Client], Reply]:
    return lambda cloud, client: client.put(
        f"{cloud.url}/{verb}_external_gateways",
        {"router": {"external_gateways": [{"network_id": cloud.outer["id"]}]}},
    )


FIXED = [{"ip_address": "203.0.113.77"}]
CASES = (
    Case("create_router", create_with(), WRITERS, others=400, service=400),
    Case("create_router:distributed", create_with(distributed=True), ("admin",), others=400, service=400),
    Case("create_router:ha", create_with(ha=True), ("admin",), others=400, service=400),
    Case("create_router:external_gateway_info", create_gateway_with(), WRITERS, others=400, service=400),
    Case("create_router:…:enable_snat", create_gateway_with(enable_snat=False), ("admin",), others=400, service=400),
    Case(
        "create_router:…:external_fixed_ips", create_gateway_with(external_fixed_ips=FIXED), ("admin",), others=400,
        service=400,
    ),
    Case("get_router", lambda cloud, client: client.get(cloud.url), SEERS),
    Case("update_router", update_with(name="x"), WRITERS),
    Case("update_router:distributed", update_with(distributed=True, admin_state_up=False), ()),
    Case("update_router:distributed", update_with(distributed=False), ("admin",)),
    Case("update_router:ha", update_with(ha=False), ("admin",)),
    Case("update_router:external_gateway_info", gateway_with(), WRITERS),
    Case("update_router:…:enable_snat", gateway_with(enable_snat=False), ("admin",)),
    Case("update_router:…:external_fixed_ips", gateway_with(external_fixed_ips=FIXED), ("admin",)),
    Case("delete_router", lambda cloud, client: client.delete(spare_router(cloud)), WRITERS),
    Case(
        "add_router_interface",
        lambda cloud, client: client.put(f"{cloud.url}/add_router_interface", {"subnet_id": cloud.subnet["id"]}),
        WRITERS,
    ),
    Case(
        "remove_router_interface",
        lambda cloud, client: client.put(
            f"{cloud.url}/remove_router_interface", {"subnet_id": cloud.tied_subnet["id"]}
        ),
        WRITERS,
    ),
    Case(
        "add_extraroutes",
        lambda cloud, client: client.put(f"{cloud.url}/add_extraroutes", {"router": {"routes": [ROUTE]}}),
        WRITERS,
    ),
    Case(
        "remove_extraroutes",
        lambda cloud, client: client.put(f"{cloud.url}/remove_extraroutes", {"router": {"routes": [ROUTE]}}),
        WRITERS,
    ),
    Case("add_external_gateways", gateways("add"), WRITERS),
    Case("update_external_gateways", gateways("update"), WRITERS),
    Case("remove_external_gateways", gateways("remove"), WRITERS),
    Case("get_l3-agents", lambda cloud, client: client.get(f"{cloud.url}/l3-agents"), ("admin",)),
    Case(
        "get_dhcp-agents", lambda cloud, client: client.get(f"/v2.0/networks/{cloud.inner['id']}/dhcp-agents"),
        ("admin",), service=403,
    ),
    Case("get_agent", lambda cloud, client: client.get(cloud.agent_url("L3 agent")), ("admin",), 404),
    Case(
        "update_agent",
        lambda cloud, client: client.put(cloud.agent_url("L3 agent"), {"agent": {"description": "x"}}), ("admin",), 404,
    ),
    Case("delete_agent", lambda cloud, client: client.delete(cloud.agent_url("L3 agent")), ("admin",), 404),
    Case(
        "get_l3-routers", lambda cloud, client: client.get(f"{cloud.agent_url('L3 agent')}/l3-routers"), ("admin",), 404
    ),
    Case(
        "create_l3-router",
        lambda cloud, client: client.post(
            f"{cloud.agent_url('L3 agent')}/l3-routers", {"router_id": cloud.router["id"]}
        ),
        ("admin",), 404,
    ),
    Case(
        "delete_l3-router",
        lambda cloud, client: client.delete(f"{cloud.agent_url('L3 agent')}/l3-routers/{cloud.router['id']}"),
        ("admin",), 404,
    ),
    Case(
        "get_dhcp-networks", lambda cloud, client: client.get(f"{cloud.agent_url('DHCP agent')}/dhcp-networks"),
        ("admin",), 404,
    ),
    Case(
        "create_dhcp-network",
        lambda cloud, client: client.post(
            f"{cloud.agent_url('DHCP agent')}/dhcp-networks", {"network_id": cloud.outer["id"]}
        ),
        (), 404,
    ),
    Case(
        "delete_dhcp-network",
        lambda cloud, client: client.delete(f"{cloud.agent_url('DHCP agent')}/dhcp-networks/{cloud.inner['id']}"),
        ("admin",), 404,
    ),
    Case(
        "create_flavor",
        lambda cloud, client: client.post("/v2.0/flavors", {"flavor": {"service_type": "L3_ROUTER_NAT"}}),
        ("admin",), others=403, service=403,
    ),
    Case("get_flavor", lambda cloud, client: client.get(f"/v2.0/flavors/{cloud.flavor['id']}"), EVERY_READER),
    Case(
        "update_flavor",
        lambda cloud, client: client.put(f"/v2.0/flavors/{cloud.flavor['id']}", {"flavor": {"name": "x"}}), ("admin",),
        others=403,
    ),
    Case(
        "delete_flavor", lambda cloud, client: client.delete(f"/v2.0/flavors/{cloud.flavor['id']}"), ("admin",),
        others=403,
    ),
    Case(
        "create_service_profile",
        lambda cloud, client: client.post("/v2.0/service_profiles", {"service_profile": {"driver": SINGLE}}),
        ("admin",), others=403, service=403,
    ),
    Case(
        "get_service_profile", lambda cloud, client: client.get(f"/v2.0/service_profiles/{cloud.profile['id']}"),
        ("admin",), 404,
    ),
    Case(
        "update_service_profile",
        lambda cloud, client: client.put(
            f"/v2.0/service_profiles/{cloud.profile['id']}", {"service_profile": {"enabled": False}}
        ),
        ("admin",), 404,
    ),
    Case(
        "delete_service_profile", lambda cloud, client: client.delete(f"/v2.0/service_profiles/{cloud.profile['id']}"),
        ("admin",), 404,
    ),
    Case(
        "create_flavor_service_profile",
        lambda cloud, client: client.post(
            f"/v2.0/flavors/{cloud.flavor['id']}/service_profiles", {"service_profile": {"id": cloud.profile["id"]}}
        ),
        ("admin",), others=403,
    ),
    Case(
        "delete_flavor_service_profile",
        lambda cloud, client: client.delete(f"{tied_flavor(cloud)}/service_profiles/{cloud.profile['id']}"), ("admin",),
        others=403,
    ),
    Case(
        "next_providers", lambda cloud, client: client.get(f"{tied_flavor(cloud)}/next_providers"), EVERY_READER,
    ),
)  # fmt: skip


def spare_router(cloud: Cloud) -> str:
    return f"/v2.0/routers/{cloud.member.make('router')['id']}"


def tied_flavor(cloud: Cloud) -> str:
    url = f"/v2.0/flavors/{cloud.flavor['id']}"
    body = {"service_profile": {"id": cloud.profile["id"]}}
    assert cloud.admin.post(f"{url}/service_profiles", body).status == 201
    return url


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case.name))
def test_roles(case: Case) -> None:
    """Who may, may; the owner's reader is told that it may not; for others the object is not there."""
    for role, headers in ROLES.items():
        cloud = find_cloud().renewed()
        status = case.ask(cloud, cloud.member.as_user(headers)).status
        if role in case.allowed:
            assert status < 300, (role, status)
        elif role == "admin":
            assert status in (400, 409), (role, status)
        else:
            others = case.service if role == "service" else case.others
            assert status == (case.reader if role in SEERS else others), (role, status)


def test_what_is_seen_of_a_router() -> None:
    """The form of a router is shown to administrators; what is kept for hosts to no one."""
    cloud = find_cloud().renewed()
    seen = cloud.member.get(cloud.url).json["router"]
    assert not {"distributed", "ha", "l3_agents", "ha_vr_id", "gw_port_id", "enable_snat"} & seen.keys()
    assert {"routes", "availability_zones", "availability_zone_hints", "flavor_id", "tenant_id", "tags"} <= seen.keys()
    known = cloud.admin.get(cloud.url).json["router"]
    assert (known["distributed"], known["ha"]) == (False, False)
    assert not {"l3_agents", "ha_vr_id", "gw_port_id"} & known.keys()


def test_interfaces_over_http() -> None:
    """What an interface answers is not wrapped; one that is in use says so."""
    cloud = find_cloud().renewed()
    made = cloud.member.put(f"{cloud.url}/add_router_interface", {"subnet_id": cloud.subnet["id"]}).json
    assert (made["id"], made["subnet_ids"]) == (cloud.router["id"], [cloud.subnet["id"]])
    assert cloud.member.get(f"/v2.0/ports/{made['port_id']}").json["port"]["device_id"] == cloud.router["id"]
    status, type, message = cloud.member.delete(f"/v2.0/ports/{made['port_id']}").error
    assert (status, type) == (409, "ServicePortInUse")
    assert made["port_id"] in message
    status, type, message = cloud.member.delete(cloud.url).error
    assert (status, type) == (409, "RouterInUse")
    assert made["port_id"] in message
    removed = cloud.member.put(f"{cloud.url}/remove_router_interface", {"port_id": made["port_id"]})
    assert (removed.status, removed.json["port_id"]) == (200, made["port_id"])
    assert cloud.member.put(f"{cloud.url}/add_router_interface", {}).error[:2] == (400, "BadRequest")


def test_gateway_ports_are_not_the_projects() -> None:
    """A project does not see the ports that its router has outside."""
    cloud = find_cloud().renewed()
    own = cloud.member.get(f"/v2.0/ports?device_id={cloud.router['id']}").json["ports"]
    assert {port["device_owner"] for port in own} == {"network:router_interface"}
    query = f"/v2.0/ports?device_id={cloud.router['id']}&device_owner=network:router_gateway"
    [gateway] = cloud.admin.get(query).json["ports"]
    assert gateway["project_id"] == ""


def test_ties_over_http() -> None:
    """Agents list what they host, and routers and networks who hosts them; an HA router's copies say how they are."""
    cloud = find_cloud().renewed()
    ha = cloud.admin.make("router", ha=True, project_id="demo")
    [agent] = cloud.admin.get(f"/v2.0/routers/{ha['id']}/l3-agents").json["agents"]
    assert (agent["agent_type"], agent["ha_state"]) == ("L3 agent", "standby")
    [agent] = cloud.admin.get(f"{cloud.url}/l3-agents").json["agents"]
    assert (agent["id"], agent["ha_state"]) == (cloud.agents["L3 agent"], None)
    listed = cloud.admin.get(f"{cloud.agent_url('L3 agent')}/l3-routers").json["routers"]
    assert {one["id"] for one in listed} == {ha["id"], cloud.router["id"]}
    [agent] = cloud.admin.get(f"/v2.0/networks/{cloud.inner['id']}/dhcp-agents").json["agents"]
    assert agent["agent_type"] == "DHCP agent"
    assert cloud.admin.get("/v2.0/agents?agent_type=DHCP%20Agent").json["agents"][0]["id"] == agent["id"]
    listed = cloud.admin.get(f"{cloud.agent_url('DHCP agent')}/dhcp-networks").json["networks"]
    assert {one["id"] for one in listed} >= {cloud.inner["id"], cloud.tied["id"]}


def test_providers_and_zones() -> None:
    """Everyone with a role of a reader sees what there is to choose from."""
    cloud = find_cloud().renewed()
    reader = cloud.member.as_user(OTHER_READER)
    found = reader.get("/v2.0/service-providers").json["service_providers"]
    assert {"service_type": "L3_ROUTER_NAT", "name": "single_node", "default": False} in found
    assert reader.get("/v2.0/service-providers?service_type=VPN").json["service_providers"] == []
    [named] = reader.get("/v2.0/service-providers?service_type=L3_ROUTER_NAT&name=dvr").json["service_providers"]
    assert named["name"] == "dvr"
    zones = reader.get("/v2.0/availability_zones").json["availability_zones"]
    assert {"name": "nova", "resource": "router", "state": "available"} in zones
    profile = cloud.admin.get(f"{tied_flavor(cloud)}/next_providers").json["next_providers"]
    assert profile == [{"driver": SINGLE, "provider": "single_node"}]


def test_lists() -> None:
    """Routers are filtered, sorted and shown in part as any collection."""
    cloud = find_cloud().renewed()
    for name in ("b", "a"):
        cloud.member.make("router", name=name, admin_state_up=False)
    found = cloud.member.get("/v2.0/routers?admin_state_up=false&sort_key=name&sort_dir=asc&fields=name").json
    assert found == {"routers": [{"name": "a"}, {"name": "b"}]}
    assert cloud.member.get("/v2.0/routers?l3_agents=x").status == 400
    assert cloud.member.get("/v2.0/flavors?id=33").json == {"flavors": []}

"""Routers: gateways, interfaces, routes, and what keeps a router and its ports from being taken apart."""

from __future__ import annotations

from typing import Any

import pytest

from netloom.intent.catalog import CATALOG
from netloom.intent.l3.router_find import ROUTER_OWNERS
from netloom.intent.l3.router_gateway import parse_gateway
from netloom.intent.schema import Doc, parse_create
from tests.unit.intent.intent_kit import MISSING, addresses, refused
from tests.unit.intent.router_kit import RouterWorld, gateway

GATEWAY, INTERFACE = "network:router_gateway", "network:router_interface"


# -- create, update, delete --------------------------------------------------------------------------------------------


def test_defaults() -> None:
    """A router that says nothing is on, plain, without gateway, routes or hosts."""
    world = RouterWorld()
    router = world.router()
    assert (router["name"], router["admin_state_up"], router["status"]) == ("", True, "ACTIVE")
    assert (router["external_gateway_info"], router["routes"], router["flavor_id"]) == (None, [], None)
    assert (router["distributed"], router["ha"]) == (False, False)
    assert (router["availability_zone_hints"], router["availability_zones"]) == ([], [])
    assert router["revision_number"] == 1
    assert router["project_id"] == "p1"


def test_quota() -> None:
    """A project has ten routers, and the eleventh is refused with those that came with it."""
    world = RouterWorld()
    world.create("router", *({} for _ in range(9)))
    with refused(409, "OverQuota", "router"):
        world.create("router", {}, {})
    assert world.snapshot.count("router") == 9
    with world.as_project("p2"):
        world.router()


def test_gateway() -> None:
    """A gateway is a port of nobody's on the external network, with an address of each version; SNAT is on."""
    world = RouterWorld()
    outside = world.external("192.0.2.0/24", "2001:db8::/64")
    router = world.router(external_gateway_info=gateway(outside))
    [port] = world.ports(router)
    assert (port["device_owner"], port["project_id"], port["network_id"]) == (GATEWAY, "", outside["id"])
    assert addresses(port) == ["192.0.2.2", "2001:db8::1"]
    info = router["external_gateway_info"]
    assert (info["network_id"], info["enable_snat"], info["qos_policy_id"]) == (outside["id"], True, None)
    assert info["external_fixed_ips"] == port["fixed_ips"]
    assert router["revision_number"] == 1


def test_gateway_addresses() -> None:
    """The gateway's addresses may be named and changed; what is not named stays."""
    world = RouterWorld()
    outside = world.external()
    router = world.router(external_gateway_info=gateway(outside, "192.0.2.9"))
    port = world.ports(router)[0]
    assert addresses(port) == ["192.0.2.9"]
    router = world.update("router", router, external_gateway_info=gateway(outside, "192.0.2.10", enable_snat=False))
    assert world.ports(router)[0]["id"] == port["id"]
    assert addresses(world.ports(router)[0]) == ["192.0.2.10"]
    assert router["external_gateway_info"]["enable_snat"] is False
    router = world.update("router", router, external_gateway_info=gateway(outside))
    assert addresses(world.ports(router)[0]) == ["192.0.2.10"]
    assert router["external_gateway_info"]["enable_snat"] is True
    assert router["revision_number"] == 3
    again = world.update("router", router, external_gateway_info=gateway(outside))
    assert again == router
    with refused(409, "IpAddressAlreadyAllocated"):
        world.router(external_gateway_info=gateway(outside, "192.0.2.10"))
    assert world.snapshot.count("router") == 1


def test_gateway_moves_and_goes() -> None:
    """Another network gives another port; null and {} take the gateway away."""
    world = RouterWorld()
    outside, other = world.external(), world.external("198.51.100.0/24")
    router = world.router(external_gateway_info=gateway(outside))
    router = world.update("router", router, external_gateway_info=gateway(other))
    assert [addresses(port) for port in world.ports(router)] == [["198.51.100.2"]]
    nothings: tuple[Any, ...] = ({}, None)
    for nothing in nothings:
        router = world.update("router", router, external_gateway_info=nothing)
        assert (router["external_gateway_info"], world.ports(router)) == (None, [])
        router = world.update("router", router, external_gateway_info=gateway(outside))


def test_gateway_refused() -> None:
    """A gateway network is there, external and visible, and its gateway address is its own."""
    world = RouterWorld()
    outside, inner = world.external(), world.network()
    router = world.router()
    with refused(404, "NetworkNotFound", MISSING):
        world.router(external_gateway_info={"network_id": MISSING})
    with refused(400, "BadRequest", f"Network {inner['id']} is not an external network"):
        world.update("router", router, external_gateway_info=gateway(inner))
    with world.as_project("p2"), refused(404, "NetworkNotFound", inner["id"]):
        world.router(external_gateway_info=gateway(inner))
    with refused(400, "BadRequest", "External IP 192.0.2.1 is the same as the gateway IP"):
        world.router(external_gateway_info=gateway(outside, "192.0.2.1"))
    with refused(400, "InvalidIpForNetwork"):
        world.router(external_gateway_info=gateway(outside, "203.0.113.9"))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ("x", "is not a dictionary"),
        ({"enable_snat": True}, "Expected keys"),
        ({"network_id": MISSING, "x": 1}, "Unexpected keys supplied: x"),
        ({"network_id": "x"}, "is not a valid UUID"),
        ({"network_id": MISSING, "enable_snat": "maybe"}, "cannot be converted to boolean"),
        ({"network_id": MISSING, "external_fixed_ips": [{"ip_address": "x"}]}, "is not a valid IP address"),
    ],
)
def test_gateway_info_that_cannot_be_read(value: object, word: str) -> None:
    """external_gateway_info names what is wrong with it."""
    with pytest.raises(ValueError, match=word):
        parse_gateway(value)


def test_gateway_follows() -> None:
    """The router shows its gateway as the port is: after an administrator's change, a new subnet, a subnet less."""
    world = RouterWorld()
    outside = world.external()
    router = world.router(external_gateway_info=gateway(outside))
    port = world.ports(router)[0]
    world.update("port", port, fixed_ips=[{"ip_address": "192.0.2.77"}])
    assert shown(world, router) == ["192.0.2.77"]
    world.subnet(outside, "198.51.100.0/24")
    assert shown(world, router) == ["192.0.2.77"]
    six = world.subnet(outside, "2001:db8::/64")
    assert shown(world, router) == ["192.0.2.77", "2001:db8::1"]
    auto = world.slaac(outside, "2001:db8:1::/64")
    assert len(shown(world, router)) == 3
    world.delete("subnet", auto)
    assert shown(world, router) == ["192.0.2.77", "2001:db8::1"]
    with refused(409, "SubnetInUse"):
        world.delete("subnet", six)


def shown(world: RouterWorld, router: Doc) -> list[str]:
    info = world.get("router", router)["external_gateway_info"]
    return [fixed["ip_address"] for fixed in info["external_fixed_ips"]]


def test_delete() -> None:
    """A router goes with its gateway; not while it has interfaces, which the error names."""
    world = RouterWorld()
    outside = world.external()
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router(external_gateway_info=gateway(outside))
    port = world.plug(router, subnet)
    with refused(409, "RouterInUse", router["id"], port["id"]):
        world.delete("router", router)
    world.act("remove_router_interface", router, subnet_id=subnet["id"])
    world.delete("router", router)
    assert world.snapshot.count("port") == 0
    with refused(404, "RouterNotFound"):
        world.delete("router", router)


def test_revisions() -> None:
    """Each change of a router, its gateway or its interfaces is one new revision; none is none."""
    world = RouterWorld()
    outside = world.external()
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    assert world.update("router", router, name="")["revision_number"] == 1
    assert world.update("router", router, name="x", external_gateway_info=gateway(outside))["revision_number"] == 2
    world.plug(router, subnet)
    assert world.get("router", router)["revision_number"] == 3
    world.update("router", router, routes=[{"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}])
    world.update("router", router, routes=[])
    world.act("remove_router_interface", router, subnet_id=subnet["id"])
    assert world.get("router", router)["revision_number"] == 6


# -- interfaces --------------------------------------------------------------------------------------------------------


def test_interface_by_subnet() -> None:
    """A subnet is tied by a new port with its gateway address, owned by the router's project."""
    world = RouterWorld()
    network, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    made = world.act("add_router_interface", router, subnet_id=subnet["id"])
    port = world.get("port", {"id": made["port_id"]})
    assert (port["device_owner"], port["device_id"], port["project_id"]) == (INTERFACE, router["id"], "p1")
    assert addresses(port) == ["10.0.0.1"]
    assert made == {
        "id": router["id"], "project_id": "p1", "tenant_id": "p1", "port_id": port["id"], "network_id": network["id"],
        "subnet_id": subnet["id"], "subnet_ids": [subnet["id"]],
    }  # fmt: skip
    removed = world.act("remove_router_interface", router, subnet_id=subnet["id"])
    assert (removed["port_id"], removed["subnet_ids"]) == (port["id"], [subnet["id"]])
    assert world.snapshot.count("port") == 0


def test_interface_by_port() -> None:
    """A port is tied with the addresses that it has; untied, it is gone."""
    world = RouterWorld()
    network, [subnet] = world.inside("10.0.0.0/24")
    port, router = world.port(network, name="mine"), world.router()
    made = world.act("add_router_interface", router, port_id=port["id"])
    assert (made["port_id"], made["subnet_id"]) == (port["id"], subnet["id"])
    tied = world.get("port", port)
    assert (tied["device_owner"], tied["device_id"], tied["name"]) == (INTERFACE, router["id"], "mine")
    assert addresses(tied) == ["10.0.0.2"]
    with refused(409, "PortInUse", router["id"]):
        world.act("add_router_interface", router, port_id=port["id"])
    with refused(400, "SubnetMismatchForPort"):
        world.act("remove_router_interface", router, port_id=port["id"], subnet_id=MISSING)
    world.act("remove_router_interface", router, port_id=port["id"], subnet_id=subnet["id"])
    assert world.snapshot.get("port", port["id"]) is None


def test_interface_body() -> None:
    """An interface is named by subnet_id or port_id, one of them, and a UUID."""
    world = RouterWorld()
    router = world.router()
    with refused(400, "BadRequest", "Either subnet_id or port_id must be specified"):
        world.act("add_router_interface", router)
    with refused(400, "BadRequest", "Cannot specify both subnet-id and port-id"):
        world.act("add_router_interface", router, subnet_id=MISSING, port_id=MISSING)
    with refused(400, "BadRequest", "'x' is not a valid UUID"):
        world.act("add_router_interface", router, port_id="x")
    with refused(404, "SubnetNotFound"):
        world.act("add_router_interface", router, subnet_id=MISSING)
    with refused(404, "PortNotFound"):
        world.act("add_router_interface", router, port_id=MISSING)
    with refused(404, "RouterInterfaceNotFound", router["id"], MISSING):
        world.act("remove_router_interface", router, port_id=MISSING)
    _, [subnet] = world.inside("10.0.0.0/24")
    with refused(404, "RouterInterfaceNotFoundForSubnet", subnet["id"]):
        world.act("remove_router_interface", router, subnet_id=subnet["id"])


def test_overlaps() -> None:
    """Subnets that overlap do not meet in a router, neither inside nor with the outside."""
    world = RouterWorld()
    outside = world.external("10.1.0.0/16")
    _, [one] = world.inside("10.0.0.0/24")
    _, [two] = world.inside("10.0.0.0/16")
    _, [three] = world.inside("10.1.2.0/24")
    router = world.router(external_gateway_info=gateway(outside))
    world.plug(router, one)
    with refused(400, "BadRequest", f"Router already has a port on subnet {one['id']}"):
        world.plug(router, one)
    with refused(400, "BadRequest", f"Cidr 10.0.0.0/16 of subnet {two['id']} overlaps with cidr 10.0.0.0/24"):
        world.plug(router, two)
    with refused(400, "BadRequest", "overlaps with cidr 10.1.0.0/16"):
        world.plug(router, three)
    other = world.router()
    world.plug(other, three)
    with refused(400, "BadRequest", "overlaps"):
        world.update("router", other, external_gateway_info=gateway(outside))


def test_interface_refused() -> None:
    """A subnet without gateway, a port without address or with two IPv4 subnets, and foreign RAs are no interface."""
    world = RouterWorld()
    router = world.router()
    network, [v4, more] = world.inside("10.0.0.0/24", "10.1.0.0/24")
    none = world.subnet(network, "10.2.0.0/24", gateway_ip=None)
    with refused(400, "BadRequest", "Subnet for router interface must have a gateway IP"):
        world.plug(router, none)
    port = world.port(network, fixed_ips=[])
    with refused(400, "BadRequest", "Router port must have at least one fixed IP"):
        world.act("add_router_interface", router, port_id=port["id"])
    port = world.port(network, fixed_ips=[{"subnet_id": v4["id"]}, {"subnet_id": more["id"]}])
    with refused(400, "BadRequest", "Cannot have multiple IPv4 subnets on router port"):
        world.act("add_router_interface", router, port_id=port["id"])
    foreign = world.subnet(network, "fd00::/64", ipv6_address_mode="slaac")
    with refused(400, "BadRequest", "configured to receive RAs from an external router"):
        world.plug(router, foreign)
    with refused(409, "IpAddressAlreadyAllocated"):
        world.port(network, fixed_ips=[{"ip_address": "10.0.0.1"}])
        world.plug(router, v4)


def test_ipv6_shares_a_port() -> None:
    """The IPv6 subnets of a network share one interface, and leave it one by one."""
    world = RouterWorld()
    router = world.router()
    network = world.network()
    one, two = world.slaac(network, "fd00:1::/64"), world.slaac(network, "fd00:2::/64")
    first = world.plug(router, one)
    second = world.plug(router, two)
    assert first["id"] == second["id"]
    assert addresses(second) == ["fd00:1::", "fd00:2::"] or addresses(second) == ["fd00:1::1", "fd00:2::1"]
    third = world.subnet(network, "fd00:3::/64")
    port = world.port(network, fixed_ips=[{"subnet_id": third["id"]}])
    with refused(400, "BadRequest", f"Router already contains IPv6 port {first['id']}"):
        world.act("add_router_interface", router, port_id=port["id"])
    world.act("remove_router_interface", router, subnet_id=one["id"])
    assert [f["subnet_id"] for f in world.get("port", first)["fixed_ips"]] == [two["id"]]
    world.act("remove_router_interface", router, subnet_id=two["id"])
    assert world.snapshot.get("port", first["id"]) is None


def test_other_projects() -> None:
    """Another project's subnet is not there; a shared one is not for its routers; one granted by name is."""
    world = RouterWorld()
    network, [subnet] = world.inside("10.0.0.0/24")
    with world.as_project("p2"):
        router = world.router()
        with refused(404, "SubnetNotFound"):
            world.plug(router, subnet)
    with world.as_admin():
        world.update("network", network, shared=True)
    with world.as_project("p2"), refused(400, "BadRequest", "is not owned by project making the request"):
        world.plug(router, subnet)
    with world.as_project("p2"):
        port = world.port(network, fixed_ips=[{"ip_address": "10.0.0.1"}])
        with refused(400, "BadRequest", "out of the allocation pool"):
            world.act("add_router_interface", router, port_id=port["id"])
        port = world.port(network)
        world.act("add_router_interface", router, port_id=port["id"])


def test_granted_by_name() -> None:
    """A project that is granted a network by name may have its routers there."""
    world = RouterWorld()
    network, [subnet] = world.inside("10.0.0.0/24")
    target = "0" * 32
    world.create("rbac_policy", {
        "object_type": "network", "object_id": network["id"], "action": "access_as_shared", "target_tenant": target,
    })  # fmt: skip
    with world.as_project(target):
        assert addresses(world.plug(world.router(), subnet)) == ["10.0.0.1"]


# -- routes ------------------------------------------------------------------------------------------------------------


def test_routes() -> None:
    """A route's next hop is on one of the router's subnets and is not the router itself."""
    world = RouterWorld()
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    route = {"destination": "10.9.0.0/16", "nexthop": "10.0.0.9"}
    with refused(400, "InvalidRoutes", "the nexthop is not connected with router"):
        world.update("router", router, routes=[route])
    world.plug(router, subnet)
    assert world.update("router", router, routes=[route])["routes"] == [route]
    with refused(400, "InvalidRoutes", "the nexthop is used by router"):
        world.update("router", router, routes=[{**route, "nexthop": "10.0.0.1"}])
    with refused(409, "RouterInterfaceInUseByRoute", subnet["id"]):
        world.act("remove_router_interface", router, subnet_id=subnet["id"])
    assert world.update("router", router, routes=None)["routes"] == []
    with refused(409, "OverQuota", "router_route"):
        world.update("router", router, routes=[{**route, "destination": f"10.{n}.0.0/16"} for n in range(1, 32)])
    with refused(400, "HTTPBadRequest", "routes"):
        world.router(routes=[])


def test_atomic_routes() -> None:
    """Routes are added and taken away one by one, whatever others do meanwhile."""
    world = RouterWorld()
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    world.plug(router, subnet)
    one, two, three = ({"destination": f"10.{n}.0.0/16", "nexthop": f"10.0.0.{n}"} for n in (5, 6, 7))
    assert world.act("add_extraroutes", router, routes=[one])["routes"] == [one]
    assert world.act("add_extraroutes", router, routes=[one, two])["routes"] == [one, two]
    assert world.act("remove_extraroutes", router, routes=[two, three])["routes"] == [one]
    second = {**one, "nexthop": "10.0.0.99"}
    assert world.act("add_extraroutes", router, routes=[second])["routes"] == [one, second]
    assert world.act("remove_extraroutes", router, routes=[one, second])["routes"] == []
    with refused(400, "HTTPBadRequest", "Duplicate hostroute"):
        world.act("add_extraroutes", router, routes=[one, one])
    with refused(400, "HTTPBadRequest", "routes"):
        world.act("add_extraroutes", router)


def test_gateway_keeps_routes_reachable() -> None:
    """A gateway that a route goes over stays."""
    world = RouterWorld()
    outside, other = world.external(), world.external("198.51.100.0/24")
    router = world.router(external_gateway_info=gateway(outside))
    world.update("router", router, routes=[{"destination": "10.9.0.0/16", "nexthop": "192.0.2.99"}])
    for info in (None, gateway(other)):
        with refused(400, "InvalidRoutes", "not connected"):
            world.update("router", router, external_gateway_info=info)
    world.update("router", router, external_gateway_info=gateway(outside, "192.0.2.50"))


# -- protection --------------------------------------------------------------------------------------------------------


def test_ports_are_protected() -> None:
    """A router's ports are not deleted as ports, and keep their IPv4 addresses."""
    world = RouterWorld()
    outside = world.external()
    network, [subnet, other] = world.inside("10.0.0.0/24", "10.1.0.0/24")
    router = world.router(external_gateway_info=gateway(outside))
    port = world.plug(router, subnet)
    for one in world.ports(router):
        with refused(409, "ServicePortInUse", one["id"], one["device_owner"]):
            world.delete("port", one)
    with refused(400, "BadRequest", port["id"]):
        world.update("port", port, fixed_ips=[{"subnet_id": other["id"]}])
    six, twin = world.subnet(network, "fd00:1::/64"), world.inside("fd00:1::/64")[1][0]
    world.plug(router, twin)
    with refused(400, "BadRequest", "overlaps"):
        world.update("port", port, fixed_ips=[*port["fixed_ips"], {"subnet_id": six["id"]}])
    world.update("port", port, fixed_ips=[{"subnet_id": subnet["id"]}], name="x")
    assert addresses(world.get("port", port)) == ["10.0.0.1"]
    with refused(409, "SubnetInUse", subnet["id"]):
        world.delete("subnet", subnet)
    with refused(409, "NetworkInUse", port["id"]):
        world.delete("network", network)
    with refused(409, "NetworkInUse"):
        world.delete("network", outside)
    with refused(409, "GatewayIpInUse", port["id"]):
        world.update("subnet", subnet, gateway_ip="10.0.0.254")


def test_foreign_router_ports() -> None:
    """Nobody makes a port that passes for one of a router: the router makes its own."""
    world = RouterWorld()
    router, network = world.router(), world.network()
    with world.as_project("p2"):
        own = world.network()
        with refused(409, "DeviceIDNotOwnedByTenant", router["id"]):
            world.port(own, device_owner=INTERFACE, device_id=router["id"])
        port = world.port(own, device_id=router["id"])
        with refused(409, "DeviceIDNotOwnedByTenant", router["id"]):
            world.update("port", port, device_owner=INTERFACE)
    for owner in ROUTER_OWNERS:
        with refused(409, "DeviceIDNotOwnedByTenant", router["id"]):
            world.port(network, device_owner=owner, device_id=router["id"])
        port = world.port(network, device_owner=owner)
        with refused(409, "DeviceIDNotOwnedByTenant", router["id"]):
            world.update("port", port, device_id=router["id"])
    assert world.port(network, device_owner=INTERFACE, device_id="no router")["device_id"] == "no router"


def test_external_networks_in_use() -> None:
    """A network with a gateway on it stays external, and open to the project whose gateway it is."""
    world = RouterWorld()
    outside = world.external()
    router = world.router(external_gateway_info=gateway(outside))
    with world.as_admin(), refused(409, "ExternalNetworkInUse", outside["id"]):
        world.update("network", outside, router__external=False)
    [grant] = world.snapshot.docs("rbac_policy")
    with world.as_admin(), refused(409, "RbacPolicyInUse", "p1"):
        world.delete("rbac_policy", grant)
    world.delete("router", router)
    with world.as_admin():
        world.delete("rbac_policy", grant)
    with refused(404, "NetworkNotFound", outside["id"]):
        world.router(external_gateway_info=gateway(outside))


def test_external_for_one_project() -> None:
    """A network that is opened as external to one project is one for its routers alone."""
    world, target = RouterWorld(), "a" * 32
    with world.as_admin(), world.as_project("operator"):
        outside = world.network()
        world.subnet(outside, "192.0.2.0/24")
        world.create("rbac_policy", {
            "object_type": "network", "object_id": outside["id"], "action": "access_as_external",
            "target_tenant": target,
        })  # fmt: skip
    with refused(404, "NetworkNotFound", outside["id"]):
        world.router(external_gateway_info=gateway(outside))
    with world.as_project(target):
        assert world.router(external_gateway_info=gateway(outside))["gw_port_id"]


def test_parse() -> None:
    """A router's read-only attributes are refused by name."""
    for name in ("status", "gw_port_id", "l3_agents", "availability_zones", "ha_vr_id"):
        with refused(400, "HTTPBadRequest", name):
            parse_create(CATALOG["router"], {name: []})
    with refused(400, "HTTPBadRequest", "availability_zone_hints"):
        parse_create(CATALOG["router"], {"availability_zone_hints": ["x" * 40] * 8})
    assert parse_create(CATALOG["router"], {"distributed": None})["distributed"] is None

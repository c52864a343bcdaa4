"""Several gateways of one router, by the actions that add, change and remove them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.intent.schema import Doc
from netloom.model.slices import RouterRow
from netloom.resolve.slices import resolve_slice
from tests.unit.intent.intent_kit import SETTINGS, refused
from tests.unit.intent.router_kit import RouterWorld


@pytest.fixture
def world() -> RouterWorld:
    return RouterWorld()


def act(world: RouterWorld, verb: str, router: Doc, *gateways: dict[str, object]) -> Doc:
    return world.act(f"{verb}_external_gateways", router, external_gateways=list(gateways))


def shown(world: RouterWorld, router: Doc) -> list[str]:
    """The networks of its gateways, the first one first; external_gateway_info agrees."""
    doc = world.get("router", router)
    found = [gateway["network_id"] for gateway in doc["external_gateways"]]
    assert (doc["external_gateway_info"] or {}).get("network_id") == next(iter(found), None)
    return found


def test_gateways_come_and_go(world: RouterWorld) -> None:
    """The first of a router without one is the one that counts; where it goes, the next one does."""
    a, b = world.external("192.0.2.0/24"), world.external("198.51.100.0/24")
    router = world.router()
    assert world.get("router", router)["external_gateways"] == []
    act(world, "add", router, {"network_id": a["id"]}, {"network_id": b["id"]})
    assert shown(world, router) == [a["id"], b["id"]]
    act(world, "add", router, {"network_id": a["id"]})
    assert shown(world, router) == [a["id"], b["id"], a["id"]] and len(world.ports(router)) == 3
    act(world, "remove", router, {"network_id": b["id"]})
    assert shown(world, router) == [a["id"], a["id"]]
    act(world, "remove", router, {"network_id": a["id"]}, {"network_id": a["id"]})
    assert shown(world, router) == [] and world.ports(router) == []


def test_a_gateway_is_known_by_its_address(world: RouterWorld) -> None:
    """Of two on one network the one that is named goes."""
    network = world.external("192.0.2.0/24")
    router = world.router()
    one, other = ({"network_id": network["id"], "external_fixed_ips": [{"ip_address": ip}]} for ip in
                  ("192.0.2.10", "192.0.2.11"))  # fmt: skip
    with world.as_admin():
        act(world, "add", router, one, other)
        act(world, "update", router, {**one, "enable_snat": False}, other)
        assert world.get("router", router)["external_gateway_info"]["enable_snat"] is False
    with world.as_admin():
        act(world, "remove", router, one)
    (port,) = world.ports(router)
    assert [fixed["ip_address"] for fixed in port["fixed_ips"]] == ["192.0.2.11"]


def test_gateways_may_all_be_used_at_once(world: RouterWorld) -> None:
    """An administrator says so, or the site's options do; null changes nothing, and hosts are told of it."""
    router = world.router()
    shown = world.get("router", router)
    assert shown["enable_default_route_ecmp"] is False
    with world.as_admin():
        world.update("router", router, enable_default_route_ecmp=True)
        world.update("router", router, enable_default_route_ecmp=None)
    shown = world.get("router", router)
    assert shown["enable_default_route_ecmp"] is True
    found = resolve_slice(world.snapshot, f"router/{router['id']}")
    assert found is not None
    row = found.rows[f"router/{router['id']}"]
    assert isinstance(row, RouterRow) and row.default_route_ecmp
    site = RouterWorld(replace(SETTINGS, enable_default_route_ecmp=True))
    assert site.get("router", site.router())["enable_default_route_ecmp"] is True
    assert site.get("router", site.router(enable_default_route_ecmp=False))["enable_default_route_ecmp"] is False


def test_what_is_refused(world: RouterWorld) -> None:
    """A network that is not external, a gateway that is not there, what an administrator alone may choose."""
    network, inner = world.external(), world.network()
    router = world.router()
    with refused(400, "BadRequest", "not an external network"):
        act(world, "add", router, {"network_id": inner["id"]})
    with refused(400, "UnableToMatchGateways", router["id"]):
        act(world, "remove", router, {"network_id": network["id"]})
    with refused(403, "PolicyNotAuthorized", "enable_snat"):
        act(world, "add", router, {"network_id": network["id"], "enable_snat": False})
    with refused(400, "HTTPBadRequest", "external_gateways", "not a list"):
        world.act("add_external_gateways", router, external_gateways="x")


def test_an_update_says_all(world: RouterWorld) -> None:
    """After it the router has just the gateways that it names, in that order; those that stay are the same ports."""
    a, b, c = (world.external(cidr) for cidr in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
    router = world.router()
    act(world, "update", router, {"network_id": a["id"]}, {"network_id": b["id"]})
    assert shown(world, router) == [a["id"], b["id"]]
    before = {port["network_id"]: port["id"] for port in world.ports(router)}
    act(world, "update", router, {"network_id": b["id"]}, {"network_id": c["id"]})
    assert shown(world, router) == [b["id"], c["id"]]
    after = {port["network_id"]: port["id"] for port in world.ports(router)}
    assert after.keys() == {b["id"], c["id"]} and after[b["id"]] == before[b["id"]]
    act(world, "update", router, {"network_id": a["id"]})
    assert shown(world, router) == [a["id"]]


def test_nothing_given(world: RouterWorld) -> None:
    """Nothing to add or to take away changes nothing, however it is said; an update to none takes all away."""
    a, b = world.external("192.0.2.0/24"), world.external("198.51.100.0/24")
    router = world.router()
    act(world, "add", router, {"network_id": a["id"]}, {"network_id": b["id"]})
    for verb in ("add", "remove"):
        world.act(f"{verb}_external_gateways", router, external_gateways={})
        world.act(f"{verb}_external_gateways", router)
        assert shown(world, router) == [a["id"], b["id"]]
    act(world, "update", router)
    assert shown(world, router) == []
    assert world.ports(router) == []

"""Whatever is done to routers and in whatever order: their ports are those that they need, and nobody's is left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from netloom.intent.addressing.pools import net_range
from netloom.intent.errors import ApiError
from netloom.intent.l3.router_find import (
    GATEWAY,
    HA_PORT,
    INTERFACE_OWNERS,
    ROUTER_OWNERS,
    SNAT_INTERFACE,
    interface_owner,
)
from netloom.intent.l3.router_show import show_gateway
from netloom.intent.schema import Doc
from netloom.model.address import ip_version
from tests.examples import count_examples
from tests.unit.intent.router_kit import RouterWorld, gateway

CIDRS = ("10.0.0.0/24", "10.0.0.0/16", "10.1.0.0/24", "fd00:1::/64", "fd00:2::/64")
Step = Callable[[RouterWorld, "Stage"], None]


class Stage:
    """Two routers, subnets that partly overlap, and two networks outside."""

    def __init__(self, world: RouterWorld) -> None:
        world.host("h1")
        self.outside = [world.external("192.0.2.0/24", "2001:db8::/64"), world.external("198.51.100.0/24")]
        first, self.subnets = world.inside("10.0.0.0/24", "10.1.0.0/24", "fd00:1::/64", "fd00:2::/64")
        self.subnets += world.inside("10.0.0.0/16")[1]
        self.first = first
        self.routers = [world.router(), world.router()]


def steps() -> st.SearchStrategy[Step]:
    router, subnet, out = st.integers(0, 1), st.integers(0, 4), st.integers(0, 1)
    return st.one_of(
        st.builds(lambda r, s: lambda w, g: w.plug(g.routers[r], g.subnets[s]), router, subnet),
        st.builds(lambda r, s: lambda w, g: unplug(w, g.routers[r], g.subnets[s]), router, subnet),
        st.builds(lambda r, o: lambda w, g: set_gateway(w, g.routers[r], gateway(g.outside[o])), router, out),
        st.builds(lambda r: lambda w, g: set_gateway(w, g.routers[r], None), router),
        st.builds(lambda r, d, h: lambda w, g: reform(w, g.routers[r], d, h), router, st.booleans(), st.booleans()),
        st.builds(lambda n: lambda w, g: w.host(f"h{n}"), st.integers(1, 4)),
        st.builds(lambda n: lambda w, g: w.delete("agent", w.agent("L3 agent", f"h{n}")), st.just(1)),
        st.builds(lambda r: lambda w, g: replace_router(w, g, r), router),
        st.builds(lambda r, o: lambda w, g: pose(w, g, g.routers[r], o), router, st.sampled_from(ROUTER_OWNERS)),
        st.builds(lambda r: lambda w, g: w.delete("port", w.ports(g.routers[r])[0]), router),
    )  # fmt: skip


def unplug(world: RouterWorld, router: Doc, subnet: Doc) -> None:
    world.act("remove_router_interface", router, subnet_id=subnet["id"])


def set_gateway(world: RouterWorld, router: Doc, info: Any) -> None:
    world.update("router", router, external_gateway_info=info)


def reform(world: RouterWorld, router: Doc, distributed: bool, ha: bool) -> None:
    world.update("router", router, admin_state_up=False)
    world.update("router", router, distributed=distributed, ha=ha)
    world.update("router", router, admin_state_up=True)


def pose(world: RouterWorld, stage: Stage, router: Doc, owner: str) -> None:
    """A port that passes for one of the router's."""
    world.port(stage.first, device_id=router["id"], device_owner=owner)


def replace_router(world: RouterWorld, stage: Stage, which: int) -> None:
    world.delete("router", stage.routers[which])
    stage.routers[which] = world.router()


# -- what holds at any time --------------------------------------------------------------------------------------------


def check(world: RouterWorld) -> None:
    routers = {router["id"]: router for router in world.snapshot.docs("router")}
    for port in world.snapshot.docs("port"):
        assert port["device_owner"] not in ROUTER_OWNERS or port["device_id"] in routers
    for router in routers.values():
        ports = world.ports(router)
        check_interfaces(world, router, ports)
        check_gateway(world, router, [port for port in ports if port["device_owner"] == GATEWAY])
        check_snat(router, ports)
        check_copies(router, [port for port in ports if port["device_owner"] == HA_PORT])
    owners = Counter(router["project_id"] for router in routers.values() if router["ha"])
    networks = [one for one in world.snapshot.docs("network") if one["ha_project_id"]]
    assert [one["ha_project_id"] for one in networks] == list(owners)


def check_interfaces(world: RouterWorld, router: Doc, ports: list[Doc]) -> None:
    """They are called after the router's form, and no two of its subnets overlap."""
    owners = {port["device_owner"] for port in ports} & set(INTERFACE_OWNERS)
    assert owners <= {interface_owner(router)}
    reached = [fixed["subnet_id"] for port in ports for fixed in port["fixed_ips"] if port["device_owner"] in owners]
    subnets = [world.get("subnet", {"id": id}) for id in reached]
    ranges = sorted((one["ip_version"], *net_range(one["cidr"])) for one in subnets)
    for (version, _, last), (other, first, _) in pairwise(ranges):
        assert version != other or last < first


def check_gateway(world: RouterWorld, router: Doc, ports: list[Doc]) -> None:
    """What the router shows is what its gateway port is."""
    assert [port["id"] for port in ports] == [router["gw_port_id"]] * bool(router["gw_port_id"])
    info = router["external_gateway_info"]
    assert (info is None) == (not ports)
    if info:
        assert {name: info[name] for name in ("network_id", "external_fixed_ips")} == show_gateway(ports[0])


def check_snat(router: Doc, ports: list[Doc]) -> None:
    """A distributed router with a gateway reaches it from each of its subnets, and no other has SNAT ports."""
    needed = router["distributed"] and router["gw_port_id"]
    inside = [f for port in ports for f in port["fixed_ips"] if port["device_owner"] in INTERFACE_OWNERS]
    snat = [port for port in ports if port["device_owner"] == SNAT_INTERFACE]
    served = sorted(fixed["subnet_id"] for port in snat for fixed in port["fixed_ips"])
    assert served == (sorted(fixed["subnet_id"] for fixed in inside) if needed else [])
    assert all(len(port["fixed_ips"]) == 1 for port in snat if ip_version(port["fixed_ips"][0]["ip_address"]) == 4)


def check_copies(router: Doc, ports: list[Doc]) -> None:
    """An HA router has a port for each copy and a number; another router has one host at most and neither."""
    hosted = router["l3_agents"]
    assert sorted(port["id"] for port in ports) == sorted(one["port_id"] for one in hosted if one["port_id"])
    assert bool(router["ha_vr_id"]) == router["ha"]
    assert len(hosted) <= (3 if router["ha"] else 1)
    assert len(ports) == (len(hosted) if router["ha"] else 0)


@settings(max_examples=count_examples(80), deadline=None)
@given(st.lists(steps(), min_size=12, max_size=24))
def test_ports_are_what_routers_need(given_steps: list[Step]) -> None:
    """After any sequence of requests, refused ones included, each router has just the ports that it calls for."""
    world = RouterWorld()
    stage = Stage(world)
    for step in given_steps:
        before = world.snapshot
        try:
            step(world, stage)
        except (ApiError, AssertionError, IndexError) as error:
            assert isinstance(error, ApiError) or world.snapshot is before
        check(world)
    with suppress(ApiError):
        for router in stage.routers:
            for subnet in stage.subnets:
                with suppress(ApiError):
                    unplug(world, router, subnet)
            world.delete("router", router)
    assert world.snapshot.count("router") == 0
    assert [port for port in world.snapshot.docs("port") if port["device_owner"]] == []

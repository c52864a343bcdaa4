"""The forms of routers: distributed, HA, by flavor; and which agents host them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.intent.agents.agent import mark_alive
from netloom.intent.l3.router_copies import move_routers
from netloom.intent.l3.router_schedule import L3_AGENTS
from netloom.intent.schema import Doc
from netloom.intent.snapshot import Change
from tests.unit.intent.intent_kit import MISSING, SETTINGS, addresses, refused
from tests.unit.intent.router_kit import RouterWorld, gateway

HA_PORT, SNAT = "network:router_ha_interface", "network:router_centralized_snat"
PLAIN, DVR, REPLICATED = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
DRIVERS = "neutron.services.l3_router.service_providers"


def hosts(world: RouterWorld, *names: str, zone: str = "nova") -> None:
    for name in names:
        world.host(name, zone)


def hosting(world: RouterWorld, router: Doc) -> list[str]:
    agents = (world.get("agent", {"id": id}) for id in world.linked("router", "l3-agents", router))
    return sorted(agent["host"] for agent in agents)


# -- distributed -------------------------------------------------------------------------------------------------------


def test_snat_ports() -> None:
    """A distributed router with a gateway has a SNAT port for each IPv4 subnet and one for a network's IPv6 ones."""
    world = RouterWorld()
    outside = world.external()
    network, [v4, v6, more] = world.inside("10.0.0.0/24", "fd00:1::/64", "fd00:2::/64")
    router = world.router(distributed=True)
    for subnet in (v4, v6):
        world.plug(router, subnet)
    assert [port["device_owner"] for port in world.ports(router)] == [DVR, DVR]
    world.update("router", router, external_gateway_info=gateway(outside))
    assert [addresses(port) for port in world.ports(router, SNAT)] == [["10.0.0.2"], ["fd00:1::1"]]
    assert {port["project_id"] for port in world.ports(router, SNAT)} == {""}
    world.plug(router, more)
    assert addresses(world.ports(router, SNAT)[1]) == ["fd00:1::1", "fd00:2::1"]
    world.act("remove_router_interface", router, subnet_id=v6["id"])
    world.act("remove_router_interface", router, subnet_id=v4["id"])
    assert [addresses(port) for port in world.ports(router, SNAT)] == [["fd00:2::1"]]
    world.update("router", router, external_gateway_info=None)
    assert world.ports(router, SNAT) == []
    assert {port["network_id"] for port in world.ports(router)} == {network["id"]}


def test_form_changes_while_off() -> None:
    """A router becomes distributed and back while it is off; its interfaces are called accordingly."""
    world = RouterWorld()
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    world.plug(router, subnet)
    for change in ({"distributed": True}, {"distributed": True, "admin_state_up": False}):
        with refused(400, "BadRequest", "'distributed' attribute of active routers"):
            world.update("router", router, **change)
    with refused(400, "BadRequest", "HA attribute of active routers"):
        world.update("router", router, ha=True)
    world.update("router", router, admin_state_up=False)
    for form, owner in (
        ({"distributed": True}, DVR),
        ({"ha": True}, DVR),
        ({"distributed": False}, REPLICATED),
        ({"ha": False}, PLAIN),
    ):
        router = world.update("router", router, **form)
        assert [port["device_owner"] for port in world.ports(router) if addresses(port) == ["10.0.0.1"]] == [owner]
    with refused(400, "BadRequest"):
        world.update("router", router, distributed=True, admin_state_up=True)
    assert world.update("router", router, distributed=None)["distributed"] is False


# -- HA ----------------------------------------------------------------------------------------------------------------


def test_ha_network() -> None:
    """A project's HA routers meet on one network of nobody's, which goes with the last of them."""
    world = RouterWorld()
    hosts(world, "h1", "h2", "h3", "h4")
    one, two = world.router(ha=True), world.router(ha=True)
    [network] = world.snapshot.docs("network")
    assert (network["name"], network["project_id"]) == ("HA network project p1", "")
    [subnet] = world.snapshot.docs("subnet")
    assert (subnet["cidr"], subnet["enable_dhcp"], subnet["gateway_ip"]) == ("169.254.192.0/18", False, None)
    assert [one["ha_vr_id"], two["ha_vr_id"]] == [1, 2]
    for router in (one, two):
        ports = world.ports(router, HA_PORT)
        assert len(ports) == 3
        assert {(port["name"], port["project_id"]) for port in ports} == {("HA port project p1", "")}
        assert len(hosting(world, router)) == 3
    world.delete("router", one)
    assert world.router(ha=True)["ha_vr_id"] == 1
    world.delete("router", two)
    world.delete("router", next(iter(world.snapshot.docs("router"))))
    assert [world.snapshot.count(kind) for kind in ("network", "subnet", "port", "segment")] == [0, 0, 0, 0]


def test_projects_have_their_own_ha_network() -> None:
    """Two projects' HA routers do not meet."""
    world = RouterWorld()
    world.router(ha=True)
    with world.as_project("p2"):
        assert world.router(ha=True)["ha_vr_id"] == 1
    assert world.snapshot.count("network") == 2
    with world.as_admin(), refused(409, "DuplicatedHANetwork", "p1"):
        world.network(ha=True)


def test_too_many_ha_routers() -> None:
    """The 255th HA router of a project is in error: it cannot be told from the others."""
    world = RouterWorld(replace(SETTINGS, quotas={"router": -1}))
    made = world.create("router", *({"ha": True} for _ in range(255)))
    assert [router["status"] for router in made] == ["ACTIVE"] * 254 + ["ERROR"]
    assert sorted(router["ha_vr_id"] for router in made) == list(range(255))
    world.update("router", made[-1], ha=False, admin_state_up=False)
    with refused(409, "NoVRIDAvailable", made[-1]["id"]):
        world.update("router", made[-1], ha=True)


def test_ha_state() -> None:
    """Copies of an HA router are standby until a host says otherwise; other routers have no such state."""
    world = RouterWorld()
    hosts(world, "h1")
    router, plain = world.router(ha=True), world.router()
    world.relate("agent", "l3-routers", world.agent("L3 agent"), plain["id"], add=True)
    assert L3_AGENTS.extra is not None
    agent = world.agent("L3 agent")["id"]
    assert L3_AGENTS.extra(world.snapshot, world.get("router", router), agent) == {"ha_state": "standby"}
    assert L3_AGENTS.extra(world.snapshot, world.get("router", plain), agent) == {"ha_state": None}


# -- flavors -----------------------------------------------------------------------------------------------------------


def make_flavor(world: RouterWorld, driver: str = "", metainfo: str = "") -> tuple[Doc, Doc]:
    profile = world.create("service_profile", {"driver": f"{DRIVERS}.{driver}" if driver else "", "metainfo": metainfo})
    flavor = world.create("flavor", {"service_type": "L3_ROUTER_NAT"})[0]
    world.relate("flavor", "service_profiles", flavor, profile[0]["id"], add=True)
    return flavor, profile[0]


@pytest.mark.parametrize(
    ("driver", "form"),
    [
        ("single_node.SingleNodeDriver", (False, False)),
        ("dvr.DvrDriver", (True, False)),
        ("ha.HaDriver", (False, True)),
        ("dvrha.DvrHaDriver", (True, True)),
    ],
)
def test_flavor_is_a_form(driver: str, form: tuple[bool, bool]) -> None:
    """A router of a flavor has the form that the flavor's provider makes, and keeps it."""
    world = RouterWorld()
    flavor, _ = make_flavor(world, driver)
    router = world.router(flavor_id=flavor["id"], admin_state_up=False)
    assert (router["distributed"], router["ha"], router["flavor_id"]) == (*form, flavor["id"])
    with refused(400, "InvalidInput", f"does not support distributed={not form[0]}"):
        world.router(flavor_id=flavor["id"], distributed=not form[0])
    with refused(400, "InvalidInput", "associated with a flavor"):
        world.update("router", router, ha=not form[1])
    with refused(409, "FlavorInUse", flavor["id"]):
        world.delete("flavor", flavor)
    world.delete("router", router)
    world.delete("flavor", flavor)


def test_flavor_refused() -> None:
    """A flavor that is not there, or leads to nothing, makes no router."""
    world = RouterWorld()
    with refused(404, "FlavorNotFound", MISSING):
        world.router(flavor_id=MISSING)
    empty = world.create("flavor", {"service_type": "L3_ROUTER_NAT"})[0]
    with refused(404, "FlavorServiceProfileBindingNotFound", empty["id"]):
        world.router(flavor_id=empty["id"])
    flavor, _ = make_flavor(world, metainfo="{}")
    with refused(404, "ServiceProfileDriverNotFound"):
        world.router(flavor_id=flavor["id"])


# -- scheduling --------------------------------------------------------------------------------------------------------


def test_router_waits_for_work() -> None:
    """A router is given to an agent with its gateway or first interface, the one with the fewest; and stays there."""
    world = RouterWorld()
    hosts(world, "h1", "h2")
    _, [subnet] = world.inside("10.0.0.0/24")
    router = world.router()
    assert hosting(world, router) == []
    world.plug(router, subnet)
    assert hosting(world, router) == ["h1"]
    outside = world.external()
    second = world.router(external_gateway_info=gateway(outside))
    assert hosting(world, second) == ["h2"]
    assert second["availability_zones"] == ["nova"]
    world.take(mark_alive(world.snapshot, world.context(), "h2", False))
    assert hosting(world, second) == ["h2"]
    third = world.router(external_gateway_info=gateway(outside))
    assert hosting(world, third) == ["h1"]


def test_zones() -> None:
    """A router is hosted in the zones that it names, HA copies in each of them; a zone without agent is refused."""
    world = RouterWorld(replace(SETTINGS, max_l3_agents_per_router=2))
    hosts(world, "h1", "h2", zone="a")
    hosts(world, "h3", zone="b")
    with refused(404, "AvailabilityZoneNotFound", "c"):
        world.router(availability_zone_hints=["c"])
    outside = world.external()
    router = world.router(availability_zone_hints=["b"], external_gateway_info=gateway(outside))
    assert (hosting(world, router), router["availability_zones"]) == (["h3"], ["b"])
    router = world.router(ha=True)
    assert (hosting(world, router), router["availability_zones"]) == (["h1", "h3"], ["a", "b"])


def test_a_router_stays_in_its_zones() -> None:
    """Whoever comes, and whoever is lost: only agents of the zones that a router names are given it."""
    world = RouterWorld(replace(SETTINGS, max_l3_agents_per_router=3))
    hosts(world, "a1", zone="a")
    hosts(world, "b1", zone="b")
    hosts(world, "c1", zone="c")
    outside = world.external()
    plain = world.router(availability_zone_hints=["b"], external_gateway_info=gateway(outside))
    ha = world.router(ha=True, availability_zone_hints=["a", "b"])
    assert (hosting(world, plain), hosting(world, ha)) == (["b1"], ["a1", "b1"])
    world.take(mark_alive(world.snapshot, world.context(), "b1", False))
    world.take(move_routers(world.snapshot, world.context(), "b1"))
    assert hosting(world, plain) == ["b1"], "nobody else is in its zone"
    hosts(world, "c2", zone="c")
    assert hosting(world, ha) == ["a1", "b1"]
    hosts(world, "b2", zone="b")
    assert hosting(world, ha) == ["a1", "b1", "b2"]
    world.take(move_routers(world.snapshot, world.context(), "b1"))
    assert hosting(world, plain) == ["b2"]
    assert world.get("router", plain)["availability_zones"] == ["b"]


def test_agents_that_come_and_go() -> None:
    """A new agent takes the routers that are on none, and HA routers that lack copies; a forgotten one has none."""
    world = RouterWorld()
    outside = world.external()
    plain, ha = world.router(external_gateway_info=gateway(outside)), world.router(ha=True)
    assert (hosting(world, plain), hosting(world, ha)) == ([], [])
    hosts(world, "h1")
    assert (hosting(world, plain), hosting(world, ha)) == (["h1"], ["h1"])
    hosts(world, "h2")
    assert (hosting(world, plain), hosting(world, ha)) == (["h1"], ["h1", "h2"])
    assert len(world.ports(ha, HA_PORT)) == 2
    world.delete("agent", world.agent("L3 agent", "h1"))
    assert (hosting(world, plain), hosting(world, ha)) == ([], ["h2"])
    assert len(world.ports(ha, HA_PORT)) == 1
    hosts(world, "h1")
    assert hosting(world, plain) == ["h1"]


def test_by_hand() -> None:
    """An operator moves routers between L3 agents."""
    world = RouterWorld()
    hosts(world, "h1", "h2")
    router, ha = world.router(), world.router(ha=True)
    one, two = world.agent("L3 agent", "h1"), world.agent("L3 agent", "h2")
    world.relate("agent", "l3-routers", one, router["id"], add=True)
    world.relate("agent", "l3-routers", one, router["id"], add=True)
    assert router["id"] in world.linked("agent", "l3-routers", one)
    with refused(409, "RouterHostedByL3Agent", router["id"], one["id"]):
        world.relate("agent", "l3-routers", two, router["id"], add=True)
    world.relate("agent", "l3-routers", one, router["id"], add=False)
    world.relate("agent", "l3-routers", one, router["id"], add=False)
    assert hosting(world, router) == []
    world.relate("agent", "l3-routers", two, ha["id"], add=False)
    assert (hosting(world, ha), len(world.ports(ha, HA_PORT))) == (["h1"], 1)
    world.relate("agent", "l3-routers", two, ha["id"], add=True)
    assert (hosting(world, ha), len(world.ports(ha, HA_PORT))) == (["h1", "h2"], 2)
    with refused(404, "RouterNotFound", MISSING):
        world.relate("agent", "l3-routers", one, MISSING, add=True)
    with refused(404, "InvalidL3Agent"):
        world.relate("agent", "l3-routers", world.agent("DHCP agent"), router["id"], add=True)
    world.update("agent", one, admin_state_up=False)
    with refused(404, "InvalidL3Agent", one["id"]):
        world.relate("agent", "l3-routers", one, router["id"], add=True)


@pytest.mark.parametrize(
    ("mode", "type"), [("dvr", "DVRL3CannotAssignToDvrAgent"), ("legacy", "RouterL3AgentMismatch")]
)
def test_modes_of_agents(mode: str, type: str) -> None:
    """An agent that says that it only serves instances' hosts, or no distributed routers, is given none."""
    world = RouterWorld()
    hosts(world, "h1")
    agent = world.agent("L3 agent")
    told = {**agent, "configurations": {"agent_mode": mode}}
    world.snapshot = world.snapshot.apply([change("agent", told)], world.snapshot.revision + 1)
    router = world.router(distributed=True, external_gateway_info=gateway(world.external()))
    assert hosting(world, router) == []
    with refused(409, type):
        world.relate("agent", "l3-routers", agent, router["id"], add=True)
    if mode == "dvr":
        with refused(409, "DVRL3CannotRemoveFromDvrAgent"):
            world.relate("agent", "l3-routers", agent, router["id"], add=False)


def change(kind: str, doc: Doc) -> Change:
    return Change(kind, doc["id"], doc)

"""Where a router's ports are bound, what its copies say, and where it goes when its host is gone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netloom.intent.agents.agent import mark_alive, report_host
from netloom.intent.l2.port_status import acknowledge
from netloom.intent.l3.router_copies import move_routers, report_copies
from netloom.intent.l3.router_schedule import show_state
from netloom.intent.schema import Doc
from tests.unit.intent.intent_kit import HOST, SETTINGS
from tests.unit.intent.router_kit import RouterWorld

HOSTS = ("h1", "h2", "h3")


@pytest.fixture
def world() -> RouterWorld:
    found = RouterWorld(replace(SETTINGS, max_l3_agents_per_router=2))
    for number, name in enumerate(HOSTS):
        told = {**HOST, "tunneling_ip": f"192.0.2.{number + 1}"}
        found.run(lambda s, c, name=name, told=told: report_host(s, c, name, told, "nova"))  # type: ignore[misc]
    return found


def make(world: RouterWorld, **form: bool) -> Doc:
    """A router with one network inside and a gateway."""
    external = world.external()
    with world.as_admin():
        router = world.router(external_gateway_info={"network_id": external["id"]}, **form)
        _, (subnet,) = world.inside("10.0.0.0/24")
        world.plug(router, subnet)
    return world.get("router", router)


def places(world: RouterWorld, router: Doc) -> dict[str, set[str]]:
    """device_owner → hosts."""
    found: dict[str, set[str]] = {}
    for port in world.ports(router):
        found.setdefault(port["device_owner"].removeprefix("network:"), set()).add(port["binding:host_id"])
    return found


def find_hosts(world: RouterWorld, router: Doc) -> list[str]:
    hostings = world.get("router", router)["l3_agents"]
    return [world.get("agent", {"id": one["agent_id"]})["host"] for one in hostings]


def say(world: RouterWorld, host: str, router: Doc, state: str) -> None:
    world.run(lambda s, c: report_copies(s, c, host, {router["id"]: state}))


def states(world: RouterWorld, router: Doc) -> dict[str, str]:
    hostings = world.get("router", router)["l3_agents"]
    return {world.get("agent", {"id": one["agent_id"]})["host"]: one["ha_state"] for one in hostings}


# -- where ports are ---------------------------------------------------------------------------------------------------


def test_the_ports_of_a_router_are_on_its_host(world: RouterWorld) -> None:
    """Interfaces and gateway are bound like any port, and wait for that host."""
    router = make(world)
    (host,) = find_hosts(world, router)
    assert places(world, router) == {"router_interface": {host}, "router_gateway": {host}}
    assert {port["binding:vif_type"] for port in world.ports(router)} == {"ovs"}


def test_the_interfaces_of_a_distributed_router_are_everywhere(world: RouterWorld) -> None:
    """They are bound to no host; what hides addresses is on one."""
    router = make(world, distributed=True)
    first = find_hosts(world, router)[0]
    assert places(world, router) == {
        "router_interface_distributed": {""}, "router_gateway": {first}, "router_centralized_snat": {first},
    }  # fmt: skip
    (interface,) = world.ports(router, "network:router_interface_distributed")
    assert interface["binding:vif_type"] == "distributed"


def test_the_ports_of_a_router_move_with_it(world: RouterWorld) -> None:
    """By the agent scheduler: taken from one host they are on none, given to another they are there."""
    router = make(world)
    agent = world.get("agent", {"id": router["l3_agents"][0]["agent_id"]})
    with world.as_admin():
        world.relate("agent", "l3-routers", agent, router["id"], add=False)
        assert places(world, router) == {"router_interface": {""}, "router_gateway": {""}}
        other = next(world.agent("L3 agent", host) for host in HOSTS if host != agent["host"])
        world.relate("agent", "l3-routers", other, router["id"], add=True)
    assert places(world, router) == {"router_interface": {other["host"]}, "router_gateway": {other["host"]}}


def test_a_host_that_cannot_have_the_gateway_says_so(world: RouterWorld) -> None:
    """No bridge to the physical network: that port fails, the interface works; it heals when the bridge comes."""
    with world.as_admin():
        network = world.network(**{
            "router__external": True, "provider:network_type": "flat", "provider:physical_network": "physnet2"
        })  # fmt: skip
        world.subnet(network, "192.0.2.0/24")
        router = world.router(external_gateway_info={"network_id": network["id"]})
    (port,) = world.ports(router)
    host = port["binding:host_id"]
    assert port["binding:vif_type"] == "binding_failed" and "physnet2" in port["waits_for"]
    told = {**HOST, "bridge_mappings": {"physnet2": "br-two"}}
    world.run(lambda s, c: report_host(s, c, host, told, "nova"))
    assert world.ports(router)[0]["binding:vif_type"] == "ovs"


# -- copies ------------------------------------------------------------------------------------------------------------


def test_the_ports_of_copies_are_where_the_active_one_is(world: RouterWorld) -> None:
    """Each copy has its own port to the others; interfaces and gateway are shown on the host that is active."""
    router = make(world, ha=True)
    one, other = find_hosts(world, router)
    assert places(world, router)["router_ha_interface"] == {one, other}
    for active in (other, one):
        say(world, active, router, "active")
        say(world, {one: other, other: one}[active], router, "standby")
        found = places(world, router)
        assert found["ha_router_replicated_interface"] == found["router_gateway"] == {active}
        assert states(world, router) == {active: "active", {one: other, other: one}[active]: "standby"}


def test_while_two_say_they_are_active_the_last_one_counts(world: RouterWorld) -> None:
    """After a partition the one that gives up leaves it to the other, whichever that is."""
    router = make(world, ha=True)
    one, other = find_hosts(world, router)
    say(world, one, router, "active")
    say(world, other, router, "active")
    assert places(world, router)["router_gateway"] == {other}
    say(world, other, router, "standby")
    assert places(world, router)["router_gateway"] == {one}


def test_a_host_speaks_for_its_own_copies(world: RouterWorld) -> None:
    """Law 9: a host that has no copy, or of a router that has none, changes nothing; nor does nonsense."""
    router, plain = make(world, ha=True), make(world)
    stranger = next(host for host in HOSTS if host not in find_hosts(world, router))
    before = world.snapshot
    say(world, stranger, router, "active")
    say(world, find_hosts(world, plain)[0], plain, "active")
    say(world, find_hosts(world, router)[0], router, "king")
    assert world.snapshot is before


# -- floating IPs ------------------------------------------------------------------------------------------------------


def associate(world: RouterWorld, router: Doc) -> Doc:
    gateway = router["external_gateway_info"]["network_id"]
    (interface,) = world.ports(router, "network:router_interface")
    port = world.port({"id": interface["network_id"]})
    return world.create("floatingip", {"floating_network_id": gateway, "port_id": port["id"]})[0]


def tell(world: RouterWorld, host: str, wired: list[str], pending: dict[str, str], revision: int | None = None) -> None:
    world.run(lambda s, c: acknowledge(s, c, host, wired, pending, revision))


def test_a_floating_ip_is_active_when_its_host_says_so(world: RouterWorld) -> None:
    """By the host of its router and no other, at the revision that describes it; DOWN when it cannot, or is let go."""
    router = make(world)
    fip = associate(world, router)
    described, (host,) = world.snapshot.revision, find_hosts(world, router)
    stranger = next(name for name in HOSTS if name != host)
    for who, revision in ((stranger, described), (host, described - 1)):
        tell(world, who, [fip["id"]], {}, revision)
        assert world.get("floatingip", fip)["status"] == "DOWN"
    tell(world, host, [fip["id"]], {}, described)
    assert world.get("floatingip", fip)["status"] == "ACTIVE"
    tell(world, host, [], {fip["id"]: "no such map"}, described)
    assert (world.get("floatingip", fip)["status"], world.get("floatingip", fip)["waits_for"]) == (
        "DOWN",
        "no such map",
    )
    down = world.get("floatingip", fip)["revision_number"]
    tell(world, host, [], {fip["id"]: "no such set"}, described)
    assert world.get("floatingip", fip)["waits_for"] == "no such set"
    assert world.get("floatingip", fip)["revision_number"] == down, "another reason is no revision"
    tell(world, host, [fip["id"]], {})
    assert world.get("floatingip", fip)["waits_for"] == ""
    tell(world, host, [fip["id"]], {})
    world.update("floatingip", fip, None, port_id=None)
    assert world.get("floatingip", fip)["status"] == "DOWN"
    tell(world, host, [fip["id"]], {})
    assert world.get("floatingip", fip)["status"] == "DOWN", "it leads nowhere"


# -- a host that is gone -----------------------------------------------------------------------------------------------


def test_routers_move_from_a_host_that_is_gone(world: RouterWorld) -> None:
    """To one that is here; their ports with them. Those with copies wait for their host."""
    router, copied = make(world), make(world, ha=True)
    (host,) = find_hosts(world, router)
    world.run(lambda s, c: mark_alive(s, c, host, False))
    copies = find_hosts(world, copied)
    world.run(lambda s, c: move_routers(s, c, host))
    (now,) = find_hosts(world, router)
    assert now != host and places(world, router) == {"router_interface": {now}, "router_gateway": {now}}
    assert find_hosts(world, copied) == copies


def test_routers_stay_where_nobody_else_can_have_them(world: RouterWorld) -> None:
    """And on a host that came back before anybody moved them."""
    router = make(world)
    (host,) = find_hosts(world, router)
    before = world.snapshot
    world.run(lambda s, c: move_routers(s, c, host))
    assert world.snapshot is before, "it is here"
    for name in HOSTS:
        world.run(lambda s, c, name=name: mark_alive(s, c, name, False))  # type: ignore[misc]
    world.run(lambda s, c: move_routers(s, c, host))
    assert find_hosts(world, router) == [host]


def shown(world: RouterWorld, router: Doc) -> dict[str, str]:
    """What GET /routers/{id}/l3-agents says, by host."""
    doc = world.get("router", router)
    return {
        h: show_state(world.snapshot, doc, world.agent("L3 agent", h)["id"])["ha_state"] for h in states(world, doc)
    }


def hear(world: RouterWorld, *hosts: str, here: bool = True) -> None:
    for host in hosts:
        world.run(lambda s, c, host=host: mark_alive(s, c, host, here))  # type: ignore[misc]


def test_a_copy_whose_host_is_not_heard_of_is_not_shown_as_active(world: RouterWorld) -> None:
    """Another host could have taken over: it is standby; where no host is heard of nobody knows."""
    router = make(world, ha=True)
    one, other = find_hosts(world, router)
    say(world, one, router, "active")
    hear(world, one, here=False)
    assert shown(world, router) == {one: "standby", other: "standby"}
    hear(world, other, here=False)
    assert shown(world, router) == {one: "unknown", other: "standby"}
    hear(world, one)
    assert shown(world, router) == {one: "active", other: "standby"}, "nobody else said so meanwhile"


def test_a_host_that_was_away_is_not_active_when_it_comes_back(world: RouterWorld) -> None:
    """What it said before it was killed is older than what the other said since, and a report of its own may differ."""
    router = make(world, ha=True)
    one, other = find_hosts(world, router)
    say(world, one, router, "active")
    hear(world, one, here=False)
    say(world, other, router, "active")
    for here in (False, True):
        hear(world, one, here=here)
        assert shown(world, router) == {one: "standby", other: "active"}
        assert places(world, router)["router_gateway"] == {other}
    say(world, other, router, "standby")
    say(world, one, router, "standby")
    say(world, one, router, "active")
    assert shown(world, router) == {one: "active", other: "standby"}


def test_a_router_without_copies_has_no_state(world: RouterWorld) -> None:
    """null, as Neutron shows it."""
    router = make(world)
    assert set(shown(world, router).values()) == {None}
